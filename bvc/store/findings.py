"""What a check of the store has found so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from bvc.results import FsckResult, Problem, Progress

MISSING, CORRUPT, STALE = "missing", "corrupt", "stale-index"


class Findings:
    """Counts what was checked, by kind, and collects problems; `progress` is told now and then."""

    def __init__(self, progress: Callable[[Progress], None] | None) -> None:
        self._progress = progress
        self.checked: Counter[str] = Counter()
        self.problems: list[Problem] = []

    def add(self, kind: str, thing: str, detail: str) -> None:
        """Notes a problem."""
        self.problems.append(Problem(kind, thing, detail))

    def count(self, what: str, number: int = 1) -> None:
        """Notes that things were checked."""
        self.checked[what] += number

    def step(self, what: str, done: int, total: int) -> None:
        """Tells how far the check is."""
        if self._progress is not None:
            self._progress(Progress(what, done, total))

    def result(self) -> FsckResult:
        """All of it. Entries that the index merely lacks are named, and do no harm: it learns them by itself."""
        ok = all(problem.kind == STALE for problem in self.problems)
        return FsckResult(ok, dict(self.checked), tuple(self.problems))
