"""The behaviors that `bvc init` puts into a new project."""

from __future__ import annotations

from importlib.resources import files


def starter_behaviors() -> bytes:
    """The content of `behaviors.toml`."""
    return files("bvc.behaviors").joinpath("starter.toml").read_bytes()
