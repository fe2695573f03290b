"""Standard output and error: terminals, their width, color and characters. Reads the environment."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from bvc.render.screen import Screen

_NARROWEST = 40
_WIDEST = 200
"""Lines longer than this are hard to read, whatever the terminal holds."""


def prepare() -> None:
    """Text that a stream's encoding lacks is written as an escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person sees what is written to `stream`."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def output_screen() -> Screen:
    """The screen behind standard output."""
    return _screen(sys.stdout)


def error_screen() -> Screen:
    """The screen behind standard error."""
    return _screen(sys.stderr)


def _screen(stream: TextIO) -> Screen:
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    return Screen(_width(stream), _color(stream), encoding.startswith("utf"))


def _color(stream: TextIO) -> bool:
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _width(stream: TextIO) -> int:
    """COLUMNS, else the terminal's width, else 80."""
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdigit() and int(columns) > 0 else _terminal_width(stream)
    return max(_NARROWEST, min(width, _WIDEST))


def _terminal_width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return 80
