"""Whether sampled answers of two commits come from one model: a test of the whole suite at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.draw_evidence import DrawEvidence
from bvc.compare.draw_statistics import DIRECTION, OUTLIER, PHRASING, RATES, WORDING, statistics
from bvc.compare.relabel import relabeled_p_values
from bvc.compare.tails import t_quantile, t_tail
from bvc.compare.tilt import common_tilt

_SEED = 20_250_101
_SCORED: Mapping[str, float] = {DIRECTION: 0.43, RATES: 0.14, WORDING: 0.38, OUTLIER: 0.025, PHRASING: 0.025}
_UNSCORED: Mapping[str, float] = {WORDING: 0.65, OUTLIER: 0.2, PHRASING: 0.15}
"""Share of the level that each statistic gets: least where it is strong anyway."""

Values = npt.NDArray[np.float64]

NOT_TOLD_APART = (
    "an offset that all probes of one capture share cannot be told from a change: no re-captures show its size"
)
JUDGED = "the overall shift is judged against {} between re-captures, all else with that shift taken out"
UNSCORED = "the draws have no scores: an offset that all probes of one capture share cannot be told from a change"


@dataclass(frozen=True)
class GlobalTest:
    """`p_value` of "one model made all draws", `parts` the p-values of its statistics by name, each over the same
    `permutations` relabelings; `shift` is b's mean score less a's over probes (None without scores). `coupled`: pairs
    of draws were exchanged, not single ones. `note` says in a sentence what an offset common to a capture would do."""

    p_value: float
    parts: Mapping[str, float]
    permutations: int
    shift: float | None
    coupled: bool
    offset_judged: bool
    note: str


def overall_shift(evidence: DrawEvidence) -> float | None:
    """Mean over probes of b's rate less a's; None without scores or probes. What `replicate_shifts` is made of."""
    if not evidence.scored or not evidence.probes:
        return None
    a, b = evidence.rates()
    moved = (b - a)[~np.isnan(a)]
    return float(moved.mean()) if len(moved) else None


def global_test(
    evidence: DrawEvidence, *, permutations: int = 999, replicate_shifts: Sequence[float] | None = None
) -> GlobalTest | None:
    """The test of the whole suite; None where no probe has draws on both sides.

    Labels of draws are permuted inside each probe, alike for all probes of a cluster; p = (1 + b) / (1 + B) of the
    smallest weighted p-value of the statistics (Westfall and Young 1993), which is at most the level if the draws of a
    cluster are exchangeable, whatever the statistics. `replicate_shifts` are the `overall_shift` of pairs of captures
    of one model: the shift is then held against them (Student's t), and everything else is tested given that shift, for
    which relabelings are drawn with odds that reproduce it. Seeded: equal evidence gives equal p-values.
    """
    if not evidence.probes:
        return None
    shift = overall_shift(evidence)
    if not replicate_shifts or shift is None:
        found = statistics(evidence, permutations, _SEED)
        total, parts = _smallest(found, _SCORED if evidence.scored else _UNSCORED, permutations)
        note = NOT_TOLD_APART if evidence.scored else UNSCORED
        return GlobalTest(total, parts, permutations, shift, evidence.coupled, False, note)
    found = statistics(evidence, permutations, _SEED, common_tilt(evidence, _SEED))
    found.pop(DIRECTION, None)
    rest, parts = _smallest(found, _SCORED, permutations)
    common = shift_p_value(evidence, replicate_shifts)
    own = _SCORED[DIRECTION]
    total = min(1.0, common / own, rest / (1 - own))
    count = len(replicate_shifts)
    note = JUDGED.format("1 shift" if count == 1 else f"{count} shifts")
    return GlobalTest(total, {DIRECTION: common, **parts}, permutations, shift, evidence.coupled, True, note)


def _smallest(
    found: Mapping[str, Values], weights: Mapping[str, float], permutations: int
) -> tuple[float, dict[str, float]]:
    """p-value of the least p-value over its weight, and the p-values."""
    if not found:
        return 1.0, {}
    ranked = {name: relabeled_p_values(values) for name, values in found.items()}
    least = np.min([p / weights[name] for name, p in ranked.items()], axis=0)
    total = float((least <= least[0] * (1 + 1e-9)).sum() / (permutations + 1))
    return total, {name: float(p[0]) for name, p in ranked.items()}


def shift_p_value(evidence: DrawEvidence, replicates: Sequence[float]) -> float:
    """p-value of "the overall shift is one more of `replicates`", two-sided: all have mean 0 and one standard deviation
    (Student's t), which is taken to be no less than what drawing alone makes of one model's draws, so that a few pairs
    that happen to agree, or drew with the same random numbers, prove nothing. 1 without scores or replicates."""
    shift = overall_shift(evidence)
    if shift is None or not replicates:
        return 1.0
    deviation = _deviation(evidence, replicates)
    if deviation == 0:
        return 1.0 if shift == 0 else 0.0
    return min(1.0, 2 * t_tail(abs(shift) / deviation, len(replicates)))


def detectable_shift(evidence: DrawEvidence, replicates: Sequence[float], level: float) -> float | None:
    """The overall shift from which `shift_p_value` is at most `level`; None without replicates, and where no shift of
    scores between 0 and 1 is that large."""
    if not replicates:
        return None
    least = _deviation(evidence, replicates) * t_quantile(1 - level / 2, len(replicates))
    return least if least <= 1 else None


def _deviation(evidence: DrawEvidence, replicates: Sequence[float]) -> float:
    return max(float(np.sqrt(np.mean(np.square(replicates)))), sampling_error(evidence))


def sampling_error(evidence: DrawEvidence) -> float:
    """Standard deviation of the overall shift over relabelings of the draws: what chance makes of one model. Draws of
    one number in a cluster move together. 0 without scores."""
    variance, probes = 0.0, 0
    for block in evidence.blocks:
        scores = block.scores[block.scored].astype(float)
        _, places = np.unique(evidence.clusters[block.probes[block.scored]], return_inverse=True)
        totals = np.zeros((int(places.max(initial=-1)) + 1, block.draws))
        np.add.at(totals, places, scores)
        variance += float(_relabeled_variance(totals, block.first, evidence.coupled).sum())
        probes += len(scores)
    return float(np.sqrt(variance)) / probes if probes else 0.0


def _relabeled_variance(totals: Values, first: int, coupled: bool) -> Values:
    """Variance of the difference of means of `totals` [clusters, draws] over relabelings, [clusters]."""
    if coupled:
        apart = totals[:, first:] - totals[:, :first]
        return np.asarray((apart**2).sum(1) / first**2)
    second = totals.shape[1] - first
    return np.asarray(totals.var(1, ddof=1) * (1 / first + 1 / second))
