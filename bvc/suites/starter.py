"""The built-in suite that `bvc init` puts into a new project."""

from __future__ import annotations

from importlib.resources import files

from bvc.records import Suite
from bvc.suites.load import parse_suite

NAME = "starter"


def starter_bytes() -> bytes:
    """The content of `probes/starter.jsonl`."""
    return files("bvc.suites").joinpath("data", f"{NAME}.jsonl").read_bytes()


def starter_suite() -> Suite:
    """The starter suite: short probes in families that cover what fine-tunes usually change."""
    return Suite(NAME, parse_suite(starter_bytes(), file=f"{NAME}.jsonl"))
