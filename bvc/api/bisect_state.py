"""What a bisect's log says: the ends, the marks of a person, the answers of a command, what was skipped.

Loads neither numpy nor torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from bvc.api.bisect_log import (
    ANSWER,
    ASK,
    NEW,
    OLD,
    PICK,
    RUN,
    SKIP,
    START,
    VISIT,
    BisectFile,
    Entry,
    History,
    Ranges,
    effective,
    no_bisect,
)
from bvc.api.bisect_settings import BisectSettings
from bvc.api.bisect_span import Lineage, lineage
from bvc.bisection import Observation
from bvc.errors import UsageError
from bvc.ids import short
from bvc.repository.repository import Repository


@dataclass(frozen=True)
class State:
    """A bisect as its log has it; all commits are full ids."""

    repository: Repository
    settings: BisectSettings
    history: History

    @classmethod
    def of(cls, repository: Repository, entries: Sequence[Entry]) -> State:
        """The state after these entries. Raises UsageError for settings that make no sense."""
        return cls(repository, BisectSettings.of(entries[0]), effective(entries))

    @classmethod
    def read(cls, repository: Repository) -> State:
        """The bisect in progress. Raises BvcError where there is none, BadInput for a log that cannot be read."""
        entries = BisectFile(repository.store.root).entries()
        if entries is None:
            raise no_bisect()
        return cls.of(repository, entries)

    # The ends

    @cached_property
    def bad(self) -> str | None:
        """The new end: given at the start, else the first that was marked so."""
        (start,) = self.history.of(START)
        return next(iter([*start.args[:1], *(e.args[0] for e in self.history.of(NEW))]), None)

    @cached_property
    def goods(self) -> tuple[str, ...]:
        """The old ends: given at the start, else the first that were marked so."""
        (start,) = self.history.of(START)
        return start.args[1:] or next((e.args for e in self.history.of(OLD)), ())

    @property
    def waits_for(self) -> str | None:
        """The word for the end that is still missing."""
        old, new = self.settings.terms
        return new if self.bad is None else old if not self.goods else None

    @cached_property
    def lineage(self) -> Lineage | None:
        """The commits between the ends; None while one is missing. Commits beside them that were marked old later cut
        off what they reach. Raises UsageError for ends with nothing between them."""
        if self.bad is None or not self.goods:
            return None
        first = lineage(self.repository, self.bad, self.goods, self.settings.terms)
        more = [commit for commit in self.marked(OLD) if commit not in first.index and not self._below(commit, first)]
        if not more:
            return first
        return lineage(self.repository, self.bad, (*self.goods, *more), self.settings.terms)

    def _below(self, commit: str, found: Lineage) -> bool:
        history = self.repository.store.history
        return any(history.is_ancestor(commit, good) for good in (*self.goods, *found.good))

    @property
    def question(self) -> str:
        """What is looked for, in words."""
        settings = self.settings
        if settings.behavior is not None:
            return f"where the behavior {settings.behavior} began"
        if settings.expr is not None:
            return f"where this began to hold of answers: {settings.expr.strip()}"
        if settings.like_bad and self.bad is not None and self.goods:
            return f"where answers began to differ from {short(self.goods[0])} as those of {short(self.bad)} do"
        by = f" by `{' '.join(self.command)}`" if self.command else ""
        return f"the first {settings.terms[1]} commit{by}"

    # What was said

    def marked(self, *verbs: str) -> list[str]:
        """The commits marked so, in order."""
        return list(dict.fromkeys(commit for entry in self.history.of(*verbs) for commit in entry.args))

    @cached_property
    def marks(self) -> dict[str, bool]:
        """`{commit: whether it is new}` of all that a person said, the ends of an exact bisect included."""
        ends: dict[str, bool] = {}
        if self.exact and self.bad is not None:
            ends = dict.fromkeys(self.goods, False) | {self.bad: True}
        return ends | dict.fromkeys(self.marked(OLD), False) | dict.fromkeys(self.marked(NEW), True)

    @property
    def noisy(self) -> bool:
        """Whether a command judges whose answers vary."""
        return any("noisy" in entry.options for entry in self.history.of(RUN, ANSWER))

    @property
    def exact(self) -> bool:
        """Whether each commit is asked once: a person judges, or a command that always says the same."""
        return not self.settings.judged and not self.noisy

    @property
    def command(self) -> tuple[str, ...]:
        """The command that judged last."""
        return next((entry.args for entry in reversed(list(self.history.of(RUN)))), ())

    @property
    def picks(self) -> tuple[str, ...]:
        """The probes that `--like-bad` goes by, once they are chosen."""
        return next((entry.args for entry in self.history.of(PICK)), ())

    @cached_property
    def skipped(self) -> tuple[str, ...]:
        """Commits that cannot be tested; a mark takes them in again."""
        return tuple(commit for commit in self.marked(SKIP) if commit not in self.marks)

    def visits(self) -> Iterator[Ranges]:
        """The answers that models were asked for, as far as that came to an end."""
        return (Ranges.of(entry) for entry in self.history.of(VISIT))

    def visit_seconds(self) -> tuple[list[float], list[float]]:
        """How long loading took, and one answer, of each visit that says so."""
        entries = list(self.history.of(VISIT))
        loads, draws = ([float(v) for e in entries if (v := e.one(name)) is not None] for name in ("load", "draw"))
        return loads, draws

    @property
    def unfinished(self) -> Ranges | None:
        """What a model was being asked for when the process ended."""
        last = next(reversed(list(self.history.of(ASK, VISIT))), None)
        return Ranges.of(last) if last is not None and last.verb == ASK else None

    def said(self, found: Lineage) -> Iterator[Observation]:
        """The marks and the answers of a command, as observations of the commits of the span."""
        for commit, new in self.marks.items():
            if commit in found.index:
                yield Observation(found.index[commit], 1, int(new), exact=True, source="mark", load=False)
        for commit, exact, hits in _runs(self.history.of(ANSWER)):
            if commit in found.index and commit not in self.marks:
                node = found.index[commit]
                yield Observation(node, len(hits), sum(hits), exact=exact, source="command")


def _runs(answers: Iterable[Entry]) -> Iterator[tuple[str, bool, list[bool]]]:
    """Answers of a command about one commit that came one after the other: (commit, exact, whether each was new)."""
    current: tuple[str, bool, list[bool]] | None = None
    for entry in answers:
        commit, exact, new = entry.args[0], "noisy" not in entry.options, entry.args[1] == NEW
        if current is not None and current[:2] == (commit, exact) and not exact:
            current[2].append(new)
            continue
        if current is not None:
            yield current
        current = commit, exact, [new]
    if current is not None:
        yield current


def check_mark(state: State, commit: str, new: bool) -> None:
    """Raises UsageError for a mark that contradicts another one or that nothing follows from."""
    old_word, new_word = state.settings.terms
    other = old_word if new else new_word
    said = state.marks.get(commit)
    if said is not None and said is not new:
        hint = "`bvc bisect undo` takes back the last mark, `bvc bisect log` shows all"
        raise UsageError(f"commit {commit[:10]} is already {other}", hint=hint)
    found = state.lineage
    if found is None or commit in found.index:
        return
    if new:
        raise UsageError(
            f"commit {commit[:10]} is not among those between {old_word} and {new_word}",
            hint=f"`bvc bisect start {commit[:10]} {' '.join(good[:10] for good in state.goods)}` looks below it",
        )
