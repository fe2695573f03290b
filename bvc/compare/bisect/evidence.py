"""What the visits of a bisect have shown so far, added up commit by commit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bvc.bisection import BisectPlan, Observation
from bvc.compare.bisect.lineage import Floats, Ints, Lineage, Mask
from bvc.compare.bisect.rates import effective
from bvc.errors import UsageError

MARK = "mark"
FREE = frozenset({"stored", MARK})
"""Sources that cost neither a load nor a draw."""


@dataclass(frozen=True)
class Evidence:
    """The observations of a span, in no order that matters.

    `nodes` [m] are the commits with evidence, ascending, `hits` and `draws` [m] their counts, `visits` [m] how often
    each was visited, `fresh` [m] how many draws or values of each do not come from store. `values` holds the numbers of
    each commit's visits (continuous evidence). `marks` are the commits that are settled: True where the behavior is
    present; those of `told` by a person.
    """

    nodes: Ints
    hits: Floats
    draws: Floats
    visits: Ints
    fresh: Floats
    values: tuple[tuple[Floats, ...], ...]
    marks: dict[int, bool]
    told: frozenset[int]
    loads: int
    drawn: int

    @cached_property
    def continuous(self) -> bool:
        """Whether there are values."""
        return any(self.values)

    @cached_property
    def counted(self) -> tuple[Floats, Floats]:
        """Hits and draws [m] for as much as they count."""
        return effective(self.hits, self.draws)

    @cached_property
    def place(self) -> dict[int, int]:
        """`{commit: its place in nodes}`."""
        return {int(node): i for i, node in enumerate(self.nodes)}

    def counts(self, node: int) -> tuple[float, float]:
        """Hits and draws of a commit."""
        at = self.place.get(node)
        return (0.0, 0.0) if at is None else (float(self.hits[at]), float(self.draws[at]))

    def numbers(self, node: int) -> Floats:
        """All values of a commit."""
        at = self.place.get(node)
        found = () if at is None else self.values[at]
        return np.concatenate(found) if found else np.empty(0)

    def fresh_amount(self, node: int) -> float:
        """How many draws or values of a commit do not come from store."""
        at = self.place.get(node)
        return 0.0 if at is None else float(self.fresh[at])

    def visited(self, node: int) -> int:
        """How often a commit was visited."""
        at = self.place.get(node)
        return 0 if at is None else int(self.visits[at])


@dataclass
class _Tally:
    hits: int = 0
    draws: int = 0
    visits: int = 0
    fresh: int = 0
    values: tuple[Floats, ...] = ()


def gather(lineage: Lineage, observations: Sequence[Observation]) -> Evidence:
    """Add up the observations. Raises UsageError for one that names no commit of the span or cannot be."""
    tallies: dict[int, _Tally] = {}
    marks: dict[int, bool] = {}
    for seen in observations:
        _check(seen, lineage.size)
        if seen.exact:
            if marks.setdefault(seen.node, seen.hits > 0) != (seen.hits > 0):
                raise UsageError(
                    f"commit {seen.node} of the span is marked as old and as new",
                    hint="where a command's answers vary, give --noisy",
                )
            continue
        tally = tallies.setdefault(seen.node, _Tally())
        tally.visits += 1
        tally.fresh += seen.draws * (seen.source not in FREE)
        if seen.values:
            tally.values += (np.array(seen.values, float),)
        else:
            tally.hits += seen.hits
            tally.draws += seen.draws
    nodes = sorted(tallies)
    ordered = [tallies[node] for node in nodes]
    return Evidence(
        nodes=np.array(nodes, np.int64),
        hits=np.array([t.hits for t in ordered], float),
        draws=np.array([t.draws for t in ordered], float),
        visits=np.array([t.visits for t in ordered], np.int64),
        fresh=np.array([t.fresh for t in ordered], float),
        values=tuple(_sorted(t.values) for t in ordered),
        marks=marks,
        told=frozenset(seen.node for seen in observations if seen.exact and seen.source == MARK),
        loads=sum(seen.load for seen in observations),
        drawn=sum(seen.draws for seen in observations if seen.source not in FREE),
    )


def _sorted(values: tuple[Floats, ...]) -> tuple[Floats, ...]:
    """In an order that does not depend on that of the visits."""
    return tuple(sorted(values, key=lambda row: row.tolist()))


def _check(seen: Observation, size: int) -> None:
    if not 0 <= seen.node < size:
        raise UsageError(f"there is no commit {seen.node} in a span of {size}")
    if not 0 <= seen.hits <= seen.draws:
        raise UsageError(f"{seen.hits} hits of {seen.draws} draws cannot be")
    if seen.values and not np.isfinite(seen.values).all():
        raise UsageError("a measured value is not a finite number")


@dataclass(frozen=True)
class Limits:
    """Which commits can be asked, and for how many draws in one visit."""

    plan: BisectPlan
    skipped: frozenset[int]

    def draws(self, node: int) -> int:
        """Draws of a visit at most; 0 where the commit cannot be asked."""
        if node in self.skipped:
            return 0
        return max(0, min(self.plan.most_draws, self.plan.available.get(node, self.plan.most_draws)))

    def askable(self, lineage: Lineage) -> Mask:
        """[n], commits that can be asked."""
        out = np.full(lineage.size, self.plan.most_draws > 0)
        out[list(self.skipped)] = False
        for node, left in self.plan.available.items():
            out[node] &= left > 0
        return out


def limits_of(lineage: Lineage, plan: BisectPlan, skipped: Collection[int]) -> Limits:
    """The limits of a plan. Raises UsageError for a plan or a skipped commit that cannot be."""
    for node in (*skipped, *plan.available):
        if not 0 <= node < lineage.size:
            raise UsageError(f"there is no commit {node} in a span of {lineage.size}")
    if not 0.5 <= plan.confidence < 1:
        raise UsageError(f"a confidence of {plan.confidence:g} cannot be had", hint="give one from 0.5 to below 1")
    if plan.prior is not None and len(plan.prior) != lineage.size:
        raise UsageError(f"{len(plan.prior)} prior weights were given for {lineage.size} commits")
    return Limits(plan, frozenset(skipped))
