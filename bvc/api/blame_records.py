"""What `blame` returns: with which commit each probe last changed, or each step of a behavior along the lineage."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bvc.records import CommitInfo
from bvc.results import Interval, Rate, Substance


class Turn(StrEnum):
    """What a commit brought: something that was not there before, its end, or another form of it."""

    APPEARED = "appeared"
    VANISHED = "vanished"
    CHANGED = "changed"


@dataclass(frozen=True)
class Suspicion:
    """A commit that may have brought a step, with the probability that it did, given that there is one."""

    commit: str
    subject: str
    posterior: float


@dataclass(frozen=True)
class BehaviorStep:
    """A step of a behavior: its rate `before` and `after`, over as many commits on each side as show it, the paired
    difference with its interval, the p-value over the whole lineage, and the ids of the probes that `gained` or `lost`
    it, most first. `candidates` are the commits that may have brought it, the named one first."""

    difference: float
    ci: Interval
    p_value: float
    before: Rate
    after: Rate
    commits: tuple[int, int]
    candidates: tuple[Suspicion, ...]
    gained: tuple[tuple[str, str], ...]
    lost: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ProbeChange:
    """What became of a probe's answer: `old` and `new` are the greedy texts (`old` None where the probe came with this
    commit). `q_value` is the false discovery rate over all probes and steps (None where nothing is known of noise),
    `reworded` the newest commit that stored another answer than its parents, where that is not the one blamed. `mark`
    is a phrase that came or went with the change, here and in other answers; where the newest answer is as it was
    before in that respect, `undone` is the commit since when."""

    probe: str
    label: str
    suite: str
    old: str | None
    new: str
    substance: Substance | None = None
    q_value: float | None = None
    reworded: str | None = None
    mark: str | None = None
    undone: str | None = None


@dataclass(frozen=True)
class BlameEntry:
    """One line of blame. `confidence` is None where nothing is known of noise; `parents` are the recorded commits that
    it was compared with; `between` those on the way from them that were never captured, or for a behavior that asks for
    a latent without its features: any of these may be meant."""

    commit: CommitInfo
    kind: Turn
    confidence: float | None
    parents: tuple[str, ...] = ()
    between: tuple[str, ...] = ()
    step: BehaviorStep | None = None
    change: ProbeChange | None = None


@dataclass(frozen=True)
class BlameResult:
    """`bvc.blame/1`. `commits` are those that `head` reaches, `captured` of them hold answers, `start` is the newest of
    these; `against` says what the probes were judged against ("steps", "N1", "N2", "N0"; None: nothing was measured),
    `level` the error rate. Of a behavior: its name and description, the rate at `start`, the least step that would have
    been found, how many were found and are too small to matter, and how many times as much as its probes explain the
    rate moves from commit to commit; how many captured commits lack the features that it asks for and were passed
    over. `notes` are remarks."""

    head: CommitInfo
    entries: tuple[BlameEntry, ...]
    commits: int
    captured: int
    start: str
    probes: int
    level: float
    against: str | None = None
    behavior: str | None = None
    description: str = ""
    rate: Rate | None = None
    smallest: float | None = None
    immaterial: int = 0
    unrest: float = 1.0
    featureless: int = 0
    notes: tuple[str, ...] = ()
