"""Whether two sets of sampled answers come from one distribution: a permutation test inside one probe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations, pairwise
from math import comb

import numpy as np
import numpy.typing as npt

from bvc.compare.text import words

_EXACT_SPLITS = 13_000
"""Up to this many ways to split the draws all are looked at (8 against 8), beyond as many drawn at random."""
_RANDOM_SPLITS = 9_999
_TIE = 1e-9

Matrix = npt.NDArray[np.float64]


def draws_p_value(a: Sequence[str], b: Sequence[str]) -> float | None:
    """Probability that draws from one distribution are split so unlike: energy distance (Székely and Rizzo 2013) on
    counts of words and word pairs, over all splits of the pooled draws (exact), or over random ones (1 + count over
    1 + splits). None where a side has fewer than 2 draws.

    Draws of one probe must be exchangeable under the null. Coupled draws of equal models are equal one by one: p is 1.
    """
    if min(len(a), len(b)) < 2:
        return None
    if sorted(a) == sorted(b):
        return 1.0
    splits = _splits(len(a), len(b))
    apart = _distances([*a, *b])
    energy = -np.einsum("sn,sn->s", splits @ apart, splits)
    reached = int((energy >= energy[0] - _TIE).sum())
    return reached / len(splits)


@lru_cache(maxsize=8)
def _splits(n: int, m: int) -> Matrix:
    """Weights of each split, [splits, n + m]: 1/n on the first side, -1/m on the other; the actual split is row 0."""
    total = n + m
    if comb(total, n) <= _EXACT_SPLITS:
        firsts = np.array(list(combinations(range(total), n)))
    else:
        generator = np.random.default_rng(total)
        firsts = np.argsort(generator.random((_RANDOM_SPLITS + 1, total)), axis=1)[:, :n]
        firsts[0] = np.arange(n)
    weights = np.full((len(firsts), total), -1 / m)
    np.put_along_axis(weights, firsts, 1 / n, axis=1)
    return weights


def _distances(texts: Sequence[str]) -> Matrix:
    """Share of words and word pairs that two texts do not have in common, for every two of `texts`, [n, n]."""
    counts = [_counts(text) for text in texts]
    places = {gram: i for i, gram in enumerate(dict.fromkeys(g for c in counts for g in c))}
    table = np.zeros((len(texts), max(len(places), 1)), np.float32)
    for row, count in enumerate(counts):
        table[row, [places[gram] for gram in count]] = list(count.values())
    sizes = table.sum(1)
    apart = np.array([np.abs(table - row).sum(1) for row in table], float)
    out: Matrix = apart / np.maximum(sizes[:, None] + sizes[None, :], 1)
    return out


def _counts(text: str) -> Counter[tuple[str, ...]]:
    found = words(text)
    return Counter([(w,) for w in found]) + Counter(pairwise(found))
