"""The document `bvc.bisect/1`."""

from __future__ import annotations

from collections.abc import Sequence

from bvc.bisection import BisectResult, BisectStatus, Stretch, Visit
from bvc.records import Json
from bvc.render.documents import finite_number


def bisect_document(result: BisectResult) -> Json:
    """`bvc.bisect/1`: where a bisect stands, or what it found."""
    found = result.conclusion
    return {
        "schema": "bvc.bisect/1",
        "status": str(result.status),
        "question": result.question,
        "terms": {"old": result.terms[0], "new": result.terms[1]},
        "first_bad": None if result.first_bad is None else result.first_bad.id,
        "candidates": [
            {"commit": c.commit.id, "subject": c.commit.subject, "posterior": c.posterior} for c in result.candidates
        ],
        "confidence": result.confidence,
        "rates": {"old": _rate(result, 0), "new": _rate(result, 1)},
        "p_value": finite_number(found.p_value),
        "smallest": finite_number(found.smallest),
        "reason": found.reason,
        "steps": [{"commit": commit.id, "kind": kind} for commit, kind in result.steps],
        "stretches": [_stretch(result, stretch) for stretch in found.stretches],
        "observations": [_visit(visit) for visit in result.observations],
        "loads": result.loads,
        "draws": result.draws,
        "next": None if result.next is None else {"commit": result.next[0].id, "draws": result.next[1]},
        "changed": [{"what": what, "how": how} for what, how in result.changed],
        "notes": list(result.notes),
        "settings": dict(result.settings),
    }


def _rate(result: BisectResult, side: int) -> Json | None:
    """One side's rate (or mean place between the ends) with its interval and number of answers."""
    found = result.conclusion
    rate = (found.old, found.new)[side]
    if rate is None:
        return None
    ci = None if found.intervals is None else [finite_number(end) for end in found.intervals[side]]
    return {"rate": finite_number(rate), "n": answers_of_side(result)[side], "ci": ci}


def answers_of_side(result: BisectResult) -> tuple[int, int]:
    """Answers that were seen of commits without and with what is looked for, as the conclusion divides them."""
    old, new = _sides(result)
    counts = {True: 0, False: 0}
    for visit in result.observations:
        if visit.source != "mark" and visit.commit.id in old | new:
            counts[visit.commit.id in new] += visit.draws
    return counts[False], counts[True]


def _sides(result: BisectResult) -> tuple[set[str], set[str]]:
    """The commits whose answers make the old rate, and those that make the new one."""
    stretches = result.conclusion.stretches
    if len(stretches) < 2:
        new = _new_side(result)
        return {candidate.commit.id for candidate in result.lineage} - new, new
    gradual = result.status is BisectStatus.RANGE
    old_ones = stretches[:1] if gradual else [one for one in stretches if not one.new]
    new_ones = stretches[-1:] if gradual else [one for one in stretches if one.new]
    return _members(result, old_ones), _members(result, new_ones)


def _members(result: BisectResult, stretches: Sequence[Stretch]) -> set[str]:
    return {c.commit.id for one in stretches for c in result.lineage[one.first : one.last + 1]}


def _new_side(result: BisectResult) -> set[str]:
    """The commits of the lineage that have the most probable culprit among their ancestors, or are it."""
    leader = max(result.lineage, key=lambda candidate: candidate.posterior, default=None)
    inside = set() if leader is None else {leader.commit.id}
    for candidate in result.lineage:
        if not inside.isdisjoint(candidate.commit.parents):
            inside.add(candidate.commit.id)
    return inside


def _stretch(result: BisectResult, stretch: Stretch) -> Json:
    return {
        "first": result.lineage[stretch.first].commit.id,
        "last": result.lineage[stretch.last].commit.id,
        "rate": finite_number(stretch.rate),
        "ci": [finite_number(end) for end in stretch.ci],
        "new": stretch.new,
    }


def _visit(visit: Visit) -> Json:
    out: Json = {"commit": visit.commit.id, "draws": visit.draws, "hits": visit.hits, "source": visit.source}
    return out if visit.mean is None else {**out, "mean": finite_number(visit.mean)}
