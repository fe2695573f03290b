"""The rate of a behavior over probes, with its interval: the probe, or the cluster of probes, is the unit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bvc.quantiles import Z95, student_quantile, wilson


def rate_interval(scores: Sequence[float], clusters: Sequence[str]) -> tuple[float, tuple[float, float]]:
    """The mean of probe scores in [0, 1] and its 95 % interval.

    Wilson's interval at the effective number of probes: what the variance between clusters leaves of them, with
    Student's quantile for few clusters (the modified Wilson interval for complex surveys; Franco et al. 2019). Raises
    ValueError without scores.
    """
    if not scores:
        raise ValueError("no scores")
    rate = math.fsum(scores) / len(scores)
    sums: dict[str, list[float]] = {}
    for score, cluster in zip(scores, clusters, strict=True):
        sums.setdefault(cluster, []).append(score)
    return rate, wilson(rate, _effective(rate, len(scores), sums))


def _effective(rate: float, n: int, sums: Mapping[str, Sequence[float]]) -> float:
    """Independent yes-or-no trials that would know the rate as well; never more than the probes."""
    groups = len(sums)
    if groups < 2:
        return 1.0
    spread = math.fsum((math.fsum(s) - len(s) * rate) ** 2 for s in sums.values()) * groups / (groups - 1)
    plain = rate * (1 - rate)
    found = groups if spread <= 0 or plain <= 0 else plain * n * n / spread
    return min(float(n), max(1.0, found)) * (Z95 / student_quantile(groups - 1)) ** 2
