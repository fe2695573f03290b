"""The evidence along one line through the span, and how well given levels explain it.

A level is a rate, or a mean value. Commits stray from their level a little more than draws do, so that no single commit
counts for more than some hundred draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvc.compare.bisect.lineage import Floats, Ints, Mask
from bvc.compare.bisect.means import Means, measured
from bvc.compare.bisect.posterior import Posterior

_STRAY = 0.01
"""Variance of a commit's rate around its level, as a share of the variance of one draw."""
_MARK = 50.0
"""Draws that a settled commit counts for."""
_FREEDOM = 5
"""Degrees of freedom of the Student's t by which values stray: outliers settle nothing."""


@dataclass(frozen=True)
class Track:
    """`line` [l] are the commits of a line to the bad end; `at` [k] the places on it that have evidence: `hits` of
    `draws` [k] that count (0 where there are none), mean values `y` and their variances `spread` [k] (infinite where
    there are none), relative to `origin`. `raw` are the hits and draws that were seen."""

    line: Ints
    at: Ints
    hits: Floats
    draws: Floats
    y: Floats
    spread: Floats
    raw: tuple[Floats, Floats]
    origin: float

    @property
    def nodes(self) -> Ints:
        """[k], the commits with evidence."""
        return self.line[self.at]

    @property
    def continuous(self) -> bool:
        """Whether levels are means of values."""
        return not self.draws.any()

    @property
    def own(self) -> Floats:
        """[k], the level that each commit has by itself."""
        return self.y if self.continuous else self.hits / self.draws

    def levels(self, chosen: Mask) -> Floats:
        """The level [h] of the commits chosen under each hypothesis, `chosen` [h, k] (weights will do as well)."""
        if self.continuous:
            weight = chosen / self.spread
            out: Floats = (weight @ self.y) / np.maximum(weight.sum(1), 1e-300)
        else:
            out = (chosen @ self.hits + 0.5) / (chosen @ self.draws + 1)
        return out

    def fit(self, levels: Floats) -> Floats:
        """Log likelihoods [..., k] of each commit's evidence at `levels` [..., k]."""
        if self.continuous:
            scores = (self.y - levels) ** 2 / self.spread
            out: Floats = -(_FREEDOM + 1) / 2 * np.log1p(scores / _FREEDOM)
            return out
        rates = np.clip(levels, 1e-4, 1 - 1e-4)
        likely: Floats = self.hits * np.log(rates) + (self.draws - self.hits) * np.log1p(-rates)
        return likely


def track_of(posterior: Posterior, *, through_leader: bool = True) -> Track:
    """The line that has most of the evidence, through the most probable commit if so wished."""
    seen, lineage = posterior.evidence, posterior.lineage
    weights = np.zeros(lineage.size)
    weights[seen.nodes] = np.minimum(seen.draws, 64) + [sum(len(v) for v in rows) for rows in seen.values]
    for node in seen.marks:
        weights[node] = _MARK
    if through_leader:
        weights[posterior.leader] += weights.sum() + 1
    line = lineage.heaviest_line(weights)
    hits, draws, y, spread = (np.zeros(lineage.size) for _ in range(4))
    hits[seen.nodes], draws[seen.nodes] = seen.hits, seen.draws
    for node, bad in seen.marks.items():
        hits[node], draws[node] = _MARK * bad, _MARK
    origin = 0.0
    spread[:] = np.inf
    if posterior.means is not None and not draws.any():
        origin = _fill_values(posterior, posterior.means, y, spread)
    at = np.flatnonzero((draws[line] > 0) | np.isfinite(spread[line]))
    places = line[at]
    raw = hits[places], draws[places]
    share = 1 / (1 + np.maximum(raw[1] - 1, 0) * _STRAY)
    return Track(line, at, raw[0] * share, raw[1] * share, y[places], spread[places], raw, origin)


def _fill_values(posterior: Posterior, means: Means, y: Floats, spread: Floats) -> float:
    """Means of values, less their mean, which is returned, with the spread that the most probable step leaves."""
    found = measured(posterior.evidence)
    nodes = posterior.evidence.nodes[list(found.at)]
    best = int(posterior.pattern[posterior.weight.argmax()])
    y[nodes] = found.y
    spread[nodes] = means.variance[best] * (means.stray + 1 / found.units)
    return found.origin
