"""Relabelings under an offset that all probes of a capture share: labels go to high scores with fitting odds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bvc.compare.draw_evidence import DrawEvidence, Floats, Ints
from bvc.compare.relabel import Places, Weights, splits

_FITTED = 500
"""Relabelings of each cluster from which the offset is fitted."""
_HALVINGS = 24
_LARGEST = 8.0

Values = npt.NDArray[np.float64]


def common_tilt(evidence: DrawEvidence, seed: int) -> float:
    """The log odds t for which relabelings weighted by exp(t · b's sum of scores) have the total of b's scores that was
    observed: for independent probes the conditional maximum likelihood of a common log odds ratio. At most 8 either
    way."""
    generator = np.random.default_rng(seed)
    tables, observed = [], 0.0
    for block in evidence.blocks:
        observed += float(block.scores[:, block.first :].sum())
        listed = splits(block.first, block.second, evidence.coupled)
        some = listed[generator.integers(len(listed), size=_FITTED)]
        _, places = np.unique(evidence.clusters[block.probes], return_inverse=True)
        sums = np.zeros((int(places.max()) + 1, _FITTED))
        np.add.at(sums, places, block.scores @ (some > 0).T.astype(np.float32))
        tables.append(sums)
    sums = np.concatenate(tables)
    low, high = -_LARGEST, _LARGEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _expected(sums, middle) > observed else (middle, high)
    return (low + high) / 2


def _expected(sums: Values, tilt: float) -> float:
    weights = np.exp(tilt * (sums - sums.mean(1, keepdims=True)))
    return float(((weights * sums).sum(1) / weights.sum(1)).sum())


def tilted_choices(
    generator: np.random.Generator, scores: Floats, places: Ints, listed: Weights, permutations: int, tilt: float
) -> Places:
    """As `relabel.choices` for probes with `scores` [p, draws] in the clusters `places` [p], but each relabeling is
    drawn with weight exp(tilt · b's sum of scores in the cluster)."""
    clusters = int(places.max()) + 1 if len(places) else 0
    taken = (listed > 0).astype(np.float32)
    totals = np.zeros((clusters, scores.shape[1]), np.float32)
    np.add.at(totals, places, scores)
    out = np.zeros((clusters, 1 + permutations), np.int16)
    for cluster in range(clusters):
        sums = taken @ totals[cluster]
        odds = np.cumsum(np.exp(tilt * (sums - sums.mean()), dtype=np.float64))
        out[cluster, 1:] = np.searchsorted(odds, generator.random(permutations) * odds[-1])
    return out
