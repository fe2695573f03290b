"""The rules that the global test is compared with, implemented again plainly; each says if it calls a pair changed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import comb

import numpy as np
import numpy.typing as npt

from bvc.compare.relabel import splits
from bvc.compare.tails import t_quantile
from tests.compare.simulated import DRAWS, WORDINGS, World

LEVEL = 0.05
WORDING_WEIGHT = 0.45
"""What a wording counts for beside a right answer in the dense rule; set so that the rule has its reported power."""
Floats = npt.NDArray[np.float64]

ANY_TEXT = "any text differs"
FISHER = "per-probe Fisher, uncorrected"
UNPAIRED = "unpaired z"
PAIRED = "paired t"
MAJORITY = "McNemar on majority"
FISHER_BH = "per-probe Fisher + BH"
DENSE = "within-probe permutation, dense L2"
MIN_P = "min-P over {directional, dense, sparse}"
RULES = (ANY_TEXT, FISHER, UNPAIRED, PAIRED, MAJORITY, FISHER_BH, DENSE, MIN_P)


def verdicts(world: World, permutations: int = 399) -> Mapping[str, bool]:
    """Each rule's answer at LEVEL."""
    a, b = world.counts()
    fisher = np.sort(fisher_table(DRAWS, DRAWS)[a.astype(int), b.astype(int)])
    difference = (b - a) / DRAWS
    n = len(a)
    spread = max(float(difference.std(ddof=1)), 1e-12)
    apart = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / n) / DRAWS
    dense, least = _permuted(world, permutations)
    return {
        ANY_TEXT: bool((a != b).any() or (world.wording[:, :DRAWS] != world.wording[:, DRAWS:]).any()),
        FISHER: bool(fisher[0] <= LEVEL),
        UNPAIRED: bool(abs(difference.mean()) > 1.96 * apart),
        PAIRED: bool(abs(difference.mean()) * np.sqrt(n) / spread > t_quantile_cached(n - 1)),
        MAJORITY: _mcnemar(a > DRAWS / 2, b > DRAWS / 2) <= LEVEL,
        FISHER_BH: bool((fisher <= LEVEL * np.arange(1, n + 1) / n).any()),
        DENSE: dense <= LEVEL,
        MIN_P: least <= LEVEL,
    }


@lru_cache(maxsize=4)
def t_quantile_cached(freedom: int) -> float:
    return t_quantile(1 - LEVEL / 2, freedom)


def hypergeometric(total: int, marked: int, drawn: int) -> list[float]:
    """Probability of each count of marked ones (0 to `drawn`) among `drawn` of `total` of which `marked` are."""
    ways = comb(total, drawn)
    return [
        comb(marked, k) * comb(total - marked, drawn - k) / ways if drawn - k <= total - marked else 0.0
        for k in range(drawn + 1)
    ]


@lru_cache(maxsize=64)
def fisher_table(n: int, m: int) -> Floats:
    """Two-sided p-values of Fisher's exact test, [1 + n, 1 + m]: of k of n hits on one side and l of m on the other."""
    out = np.ones((n + 1, m + 1))
    for total in range(n + m + 1):
        chances = np.array(hypergeometric(n + m, total, m))
        for second in range(max(0, total - n), min(m, total) + 1):
            out[total - second, second] = chances[chances <= chances[second] * (1 + 1e-9)].sum()
    out = np.minimum(out, 1.0)
    out.setflags(write=False)
    return out


def _mcnemar(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    lost, won = int((a & ~b).sum()), int((~a & b).sum())
    both = lost + won
    return min(1.0, 2 * sum(comb(both, k) for k in range(min(lost, won) + 1)) / 2**both)


def _permuted(world: World, permutations: int) -> tuple[float, float]:
    """p-values of the dense rule and of the least of three, from one permutation inside probes."""
    rng = np.random.default_rng(len(world.right))
    listed = splits(DRAWS, DRAWS, False)
    chosen = rng.integers(len(listed), size=(len(world.right), permutations + 1))
    chosen[:, 0] = 0
    labels = listed[chosen]
    marks = world.wording[:, :, None] == np.arange(WORDINGS)
    features = np.concatenate([world.right[:, :, None], np.sqrt(WORDING_WEIGHT) * marks], axis=2).astype(np.float32)
    apart = np.matmul(labels, features)
    squares = np.einsum("pbf,pbf->pb", apart, apart)
    found = np.stack([np.abs(apart[:, :, 0].sum(0)), squares.sum(0), squares.max(0)])
    ranks = np.stack([_p_values(row) for row in found])
    least = ranks.min(0)
    return float(ranks[1, 0]), float((least <= least[0] + 1e-9).mean())


def _p_values(values: npt.NDArray[np.float32]) -> Floats:
    ordered = np.sort(values)
    return (len(values) - np.searchsorted(ordered, values - 1e-5)) / len(values)
