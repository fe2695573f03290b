"""Tests over a whole suite: false discoveries among probes, and whether the model as a whole moved beyond noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bvc.compare.tails import LEAST_TAIL, t_inside

_PERMUTATIONS = 999
_SEED = 20_250_101
"""Fixed, so that the same captures always give the same p-value."""

_NUMERIC = frozenset({"logprob", "activation"})
_FEWEST_NOISE = 4
_LEAST, _LEAST_SPREAD = 1e-7, 0.7
"""Distances below the first are not told apart; the logarithms of noise are never taken to spread less than the second,
a factor of two either way, however few of them happen to lie close."""

Column = npt.NDArray[np.float64]


def benjamini_hochberg(p_values: Mapping[str, float]) -> dict[str, float]:
    """q-values: the least false discovery rate at which each is a discovery (Benjamini and Hochberg 1995)."""
    names = sorted(p_values, key=lambda name: p_values[name])
    out: dict[str, float] = {}
    least = 1.0
    for rank in range(len(names), 0, -1):
        name = names[rank - 1]
        least = min(least, p_values[name] * len(names) / rank)
        out[name] = least
    return out


def exceeds_noise(
    compared: Mapping[str, Mapping[str, float]], noise: Sequence[Mapping[str, Mapping[str, float]]]
) -> float | None:
    """p-value of "the distances between two commits are no greater than those between re-captures of one".

    `compared` is `{channel: {probe: distance}}`, `noise` the same for each set of re-captures. Twice the lesser
    (Bonferroni) of two p-values: of a shift of all (`_shifted`), and of a few probes far out (`_far_out`). None where
    no noise was measured.
    """
    channels = sorted(c for c in compared if compared[c] and any(table.get(c) for table in noise))
    if not channels:
        return None
    rows = _rows(compared, channels)
    null = [row for table in noise for row in _rows(table, channels)]
    if not rows or not null:
        return None
    found = [_shifted(rows, null), _far_out(rows, null, [c in _NUMERIC for c in channels])]
    return min(1.0, 2 * min(found))


def _shifted(rows: Sequence[tuple[float, ...]], null: Sequence[tuple[float, ...]]) -> float:
    """The statistic is the greatest, over channels, of the standardised rank sum of the compared probes; its null is
    the same statistic over random relabelings of all rows (probes, whole: their channels stay together), p = (1 + b) /
    (1 + B)."""
    ranks = np.stack([standard_ranks(np.array(column, float)) for column in zip(*rows, *null, strict=True)])
    return _p_value(ranks, len(null))


def _far_out(rows: Sequence[tuple[float, ...]], null: Sequence[tuple[float, ...]], numeric: Sequence[bool]) -> float:
    """Simes' (1986) p-value over the probes of "its distance is one more of the noise's", in the numeric channels, each
    of which gets its share: log distances of noise are taken for normal, with mean and deviation estimated (Student's
    t)."""
    m = len(null)
    if m < _FEWEST_NOISE or not any(numeric):
        return 1.0
    found = []
    for at in np.flatnonzero(numeric):
        noise, values = (np.log(np.maximum([row[at] for row in table], _LEAST)) for table in (null, rows))
        spread = max(float(noise.std(ddof=1)), _LEAST_SPREAD) * np.sqrt(1 + 1 / m)
        ordered = np.sort(student_tail((values - noise.mean()) / spread, m - 1))
        found.append(float((ordered * len(ordered) / np.arange(1, len(ordered) + 1)).min()))
    return min(1.0, min(found) * len(found))


def _rows(table: Mapping[str, Mapping[str, float]], channels: Sequence[str]) -> list[tuple[float, ...]]:
    """One row per probe that all of `channels` compare."""
    probes = sorted(set.intersection(*(set(table.get(c, ())) for c in channels)))
    return [tuple(table[c][p] for c in channels) for p in probes]


def mid_ranks(values: Column) -> Column:
    """Ranks from 1 on [n], the least first; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    out: Column = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return out


def standard_ranks(values: Column) -> Column:
    """Mid-ranks with mean 0 and standard deviation 1 (all 0 where all values are equal)."""
    ranks = mid_ranks(values)
    spread = ranks.std()
    out: Column = (ranks - ranks.mean()) / (spread if spread > 0 else 1.0)
    return out


def _p_value(ranks: npt.NDArray[np.float64], null: int) -> float:
    """`ranks` is [channels, rows], the null's rows last. A low rank sum of the null is a high one of the others."""
    total = ranks.shape[1]
    observed = (-ranks[:, total - null :].sum(1)).max()
    generator = np.random.default_rng(_SEED)
    chosen = np.argsort(generator.random((_PERMUTATIONS, total)), axis=1)[:, :null]
    relabeled = (-ranks[:, chosen].sum(2)).max(0)
    return float((1 + (relabeled >= observed - 1e-9).sum()) / (_PERMUTATIONS + 1))


def student_tail(scores: Column, freedom: int) -> Column:
    """P(T ≥ score) [n] for Student's t with `freedom` (1, 2, …) degrees of freedom."""
    angle = np.arctan(scores / np.sqrt(freedom))
    out: Column = np.clip(0.5 - t_inside(angle, np.sin(angle), np.cos(angle), freedom), LEAST_TAIL, 1.0)
    return out
