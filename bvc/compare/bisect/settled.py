"""Bisects whose answers do not vary, and what marks rule out."""

from __future__ import annotations

from bvc.bisection import Ask, BisectStatus, Conclusion
from bvc.compare.bisect.halve import next_half
from bvc.compare.bisect.inquiry import Inquiry
from bvc.errors import UsageError


def contradiction(inquiry: Inquiry) -> Conclusion | None:
    """What marks say that no single step explains. Raises UsageError where a person gave one of them."""
    if not inquiry.contradicted:
        return None
    marks, told, bad = inquiry.evidence.marks, inquiry.evidence.told, inquiry.lineage.span.bad
    wrong = [node for node in inquiry.ends if marks.get(node, node == bad) != (node == bad)]
    if told.difference(inquiry.ends) or told.intersection(wrong):
        raise UsageError(
            "the marks contradict each other: no single commit could have brought the change",
            hint="no old commit may descend from a new one; `bvc bisect log` shows the marks",
        )
    if wrong:
        shows = "does not show" if bad in wrong else "already shows"
        reason = f"{inquiry.end(wrong[-1])} {shows} what is looked for"
        return inquiry.concluded(BisectStatus.NOT_REPRODUCIBLE, reason)
    return inquiry.concluded(BisectStatus.INTERMITTENT, "it came and went: an old commit descends from a new one")


def next_exact(inquiry: Inquiry) -> Ask | Conclusion:
    """The ends that nobody marked, then the commit that halves what is left."""
    for node in inquiry.ends:
        if node not in inquiry.evidence.marks and (ask := inquiry.ask(node, 1, inquiry.end(node))):
            return ask
    left = int(inquiry.allowed.sum())
    if left == 1:
        return inquiry.concluded(BisectStatus.FOUND, "every other commit was ruled out")
    half = next_half(inquiry.lineage, inquiry.plan, inquiry.allowed, inquiry.limits)
    if half is not None and (ask := inquiry.ask(half, 1, "halves what is left")):
        return ask
    if inquiry.spent:
        return inquiry.concluded(BisectStatus.RANGE, f"{inquiry.spent} with {left} commits left")
    if inquiry.limits.skipped:
        return inquiry.concluded(BisectStatus.ONLY_SKIPPED, "only commits that cannot be tested are left")
    return inquiry.concluded(BisectStatus.RANGE, f"none of the {left} commits that are left can be asked")
