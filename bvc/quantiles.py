"""Quantiles and intervals in closed form, for parts that do without numpy. Layer 0."""

from __future__ import annotations

import math

Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


def wilson(rate: float, n: float, z: float = Z95) -> tuple[float, float]:
    """The score interval of a share observed in `n` (also fractional, effective) independent trials. Wilson 1927."""
    if n <= 0:
        return 0.0, 1.0
    center = (rate + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(max(0.0, rate * (1 - rate)) / n + z * z / (4 * n * n))
    return max(0.0, center - reach), min(1.0, center + reach)


def student_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t with 1, 2, … degrees of freedom: exact up to 4, then by its series around the
    normal one (Abramowitz and Stegun 26.7.5), within 0.004."""
    exact = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}
    if freedom in exact:
        return exact[freedom]
    z, n = Z95, freedom
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3
