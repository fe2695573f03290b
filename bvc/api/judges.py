"""Scorers of the project's own Python: loaded only where the user allowed it, since a cloned project may be hostile."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from bvc.behaviors.records import Tools
from bvc.records import Probe


def tools(root: Path, allow_python: bool) -> Tools:
    """What scorers may use in the project at `root`."""
    return Tools(judge=_Judge(root)) if allow_python else Tools()


class _Judge:
    """Calls `module:function` with a probe and an answer; the module is a file of the project or an installed one."""

    def __init__(self, root: Path) -> None:
        self.function = lru_cache(maxsize=None)(lambda name: _function(root, name))

    def __call__(self, name: str, probe: Probe, text: str) -> Any:
        return self.function(name)(probe, text)


def _function(root: Path, name: str) -> Any:
    module, _, function = name.partition(":")
    path = root.joinpath(*module.split(".")).with_suffix(".py")
    return getattr(_from_file(path, module) if path.is_file() else importlib.import_module(module), function)


def _from_file(path: Path, module: str) -> Any:
    name = f"bvc_project.{module}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded
