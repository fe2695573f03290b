"""How probable measured values are when a step divides the commits: normal, with unknown means and spreads.

A commit's mean strays from its side's by the units' spread, and by one of its own that all its units share (benign
steps move everything a little). Their ratio is unknown too: it is summed over a grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvc.compare.bisect.evidence import Evidence
from bvc.compare.bisect.lineage import Floats, Mask
from bvc.compare.bisect.rates import log_normal_cdf

_STRAYS = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0)
"""Variance of a commit's own straying, in units of the variance of one unit."""
_WIDTHS = (0.25, 1e-2, 1e-4)
"""Precision of a side's mean before anything was seen, in units of that of one unit."""
_FLOOR = 1e-6
"""Spread below which values count as equal, as a share of their range (squared: of the variance)."""


@dataclass(frozen=True)
class Measured:
    """Values by commit: `nodes` places [m] among the observed commits, their means `y` (less
    `origin`) and counts `units` [m], the
    squares within commits and their degrees of freedom."""

    at: tuple[int, ...]
    y: Floats
    units: Floats
    within: float
    freedom: int
    origin: float


def measured(evidence: Evidence) -> Measured:
    """Add up values. Where all visits measured as many units, these are taken for the same ones in the same order, and
    what is peculiar to a unit is taken out; for units that are not the same this does no harm. A visit that repeats
    another of its commit to the last digit adds nothing."""
    rows, owners = [], []
    for place, visits in enumerate(evidence.values):
        kept = {row.tobytes(): row for row in visits}
        rows += list(kept.values())
        owners += [place] * len(kept)
    aligned = len(rows) > 1 and len({len(row) for row in rows}) == 1 and len(rows[0]) > 1
    means = np.array([row.mean() for row in rows])
    if aligned:
        table = np.stack(rows)
        rest = table - table.mean(0) - means[:, None] + means.mean()
        within, freedom = float((rest**2).sum()), (len(rows) - 1) * (table.shape[1] - 1)
    else:
        within = float(sum(((row - row.mean()) ** 2).sum() for row in rows))
        freedom = sum(len(row) - 1 for row in rows)
    at = sorted(set(owners))
    owned = np.array(owners)
    counts = np.array([len(row) for row in rows], float)
    units = np.array([counts[owned == place].sum() for place in at])
    y = np.array([(counts * means)[owned == place].sum() for place in at]) / units
    return Measured(tuple(at), y - y.mean(), units, within, freedom, float(y.mean()))


@dataclass(frozen=True)
class Fit:
    """A side's fit for each way and each point of the grid, all [grid, g]: mean, its precision, and what is left."""

    total: Floats
    sums: Floats
    squares: Floats
    width: Floats

    @property
    def mean(self) -> Floats:
        return self.sums / (self.total + self.width)

    @property
    def left(self) -> Floats:
        return self.squares - self.sums * self.mean

    @property
    def penalty(self) -> Floats:
        out: Floats = 0.5 * np.log(self.width / (self.total + self.width))
        return out


@dataclass(frozen=True)
class Means:
    """The fit of every way in which the behavior may be present [g]: `log_likelihood` [g], `null` that of one mean
    everywhere; and at the grid's best point what new values are expected to be: `centers` [2, g] (old, new), the
    `precision` [2, g] with which they are known, `variance` [g] of one unit, `stray`, `freedom`."""

    log_likelihood: Floats
    null: float
    centers: Floats
    precision: Floats
    variance: Floats
    stray: float
    freedom: float


def fit_means(present: Mask, seen: Measured) -> Means:
    """`present` [g, m] says where the behavior is present under each of g ways."""
    grid = [(stray, width) for stray in _STRAYS for width in _WIDTHS]
    strays, widths = (np.array(column)[:, None] for column in zip(*grid, strict=True))
    weights = seen.units[None, :] / (1 + strays * seen.units[None, :])
    scale = float(np.ptp(seen.y)) ** 2 * _FLOOR**2 + 1e-300
    freedom = 1 + len(seen.y) + seen.freedom
    common = 0.5 * np.log(weights).sum(1, keepdims=True)

    def likelihood(*sides: Fit) -> Floats:
        left = scale + seen.within + sum((s.left for s in sides), start=np.zeros(1))
        out: Floats = common + sum((s.penalty for s in sides), start=np.zeros(1)) - freedom / 2 * np.log(left)
        return out

    chosen = present[:, list(seen.at)].T.astype(float)
    powers = [weights * seen.y**power for power in (0, 1, 2)]
    all_of = [part.sum(1, keepdims=True) for part in powers]
    new_of = [part @ chosen for part in powers]
    old_of = [total - part for total, part in zip(all_of, new_of, strict=True)]
    old, new, whole = (Fit(parts[0], parts[1], parts[2], widths) for parts in (old_of, new_of, all_of))
    table = likelihood(old, new)
    variance = (scale + seen.within + old.left + new.left) / freedom
    spread = np.sqrt(variance * (1 / (old.total + widths) + 1 / (new.total + widths)))
    table = table + log_normal_cdf(((new.mean - old.mean) / spread).ravel()).reshape(table.shape) + np.log(2)
    best = int(table.max(1).argmax())
    return Means(
        log_likelihood=_log_mean(table),
        null=float(_log_mean(likelihood(whole))[0]),
        centers=np.stack([old.mean[best], new.mean[best]]),
        precision=np.stack([side.total[best] + widths[best] for side in (old, new)]),
        variance=variance[best],
        stray=float(strays[best, 0]),
        freedom=float(freedom),
    )


def _log_mean(table: Floats) -> Floats:
    """Over the first axis."""
    top = table.max(0)
    out: Floats = top + np.log(np.exp(table - top).mean(0))
    return out
