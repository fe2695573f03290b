"""How large a difference is: intervals, equivalence to "none", and what a sample of this size would have found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from bvc.compare.tails import binomial_tail, fisher_table, t_quantile, t_tail

LEVEL = 0.95
_NORMAL = NormalDist()
_FEW = 6
MOST_DRAWS = 4096

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


@dataclass(frozen=True)
class Equivalence:
    """`p_value` of "the difference is `band` or more, one way or the other" (two one-sided tests); `same` where the
    90 % interval `ci` lies inside the band, which a true difference of `band` or more lets happen in at most 5 %."""

    p_value: float
    ci: Interval
    same: bool


def wilson(hits: float, n: int, level: float = LEVEL) -> Interval:
    """Interval of a rate (Wilson 1927); `hits` may be a sum of scores from 0 to 1. Everything where n is 0."""
    if n == 0:
        return 0.0, 1.0
    z = _NORMAL.inv_cdf(0.5 + level / 2)
    rate = hits / n
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return (0.0 if hits <= 0 else middle - half), (1.0 if hits >= n else middle + half)


def rate_difference(hits_a: float, n_a: int, hits_b: float, n_b: int, level: float = LEVEL) -> Interval:
    """Interval of b's rate less a's, for one probe's draws, few of them included: what two good intervals leave open
    together, that of both rates after one hit and one miss more a side (Agresti and Caffo 2000) and that of the squared
    distances to their own intervals (Newcombe 1998). Each alone is too short for some
    rates at up to 8 draws, and both below 6, where half the error is allowed."""
    if min(n_a, n_b) == 0:
        return -1.0, 1.0
    if min(n_a, n_b) < _FEW:
        level = 1 - (1 - level) / 2
    a, b = (hits_a + 1) / (n_a + 2), (hits_b + 1) / (n_b + 2)
    half = _NORMAL.inv_cdf(0.5 + level / 2) * sqrt(a * (1 - a) / (n_a + 2) + b * (1 - b) / (n_b + 2))
    low, high = _from_both(hits_a / n_a, wilson(hits_a, n_a, level), hits_b / n_b, wilson(hits_b, n_b, level))
    return max(-1.0, min(low, b - a - half)), min(1.0, max(high, b - a + half))


def _from_both(a: float, around_a: Interval, b: float, around_b: Interval) -> Interval:
    below = sqrt((b - around_b[0]) ** 2 + (around_a[1] - a) ** 2)
    above = sqrt((around_b[1] - b) ** 2 + (a - around_a[0]) ** 2)
    return b - a - below, b - a + above


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


def equivalence(
    a: Sequence[float] | Values,
    b: Sequence[float] | Values,
    band: float,
    clusters: Sequence[str | None] | None = None,
    alpha: float = 0.05,
) -> Equivalence:
    """Whether the mean difference of paired scores is shown to lie inside (-band, band), on `paired_difference`'s
    terms: two one-sided tests (Schuirmann 1987)."""
    center, error, freedom, difference = _paired(a, b, clusters)
    half = error * t_quantile(1 - alpha, freedom)
    far = max(abs(center), abs(difference))
    p = t_tail((band - far) / error, freedom)
    low, high = min(center, difference) - half, max(center, difference) + half
    return Equivalence(p, (max(-1.0, low), min(1.0, high)), p <= alpha)


def probe_equivalence(
    hits_a: float, n_a: int, hits_b: float, n_b: int, band: float, alpha: float = 0.05
) -> Equivalence:
    """Whether one probe's rates are shown to differ by less than `band`: the interval of `rate_difference` at level
    1 - 2 alpha lies inside; the p-value is the least alpha for which that holds."""
    found = rate_difference(hits_a, n_a, hits_b, n_b, 1 - 2 * alpha)

    def inside(at: float) -> bool:
        low, high = rate_difference(hits_a, n_a, hits_b, n_b, 1 - 2 * at)
        return -band < low and high < band

    low, high = 1e-9, 0.5
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if inside(middle) else (middle, high)
    return Equivalence(high, found, inside(alpha))


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


def energy_interval(apart: Values, n: int) -> tuple[float, Interval]:
    """How far one probe's texts moved, and its 95 % interval: energy distance between its first `n` draws and the
    others, from their distances to each other `apart` [n + m, n + m].

    Unbiased, so it may be a little below 0; the interval is a jackknife over draws, at least as wide as chance alone
    moves the distance of draws from one model. (nan, (0, largest distance)) where a side has fewer than 2 draws.
    """
    total = len(apart)
    if min(n, total - n) < 2:
        return float("nan"), (0.0, float(apart.max(initial=0.0)))
    keep = np.arange(total)
    distance = _energy(apart, keep < n, keep >= n)
    left_out = np.array([_energy(apart, (keep < n) & (keep != i), (keep >= n) & (keep != i)) for i in keep])
    first, second = left_out[:n], left_out[n:]
    m = total - n
    variance = first.var() * (n - 1) + second.var() * (m - 1)
    error = max(sqrt(variance), _chance(apart, n))
    half = error * t_quantile(0.5 + LEVEL / 2, min(n, m))
    return distance, (max(0.0, distance - half), max(0.0, distance + half))


def _energy(apart: Values, a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| without a draw's distance to itself; nan-free for two draws less one."""
    across = float(apart[np.ix_(a, b)].mean())
    return 2 * across - _within(apart, a) - _within(apart, b)


def _within(apart: Values, a: npt.NDArray[np.bool_]) -> float:
    size = int(a.sum())
    return float(apart[np.ix_(a, a)].sum()) / max(size * (size - 1), 1)


def _chance(apart: Values, n: int) -> float:
    """Standard deviation of the distance over relabelings of draws."""
    generator = np.random.default_rng(len(apart))
    ranks = np.argsort(generator.random((200, len(apart))), axis=1)
    return float(np.std([_energy(apart, row < n, row >= n) for row in ranks]))


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


def smallest_detectable_probe(draws: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """The least difference between one probe's rates, centered on one half (where it is hardest to see), that Fisher's
    exact test finds with probability `power`; inf where no difference is found that often."""
    if draws < 1 or fisher_power(draws, 0.0, 1.0, alpha) < power:
        return inf
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        found = fisher_power(draws, 0.5 - middle / 2, 0.5 + middle / 2, alpha) >= power
        low, high = (low, middle) if found else (middle, high)
    return high


def fisher_power(draws: int, rate_a: float, rate_b: float, alpha: float = 0.05) -> float:
    """Probability that Fisher's exact test of `draws` against `draws` is significant at `alpha`."""
    a, b = _binomials(draws, rate_a), _binomials(draws, rate_b)
    return float(a @ (fisher_table(draws, draws) <= alpha) @ b)


def _binomials(n: int, rate: float) -> Values:
    tails = [binomial_tail(k, n, rate) for k in range(n + 2)]
    out: Values = np.array(tails[:-1]) - np.array(tails[1:])
    return out


def draws_needed(
    hits_a: float, n_a: int, hits_b: float, n_b: int, *, band: float, power: float = 0.8, most: int = MOST_DRAWS
) -> int | None:
    """How many further draws a side would decide a probe with probability about `power`, if its rates are as they look
    now (shrunk toward one half): until the interval of their difference lies inside (-band, band) or outside it. None
    where more than `most` would be needed; 0 where it is decided now.
    """
    if _decided(rate_difference(hits_a, n_a, hits_b, n_b), band):
        return 0
    a, b = (hits_a + 0.5) / (n_a + 1), (hits_b + 0.5) / (n_b + 1)
    level = 2 * _NORMAL.cdf(_NORMAL.inv_cdf(0.5 + LEVEL / 2) + _NORMAL.inv_cdf(power)) - 1
    low, high = 1, most
    if not _decides(a, n_a + high, b, n_b + high, band, level):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _decides(a, n_a + middle, b, n_b + middle, band, level) else (middle + 1, high)
    return high


def _decides(a: float, n_a: int, b: float, n_b: int, band: float, level: float) -> bool:
    return _decided(rate_difference(a * n_a, n_a, b * n_b, n_b, level), band)


def _decided(interval: Interval, band: float) -> bool:
    low, high = interval
    return (-band < low and high < band) or low > band or high < -band
