"""The real checkpoint of the tests marked `real`: SmolLM2-135M-Instruct as the example lineage makes it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

_SCRIPT = Path(__file__).parent.parent / "examples" / "lineage" / "base_model.py"


def real_model() -> Path:
    """The folder of SmolLM2-135M-Instruct, made on first use; skips the test where its package is not installed."""
    script = _load(_SCRIPT)
    try:
        return Path(script.ensure_base(script.default_folder()))
    except script.BaseModelError as error:
        pytest.skip(str(error))


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
