"""Tails and quantiles of distributions, for scalars: what the standard library lacks."""

from __future__ import annotations

from functools import lru_cache
from math import atan, comb, copysign, cos, exp, lgamma, log, log1p, pi, sin, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

_NORMAL = NormalDist()
_SERIES_FREEDOM = 60
"""Beyond this a normal score that matches Student's t to five digits (Hill 1970) is as good."""


def t_tail(score: float, freedom: int) -> float:
    """P(T ≥ score) for Student's t."""
    if freedom > _SERIES_FREEDOM:
        return _NORMAL.cdf(-_normal_score(score, freedom))
    angle = atan(score / sqrt(freedom))
    odd = freedom % 2
    cosine = cos(angle)
    term = cosine if odd else 1.0
    series = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom, 2):
        term *= cosine * cosine * (k - 1) / k
        series += term
    inside = (angle + sin(angle) * series) / pi if odd else sin(angle) * series / 2
    return min(max(0.5 - inside, 1e-16), 1.0)


def _normal_score(score: float, freedom: int) -> float:
    a, b = freedom - 0.5, 48 * (freedom - 0.5) ** 2
    z = sqrt(a * log1p(score * score / freedom))
    found = z + (z**3 + 3 * z) / b - (4 * z**7 + 33 * z**5 + 240 * z**3 + 855 * z) / (10 * b * (b + 0.8 * z**4 + 100))
    return copysign(found, score)


@lru_cache(maxsize=4096)
def t_quantile(level: float, freedom: int) -> float:
    """The value that T exceeds with probability 1 - level (level above .5), by bisection."""
    low, high = 0.0, 1.0
    while t_tail(high, freedom) > 1 - level:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, freedom) > 1 - level else (low, middle)
    return high


def binomial_tail(hits: int, n: int, rate: float) -> float:
    """P(X ≥ hits) for a binomial of `n` trials."""
    if hits <= 0:
        return 1.0
    if hits > n:
        return 0.0
    if rate <= 0 or rate >= 1:
        return float(rate >= 1)
    return min(1.0, sum(_binomial(k, n, rate) for k in range(hits, n + 1)))


def _binomial(k: int, n: int, rate: float) -> float:
    return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(rate) + (n - k) * log(1 - rate))


def hypergeometric(total: int, marked: int, drawn: int) -> list[float]:
    """Probability of each count of marked ones (0 to `drawn`) among `drawn` of `total` of which `marked` are."""
    ways = comb(total, drawn)
    return [
        comb(marked, k) * comb(total - marked, drawn - k) / ways if drawn - k <= total - marked else 0.0
        for k in range(drawn + 1)
    ]


@lru_cache(maxsize=64)
def fisher_table(n: int, m: int) -> npt.NDArray[np.float64]:
    """Two-sided p-values of Fisher's exact test, [1 + n, 1 + m]: of k of n hits on one side and l of m on the other."""
    out = np.ones((n + 1, m + 1))
    for total in range(n + m + 1):
        chances = np.array(hypergeometric(n + m, total, m))
        for second in range(max(0, total - n), min(m, total) + 1):
            out[total - second, second] = chances[chances <= chances[second] * (1 + 1e-9)].sum()
    out = np.minimum(out, 1.0)
    out.setflags(write=False)
    return out
