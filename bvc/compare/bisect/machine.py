"""The state machine of a bisect: what the observations so far call for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from bvc.bisection import Ask, BisectPlan, BisectStatus, Conclusion, Observation, Span
from bvc.compare.bisect.choose import best_visit
from bvc.compare.bisect.evidence import gather, limits_of
from bvc.compare.bisect.gate import NEARLY
from bvc.compare.bisect.inquiry import LIKELY, Inquiry
from bvc.compare.bisect.lineage import lineage_of
from bvc.compare.bisect.settled import contradiction, next_exact

_NULL, _NULL_BY_LOADS = 0.98, 0.9
"""Probability of "nothing changed" at which that is the answer: by draws, or where a least difference is given (the
answer then is soon clear); and by loads."""
_STRICTER = 0.9
"""What a search by single draws may leave open, as a share of what the plan leaves open: the posterior is a little too
sure of itself while the rates are known badly."""
_SURE = 16
"""Draws of a commit that make another look at it unnecessary."""
_TELLING = 10.0
"""Nats that a visit must tell of old and new to be worth spending on a look around."""
_WIDEST = 1 / 4
"""Share of a line that is left without a look, at most."""


def decide(
    span: Span, plan: BisectPlan, observations: Sequence[Observation], skipped: Collection[int] = ()
) -> tuple[Ask | Conclusion, Inquiry]:
    """What comes next, and what it rests on."""
    lineage = lineage_of(span)
    inquiry = Inquiry(lineage, plan, gather(lineage, observations), limits_of(lineage, plan, skipped))
    if found := contradiction(inquiry):
        return found, inquiry
    return next_exact(inquiry) if plan.exact else _ends(inquiry) or _search(inquiry), inquiry


def _ends(inquiry: Inquiry) -> Ask | Conclusion | None:
    """The gate: both ends are asked, and once more where they nearly differ. None where the search may go on."""
    gate, seen = inquiry.gate, inquiry.evidence
    if gate.passed:
        return None
    for node in inquiry.ends:
        if not seen.visited(node) and (ask := inquiry.ask(node, inquiry.first, inquiry.end(node))):
            return ask
    inner = not set(seen.nodes.tolist()) <= set(inquiry.ends)
    if not inquiry.by_loads or inner or gate.p_value is None:
        return None
    if inquiry.plan.smallest > 0 and inquiry.posterior.null < _null_level(inquiry):
        return None
    if gate.p_value <= NEARLY and max(seen.visited(node) for node in inquiry.ends) == 1:
        for node in reversed(inquiry.ends):
            if ask := inquiry.ask(node, inquiry.first, "the ends nearly differ: one more look"):
                return ask
    return _nothing(inquiry)


def _null_level(inquiry: Inquiry) -> float:
    return _NULL_BY_LOADS if inquiry.by_loads and not inquiry.plan.smallest else _NULL


def _nothing(inquiry: Inquiry) -> Conclusion:
    """The ends do not differ: perhaps the behavior came and went in between."""
    if inquiry.passing is not None:
        return inquiry.concluded(BisectStatus.INTERMITTENT, "it came and went again: both ends are without it")
    gate = inquiry.gate
    reason = "the two ends do not differ by more than chance would have it"
    if gate.passed:
        reason = "the ends differ, but no more than commits in between do without a step"
    elif gate.smallest is not None:
        reason += f"; a difference of {gate.smallest:.2g} would have shown in 4 of 5 cases"
    return inquiry.concluded(BisectStatus.NOT_REPRODUCIBLE, reason)


def _search(inquiry: Inquiry) -> Ask | Conclusion:
    posterior, plan = inquiry.posterior, inquiry.plan
    if posterior.null >= _null_level(inquiry):
        return _nothing(inquiry)
    left = 1 - plan.confidence
    enough = 1 - left * (1 if inquiry.by_loads else _STRICTER)
    certain = posterior.null <= left and float(posterior.weight.max()) >= enough
    if (certain or inquiry.by_loads) and (other := _other_shape(inquiry, certain)):
        return other
    if certain:
        return _look_around(inquiry) or _verify(inquiry) or _found(inquiry)
    choice = None if inquiry.spent or inquiry.tired else best_visit(posterior, plan, inquiry.limits)
    if choice and (ask := inquiry.ask(choice.node, choice.draws, "tells most for its cost")):
        return ask
    return _stuck(inquiry)


def _other_shape(inquiry: Inquiry, certain: bool) -> Ask | Conclusion | None:
    """What follows where a single step does not explain the evidence."""
    shapes, sure = inquiry.shapes, inquiry.plan.confidence
    if shapes.turns >= sure:
        return _boundary(inquiry) or inquiry.concluded(BisectStatus.INTERMITTENT, "it came, went and came back")
    if shapes.ramp >= sure or (certain and shapes.ramp > LIKELY):
        return inquiry.concluded(BisectStatus.RANGE, "it came gradually, over several commits")
    if certain and shapes.turns > LIKELY:
        return inquiry.concluded(BisectStatus.RANGE, "it may have come and gone: no single step explains the evidence")
    return None


def _boundary(inquiry: Inquiry) -> Ask | None:
    """A visit that narrows down where the behavior came or went: the middle of the widest gap in which it did."""
    track = inquiry.track
    states = pairwise(inquiry.shapes.states.tolist())
    places = zip(pairwise(track.at.tolist()), states, strict=True)
    gaps = [(b - a, a) for (a, b), (before, after) in places if before != after and b - a > 1]
    for width, first in sorted(gaps, reverse=True):
        if ask := inquiry.ask(int(track.line[first + width // 2]), inquiry.first, "where it came or went"):
            return ask
    return None


def _look_around(inquiry: Inquiry) -> Ask | None:
    """A visit to the widest stretch that nobody looked at, in case the behavior went away there."""
    track = inquiry.track
    if not inquiry.by_loads or inquiry.posterior.told_by(inquiry.first) < _TELLING:
        return None
    gaps = sorted(((b - a, a) for a, b in pairwise(track.at.tolist())), reverse=True)
    if not gaps or gaps[0][0] <= len(track.line) * _WIDEST + 1:
        return None
    width, first = gaps[0]
    parts = 3 if width > 1.5 * _WIDEST * len(track.line) else 2
    return inquiry.ask(int(track.line[first + width // parts]), inquiry.first, "whether it went away in between")


def _verify(inquiry: Inquiry) -> Ask | None:
    """A fresh look at the culprit and its parents, where only few draws speak for their sides."""
    leader, enough = inquiry.posterior.leader, min(inquiry.first, _SURE)
    for node in (leader, *inquiry.lineage.parents(leader)):
        if inquiry.evidence.fresh_amount(node) >= enough:
            continue
        if ask := inquiry.ask(node, inquiry.first, "to be sure of the culprit"):
            return ask
    return None


def _found(inquiry: Inquiry) -> Conclusion:
    fresh = inquiry.evidence.loads or inquiry.evidence.drawn
    return inquiry.concluded(
        BisectStatus.FOUND, "one step explains the evidence" + ("" if fresh else ", all of it stored")
    )


def _stuck(inquiry: Inquiry) -> Conclusion:
    """What can be said when nothing more can be asked."""
    posterior, plan = inquiry.posterior, inquiry.plan
    likely = (1 - posterior.null) * float(posterior.weight.max())
    if likely >= plan.confidence:
        return _found(inquiry)
    if inquiry.spent:
        return inquiry.concluded(BisectStatus.RANGE, inquiry.spent)
    if posterior.null > LIKELY:
        return _nothing(inquiry)
    named = {node for node, _ in posterior.credible(plan.confidence)}
    if inquiry.limits.skipped & named:
        return inquiry.concluded(BisectStatus.ONLY_SKIPPED, "only commits that cannot be tested could narrow it down")
    if inquiry.tired:
        return inquiry.concluded(BisectStatus.RANGE, f"{inquiry.evidence.loads} visits did not narrow it down further")
    return inquiry.concluded(BisectStatus.RANGE, "no commit that can be asked would narrow it down further")
