"""How far each probe stands out of the drift that all probes share: the order in which a person should look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.significance import benjamini_hochberg, upper_tail

Column = npt.NDArray[np.float64]

_FLOORS = {"kl": 1e-4, "activation": 1e-3, "target": 1e-4, "text": 1e-1}
"""What a statistic (by its first word) adds before its logarithm is taken: below, differences say nothing."""
_LEAST_SPREAD = 0.1
"""Least robust standard deviation of a statistic's logarithm: a bulk that hardly varies makes no outlier of 1 %."""
_TO_SIGMA = 1.4826
_FEWEST = 8
"""Probes below which no bulk can be told from what stands out of it: no q-values."""


@dataclass(frozen=True)
class Standing:
    """`score`: robust standard deviations above the bulk of the probes; `q_value`: the false discovery rate at which
    the probe stands out, None where there are too few probes to say."""

    score: float
    q_value: float | None


def stand_out(ids: Sequence[str], statistics: Mapping[str, Mapping[str, float]]) -> dict[str, Standing]:
    """The standing of every probe of `ids` from several statistics `{name: {probe: number ≥ 0}}`, each of which may
    lack some probes."""
    scores = standardize(_combine(_groups(ids, statistics), len(ids)))
    tails = upper_tail(scores, len(ids))
    q_values = benjamini_hochberg(dict(zip(ids, tails.tolist(), strict=True))) if len(ids) >= _FEWEST else {}
    return {p: Standing(float(s), q_values.get(p)) for p, s in zip(ids, scores, strict=True)}


def _groups(ids: Sequence[str], statistics: Mapping[str, Mapping[str, float]]) -> dict[str, list[Column]]:
    """Standardised columns [n] of each kind of statistic; NaN where a probe lacks it."""
    out: dict[str, list[Column]] = {}
    for name, values in statistics.items():
        column = np.array([values.get(p, np.nan) for p in ids], float)
        kind = name.split(" ")[0]
        if not np.isnan(column).all():
            group = kind if kind == "activation" else name
            out.setdefault(group, []).append(standardize(np.log(column + _FLOORS[kind])))
    return out


def _combine(groups: Mapping[str, list[Column]], n: int) -> Column:
    if not groups:
        return np.zeros(n)
    means = np.stack([np.nanmean(np.stack(columns), axis=0) for columns in groups.values()])
    out: Column = np.nan_to_num(np.nanmean(means, axis=0))
    return out


def standardize(values: Column) -> Column:
    """`values` as robust standard deviations above the median, both taken from the lower half, which probes that moved
    more than the rest do not reach. NaN stays NaN."""
    center = np.nanmedian(values)
    below = center - values[values <= center]
    spread = max(_TO_SIGMA * float(np.median(below)), _LEAST_SPREAD) if below.size else 1.0
    out: Column = (values - center) / spread
    return out
