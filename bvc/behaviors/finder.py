"""Looking for a text or a regular expression in many answers, within a time that hostile ones cannot stretch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from bvc.behaviors.literals import Branch, required_literals
from bvc.behaviors.patterns import SECONDS, check_pattern
from bvc.behaviors.records import Span

_TOTAL = 20.0
_EACH = 0.001
"""Seconds that all searches of one pattern may take together, and how many each text adds."""


class TooSlow(Exception):
    """A regular expression that backtracks so long that it is given up."""


@dataclass
class Finder:
    """What is looked for: `pattern` as it stands where `fixed`, else a regular expression (`^` and `$` are the ends of
    lines). Raises ValueError when it is not one."""

    pattern: str
    fixed: bool = False
    ignore_case: bool = False
    _spent: float = field(default=0.0, init=False)
    _texts: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if not self.fixed:
            check_pattern(self.pattern)

    @cached_property
    def literals(self) -> tuple[Branch, ...] | None:
        """For each way to match the runs of characters that a text then has; None where that is not known."""
        return ((self.pattern,),) if self.fixed else required_literals(self.pattern)

    def places(self, text: str, most: int | None = None) -> list[Span]:
        """The first `most` places of the pattern, in order, none inside another. Raises TooSlow."""
        if self.fixed and not self.ignore_case:
            return list(islice(_occurrences(self.pattern, text), most))
        return self._found(text, most)

    def count(self, text: str) -> int:
        """How often the pattern occurs, no occurrence inside another. Raises TooSlow."""
        if self.fixed and not self.ignore_case:
            return text.count(self.pattern)
        return len(self._found(text, None))

    def _found(self, text: str, most: int | None) -> list[Span]:
        import regex

        started = time.perf_counter()
        try:
            found = self._compiled.finditer(text, timeout=SECONDS)
            return [match.span() for match in islice(found, most)]
        except (TimeoutError, regex.error, MemoryError) as error:
            raise TooSlow(f"takes longer than {SECONDS:g} s on one answer") from error
        finally:
            self._charge(time.perf_counter() - started)

    def _charge(self, seconds: float) -> None:
        self._spent += seconds
        self._texts += 1
        if self._spent > _TOTAL + _EACH * self._texts:
            raise TooSlow(f"took {self._spent:.0f} s on {self._texts:,} answers")

    @cached_property
    def _compiled(self) -> Any:
        import regex

        flags = regex.MULTILINE | (regex.IGNORECASE if self.ignore_case else 0)
        return regex.compile(regex.escape(self.pattern) if self.fixed else self.pattern, flags)


def _occurrences(wanted: str, text: str) -> Iterator[Span]:
    start = text.find(wanted)
    while start >= 0:
        yield start, start + len(wanted)
        start = text.find(wanted, start + max(1, len(wanted)))
