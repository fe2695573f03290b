"""Which of many phrases (or tokens) one side over-produces: sign flips by probe, false discovery control over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FLIPS = 399
_SEED = 20_250_102
"""Fixed, so that the same answers always give the same q-value."""
ALPHA = 0.05
_CHI_MEDIAN = 0.454936
"""Median of the square of a standard normal variable."""
_HALVINGS = 40
_FEW_FOR_DRIFT = 40
"""Features below which the bulk says nothing about the drift."""
_PART = 1024
"""Features whose flips are held at once: some 2 MB."""

_LEAST = 1e-9
_SMALL = 1.5
"""Standard deviations below which nothing is ever found."""
_ROUNDING = 1e-5
"""Of single precision: flipped statistics this close below an observed one count as reaching it."""

Columns = npt.NDArray[np.float32]
Column = npt.NDArray[np.float64]


def sums(at: npt.NDArray[np.int64], values: npt.NDArray[np.float64], size: int) -> Column:
    """The sum of the `values` at each of `size` places."""
    return np.bincount(at, values, size).astype(np.float64)


@dataclass(frozen=True)
class Odds:
    """Of the units that lean in a feature, the log odds that they lean to side b, [features], and their number (for
    unlike leans, the number of equal ones that would weigh as much), [features]."""

    log_odds: Column
    units: Column


@dataclass(frozen=True)
class Shifts:
    """Differences between two sides: triples, in the order of `feature`, of how far a `unit` (a probe, or a cluster of
    probes) leans to side b (> 0) or a (< 0) in a feature; `features` and `units` are their numbers."""

    feature: npt.NDArray[np.int64]
    unit: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    features: int
    units: int

    def support(self) -> npt.NDArray[np.int64]:
        """Number of units that lean either way, [features]."""
        return np.bincount(self.feature, minlength=self.features)

    def standardized(self) -> Column:
        """Sum over the units in standard deviations under random signs, [features]; 0 where no unit leans."""
        total = sums(self.feature, self.value, self.features)
        return total / np.maximum(self._lengths(), 1e-30)

    def _lengths(self) -> Column:
        out: Column = np.sqrt(sums(self.feature, self.value**2, self.features))
        return out

    def odds(self) -> Odds:
        """The odds of the units' leans."""
        total = sums(self.feature, self.value, self.features)
        size = np.maximum(sums(self.feature, np.abs(self.value), self.features), _LEAST)
        units = size**2 / np.maximum(self._lengths() ** 2, _LEAST**2)
        to_b = units * (1 + total / size) / 2
        return Odds(np.log((to_b + 0.5) / (units - to_b + 0.5)), units)

    def dense(self, start: int, stop: int) -> Columns:
        """Features `start` to `stop` as unit columns, [units, stop - start]."""
        first, last = np.searchsorted(self.feature, [start, stop])
        out = np.zeros((self.units, stop - start), np.float32)
        scale = np.maximum(self._lengths(), 1e-30)[self.feature[first:last]]
        out[self.unit[first:last], self.feature[first:last] - start] = self.value[first:last] / scale
        return out

    def grouped(self, units: npt.NDArray[np.int64]) -> Shifts:
        """Leans added up over clusters: `units` [units] is the cluster of each unit."""
        size = int(units.max(initial=-1)) + 1
        if size == self.units:
            return self
        cells, at = np.unique(self.feature * max(size, 1) + units[self.unit], return_inverse=True)
        total = sums(at, self.value, len(cells))
        kept = np.abs(total) > _LEAST
        return Shifts((cells // size)[kept], (cells % size)[kept], total[kept], self.features, size)

    def chosen(self, kept: npt.NDArray[np.bool_]) -> Shifts:
        """Only the features in `kept` [features], renumbered."""
        rows = kept[self.feature]
        place = np.cumsum(kept) - 1
        return Shifts(place[self.feature[rows]], self.unit[rows], self.value[rows], int(kept.sum()), self.units)


def least_support(support: npt.NDArray[np.int64], fewest: int = 1) -> int:
    """Least support at which a feature can be found at all among all that have as much (Tarone 1990).

    With n units leaning, no sign-flip p-value is below 2^(1-n); features that could not pass even if all units agreed
    are left out before any test. That does not look at the signs, so it costs no validity.
    """
    counts = np.bincount(np.maximum(support, 0))
    least = max(fewest, 1)
    while int(counts[least:].sum()) * 2.0 ** (1 - least) > ALPHA:
        least += 1
    return least


@dataclass(frozen=True)
class Drift:
    """Where the log odds of the bulk of the features lie, and by how much they spread about that beyond chance: a
    standard deviation, one for all or [features]."""

    center: float = 0.0
    spread: float | Column = 0.0


NO_DRIFT = Drift()


def drift(odds: Odds, fewest: int = 8) -> Drift:
    """The drift of the bulk: a benign update shifts the frequency of most common words a little, longer answers that of
    all words. Taken from medians, which a minority of planted features does not reach; none where there are too few
    features to say.
    """
    bulk = odds.units >= fewest
    if int(bulk.sum()) < _FEW_FOR_DRIFT:
        return NO_DRIFT
    center = float(np.median(odds.log_odds[bulk]))
    squares, variance = (odds.log_odds[bulk] - center) ** 2, 4 / odds.units[bulk]
    low, high = 0.0, float(squares.max())
    for _ in range(_HALVINGS):  # the variance with which the median standardized square is a normal one's
        middle = (low + high) / 2
        wide = np.median(squares / (variance + middle)) < _CHI_MEDIAN
        low, high = (low, middle) if wide else (middle, high)
    return Drift(center, float(np.sqrt(low)))


def flip_test(shifts: Shifts, beside: Drift = NO_DRIFT) -> Column:
    """q-value of each feature, [features], against "the two sides of every unit could as well be exchanged".

    Signs are flipped by unit, for all features at once, so that phrases that come together are counted as what they
    are. Two steps: the greatest statistic of all against its own null (max-T, Westfall and Young 1993; p = (1 + b) /
    (B + 1)), which alone bounds the chance of any finding where nothing changed; and the rate of false discoveries
    among the features (Benjamini and Hochberg 1995), with p-values from the pooled flips. The q-value is the greater of
    both. `beside` a drift a statistic is at most the distance of its log odds from the bulk's, in standard
    deviations of chance and drift together: only what stands out of the drift is found. That can but lower statistics.
    """
    if shifts.features == 0 or shifts.units == 0:
        return np.ones(shifts.features)
    z = np.abs(shifts.standardized())
    if beside is not NO_DRIFT:
        z = np.minimum(z, _beyond(shifts.odds(), beside))
    greatest, p_values = _flips(shifts, z)
    gate = (1 + int((greatest >= z.max() - _ROUNDING).sum())) / (FLIPS + 1)
    return np.maximum(step_up(p_values), gate)


def _beyond(odds: Odds, beside: Drift) -> Column:
    out: Column = np.abs(odds.log_odds - beside.center) / np.sqrt(4 / np.maximum(odds.units, 1) + beside.spread**2)
    return out


def _flips(shifts: Shifts, z: Column) -> tuple[Column, Column]:
    """The greatest statistic of each flip, [FLIPS]; the share of all flipped statistics that reach each of `z` (with
    one added to both counts), 1 for the small ones, which are never found."""
    signs = np.random.default_rng(_SEED).choice(np.array([-1, 1], np.float32), (FLIPS, shifts.units))
    order = np.sort(z[z >= _SMALL])
    reach = np.zeros(len(order) + 1)
    greatest = np.zeros(FLIPS)
    for start in range(0, shifts.features, _PART):
        flipped = np.abs(signs @ shifts.dense(start, min(start + _PART, shifts.features)))
        greatest = np.maximum(greatest, flipped.max(1))
        places = np.searchsorted(order, flipped[flipped >= _SMALL - _ROUNDING] + _ROUNDING, side="right")
        reach += np.bincount(places, minlength=len(order) + 1)
    at_least = np.cumsum(reach[::-1])[::-1]  # at place i: flipped statistics that reach the first i of `order`
    p_values = (1 + at_least[np.searchsorted(order, z, side="left") + 1 - (z < _SMALL)]) / (1 + FLIPS * shifts.features)
    return greatest, np.where(z < _SMALL, 1.0, p_values)


def step_up(p_values: Column) -> Column:
    """q-values of independent or positively dependent tests (Benjamini and Hochberg 1995)."""
    order = np.argsort(p_values)
    scaled = p_values[order] * len(order) / np.arange(1, len(order) + 1)
    out = np.empty(len(order))
    out[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return out


def units_of(ids: Sequence[str], clusters: Mapping[str, str] | None = None) -> npt.NDArray[np.int64]:
    """The unit of each probe: its cluster, else itself, numbered from 0."""
    known: dict[tuple[bool, str], int] = {}
    keys = [(True, c) if clusters and (c := clusters.get(p)) is not None else (False, p) for p in ids]
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def row_units(count: int, clusters: Sequence[str | None] | None) -> npt.NDArray[np.int64]:
    """`units_of` for `count` probes that are told by their place; `clusters` are theirs, in order."""
    named = enumerate(clusters or ())
    return units_of([str(place) for place in range(count)], {str(place): c for place, c in named if c is not None})
