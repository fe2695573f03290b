"""Tails and quantiles of distributions: what the standard library lacks. Needs no numpy."""

from __future__ import annotations

from functools import lru_cache
from math import atan, copysign, cos, log1p, pi, sin, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_NORMAL = NormalDist()
_SERIES_FREEDOM = 60
"""Beyond this a normal score that matches Student's t to five digits (Hill 1970) is as good."""
LEAST_TAIL = 1e-16
"""A tail is never given as less: what is left of 1 - 1 after rounding."""

_Numbers = TypeVar("_Numbers", float, "npt.NDArray[np.float64]")


def t_tail(score: float, freedom: int) -> float:
    """P(T ≥ score) for Student's t."""
    if freedom > _SERIES_FREEDOM:
        return _NORMAL.cdf(-_normal_score(score, freedom))
    angle = atan(score / sqrt(freedom))
    return min(max(0.5 - t_inside(angle, sin(angle), cos(angle), freedom), LEAST_TAIL), 1.0)


def t_inside(angle: _Numbers, sine: _Numbers, cosine: _Numbers, freedom: int) -> _Numbers:
    """P(0 ≤ T < score) for Student's t with `freedom` (1, 2, …) degrees of freedom, negative below 0, by its finite
    series (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4); `angle` is atan(score / sqrt(freedom)). Of one number or of
    an array of them."""
    odd = freedom % 2
    term = cosine if odd else cosine * 0 + 1
    series = term if freedom > 1 else cosine * 0
    for k in range(2 + odd, freedom, 2):
        term = term * cosine * cosine * ((k - 1) / k)
        series = series + term
    return (angle + sine * series) / pi if odd else sine * series / 2


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
