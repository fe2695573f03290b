"""The command line: `bvc.cli.main` is the entry point. Layer 5."""

from __future__ import annotations

import gc
import os
import signal
from contextlib import suppress
from typing import Any


def _leave(*_: Any) -> None:
    """Ctrl-C while modules are being loaded: nothing has begun, and a traceback would help nobody."""
    os.write(2, b"error: interrupted\n")
    os._exit(130)


_usual = signal.getsignal(signal.SIGINT)
with suppress(ValueError):  # not the main thread of a program that embeds bvc
    if _usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)

# Most of a short command is loading modules, and collections then find nothing to free: they cost a tenth of its time.
gc.set_threshold(100_000, 20, 20)

from bvc.cli.program import program as main  # noqa: E402 - the lines above are for the modules that this one loads

with suppress(ValueError):
    if _usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, _usual)

__all__ = ["main"]
