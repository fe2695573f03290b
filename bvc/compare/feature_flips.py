"""Which of many sums of symmetric terms are not zero: sign flips, exact for every feature, however few terms it has.

A random subset of flips cannot tell p-values of 1e-5 apart, which control of false discoveries among thousands of
latents needs. So the sizes of a feature's terms are turned into small whole scores, and the chances of all 2^n signs of
the scores are added up by their characteristic function. Scores depend on sizes alone: the test is exact.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bvc.compare.phrase_test import Column, Shifts

SCORES = 8
_CAP = 0.8
"""Terms beyond this quantile of a feature's sizes get the highest score: a few huge ones do not decide."""
_PART = 1 << 22
"""Numbers held at once."""
_LEAST = 1e-12
"""Least p-value that double precision can be trusted with."""

Counts = npt.NDArray[np.int64]


def flip_p_values(shifts: Shifts) -> Column:
    """Two-sided p-value of each feature, [features], of "the sign of every unit's term could as well be the other".

    1 for features without terms. The statistic is the sum of signed scores 1 to SCORES: sizes in eighths of their
    80 % quantile. With n units no p-value is below 2^(1 - n).
    """
    scores = _scores(shifts)
    places = shifts.feature * (SCORES + 1) + scores
    counts = np.bincount(places, minlength=shifts.features * (SCORES + 1)).reshape(shifts.features, SCORES + 1)
    observed = np.abs(np.bincount(shifts.feature, np.sign(shifts.value) * scores, shifts.features))
    out = np.ones(shifts.features)
    reach = counts @ np.arange(SCORES + 1)
    sizes = 1 << np.ceil(np.log2(2 * reach + 2)).astype(np.int64)  # more places than sums, so that none overlap
    for size in np.unique(sizes[reach > 0]).tolist():
        rows = np.flatnonzero((sizes == size) & (reach > 0))
        for part in np.array_split(rows, -(-len(rows) * size // _PART)):
            out[part] = _tails(counts[part], np.rint(observed[part]).astype(np.int64), size)
    least: Column = np.maximum(2.0 ** (1 - counts.sum(1)), _LEAST)
    return np.where(reach > 0, np.clip(out, np.minimum(least, 1.0), 1.0), 1.0)


def _scores(shifts: Shifts) -> Counts:
    """1 to SCORES for each term, by its size among those of its feature."""
    size = np.abs(shifts.value)
    ordered = size[np.lexsort((size, shifts.feature))]
    ends = np.searchsorted(shifts.feature, np.arange(shifts.features + 1))
    at = ends[:-1] + np.floor(_CAP * np.maximum(np.diff(ends) - 1, 0)).astype(np.int64)
    cap = ordered[np.minimum(at, max(len(ordered) - 1, 0))] if len(ordered) else np.ones(shifts.features)
    share = size / np.maximum(cap[shifts.feature], np.finfo(float).tiny)
    return np.clip(np.ceil(SCORES * share * (1 - 1e-9)), 1, SCORES).astype(np.int64)


def _tails(counts: Counts, observed: Counts, size: int) -> Column:
    """P(|sum| ≥ observed), [rows], where row i has `counts[i, k]` terms of score k; sums lie below `size` / 2."""
    angles = 2 * np.pi * np.outer(np.arange(SCORES + 1), np.arange(size // 2 + 1)) / size
    cosines = np.cos(angles)
    logs = counts @ np.log(np.maximum(np.abs(cosines), np.finfo(float).tiny))
    odd = (counts @ (cosines < 0)) % 2
    chances = np.fft.irfft(np.where(odd == 1, -1.0, 1.0) * np.exp(logs), size, axis=1)
    above = np.cumsum(chances[:, : size // 2][:, ::-1], axis=1)[:, ::-1]  # at s: the sums from s up
    upper = above[np.arange(len(counts)), observed]
    return np.where(observed == 0, 1.0, 2 * upper)
