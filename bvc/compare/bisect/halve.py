"""Bisecting where answers do not vary: each commit settles half of what is left, as `git bisect` does it."""

from __future__ import annotations

import numpy as np

from bvc.bisection import BisectPlan
from bvc.compare.bisect.evidence import Limits
from bvc.compare.bisect.lineage import Floats, Ints, Lineage, Mask

_FEW, _TRIED = 32, 4
"""Suspects among which the best plan is worked out, and questions that are weighed at each turn of it."""


def allowed_suspects(lineage: Lineage, marks: dict[int, bool]) -> Mask:
    """[n], suspects that marks leave, perhaps none: a good commit clears itself and its ancestors, a bad one all that
    it does not have."""
    out = lineage.suspects.copy()
    for node, bad in marks.items():
        out &= lineage.has(node) if bad else ~lineage.has(node)
    return out


def next_half(lineage: Lineage, plan: BisectPlan, allowed: Mask, limits: Limits) -> int | None:
    """The suspect that comes closest to halving the suspects, by their number or by the plan's weights; where there are
    few, the one that takes fewest visits on average. None where no commit that can be asked divides them."""
    suspects = np.flatnonzero(allowed)
    has = lineage.ancestors[suspects][:, suspects].astype(float)
    if len(suspects) <= _FEW and plan.prior is None and limits.askable(lineage)[suspects].all():
        return int(suspects[_shortest(has)]) if len(suspects) > 1 else None
    weights = weights_of(plan, suspects)
    before = has @ weights
    divides = has.sum(1) < len(suspects)
    score = np.minimum(before, weights.sum() - before) * testable(lineage, suspects, limits)
    score[~(divides & limits.askable(lineage)[suspects])] = -1
    return int(suspects[score.argmax()]) if score.max() >= 0 else None


def _shortest(has: Floats) -> int:
    """The first question of a plan that takes fewest visits in sum over all suspects, then at worst. At each turn it
    weighs the few that halve most evenly, the newest first, as Git chooses: so it never takes more than Git does."""
    sets = [sum(1 << int(c) for c in np.flatnonzero(row)) for row in has]
    costs: dict[int, tuple[int, int, int]] = {}

    def cost(left: int) -> tuple[int, int, int]:
        """Visits in sum and at worst, and what to ask first."""
        count = left.bit_count()
        if count == 1:
            return 0, 0, -1
        if left not in costs:
            members = [i for i in range(len(sets) - 1, -1, -1) if left >> i & 1 and sets[i] & left != left]
            members.sort(key=lambda i: -min((sets[i] & left).bit_count(), (left & ~sets[i]).bit_count()))
            tried = []
            for i in members[:_TRIED]:
                new, old = cost(left & sets[i]), cost(left & ~sets[i])
                tried.append((count + new[0] + old[0], 1 + max(new[1], old[1]), i))
            costs[left] = min(tried, key=lambda t: t[:2])
        return costs[left]

    return cost((1 << len(sets)) - 1)[2]


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
