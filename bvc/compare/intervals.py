"""How large a difference is: its interval, and what a sample of this size would have found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from bvc.compare.tails import t_quantile, t_tail

LEVEL = 0.95
_NORMAL = NormalDist()

Interval = tuple[float, float]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairedDifference:
    """b's mean less a's over probes, its 95 % interval `ci`, the two-sided `p_value` of "none", and the number of
    `units` (clusters) behind it."""

    difference: float
    ci: Interval
    p_value: float
    units: int


def paired_difference(
    a: Sequence[float] | Values, b: Sequence[float] | Values, clusters: Sequence[str | None] | None = None
) -> PairedDifference:
    """b's mean score less a's over the same probes (scores from 0 to 1). Probes of a cluster count as one unit.

    The interval and the p-value are those of Student's t on the units' sums (the mean is over probes, so large clusters
    weigh more), after adding one unit with the largest difference seen and one with its opposite; for scores of 0 and 1
    this is the interval of Bonett and Price (2012). Data without any difference are taken as scores of 0 and 1: their
    interval is about 3 / units wide each way, and p is 1. Raises ValueError where lengths differ or there is no probe.
    """
    center, error, freedom, difference = _paired(a, b, clusters)
    half = error * t_quantile(0.5 + LEVEL / 2, freedom)
    return PairedDifference(
        difference, _limited(center, half, difference), _two_sided(center, error, freedom), freedom + 1
    )


def _paired(
    a: Sequence[float] | Values, b: Sequence[float] | Values, clusters: Sequence[str | None] | None
) -> tuple[float, float, int, float]:
    """Center and standard error of the interval, its degrees of freedom (units - 1), and the plain mean difference."""
    if len(a) != len(b) or not len(a):
        raise ValueError(f"paired scores of probes are needed, not {len(a)} against {len(b)}")
    differences = np.asarray(b, float) - np.asarray(a, float)
    sums, sizes = _units(differences, clusters)
    step = float(np.abs(sums / sizes).max()) or 1.0
    typical = float(sizes.mean())
    sums = np.append(sums, [step * typical, -step * typical])
    sizes = np.append(sizes, [typical, typical])
    center = float(sums.sum() / sizes.sum())
    units = len(sums) - 2
    spread = float(((sums - center * sizes) ** 2).sum()) * max(units, 1) / max(units - 1, 1)
    return center, sqrt(spread) / float(sizes.sum()), max(units - 1, 1), float(differences.mean())


def _limited(center: float, half: float, inside: float) -> Interval:
    """center ± half, within -1 to 1, and never without the plain estimate."""
    return max(-1.0, min(center - half, inside)), min(1.0, max(center + half, inside))


def _two_sided(center: float, error: float, freedom: int) -> float:
    return min(1.0, 2 * t_tail(abs(center) / error, freedom))


def _units(differences: Values, clusters: Sequence[str | None] | None) -> tuple[Values, Values]:
    """Sum of differences and number of probes of each cluster."""
    if clusters is None:
        return differences, np.ones(len(differences))
    if len(clusters) != len(differences):
        raise ValueError("there must be one cluster (or None) for each probe")
    places: dict[object, int] = {}
    keys = ((i,) if name is None else name for i, name in enumerate(clusters))
    numbers = np.array([places.setdefault(key, len(places)) for key in keys], np.int64)
    sums = np.bincount(numbers, weights=differences).astype(np.float64)
    sizes = np.bincount(numbers).astype(np.float64)
    return sums, sizes


def smallest_detectable(
    n_probes: int,
    draws: int,
    alpha: float = 0.05,
    power: float = 0.8,
    *,
    rate: float = 0.5,
    icc: float = 0.0,
    cluster_size: float = 1.0,
) -> float:
    """The least difference of the mean score over a whole suite that a two-sided test at `alpha` finds with probability
    `power`, for independent draws a side and probes of this `rate` (their mean variance within a probe is
    rate · (1 - rate)); inf for no probes. Clusters of probes inflate it by 1 + (size - 1) · icc (Kish 1965)."""
    if n_probes < 1 or draws < 1:
        return inf
    design = 1 + (cluster_size - 1) * icc
    error = sqrt(2 * rate * (1 - rate) * design / (n_probes * draws))
    return min(1.0, (_NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)) * error)
