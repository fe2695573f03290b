"""The built-in suite that `bvc init` puts into a new project."""

from __future__ import annotations

from importlib.resources import files

NAME = "starter"


def starter_bytes() -> bytes:
    """The content of `probes/starter.jsonl`."""
    return files("bvc.suites").joinpath("data", f"{NAME}.jsonl").read_bytes()
