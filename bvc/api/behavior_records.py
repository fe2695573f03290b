"""What the functions about behaviors return."""

from __future__ import annotations

from dataclasses import dataclass

from bvc.behaviors.records import Behavior, Score
from bvc.records import BehaviorRate, CommitInfo, Probe


@dataclass(frozen=True)
class BehaviorRow:
    """One behavior at one commit; `left_out` probes could not be scored, all of them because of `why` where that is
    about the commit or the dictionary."""

    behavior: Behavior
    rate: BehaviorRate
    left_out: int
    why: str | None = None


@dataclass(frozen=True)
class BehaviorList:
    """`bvc.behaviors/1`: the project's behaviors, with their rates at `commit` (None where there is none yet)."""

    commit: CommitInfo | None
    rows: tuple[BehaviorRow, ...]


@dataclass(frozen=True)
class ScoredAnswer:
    """One answer (`draw` None: the greedy one) with its score."""

    text: str
    score: Score
    draw: int | None = None


@dataclass(frozen=True)
class ScoredProbe:
    """All answers to one probe; `value` is their mean score, None where the greedy one could not be scored."""

    probe: Probe
    suite: str
    answers: tuple[ScoredAnswer, ...]
    value: float | None


@dataclass(frozen=True)
class BehaviorTest:
    """`bvc.behavior-test/1`: what a behavior scores at a commit, and why; `not_selected` probes it does not speak
    of."""

    commit: CommitInfo
    behavior: Behavior
    rate: BehaviorRate
    probes: tuple[ScoredProbe, ...]
    not_selected: int


@dataclass(frozen=True)
class AddedBehavior:
    """`bvc.behavior-add/1`: the new behavior and its rate at the last commits, newest first."""

    behavior: Behavior
    history: tuple[tuple[CommitInfo, BehaviorRate], ...]
