"""The decision rule: changed, same or undecided, from distances and noise bands. To be replaced alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bvc.results import Verdict

ALPHA = 0.05
"""Level of every test: false discoveries among probes, and false alarms about a whole model."""


@dataclass(frozen=True)
class Finding:
    """What is known of one probe: `identical`, all that was captured is equal; `distances` and `bands` per channel
    (a channel without measured noise has no band); `covered`, the bands can stand for the recipes' differences;
    `draws_q`, the q-value of the test on the draws, where there are any; `broken`, some numbers are not finite."""

    identical: bool
    distances: Mapping[str, float]
    bands: Mapping[str, float]
    covered: bool = True
    draws_q: float | None = None
    broken: bool = False


@dataclass(frozen=True)
class Decision:
    """`exceeds` names the null that a change exceeds; `reason` says why a probe is undecided."""

    verdict: Verdict
    exceeds: str | None = None
    reason: str | None = None


SAME = Decision(Verdict.SAME)
CHANGED = Decision(Verdict.CHANGED, "N0")
NO_NOISE = "no noise was measured for what differs"
NOTHING = "no channel could be compared"
BROKEN = "some of their numbers are not finite"
OTHER_RECIPE = "the recipes differ in what the noise band does not cover"


def decide(finding: Finding) -> Decision:
    """The verdict on one probe.

    Identical content is the same without a test. Draws that differ by their test are a change. A channel beyond its N0
    band is a change, where the band can speak for both recipes. With every channel inside its band the probe is the
    same. What differs in a channel without band leaves it undecided.
    """
    if not finding.distances:
        return Decision(Verdict.UNDECIDED, reason=NOTHING)
    if finding.identical:
        return SAME
    if finding.draws_q is not None and finding.draws_q <= ALPHA:
        return CHANGED
    if any(finding.distances[c] > limit for c, limit in finding.bands.items() if c in finding.distances):
        return CHANGED if finding.covered else Decision(Verdict.UNDECIDED, reason=OTHER_RECIPE)
    if finding.broken:
        return Decision(Verdict.UNDECIDED, reason=BROKEN)
    unmeasured = [distance for channel, distance in finding.distances.items() if channel not in finding.bands]
    if any(unmeasured) or len(unmeasured) == len(finding.distances):
        return Decision(Verdict.UNDECIDED, reason=NO_NOISE)
    return SAME


def decide_overall(decisions: Sequence[Decision], p_value: float | None, covered: bool) -> Verdict:
    """The verdict on the whole model: same where every probe is; changed where the global test (else, without measured
    noise, a test on some probe's draws) says so; else undecided."""
    if all(d.verdict is Verdict.SAME for d in decisions):
        return Verdict.SAME
    if p_value is None:
        return Verdict.CHANGED if any(d.verdict is Verdict.CHANGED for d in decisions) else Verdict.UNDECIDED
    return Verdict.CHANGED if covered and p_value <= ALPHA else Verdict.UNDECIDED


def undecided_reasons(decisions: Sequence[Decision]) -> list[str]:
    """One sentence for each reason that left probes undecided, with their count."""
    counts: dict[str, int] = {}
    for decision in decisions:
        if decision.reason is not None:
            counts[decision.reason] = counts.get(decision.reason, 0) + 1
    return [f"{count} of {len(decisions)} probes are undecided: {reason}" for reason, count in counts.items()]
