"""Conclusions, put together."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from bvc.bisection import BisectPlan, BisectStatus, Conclusion, Stretch
from bvc.compare.bisect.evidence import Evidence
from bvc.compare.bisect.gate import Gate
from bvc.compare.bisect.lineage import Floats, Ints, Mask
from bvc.compare.bisect.posterior import Posterior
from bvc.compare.bisect.track import Track
from bvc.compare.tails import t_quantile
from bvc.quantiles import Z95, wilson


def describe(
    status: BisectStatus, reason: str, plan: BisectPlan, evidence: Evidence, gate: Gate, posterior: Posterior
) -> Conclusion:
    """What the evidence says, under a status."""
    found = status is BisectStatus.FOUND
    old, new = (level(evidence, posterior.side == side) for side in (False, True))
    candidates = posterior.credible(plan.confidence)
    return Conclusion(
        status,
        culprit=posterior.leader if found else None,
        candidates=candidates,
        confidence=float(posterior.weight.max()) if found else sum(p for _, p in candidates),
        old=old and old[0],
        new=new and new[0],
        intervals=(old[1], new[1]) if old and new else None,
        p_value=_p_value(gate, posterior),
        smallest=gate.smallest,
        reason=reason,
        posterior=tuple(posterior.full.tolist()),
    )


def _p_value(gate: Gate, posterior: Posterior) -> float | None:
    """Of the ends; where these alone do not decide, the inverse of the odds that all evidence gives against "nothing
    changed", which no way of choosing visits makes small too often (Ville 1939)."""
    if gate.passed or gate.p_value is None or posterior.null >= 0.5:
        return gate.p_value
    return min(gate.p_value, posterior.null / (1 - posterior.null))


def gradual(conclusion: Conclusion, track: Track, within: Floats, mass: float) -> Conclusion:
    """A conclusion of a gradual change: the commits that hold the middle `mass` of it, in order."""
    done = np.cumsum(within)
    tail = (1 - mass) / 2
    first, last = int(np.searchsorted(done, tail)), int(np.searchsorted(done, done[-1] - tail))
    candidates = tuple((int(track.line[at]), float(within[at])) for at in range(first, last + 1))
    states = np.where(track.at < first, 0, np.where(track.at < last, 2, 1))
    return replace(
        conclusion,
        candidates=candidates,
        confidence=sum(p for _, p in candidates),
        stretches=stretches(track, states),
        **_outside(track, states),
    )


def turning(conclusion: Conclusion, track: Track, states: Ints) -> Conclusion:
    """A conclusion of a behavior that came and went: all commits at which it may have."""
    edges = [at for k, at in enumerate(track.at[1:], start=1) if states[k] != states[k - 1]]
    if not edges:
        return conclusion
    return replace(
        conclusion,
        candidates=tuple((int(track.line[at]), 1 / len(edges)) for at in edges),
        confidence=1.0,
        stretches=stretches(track, states),
        **_outside(track, states),
    )


def _outside(track: Track, states: Ints) -> dict[str, Any]:
    """Rates or means of the commits that are old, and new."""
    old, new = (_level(track, states == state) for state in (0, 1))
    return {"old": old and old[0], "new": new and new[0], "intervals": (old[1], new[1]) if old and new else None}


def stretches(track: Track, states: Ints) -> tuple[Stretch, ...]:
    """Runs of commits with evidence that share a state (1: the behavior is there; 2: on the way)."""
    cuts = [0, *(np.flatnonzero(np.diff(states)) + 1).tolist(), len(states)]
    out = []
    for first, end in pairwise(cuts):
        chosen = np.zeros(len(states), bool)
        chosen[first:end] = True
        found = _level(track, chosen)
        if found:
            nodes = track.nodes[first:end]
            out.append(Stretch(int(nodes[0]), int(nodes[-1]), found[0], found[1], bool(states[first] == 1)))
    return tuple(out)


def _level(track: Track, chosen: Mask) -> tuple[float, tuple[float, float]] | None:
    if not chosen.any():
        return None
    if track.continuous:
        weight = 1 / track.spread[chosen]
        mean, error = float(weight @ track.y[chosen] / weight.sum()) + track.origin, Z95 / float(np.sqrt(weight.sum()))
        return mean, (mean - error, mean + error)
    hits, draws = float(track.raw[0][chosen].sum()), float(track.raw[1][chosen].sum())
    return hits / draws, wilson(hits / draws, draws)


def level(evidence: Evidence, chosen: Mask) -> tuple[float, tuple[float, float]] | None:
    """Rate (or mean value) of the chosen observed commits [m] with its 95 % interval; None where there is nothing."""
    hits, draws = float(evidence.hits[chosen].sum()), int(evidence.draws[chosen].sum())
    if draws:
        return hits / draws, wilson(hits / draws, draws)
    rows = [row for place, take in zip(evidence.values, chosen, strict=True) if take for row in place]
    return _mean([value for row in rows for value in row.tolist()])


def _mean(values: list[float]) -> tuple[float, tuple[float, float]] | None:
    n = len(values)
    if n == 0:
        return None
    mean = sum(values) / n
    if n == 1:
        return mean, (mean, mean)
    error = (sum((v - mean) ** 2 for v in values) / (n - 1) / n) ** 0.5 * t_quantile(0.975, n - 1)
    return mean, (mean - error, mean + error)
