"""The judge that needs no predicate: does a commit differ from the old end as the new end does? Loads numpy.

Of every probe it is asked how far along the way from the old end to the new one the commit stands, 0 to 1, as squared
distances in a plane tell it (the law of cosines): what a commit drifted in other directions adds to the distance from
both ends alike, and cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bvc.api.bands import pair_distances
from bvc.api.bisect_evidence import Shown
from bvc.api.diff import diff
from bvc.compare.measure import Distances
from bvc.errors import NotComparable, UsageError
from bvc.ids import short
from bvc.repository.repository import Repository
from bvc.repository.revisions import find_probe
from bvc.results import ProbeDiff, Verdict

STANDS_OUT = 0.05
"""False discovery rate at which a probe stands out of the drift of all."""
FEWEST, TOP, MOST = 3, 10, 40
"""Probes that have to stand out for them to be picked, the number picked otherwise, and that at most."""
_FAR, _NEAR = 1.5, -0.5
"""Beyond these a place is no better evidence than at them."""
_STEEP = 1.25
"""How far `squashed` draws together. Less finds fewer steps and names hardly fewer commits of pure drift, of which
`docs/bisect.md` says how often that happens."""
_BETWEEN = 3
"""Commits between the ends up to which the asked confidence is enough (see `asked_of`)."""

Table = Mapping[str, float]
_CHANNEL_KINDS = ("logprob",)
_KINDS: Mapping[str, tuple[Callable[[Distances], Table], float, int]] = {
    "logprob": (lambda d: d.channels.get("logprob", {}), 3e-4, 1),
    "first": (lambda d: d.first, 3e-3, 1),
    "peak": (lambda d: d.peak, 3e-2, 1),
    "moved": (lambda d: d.beyond_shift, 3e-3, 2),
    "substance": (lambda d: d.substance, 0.3, 2),
}
"""Kinds of distance, the least one that says something, and the power that makes it a squared distance: divergences
are that already (twice the divergence is, to first order, a squared distance; Kullback 1959)."""
_WORDS: Mapping[str, tuple[Callable[[Distances], Table], float, int]] = {
    "substance": _KINDS["substance"],
    "text": (lambda d: d.channels.get("text", {}), 0.1, 2),
}
"""Those of answers without log-probs."""


@dataclass(frozen=True)
class Picked:
    """The probes to go by (ids, most deserving first), and a remark on how they were chosen."""

    probes: tuple[str, ...]
    note: str


def pick_probes(repository: Repository, old: str, new: str, wanted: Sequence[str]) -> Picked:
    """The probes named, else those of the diff of the ends that stand out of the drift, else its first ten.

    Raises UnknownRevision for a probe that is not there, UsageError where the ends do not differ at all.
    """
    if wanted:
        view = repository.snapshot(new)
        return Picked(tuple(dict.fromkeys(find_probe(view, name) for name in wanted)), "")
    rows = [row for row in diff(repository, old, new).probes if row.verdict is not Verdict.SAME]
    if not rows:
        raise UsageError(
            f"commit {short(new)} does not differ from {short(old)} in any probe",
            hint="see `bvc diff`",
        )
    first = [row for row in rows if _stands_out(row)][:MOST]
    if len(first) >= FEWEST:
        return Picked(_ids(first), f"by {len(first)} probes that stand out of the drift between the ends")
    note = f"by the first {len(rows[:TOP])} probes of the diff: too few stand out of the drift between the ends"
    return Picked(_ids(rows[:TOP]), note)


def _stands_out(row: ProbeDiff) -> bool:
    return row.verdict is Verdict.CHANGED and row.q_value is not None and row.q_value <= STANDS_OUT


def _ids(rows: Sequence[ProbeDiff]) -> tuple[str, ...]:
    return tuple(row.probe.id for row in rows)


class LikeJudge:
    """Judges a commit by the places of some probes between the two ends, both of which are captured."""

    takes_draws: bool = False

    def __init__(self, repository: Repository, old: str, new: str, picks: Sequence[str]) -> None:
        self.repository = repository
        self._ends = old, new
        self._picks = tuple(picks)
        self._between = self._distances(old, new)
        numbers = any(self._between.channels.get(name) for name in _CHANNEL_KINDS)
        self._kinds = _KINDS if numbers else _WORDS

    def probes(self) -> Sequence[str]:
        """The ids of the probes that are judged."""
        return self._picks

    def shown(self, commit: str) -> Shown | None:
        """The place of each picked probe; None for a commit without captures, or that cannot be compared."""
        info = self.repository.snapshot(commit).info
        if info.snapshot is None or info.snapshot.capability is None:
            return None
        old, new = (None if commit == end else self._safely(end, commit) for end in self._ends)
        if (old is None and commit != self._ends[0]) or (new is None and commit != self._ends[1]):
            return None
        places = [self._place(probe, old, new) for probe in self._picks]
        known = tuple(place for place in places if place is not None)
        return Shown(values=known) if known else None

    def _safely(self, end: str, commit: str) -> Distances | None:
        try:
            return self._distances(end, commit)
        except NotComparable:
            return None

    def _distances(self, a: str, b: str) -> Distances:
        return pair_distances(self.repository, a, b)

    def _place(self, probe: str, old: Distances | None, new: Distances | None) -> float | None:
        """Where a probe stands: the mean over the kinds of distance that tell the ends apart. `old` and `new` are the
        distances from the ends, None of the end itself."""
        found = []
        for table, least, power in self._kinds.values():
            whole = table(self._between).get(probe)
            from_old = 0.0 if old is None else table(old).get(probe)
            from_new = 0.0 if new is None else table(new).get(probe)
            if whole is None or whole < least or from_old is None or from_new is None:
                continue
            squares = (number**power for number in (from_old, from_new, whole))
            found.append(place(*squares))
        return squashed(sum(found) / len(found)) if found else None


def asked_of(confidence: float, steps: int) -> float:
    """The probability that one of so many steps must have to be named, so that drift alone names one no more often than
    the `confidence` that is asked for leaves open.

    Drift adds up: places of commits that follow each other go together, where the model of one jump takes them for so
    many looks of their own, and of more steps the largest is larger beside the others. So what is left open is shared
    among the commits between the ends.
    """
    return 1 - (1 - confidence) * min(1.0, _BETWEEN / max(1, steps - 1))


def place(from_old: float, from_new: float, whole: float) -> float:
    """The foot of the perpendicular on the way from old (0) to new (1), by squared distances."""
    return min(_FAR, max(_NEAR, (from_old - from_new + whole) / (2 * whole)))


def squashed(found: float) -> float:
    """A place with what lies beyond the ends, and near them, drawn together; 0, a half and 1 stay. Benign drift near an
    end then hides a step less, and still hardly ever makes one (see `docs/bisect.md`)."""
    return 0.5 + math.tanh(_STEEP * (found - 0.5)) / (2 * math.tanh(_STEEP / 2))
