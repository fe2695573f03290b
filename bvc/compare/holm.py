"""Adjusted p-values over several tests, whatever their dependence."""

from __future__ import annotations

import numpy as np

from bvc.compare.significance import Column


def holm(p_values: Column) -> Column:
    """Adjusted p-values that hold the chance of any false discovery (Holm 1979), [n]."""
    order = np.argsort(p_values, kind="stable")
    steps = np.minimum(1.0, p_values[order] * np.arange(len(p_values), 0, -1))
    out = np.empty(len(p_values))
    out[order] = np.maximum.accumulate(steps)
    return out
