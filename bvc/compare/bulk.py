"""How widely the bulk of some numbers lies, whatever a few of them do."""

from __future__ import annotations

import numpy as np

from bvc.compare.significance import Column

TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""
LEAST_SPREAD = 0.1
"""Least spread of a bulk in units of a logarithm: where it hardly varies, 1 % more is no outlier."""


def half_spread(values: Column, side: int = -1) -> float:
    """The spread of one half of `values` [n], n ≥ 1, below (-1) or above (1) their median, as a standard deviation.

    Numbers that moved more than the rest do not widen the lower half.
    """
    apart = side * (values - np.median(values))
    return TO_SIGMA * float(np.median(apart[apart >= 0]))
