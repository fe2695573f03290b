"""The whole model in numbers: how far it moved, where that lies among other steps, what would have been found."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

from bvc.compare.measure import Distances
from bvc.compare.pairing import ACTIVATION, LOGPROB, TEXT
from bvc.compare.tolerance import detectable_drift, drift
from bvc.compare.verdict import Whole
from bvc.results import Interval


def describe(distances: Distances) -> tuple[float, Interval | None]:
    """The drift (`tolerance.drift`) and its 95 % interval with the probe as unit; None for fewer than 6 probes."""
    values = next((v for c in (LOGPROB, TEXT, ACTIVATION) if (v := distances.channels.get(c))), {})
    return drift(distances), median_interval(list(values.values()))


def median_interval(values: Sequence[float]) -> Interval | None:
    """A distribution-free interval of the median with coverage of at least 95 %: two order statistics, by the binomial
    distribution (Thompson 1936)."""
    n = len(values)
    left, below = 0.0, -1
    while below + 1 < n // 2 and left + (chance := comb(n, below + 1) / 2**n) <= 0.025:
        left, below = left + chance, below + 1
    if below < 0:
        return None
    ordered = sorted(values)
    return ordered[below], ordered[n - 1 - below]


def drift_percentile(value: float, steps: Sequence[float]) -> float | None:
    """Share (0 to 100) of the lineage's other steps that moved less; None without any."""
    return 100 * sum(step < value for step in steps) / len(steps) if steps else None


def smallest(distances: Distances, factor: float | None, whole: Whole, rate: float | None) -> dict[str, float]:
    """What would have been found. By channel: the distance from which one probe would have stood out of the others, the
    typical one times `factor`. "drift": the drift of the whole model beyond those of benign updates. "rate": the
    difference of the mean score of the draws."""
    found = _of_one_probe(distances, factor)
    drifted = detectable_drift(whole.drifts, whole.drift_level)
    if drifted is not None:
        found["drift"] = drifted
    if rate is not None:
        found["rate"] = rate
    return found


def _of_one_probe(distances: Distances, factor: float | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for channel, limit in ((LOGPROB, float("inf")), (TEXT, 1.0), (ACTIVATION, 2.0)):
        values = distances.channels.get(channel, {}).values()
        typical = sorted(values)[len(values) // 2] if values and factor is not None else 0.0
        if factor is not None and typical > 0 and typical * factor <= limit:
            found[channel] = typical * factor
    return found
