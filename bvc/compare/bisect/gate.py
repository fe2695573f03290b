"""Whether the two ends differ at all: the test that comes before any search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import asin, comb, inf, sin, sqrt
from statistics import NormalDist

import numpy as np

from bvc.bisection import BisectPlan
from bvc.compare.bisect.evidence import Evidence
from bvc.compare.bisect.lineage import Floats, Lineage
from bvc.compare.tails import t_tail

LEVEL = 0.03
"""Of each of the two looks that the ends get at most, which together are wrong in 6 % of cases at most, since either
is in 3 %; the second holds the first's draws, so that it is less."""
NEARLY = 0.35
"""A p-value up to this is worth one more look."""
_POWER = 0.8
_FEWEST = 3
"""Values of an end below which its spread cannot be told."""
_Z = NormalDist().inv_cdf(1 - LEVEL) + NormalDist().inv_cdf(_POWER)


@dataclass(frozen=True)
class Gate:
    """How the ends compare: the p-value of "the behavior is no more frequent (or the values no larger) at the bad end",
    one-sided, the largest over several good ends; the least difference that would be found with probability .8; None
    for both where an end was not measured. `seen` is how often the least visited end was visited."""

    p_value: float | None
    smallest: float | None

    @property
    def passed(self) -> bool:
        return self.p_value is not None and self.p_value <= LEVEL


def gate_of(lineage: Lineage, evidence: Evidence) -> Gate:
    """Compare the ends."""
    tests = [_compare(evidence, good, lineage.span.bad) for good in lineage.span.good]
    found = [(p, least) for p, least in tests if p is not None]
    if not found or len(found) < len(tests):
        return Gate(None, None)
    return Gate(max(p for p, _ in found), max(least for _, least in found))


def _compare(evidence: Evidence, good: int, bad: int) -> tuple[float | None, float]:
    (old_hits, old), (new_hits, new) = evidence.counts(good), evidence.counts(bad)
    p_values, least = [], 0.0
    if old and new:
        p_values.append(fisher_rise(round(old_hits), round(old), round(new_hits), round(new)))
        least = smallest_rise(old_hits, old, new_hits, new)
    a, b = evidence.numbers(good), evidence.numbers(bad)
    if min(len(a), len(b)) >= _FEWEST:
        p, shift = t_rise(a, b)
        p_values.append(p)
        least = least or shift
    return (min(1.0, len(p_values) * min(p_values)) if p_values else None), least


@lru_cache(maxsize=65536)
def fisher_rise(old_hits: int, old: int, new_hits: int, new: int) -> float:
    """One-sided p of Fisher's exact test: at least `new_hits` of all hits on the new side."""
    hits = old_hits + new_hits
    ways = sum(comb(new, k) * comb(old, hits - k) for k in range(new_hits, min(hits, new) + 1))
    return ways / comb(old + new, hits)


def smallest_rise(old_hits: float, old: float, new_hits: float, new: float) -> float:
    """The least rise from the ends' common rate that would be found with probability .8, on the scale on which a rate's
    spread does not depend on it (arc sine)."""
    rate = (old_hits + new_hits) / (old + new)
    angle = asin(sqrt(rate)) + _Z * sqrt(1 / (4 * old) + 1 / (4 * new))
    return 1 - rate if angle >= np.pi / 2 else sin(angle) ** 2 - rate


def t_rise(a: Floats, b: Floats) -> tuple[float, float]:
    """One-sided p of a t test of b's values over a's, paired where there are as many, and the shift it would find with
    probability .8. Pairs that are none do no harm."""
    if len(a) == len(b):
        differences = b - a
        shift, freedom = float(differences.mean()), len(a) - 1
        error = float(differences.std(ddof=1)) / sqrt(len(a))
    else:
        shift, freedom = float(b.mean() - a.mean()), len(a) + len(b) - 2
        squares = float(((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum())
        error = sqrt(squares / freedom * (1 / len(a) + 1 / len(b)))
    if error <= 1e-12 * max(abs(a).max(), abs(b).max()):
        return (0.0 if shift > 0 else 1.0), 0.0
    return t_tail(shift / error, freedom), _Z * error


def batch(plan: BisectPlan) -> int:
    """Draws of a first visit to an end: as many as cost what loading it costs."""
    worth = inf if plan.draw_cost <= 0 else plan.load_cost / plan.draw_cost
    return int(max(1, min(plan.most_draws, worth)))
