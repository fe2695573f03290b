"""Energy out of dictionary: whether a model's activations leave the span of another's dictionary, and on which probes.

A dictionary explains the activations that it was fitted on. What it fails to explain of a later model's is where that
model does something for which no latent stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bvc.compare.bulk import half_spread
from bvc.compare.feature_pairs import FeaturePair
from bvc.compare.intervals import paired_difference
from bvc.compare.paired import sign_flip_p
from bvc.compare.phrase_test import Column, step_up, sums
from bvc.compare.significance import student_tail
from bvc.feature_results import EnergyDiff, EnergyProbe

_LEVEL = 0.05
_FEWEST = 20
"""Probes below which the bulk says nothing about one."""
_FREEDOM = 7
"""Of the tail of the bulk of rises: as that of token shifts, heavier than normal."""
_LEAST_SPREAD = 1e-3
"""Least spread of rises of the share unexplained: rounding is below that."""


@dataclass(frozen=True)
class EnergyMove:
    """What the share unexplained does in one pair: its mean rise, and the spread of the rises of probes."""

    rise: float
    spread: float


def energy_move(pair: FeaturePair) -> EnergyMove:
    """What is kept of a benign pair."""
    rises = _rises(pair)
    return EnergyMove(float(rises.mean()), half_spread(rises))


def energy_diff(
    pair: FeaturePair, benign: Sequence[EnergyMove] = (), names: Mapping[str, str | None] | None = None
) -> EnergyDiff:
    """The share unexplained on both sides. The unit is the cluster: interval by t, p-value by flipping signs of
    clusters. A probe is named where its rise lies beyond those of the pair's bulk and of benign pairs."""
    shares = _unexplained(pair)
    rises = shares[:, 1] - shares[:, 0]
    clusters = [str(unit) for unit in pair.units.tolist()]
    found = paired_difference(shares[:, 0], shares[:, 1], clusters)
    return EnergyDiff(
        a=float(shares[:, 0].mean()),
        b=float(shares[:, 1].mean()),
        difference=found.difference,
        ci=found.ci if rises.any() else (0.0, 0.0),
        p_value=sign_flip_p(sums(pair.units, rises, pair.unit_count), 0),
        benign=tuple(move.rise for move in benign),
        probes=tuple(_left(pair, shares, rises, benign, names or {})),
    )


def _unexplained(pair: FeaturePair) -> Column:
    """[n, 2] share of the energy that is missed; 0 where there is no energy."""
    energy, missed = pair.energy.astype(float), pair.missed.astype(float)
    out: Column = np.clip(np.divide(missed, energy, out=np.zeros_like(missed), where=energy > 0), 0, 1)
    return out


def _rises(pair: FeaturePair) -> Column:
    shares = _unexplained(pair)
    out: Column = shares[:, 1] - shares[:, 0]
    return out


def _left(
    pair: FeaturePair,
    shares: Column,
    rises: Column,
    benign: Sequence[EnergyMove],
    names: Mapping[str, str | None],
) -> list[EnergyProbe]:
    if len(rises) < _FEWEST:
        return []
    spread = max(half_spread(rises), _LEAST_SPREAD, *(move.spread for move in benign))
    q_values = step_up(student_tail((rises - np.median(rises)) / spread, _FREEDOM))
    order = np.argsort(-rises, kind="stable")
    return [
        EnergyProbe(pair.ids[i], names.get(pair.ids[i]), float(shares[i, 0]), float(shares[i, 1]), float(q_values[i]))
        for i in order.tolist()
        if q_values[i] <= _LEVEL
    ]
