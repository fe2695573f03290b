"""Bisecting where answers do not vary: each commit settles half of what is left, as `git bisect` does it."""

from __future__ import annotations

import numpy as np

from bvc.bisection import BisectPlan
from bvc.compare.bisect.evidence import Limits
from bvc.compare.bisect.lineage import Floats, Ints, Lineage, Mask


def allowed_suspects(lineage: Lineage, marks: dict[int, bool]) -> Mask:
    """[n], suspects that marks leave, perhaps none: a good commit clears itself and its ancestors, a bad one all that
    it does not have."""
    out = lineage.suspects.copy()
    for node, bad in marks.items():
        out &= lineage.has(node) if bad else ~lineage.has(node)
    return out


def next_half(lineage: Lineage, plan: BisectPlan, allowed: Mask, limits: Limits) -> int | None:
    """The suspect that comes closest to halving the suspects, by their number or by the plan's weights; of several that
    one whose halves can be halved best. None where no commit that can be asked divides them."""
    suspects = np.flatnonzero(allowed)
    weights = weights_of(plan, suspects)
    has = lineage.ancestors[suspects][:, suspects].astype(float)
    before = has @ weights
    divides = has.sum(1) < len(suspects)
    score = np.minimum(before, weights.sum() - before) * testable(lineage, suspects, limits)
    score[~(divides & limits.askable(lineage)[suspects])] = -1
    if score.max() < 0:
        return None
    equal = np.flatnonzero(score >= score.max() * (1 - 1e-9))
    return int(suspects[max(equal, key=lambda at: _next_halves(has, weights, has[at] > 0))])


def _next_halves(has: Floats, weights: Floats, present: Mask) -> float:
    """How evenly the two outcomes' suspects can be divided in turn."""
    out = 0.0
    for side in (present, ~present):
        before, total = has[side][:, side] @ weights[side], weights[side].sum()
        out += float(np.minimum(before, total - before).max())
    return out


def weights_of(plan: BisectPlan, suspects: Ints) -> Floats:
    """[s], the plan's prior weights of suspects, summing to 1; equal ones where it has none that can be used."""
    weights = np.ones(len(suspects)) if plan.prior is None else np.array(plan.prior, float)[suspects]
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        weights = np.ones(len(suspects))
    out: Floats = weights / weights.sum()
    return out


def testable(lineage: Lineage, nodes: Ints, limits: Limits) -> Floats:
    """[i], how likely commit i can be tested in view of those that were skipped: untestable commits come in runs, the
    longer the more of them were met."""
    if not limits.skipped:
        return np.ones(len(nodes))
    skipped = lineage.depth[sorted(limits.skipped)]
    away = np.abs(lineage.depth[nodes][:, None] - skipped[None, :]).min(1)
    out: Floats = 1 - np.exp2(-(away + 0.5) / len(skipped))
    return out
