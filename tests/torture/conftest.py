"""Figures of the sweeps, printed after the tests so that they can be copied into the docs."""

from __future__ import annotations

import pytest

_lines: list[str] = []


@pytest.fixture
def figures() -> list[str]:
    """Lines added here are printed at the end of the run."""
    return _lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _lines:
        terminalreporter.write_line(line)
