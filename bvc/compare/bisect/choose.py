"""Which commit to visit next, and for how many draws: the one that is expected to say most about the step per cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bvc.bisection import BisectPlan
from bvc.compare.bisect.evidence import Limits
from bvc.compare.bisect.halve import testable
from bvc.compare.bisect.lineage import Floats, Ints, Mask
from bvc.compare.bisect.means import Means
from bvc.compare.bisect.posterior import Posterior
from bvc.compare.bisect.rates import log_counts

_LEVELS = np.linspace(0.05, 0.95, 13)
_MIDDLE = 8
_BATCHES = (1, 4, 16, 64, 256)
_NEGLIGIBLE = 1e-5
"""Patterns that are less probable than this are left out of forecasts."""
_BINS = 96
LEAST_BITS = 1e-4
"""A visit that is expected to tell less is not worth asking for."""


@dataclass(frozen=True)
class Choice:
    """A visit, and the bits it is expected to tell."""

    node: int
    draws: int
    bits: float


def best_visit(posterior: Posterior, plan: BisectPlan, limits: Limits) -> Choice | None:
    """The visit with the most expected information per cost; None where no commit can be asked that would tell
    anything. More draws than a visit may have stand for several visits: a commit may be worth asking that a single
    visit would not decide."""
    nodes = _shortlist(posterior, limits)
    if not len(nodes):
        return None
    shares = _shares(posterior, nodes)
    caps = np.array([limits.draws(int(node)) for node in nodes], float)
    likely = testable(posterior.lineage, nodes, limits)
    best: tuple[float, Choice] | None = None
    for draws, forecast in _forecasts(posterior, plan):
        bits = _information(shares, forecast)
        visits = np.ceil(draws / caps)
        value = bits / np.maximum(visits * plan.load_cost + draws * plan.draw_cost, 1e-9)
        value *= likely
        top = int(value.argmax())
        if best is None or value[top] >= best[0] * (1 - 1e-9):
            best = float(value[top]), Choice(int(nodes[top]), int(min(draws, caps[top])), float(bits[top]))
    return best[1] if best and best[1].bits > LEAST_BITS else None


def _shortlist(posterior: Posterior, limits: Limits) -> Ints:
    """Commits worth weighing: those that most evenly divide what is believed, some that do so less, the ends, and all
    that were visited before."""
    askable = np.flatnonzero(limits.askable(posterior.lineage))
    if not len(askable):
        return askable
    presence = posterior.presence[askable]
    even = np.argsort(np.abs(presence - 0.5), kind="stable")[:_MIDDLE]
    levels = np.abs(presence[:, None] - _LEVELS[None, :]).argmin(0)
    again = np.flatnonzero(np.isin(askable, posterior.evidence.nodes))
    ends = np.flatnonzero(np.isin(askable, [posterior.lineage.span.bad, *posterior.lineage.span.good]))
    chosen: Ints = askable[np.unique(np.concatenate([even, levels, again, ends]))]
    return chosen


def _shares(posterior: Posterior, nodes: Ints) -> Floats:
    """Probabilities [i, 2 g + 1] that a (probable) pattern holds and the behavior is absent at commit i, that it is
    present, and that nothing changed."""
    count = len(posterior.present)
    kept = _probable(posterior)
    order = np.argsort(posterior.pattern, kind="stable")
    starts = np.searchsorted(posterior.pattern[order], np.arange(count))
    weight = posterior.weight[order]
    has = posterior.lineage.ancestors[nodes][:, posterior.suspects[order]] * weight
    new = np.add.reduceat(has.astype(float), starts, axis=1)[:, kept]
    old = np.add.reduceat(weight, starts)[kept] - new
    shares = np.concatenate([np.maximum(old, 0), new], axis=1)
    shares *= (1 - posterior.null) / shares.sum(1, keepdims=True)
    return np.concatenate([shares, np.full((len(nodes), 1), posterior.null)], axis=1)


def _probable(posterior: Posterior) -> Mask:
    """[g], patterns that forecasts take in."""
    mass = np.bincount(posterior.pattern, posterior.weight, len(posterior.present))
    return mass > _NEGLIGIBLE


def _forecasts(posterior: Posterior, plan: BisectPlan) -> Iterator[tuple[int, Floats]]:
    """Numbers of draws with the distribution of what they show, [2 g + 1, outcomes]: where the behavior is
    absent, where it is present, and when nothing changed."""
    kept = _probable(posterior)
    for draws in _BATCHES:
        if draws > max(plan.most_draws, 16):
            return
        if posterior.means is not None:
            yield draws, _value_forecast(posterior, posterior.means, kept, draws)
        else:
            yield draws, _count_forecast(posterior, kept, draws)


def _count_forecast(posterior: Posterior, kept: Mask, draws: int) -> Floats:
    seen_hits, seen_draws = posterior.evidence.counted
    present = posterior.present[kept]
    hits, total = present @ seen_hits, present @ seen_draws
    all_hits, all_draws = seen_hits.sum(), seen_draws.sum()
    k = np.concatenate([all_hits - hits, hits, [all_hits]])
    n = np.concatenate([all_draws - total, total, [all_draws]])
    return np.exp(log_counts(k, n, draws))


def _value_forecast(posterior: Posterior, means: Means, kept: Mask, units: int) -> Floats:
    """Student's t, cut into bins."""
    centers, precision = means.centers[:, kept].ravel(), means.precision[:, kept].ravel()
    variance = np.tile(means.variance[kept], 2)
    whole = precision[: kept.sum()] + precision[kept.sum() :]
    middle = (centers * precision).reshape(2, -1).sum(0) / whole
    best = int(posterior.weight.argmax())
    at = int(np.flatnonzero(np.flatnonzero(kept) == posterior.pattern[best])[0])
    centers = np.append(centers, middle[at])
    scale = np.sqrt(np.append(variance, variance[at]) * (means.stray + 1 / units + 1 / np.append(precision, whole[at])))
    low, high = (centers - 4 * scale).min(), (centers + 4 * scale).max()
    z = (np.linspace(low, high, _BINS)[None, :] - centers[:, None]) / scale[:, None]
    density = (1 + z**2 / means.freedom) ** (-(means.freedom + 1) / 2) / scale[:, None] + 1e-12
    out: Floats = density / density.sum(1, keepdims=True)
    return out


def _information(shares: Floats, forecast: Floats) -> Floats:
    """Bits [i] that the outcome at commit i is expected to tell about where the change came in, and whether."""
    outcome = shares @ forecast
    out: Floats = _entropy(outcome) - shares @ _entropy(forecast)
    return out


def _entropy(rows: Floats) -> Floats:
    """Bits of each row of probabilities."""
    out: Floats = -(rows * np.log2(np.maximum(rows, 1e-300))).sum(1)
    return out
