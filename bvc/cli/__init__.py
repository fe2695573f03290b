"""The command line: `bvc.cli.main` is the entry point. Layer 5."""

from __future__ import annotations

import gc

# Most of a short command is loading modules, and collections then find nothing to free: they cost a tenth of its time.
gc.set_threshold(100_000, 20, 20)

from bvc.cli.program import program as main  # noqa: E402 - the line above is for the modules that this one loads

__all__ = ["main"]
