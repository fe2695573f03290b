"""Draws that were added after a look: what is tested, and at which share of the level.

Who looks at a diff, adds draws because it was undecided, and looks again, tests twice. A test of all draws at hand
would call equal models changed too often then. But draw k does not depend on how many there are, so that the first
draws are what they were: the tests are those of numbers of draws that were fixed beforehand (as many as there were at
first, twice, four times as many), each at its share of the level, and one that may be looked at any number of times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Pairs = Sequence[tuple[Sequence[str], Sequence[str]]]
"""Draws of both sides, by probe."""


@dataclass(frozen=True)
class Stage:
    """A test of the first `draws` of each side (None: of all) at a `share` of the level; `permutations` are enough for
    a p-value to reach that."""

    draws: int | None
    share: float
    permutations: int = 999


@dataclass(frozen=True)
class Looks:
    """The `stages` that can be tested now, in the order in which they come, and the share `anytime` of the test that
    holds at any look. `first`: draws a side at the first look, where some were added since; None where none were."""

    stages: tuple[Stage, ...] = (Stage(None, 1.0),)
    anytime: float = 0.0
    first: int | None = None

    def joined(self, staged: Iterable[float], anytime: float = 1.0) -> float:
        """One p-value of those of the stages and of the test at any look. Shares are never given to each other, so that
        over all looks it falls to alpha with probability at most alpha (Bonferroni)."""
        parts = [p / stage.share for stage, p in zip(self.stages, staged, strict=True)]
        return min([1.0, *parts, *([anytime / self.anytime] if self.anytime else [])])


ONCE = Looks()
GROWING = ((1, 0.8, 999), (2, 0.1, 1999), (4, 0.04, 3999))
"""How many times the first draws are tested, share of the level, permutations. Most is for the first look, which had
all of the level when it was made."""
ANYTIME = 0.06
"""The rest. Draws that only some probes got count for nothing else, and so do those beyond four times the first."""


def looks(pairs: Pairs, first: tuple[int | None, int | None]) -> Looks:
    """What can be tested of `pairs` when the sides had `first` draws a probe at first: None where none were added since
    for all that is known, 0 where it is not known how many there were."""
    if not any(_added(draws, had) for pair in pairs for draws, had in zip(pair, first, strict=True)):
        return ONCE
    least = min(len(side) for pair in pairs for side in pair)
    begun = min(least if had is None else had for had in first)
    if not begun:
        return Looks((), 1.0, 0)
    stages = tuple(Stage(n * begun, share, b) for n, share, b in GROWING if n == 1 or n * begun <= least)
    return Looks(stages, ANYTIME, begun)


def _added(draws: Sequence[str], had: int | None) -> bool:
    return had is not None and len(draws) > had
