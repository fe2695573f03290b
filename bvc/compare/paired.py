"""Two sides of the same probes, scored: is there a net difference, and are there flips both ways that cancel out?

The unit is the cluster of probes: a net difference is tested by flipping the signs of cluster sums, all or many,
which holds for any dependence inside one. Balanced flips leave the net difference at zero and every test of it
blind, also McNemar's; they are tested by their volume, against what exchanging draws between the sides gives or, where
there are no draws, against how often re-captures flip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.intervals import paired_difference
from bvc.quantiles import Z95
from bvc.results import Interval, Verdict

BAND = 0.05
"""Differences of rates inside ± this count as the same, unless asked otherwise."""
LEVEL = 0.05
"""False discovery rate at which a behavior counts as changed."""

_FLIPS = 9999
_RELABELINGS = 1999
_SEED = 20_260_301
_WIDEST = 2_000_000
"""Steps of the lattice of sums up to which their null distribution is computed, not sampled."""
_FINEST = 840
"""Largest common denominator of scores that counts as a lattice."""
_POWER = 0.8416212335729143
"""The normal quantile of a power of .8."""
_LEAST_ONE_SIDED = 7.9
"""Probes that must be expected to flip one way so that, with probability .8, the 6 do that a sign test needs."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoredPair:
    """One probe's scores in [0, 1] on both sides: that of the greedy answer, and those of the draws, draw by draw."""

    greedy_a: float
    greedy_b: float
    draws_a: tuple[float, ...] = ()
    draws_b: tuple[float, ...] = ()
    cluster: str = ""

    @property
    def a(self) -> float:
        """The mean score on the first side."""
        return math.fsum((self.greedy_a, *self.draws_a)) / (1 + len(self.draws_a))

    @property
    def b(self) -> float:
        """The mean score on the second side."""
        return math.fsum((self.greedy_b, *self.draws_b)) / (1 + len(self.draws_b))


@dataclass(frozen=True)
class NoiseFlips:
    """How many of `of` probes changed their score when one model was captured again."""

    flips: int
    of: int


@dataclass(frozen=True)
class PairedChange:
    """`difference` is the mean of b less a over probes with its 95 % interval; `volume` the mean size of a probe's
    difference. `p_net` tests the one, `p_volume` the other (None where it cannot be tested), `p_value` both at once.
    `smallest` is the least net difference that would have been found with probability .8."""

    difference: float
    ci: Interval
    volume: float
    p_net: float
    p_volume: float | None
    smallest: float

    @property
    def p_value(self) -> float:
        """Bonferroni's combination of the two tests."""
        return self.p_net if self.p_volume is None else min(1.0, 2 * min(self.p_net, self.p_volume))


def paired_change(pairs: Sequence[ScoredPair], noise: NoiseFlips | None = None) -> PairedChange:
    """What became of a score over the probes that both sides have. Raises ValueError without pairs."""
    if not pairs:
        raise ValueError("no pairs")
    a, b = [pair.a for pair in pairs], [pair.b for pair in pairs]
    clusters = [pair.cluster for pair in pairs]
    found = paired_difference(a, b, clusters)
    differences = np.subtract(b, a)
    _, place = np.unique(clusters, return_inverse=True)
    sums: Floats = np.bincount(place, differences).astype(float)
    half = (found.ci[1] - found.ci[0]) / 2
    return PairedChange(
        difference=found.difference,
        ci=found.ci,
        volume=float(np.abs(differences).mean()),
        p_net=sign_flip_p(sums, _denominator(pairs)),
        p_volume=_volume_p(pairs, noise),
        smallest=min(1.0, max(half * (1 + _POWER / Z95), _LEAST_ONE_SIDED / len(sums))),
    )


def verdict(change: PairedChange, q_value: float, band: float = BAND) -> Verdict:
    """Changed where the change is a discovery and more than immaterial; same where the interval lies in the band.

    Both ways: a net difference, or flips that cancel out and of which each way alone could fill half the band.
    """
    inside = -band <= change.ci[0] and change.ci[1] <= band
    flips = change.p_volume is not None and change.p_volume <= change.p_net and change.volume >= band / 2
    if q_value <= LEVEL and (flips or not inside):
        return Verdict.CHANGED
    return Verdict.SAME if inside else Verdict.UNDECIDED


def _denominator(pairs: Sequence[ScoredPair]) -> int:
    """The common denominator of probe differences when all scores are 0 or 1, else 0."""
    if any(score not in (0.0, 1.0) for p in pairs for score in (p.greedy_a, p.greedy_b, *p.draws_a, *p.draws_b)):
        return 0
    counts = {1 + len(draws) for pair in pairs for draws in (pair.draws_a, pair.draws_b)}
    common = math.lcm(*counts)
    return common if common <= _FINEST else 0


def sign_flip_p(sums: Floats, denominator: int) -> float:
    """Two-sided p-value of a sum of independent, symmetric terms [n] being zero, by flipping their signs.

    Exact where the terms are multiples of 1 / `denominator`; else over random flips, p = (1 + b) / (B + 1).
    """
    terms = np.abs(sums[np.abs(sums) > 1e-12])
    observed = abs(float(sums.sum()))
    if not len(terms):
        return 1.0
    steps = np.rint(terms * denominator).astype(np.int64)
    if denominator and int(steps.sum()) * len(steps) <= _WIDEST * 100 and int(steps.sum()) <= _WIDEST:
        return _exact_p(steps, round(observed * denominator))
    generator = np.random.default_rng(_SEED)
    hits = 0
    for start in range(0, _FLIPS, 500):
        signs = generator.integers(0, 2, (min(500, _FLIPS - start), len(terms)), dtype=np.int8) * 2 - 1
        hits += int((np.abs(signs @ terms) >= observed - 1e-9).sum())
    return (1 + hits) / (_FLIPS + 1)


def _exact_p(steps: npt.NDArray[np.int64], observed: int) -> float:
    """P(|Σ ± steps| ≥ observed), by adding one step after the other to the distribution of the sum."""
    reach = int(steps.sum())
    chance = np.zeros(2 * reach + 1)
    chance[reach] = 1.0
    for step in steps.tolist():
        moved = np.zeros_like(chance)
        moved[step:] += chance[: len(chance) - step] / 2
        moved[: len(chance) - step] += chance[step:] / 2
        chance = moved
    tail = chance[reach + observed :].sum() + chance[: reach - observed + 1].sum()
    return float(min(1.0, tail))


def _volume_p(pairs: Sequence[ScoredPair], noise: NoiseFlips | None) -> float | None:
    """Whether more flips than chance brings, in either direction."""
    moved = [
        np.subtract(pair.draws_b[:count], pair.draws_a[:count])
        for pair in pairs
        if (count := min(len(pair.draws_a), len(pair.draws_b))) > 1
    ]
    if moved:
        return _draws_volume_p(moved)
    if noise is None or not noise.of:
        return None
    flips = sum(pair.greedy_a != pair.greedy_b for pair in pairs)
    return upper_tail(flips, len(pairs), noise.flips, noise.of)


def _draws_volume_p(moved: Sequence[Floats]) -> float:
    """The sum over probes of the squared difference of draw means, against exchanging draw k of both sides at random.

    Under one model the two draws of a pair are exchangeable, whether they share their randomness or not.
    """
    width = max(map(len, moved))
    table = np.stack([np.pad(row, (0, width - len(row))) for row in moved])
    table = table[np.count_nonzero(table, axis=1) > 1]
    if not len(table):
        return 1.0
    weights = np.ones(len(table)) / width
    observed = float((table.sum(1) ** 2 * weights).sum())
    generator = np.random.default_rng(_SEED)
    hits = 0
    rows = max(1, 4_000_000 // table.size)
    for start in range(0, _RELABELINGS, rows):
        count = min(rows, _RELABELINGS - start)
        signs = generator.integers(0, 2, (count, *table.shape), dtype=np.int8) * np.int8(2) - np.int8(1)
        drawn = np.einsum("bpk,pk->bp", signs, table) ** 2 @ weights
        hits += int((drawn >= observed - 1e-9).sum())
    return (1 + hits) / (_RELABELINGS + 1)


def upper_tail(hits: int, of: int, null_hits: int, null_of: int) -> float:
    """Fisher's exact one-sided p-value of `hits` in `of` against `null_hits` in `null_of`."""
    total, marked = of + null_of, hits + null_hits
    everything = math.comb(total, marked)
    ways = sum(math.comb(of, k) * math.comb(null_of, marked - k) for k in range(hits, min(of, marked) + 1))
    return ways / everything
