"""Relabelings of draws: which of a probe's pooled draws are called a's and which b's, under the null of one model."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, product
from math import comb

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float32]
Places = npt.NDArray[np.int16]

_ALL_SPLITS = 13_000
"""Up to this many relabelings all are listed (8 draws a side), beyond this list is drawn at random."""
_SOME_SPLITS = 20_000
_LEAST = 0.05
"""Statistics are told apart as if the largest were at least that: those of draws that are all equal are nothing but
rounding, which depends on the labels."""


@lru_cache(maxsize=16)
def splits(first: int, second: int, coupled: bool) -> Weights:
    """The relabelings of `first` + `second` draws as weights [relabelings, draws]: +1/second for a draw that is called
    b's, -1/first for one that is called a's; row 0 is the labels as they are. `coupled`: draws k of both sides are only
    exchanged with each other."""
    chosen = _exchanges(first) if coupled else _subsets(first, second)
    out = np.where(chosen, 1 / second, -1 / first).astype(np.float32)
    out.setflags(write=False)
    return out


def _subsets(first: int, second: int) -> npt.NDArray[np.bool_]:
    """Which draws are called b's, [relabelings, draws]."""
    total = first + second
    own = np.arange(total) >= first
    if comb(total, second) <= _ALL_SPLITS:
        places = np.array(list(combinations(range(total), second)))
        out = np.zeros((len(places), total), bool)
        np.put_along_axis(out, places, True, axis=1)
        return out[::-1]
    generator = np.random.default_rng([first, second])
    ranks = np.argsort(np.argsort(generator.random((_SOME_SPLITS, total)), axis=1), axis=1)
    out = ranks >= first
    out[0] = own
    return out


def _exchanges(pairs: int) -> npt.NDArray[np.bool_]:
    if 2**pairs <= _ALL_SPLITS:
        swapped = np.array(list(product([False, True], repeat=pairs)))
    else:
        swapped = np.random.default_rng(pairs).random((_SOME_SPLITS, pairs)) < 0.5
        swapped[0] = False
    return np.concatenate([swapped, ~swapped], axis=1)


def choices(generator: np.random.Generator, clusters: int, permutations: int, listed: int) -> Places:
    """Places in the list of `listed` relabelings, [clusters, 1 + permutations]: the labels as they are, then random
    ones, drawn for each cluster on its own."""
    out = generator.integers(listed, size=(clusters, 1 + permutations), dtype=np.int16)
    out[:, 0] = 0
    return out


def relabeled_p_values(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Of each relabeling the share of relabelings (itself among them) whose statistic is as large, give or take
    rounding, [relabelings]."""
    order = np.argsort(values)
    ordered = values[order]
    out = np.empty(len(values))
    out[order] = (len(values) - np.searchsorted(ordered, ordered - _slack(values))) / len(values)
    return out


def own_p_values(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """That share for the first relabeling alone, the labels as they are, of each row of `values` [n, relabelings]."""
    as_large = values >= values[:, :1] - _slack(values)[:, None]
    out: npt.NDArray[np.float64] = as_large.mean(1)
    return out


def _slack(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """What rounding may make of equal statistics, along the last axis."""
    out: npt.NDArray[np.float64] = 1e-5 * np.maximum(np.abs(values).max(-1), _LEAST)
    return out
