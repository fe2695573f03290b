"""The decision rule: changed, same or undecided, from distances, tolerances and standings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bvc.compare.tolerance import N0
from bvc.results import Verdict

ALPHA = 0.05
"""Level of every test: false discoveries among probes, and false alarms about a whole model."""
SUITE_LEVEL = 0.04
"""Of the global test of "the same weights": its level is exact, so that of 500 pairs of equal models 5 to 7 % would now
and then be called changed at .05; at .04 their share stays below .05, for three to six points of power."""
OUTLIER_LEVEL = 0.04
DRIFT_LEVEL = 0.01
"""A model changed beyond a benign update where a probe stands out (false discovery rate), or where it drifted farther
as a whole: both levels together are ALPHA, so that no more than that of benign updates are called changed."""
SHIFT_LEVEL = 0.002
"""Of DRIFT_LEVEL, where it is known how far benign updates shift the mean score of the draws: for a model whose mean
score shifted farther."""
OPEN_LEVEL = 0.2
"""No model is called the same as after a benign update while a probe stands out at this false discovery rate."""


@dataclass(frozen=True)
class Finding:
    """What is known of one probe.

    `identical`: all that was captured is equal. `distances` per channel; `limits` per null and channel (a channel
    without measured noise has none). `covered`: N0 can stand for the recipes' differences. `draws_q`: q-value of the
    test on the draws, where there are any. `outlier`: it moved more than the drift of the whole model. `drifted`: the
    whole model moved farther than benign updates do. `broken`: some numbers are not finite.
    """

    identical: bool
    distances: Mapping[str, float]
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    covered: bool = True
    draws_q: float | None = None
    outlier: bool = False
    drifted: bool = False
    broken: bool = False

    def beyond(self, null: str) -> bool:
        """Whether a channel lies beyond what `null` explains."""
        return any(self.distances[c] > limit for c, limit in self.limits[null].items() if c in self.distances)

    def bounded(self, null: str) -> bool:
        """Whether all that differs lies within what `null` explains; a channel that it says nothing of must be
        equal."""
        held = self.limits[null]
        known = any(c in held for c in self.distances)
        return known and all(d <= held.get(c, 0.0) for c, d in self.distances.items())


@dataclass(frozen=True)
class Decision:
    """`exceeds` names the widest null that a change exceeds; `reason` says why a probe is undecided."""

    verdict: Verdict
    exceeds: str | None = None
    reason: str | None = None


SAME = Decision(Verdict.SAME)
NO_NOISE = "no noise was measured for what differs"
NOTHING = "no channel could be compared"
BROKEN = "some of their numbers are not finite"
OTHER_RECIPE = "the recipes differ in what the noise band does not cover"
BETWEEN = "moved farther than nearly all answers do in a benign update, as single ones do by chance"


def decide(finding: Finding) -> Decision:
    """The verdict on one probe.

    Identical content is the same without a test. Where benign updates are known, the widest of them decides
    (`_benign`); else the noise of the same weights does (`_same_weights`).
    """
    if not finding.distances:
        return Decision(Verdict.UNDECIDED, reason=NOTHING)
    if finding.identical:
        return SAME
    if finding.broken:
        return Decision(Verdict.UNDECIDED, reason=BROKEN)
    nulls = [null for null in finding.limits if null != N0]
    return _benign(finding, max(nulls)) if nulls else _same_weights(finding)


def _benign(finding: Finding, null: str) -> Decision:
    """Changed: it stands out of the drift, or a drift that benign updates do not make took it beyond their band. Same:
    inside the band in every channel."""
    if finding.outlier or (finding.drifted and finding.beyond(null)):
        return Decision(Verdict.CHANGED, null)
    exceeded = N0 if N0 in finding.limits and finding.beyond(N0) else None
    if finding.bounded(null):
        return Decision(Verdict.SAME, exceeded)
    return Decision(Verdict.UNDECIDED, exceeded, BETWEEN)


def _same_weights(finding: Finding) -> Decision:
    """Draws that differ by their test are a change, and so is a channel beyond its N0 band where the band can speak for
    both recipes. With every channel inside its band the probe is the same. What differs in a channel without band
    leaves it undecided."""
    changed = Decision(Verdict.CHANGED, N0)
    if finding.draws_q is not None and finding.draws_q <= ALPHA:
        return changed
    if N0 not in finding.limits:
        return Decision(Verdict.UNDECIDED, reason=NO_NOISE)
    if finding.beyond(N0):
        return changed if finding.covered else Decision(Verdict.UNDECIDED, reason=OTHER_RECIPE)
    return SAME if finding.bounded(N0) else Decision(Verdict.UNDECIDED, reason=NO_NOISE)


@dataclass(frozen=True)
class Whole:
    """What is known of the whole model: `p_value` of "the same model", whether N0 `covered` the recipes' differences,
    the widest null known (`against`), of a benign one the `drifts` of its pairs, whether the model `drifted` beyond
    them (at `drift_level`) and whether the mean score of its draws `shifted` beyond theirs, the least q-value of any
    probe standing out (`nearest`), and all p-values."""

    p_value: float | None
    covered: bool
    against: str | None
    drifted: bool = False
    shifted: bool = False
    drift_level: float = DRIFT_LEVEL
    drifts: tuple[float, ...] = ()
    nearest: float = 1.0
    tests: Mapping[str, float] = field(default_factory=dict)


def decide_overall(decisions: Sequence[Decision], whole: Whole) -> Verdict:
    """The verdict on the whole model: same where every probe is.

    Against benign updates: changed where a probe is, or where the model drifted, or its draws' mean score shifted,
    farther than they do (the latter even where every probe is the same); undecided where one nearly stands out; else
    the same, as far as the smallest change goes that would have been found. Against the same
    weights: changed where the global test (without measured noise: some probe's test) says so; else undecided.
    """
    verdicts = [d.verdict for d in decisions]
    if whole.shifted:
        return Verdict.CHANGED
    if all(v is Verdict.SAME for v in verdicts):
        return Verdict.SAME
    if whole.against not in (None, N0):
        if whole.drifted or Verdict.CHANGED in verdicts:
            return Verdict.CHANGED
        known = all(d.reason in (None, BETWEEN) for d in decisions)
        return Verdict.SAME if known and whole.nearest > OPEN_LEVEL else Verdict.UNDECIDED
    if whole.p_value is None:
        return Verdict.CHANGED if Verdict.CHANGED in verdicts else Verdict.UNDECIDED
    return Verdict.CHANGED if whole.covered and whole.p_value <= SUITE_LEVEL else Verdict.UNDECIDED


def open_reason(whole: Whole) -> list[str]:
    """Why a model is neither changed nor the same, where a probe nearly stands out of a benign update."""
    if whole.against in (None, N0) or not OUTLIER_LEVEL < whole.nearest <= OPEN_LEVEL:
        return []
    return [
        f"no probe stands out at a false discovery rate of {OUTLIER_LEVEL}, but one nearly does: {whole.nearest:.2g}"
    ]


def undecided_reasons(decisions: Sequence[Decision]) -> list[str]:
    """One sentence for each reason that left probes undecided, with their count."""
    counts: dict[str, int] = {}
    for decision in decisions:
        if decision.reason is not None:
            counts[decision.reason] = counts.get(decision.reason, 0) + 1
    return [f"{count} of {len(decisions)} probes are undecided: {reason}" for reason, count in counts.items()]
