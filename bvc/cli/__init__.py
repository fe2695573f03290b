"""The command line: `bvc.cli.main` is the entry point. Layer 5."""

from __future__ import annotations

from bvc.cli.program import program as main

__all__ = ["main"]
