"""The starter suite for tests that ask something of its probes."""

from __future__ import annotations

from bvc.records import Suite
from bvc.suites.load import parse_suite
from bvc.suites.starter import NAME, starter_bytes


def starter_suite() -> Suite:
    """The suite in the file that `bvc init` writes."""
    return Suite(NAME, parse_suite(starter_bytes(), file=f"{NAME}.jsonl"))
