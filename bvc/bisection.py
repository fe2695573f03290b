"""The records of a bisect: what is asked about a lineage, what was observed, and what follows from it. Layer 0.

The core (`bvc.compare.bisect`) knows commits only as indices into a `Span`; `bvc.api.bisect` knows which they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bvc.records import CommitInfo


class BisectStatus(StrEnum):
    """How a bisect stands (`bvc.bisect/1`).

    FOUND: one step brought the change. RANGE: it came gradually, or the asked precision was not reached, somewhere in
    the candidates. NOT_REPRODUCIBLE: the two ends do not differ by more than chance. INTERMITTENT: it came and went.
    ONLY_SKIPPED: what is left cannot be tested. RUNNING: the next commit waits to be asked. ABORTED: the judge gave up.
    """

    FOUND = "found"
    RANGE = "range"
    NOT_REPRODUCIBLE = "not_reproducible"
    INTERMITTENT = "intermittent"
    ONLY_SKIPPED = "only_skipped"
    RUNNING = "running"
    ABORTED = "aborted"


@dataclass(frozen=True)
class Span:
    """The commits among which a change is looked for: all that `bad` reaches and no good commit does, as indices with
    parents before children, and the good commits themselves.

    `parents[i]` are the indices of commit i's parents inside the span (a parent outside of it is left out, it counts
    as good); a good commit has none. `bad` is the last index.
    """

    parents: tuple[tuple[int, ...], ...]
    good: tuple[int, ...]

    @property
    def bad(self) -> int:
        """The commit that shows the change."""
        return len(self.parents) - 1


@dataclass(frozen=True)
class Observation:
    """What one visit to commit `node` showed.

    `hits` of `draws` answers showed the new behavior. Where the evidence is continuous, `values` holds one number per
    unit that was measured (a probe, a draw): larger means newer, `draws` is their count and `hits` is 0. `exact`: a
    person's mark, or a command whose answer does not vary; it settles the commit. `source`: "stored", "live",
    "command" or "mark". `load`: whether a checkpoint was loaded for it.
    """

    node: int
    draws: int
    hits: int
    values: tuple[float, ...] = ()
    exact: bool = False
    source: str = "live"
    load: bool = True


@dataclass(frozen=True)
class BisectPlan:
    """How a bisect is to be done.

    `confidence`: posterior probability at which a step is named. `exact`: answers do not vary, each commit is asked
    once, as Git does. `load_cost` and `draw_cost`: what loading a checkpoint and drawing one answer take, in one unit.
    `most_draws`: draws of one visit at most. `max_loads`, `max_draws`: budgets (None: none). `prior`: weight of each
    commit of the span as the culprit (None: equal). `smallest`: the least difference of rates that matters.
    `available`: commits that can be asked, with how many more draws each has to give (absent: any number).
    """

    confidence: float = 0.95
    exact: bool = False
    load_cost: float = 1.0
    draw_cost: float = 1 / 64
    most_draws: int = 64
    max_loads: int | None = None
    max_draws: int | None = None
    prior: tuple[float, ...] | None = None
    smallest: float = 0.0
    available: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """The next visit: `draws` answers of commit `node`; `why` is a short phrase ("the bad end", "halves what is left",
    "to be sure of the culprit")."""

    node: int
    draws: int
    why: str


@dataclass(frozen=True)
class Stretch:
    """Commits first…last of a line through the lineage, with the rate (or mean value) there and its 95 % interval."""

    first: int
    last: int
    rate: float
    ci: tuple[float, float]
    new: bool


@dataclass(frozen=True)
class Conclusion:
    """What the observations say now.

    `culprit`: the first bad commit (FOUND only). `candidates`: (commit, posterior probability) of the smallest set that
    holds the culprit with the plan's confidence, most probable first; of a range its commits. `confidence`: of the
    culprit, or of the set. `old`, `new`: the two rates (or mean values), `intervals` theirs. `p_value`: of the gate
    between the ends. `smallest`: the least difference that the gate would have found with probability .8.
    `stretches`: of an intermittent behavior or a ramp, in order. `reason`: one sentence. `posterior`: per commit of the
    span.
    """

    status: BisectStatus
    culprit: int | None = None
    candidates: tuple[tuple[int, float], ...] = ()
    confidence: float = 0.0
    old: float | None = None
    new: float | None = None
    intervals: tuple[tuple[float, float], tuple[float, float]] | None = None
    p_value: float | None = None
    smallest: float | None = None
    stretches: tuple[Stretch, ...] = ()
    reason: str = ""
    posterior: tuple[float, ...] = ()


@dataclass(frozen=True)
class Visit:
    """An observation of a commit, as results show it."""

    commit: CommitInfo
    draws: int
    hits: int
    mean: float | None
    source: str


@dataclass(frozen=True)
class Candidate:
    """A commit that may have brought the change, with its posterior probability."""

    commit: CommitInfo
    posterior: float


@dataclass(frozen=True)
class BisectResult:
    """`bvc.bisect/1`: where a bisect stands, or what it found.

    `question`: what is looked for, in words. `terms`: the words for old and new. `lineage`: every commit of the span
    from old to new with its posterior probability. `steps`: where an intermittent behavior changed, as (commit,
    "appeared" or "vanished"). `next`: the commit that waits to be asked, with the draws wanted. `notes`: remarks.
    `changed`: probes in which the culprit differs from its parent, most deserving first, as (label, reason), where that
    is known.
    """

    status: BisectStatus
    question: str
    terms: tuple[str, str]
    first_bad: CommitInfo | None
    candidates: tuple[Candidate, ...]
    confidence: float
    conclusion: Conclusion
    observations: tuple[Visit, ...]
    lineage: tuple[Candidate, ...]
    loads: int
    draws: int
    steps: tuple[tuple[CommitInfo, str], ...] = ()
    next: tuple[CommitInfo, int] | None = None
    notes: tuple[str, ...] = ()
    changed: tuple[tuple[str, str], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
