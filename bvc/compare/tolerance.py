"""How much change counts as none: bands from re-captures (N0) and from benign updates (N1, N2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from statistics import median
from typing import Any

import numpy as np

from bvc.compare.bulk import TO_SIGMA
from bvc.compare.measure import Distances
from bvc.compare.noise import Band, bands
from bvc.compare.pairing import ACTIVATION, LOGPROB, TEXT
from bvc.compare.significance import student_tail
from bvc.compare.tails import t_quantile

N0, N1, N2 = "N0", "N1", "N2"
"""The null ladder: same weights; a benign update; generic continued training."""
FEWEST_STEPS = 3
"""Steps of a lineage below which their drift says nothing about benign updates."""
_LEAST_SPREAD = 0.1
"""Least standard deviation of log drifts: two updates that happen to move equally far do not make a third
impossible."""
_FEW = 5
"""Drifts up to which their plain mean and deviation are used; a median needs more."""


@dataclass(frozen=True)
class Benign:
    """Pairs of commits of one level between which nothing but a harmless update lies, as their distances. `source`
    says in a phrase where they come from; `trusted`, that a person vouched for them."""

    level: str
    source: str
    pairs: Sequence[Distances]
    trusted: bool = True


@dataclass(frozen=True)
class Tolerance:
    """What one null explains: a band per channel and per activation site; `drifts` are those of its pairs as a
    whole."""

    level: str
    source: str
    channels: Mapping[str, Band]
    sites: Mapping[str, Band]
    drifts: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The bands per channel, as the diff document has them."""
        return {channel: band.to_json() for channel, band in self.channels.items()}


def tolerance_of(benign: Benign) -> Tolerance:
    """The tolerance that benign pairs give.

    Trusted pairs are pooled. Of unvouched steps the median step counts, so that one that was not benign does not widen
    the band of all others.
    """
    tables = [pair.channels for pair in benign.pairs], [pair.sites for pair in benign.pairs]
    channels, sites = (bands(t) if benign.trusted else _typical([bands([one]) for one in t]) for t in tables)
    return Tolerance(benign.level, benign.source, channels, sites, tuple(map(drift, benign.pairs)))


def _typical(found: Sequence[Mapping[str, Band]]) -> dict[str, Band]:
    """The median over steps of every field of their bands."""
    channels = sorted({channel for table in found for channel in table})
    return {channel: _median_band([table[channel] for table in found if channel in table]) for channel in channels}


def _median_band(each: Sequence[Band]) -> Band:
    values = {f.name: median(getattr(band, f.name) for band in each) for f in fields(Band)}
    return replace(each[0], **{**values, "n": round(values["n"])})


def drift(distances: Distances) -> float:
    """How far a whole model moved: the median distance over probes of log-probs, else of text, else of activations."""
    moved = next((v for c in (LOGPROB, TEXT, ACTIVATION) if (v := distances.channels.get(c))), {})
    return median(moved.values()) if moved else 0.0


def drift_p_value(value: float, drifts: Sequence[float]) -> float | None:
    """P(a benign update moves the model at least as far as `value`), given the drifts of some; None for fewer than two.

    The log drifts are taken for normal, with mean and deviation estimated (from a median and its deviation where there
    are more than five): a one-sided Student's t for one further pair. The unit is the update, never the probe.
    """
    known = _normal(drifts)
    if known is None:
        return None
    center, spread, freedom = known
    return 1.0 if value <= 0 else float(student_tail(np.array([(np.log(value) - center) / spread]), freedom)[0])


def detectable_drift(drifts: Sequence[float], level: float) -> float | None:
    """The drift from which `drift_p_value` is at most `level`; None for fewer than two known drifts."""
    known = _normal(drifts)
    if known is None:
        return None
    center, spread, freedom = known
    return float(np.exp(center + spread * t_quantile(1 - level, freedom)))


def _normal(drifts: Sequence[float]) -> tuple[float, float, int] | None:
    """Center and spread of the log drift of one further pair, and the degrees of freedom."""
    if len(drifts) < 2 or min(drifts) <= 0:
        return None
    logs = np.log(np.array(drifts))
    center = float(np.mean(logs) if len(logs) <= _FEW else np.median(logs))
    around = float(np.std(logs, ddof=1) if len(logs) <= _FEW else TO_SIGMA * np.median(np.abs(logs - center)))
    return center, max(around, _LEAST_SPREAD) * float(np.sqrt(1 + 1 / len(logs))), len(logs) - 1
