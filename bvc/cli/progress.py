"""Progress of long work on standard error: one line that is rewritten on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from bvc.cli.streams import error_screen, is_terminal
from bvc.render.lists import duration
from bvc.render.text import clean, shorten
from bvc.results import Progress

_REDRAW = 0.1
_REPORT = 10.0
"""Seconds between two redraws on a terminal, and between two lines elsewhere."""
_BAR = 24


class ProgressLine:
    """Called with each `Progress`. Rates count from the first report of a kind of work, so that what a resumed capture
    finds done does not make it look fast."""

    def __init__(
        self, note: Callable[[str], None], *, silent: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._note = note
        self._silent = silent
        self._clock = clock
        self._terminal = is_terminal(sys.stderr)
        self._what = ""
        self._first = 0
        self._started = self._last = 0.0
        self._drawn = False

    def __call__(self, step: Progress) -> None:
        """Shows one step where it is time to."""
        if step.note is not None:
            self._note(step.note)
        if self._silent:
            return
        now = self._clock()
        if step.what != self._what:
            self._begin(step, now)
        complete = step.done >= step.total
        if now - self._last >= (_REDRAW if self._terminal else _REPORT) or (complete and self._drawn):
            self._last = now
            self._draw(step, now - self._started)

    def _begin(self, step: Progress, now: float) -> None:
        self.clear()
        self._what, self._first = step.what, step.done
        self._started = now
        self._last = now - _REDRAW if self._terminal else now
        self._drawn = False

    def _draw(self, step: Progress, seconds: float) -> None:
        self._drawn = True
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{self._bar(step, seconds)}")
        else:
            sys.stderr.write(f"{_plain(step, self._pace(step, seconds))}\n")
        sys.stderr.flush()

    def _bar(self, step: Progress, seconds: float) -> str:
        screen = error_screen()
        if step.total == 1:  # a single thing that is done or not yet
            return f"{clean(step.what)}{screen.glyph('ellipsis')}"
        filled = _BAR if step.total <= 0 else min(_BAR, _BAR * step.done // step.total)
        full, empty = ("━", "─") if screen.unicode else ("#", "-")
        text = f" {step.done:,}/{step.total:,}{self._pace(step, seconds)}"
        room = max(8, screen.width - _BAR - len(text) - 3)
        bar = screen.paint("green", full * filled) + screen.paint("dim", empty * (_BAR - filled))
        return f"{shorten(clean(step.what), room)} {bar}{text}"

    def _pace(self, step: Progress, seconds: float) -> str:
        """`, 3.2/s, 35 s left`; empty before there is a rate."""
        made = step.done - self._first
        if made <= 0 or seconds <= 0:
            return ""
        rate = made / seconds
        shown = f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"
        left = (step.total - step.done) / rate
        return f", {shown}, {duration(left)} left" if step.done < step.total else f", {shown}"

    def clear(self) -> None:
        """Takes the line off the terminal."""
        if self._terminal and self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False

    def finish(self) -> None:
        """The work is over."""
        self.clear()


def _plain(step: Progress, pace: str) -> str:
    return f"{clean(step.what)}: {step.done:,}/{step.total:,}{pace}"
