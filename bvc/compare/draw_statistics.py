"""The statistics of the global test: each a number for the labels as they are and for every relabeling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.draw_evidence import Block, DrawEvidence, Floats, Ints
from bvc.compare.gamma import log_gamma
from bvc.compare.relabel import Weights, choices, splits
from bvc.compare.tilt import tilted_choices

DIRECTION = "direction"
RATES = "rates"
WORDING = "wording"
OUTLIER = "outlier"
PHRASING = "phrasing"

_CHUNK = 64
"""Probes that are relabeled at once: their labels fill the processor's cache and no more."""
_PRIOR = 0.7
"""Both shapes of the Beta distribution from which a rate is thought to come."""
_CHANGED = 0.05
"""Share of probes that is thought to change, in the mixtures."""
_SHIFT_WIDTH = 32
_GRID = 16
"""Steps into which a unit of fractional score is cut."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Chunk:
    """Some probes of one block and the relabelings of their draws, `labels` [p, 1 + B, draws]; `scored` [p, 1 + B] is
    b's mean score less a's under each."""

    block: Block
    rows: Ints
    labels: Weights
    scored: Floats


def statistics(evidence: DrawEvidence, permutations: int, seed: int, tilt: float = 0.0) -> dict[str, Values]:
    """Each statistic under the labels as they are (first) and `permutations` random ones, [1 + permutations]; larger is
    further from "one model". Draws of a score in [0, 1] are relabeled with weight exp(tilt · b's sum of scores)."""
    size = 1 + permutations
    direction, mixtures = np.zeros(size), np.zeros((3, size))
    shift = np.zeros((size, _SHIFT_WIDTH))
    energies: list[Floats] = []
    for chunk in chunks(evidence, permutations, seed, tilt):
        if evidence.scored:
            direction += _direction(chunk)
            mixtures += _mixtures(chunk)
        features = _residual(chunk.block.features(chunk.rows), chunk.block.scores[chunk.rows])
        energies.append(energy(chunk.labels, features))
        shift += _shift(chunk, features)
    out = {DIRECTION: np.abs(direction), RATES: _joined(mixtures)} if evidence.scored else {}
    if energies:
        out |= _texts(np.concatenate(energies))
        out[PHRASING] = (shift**2 / np.maximum(shift.var(0), 1e-12)).sum(1)
    return out


def chunks(evidence: DrawEvidence, permutations: int, seed: int, tilt: float = 0.0) -> Iterator[Chunk]:
    """The probes that some relabeling changes, with their labels as they are and relabeled `permutations` times."""
    generator = np.random.default_rng([seed, evidence.total])
    for block in evidence.blocks:
        rows = np.flatnonzero(_informative(block, evidence.coupled))
        _, places = np.unique(evidence.clusters[block.probes[rows]], return_inverse=True)
        listed = splits(block.first, block.second, evidence.coupled)
        if tilt:
            chosen = tilted_choices(generator, block.scores[rows], places, listed, permutations, tilt)
        else:
            chosen = choices(generator, int(places.max(initial=-1)) + 1, permutations, len(listed))
        for start in range(0, len(rows), _CHUNK):
            some = rows[start : start + _CHUNK]
            labels = listed[chosen[places[start : start + _CHUNK]]]
            yield Chunk(block, some, labels, np.matmul(labels, block.scores[some][:, :, None])[..., 0])


def _informative(block: Block, coupled: bool) -> npt.NDArray[np.bool_]:
    """Probes that some relabeling changes: coupled draws that are equal in pairs stay as they are under all, and so do
    draws that are all equal."""
    n = block.first
    texts, scores = block.texts, block.scores
    apart = texts[:, :n] != texts[:, n:] if coupled else texts != texts[:, :1]
    moved = scores[:, :n] != scores[:, n:] if coupled else scores != scores[:, :1]
    out: npt.NDArray[np.bool_] = apart.any(1) | moved.any(1)
    return out


def _direction(chunk: Chunk) -> Values:
    """Differences of rates, each weighted by the inverse of its variance under the null."""
    block, scores = chunk.block, chunk.block.scores[chunk.rows].astype(float)
    spread = scores.var(1)
    weights = block.first * block.second / block.draws / (spread + 0.25 / block.draws)
    weights[spread == 0] = 0
    out: Values = weights @ chunk.scored
    return out


def _mixtures(chunk: Chunk) -> Values:
    """Log likelihood ratios, summed over probes [3, 1 + B], of "a twentieth of the rates changed" to "none did":
    changes either way, only falls, only rises. A rate is binomial, with a Beta prior on each side."""
    block, scores = chunk.block, chunk.block.scores[chunk.rows].astype(float)
    totals, places = np.unique(np.round(scores.sum(1) * _GRID) / _GRID, return_inverse=True)
    whole = bool((scores == np.round(scores)).all())
    steps = 1 if whole else _GRID
    tables = _mixture_tables(totals, block.first, block.second, steps)
    share = 1 / block.first + 1 / block.second
    sums = (chunk.scored + (scores.sum(1) / block.first)[:, None]) / share
    codes = np.rint(sums * steps).astype(np.int64) + (places * tables.shape[2])[:, None]
    return np.stack([np.take(table.ravel(), codes).sum(0) for table in tables]).astype(float)


def _mixture_tables(totals: Values, first: int, second: int, steps: int) -> npt.NDArray[np.float32]:
    """`_mixtures` of one probe, [3, totals, sums of b in steps]."""
    sums = np.arange(second * steps + 1) / steps
    low, high = np.maximum(0, totals - first)[:, None], np.minimum(second, totals)[:, None]
    b = np.clip(sums[None, :], low, high)
    a = totals[:, None] - b
    apart = _log_beta(b, second - b) + _log_beta(a, first - a)
    together = _log_beta(totals, first + second - totals)[:, None] + _log_beta(np.zeros(1), np.zeros(1))
    ratio = np.exp(apart - together)
    change = np.sign(b / second - a / first)
    sides = [np.ones_like(change), 1 - change, 1 + change]
    return np.stack([np.log1p(_CHANGED * (ratio * side - 1)) for side in sides]).astype(np.float32)


def _log_beta(hits: Values, misses: Values) -> Values:
    """Logarithm of the Beta function at (hits, misses), each with the prior added."""
    return log_gamma(hits + _PRIOR) + log_gamma(misses + _PRIOR) - log_gamma(hits + misses + 2 * _PRIOR)


def _joined(mixtures: Values) -> Values:
    """One mixture of the three, changes either way counting three times."""
    peak = mixtures.max(0)
    out: Values = peak + np.log(np.array([3.0, 1.0, 1.0]) @ np.exp(mixtures - peak))
    return out


def _residual(features: Floats, scores: Floats) -> Floats:
    """What is left of sketches once their probe's mean and what goes along with the score are taken out: wording."""
    out = features - features.mean(1, keepdims=True)
    centered = scores - scores.mean(1, keepdims=True)
    norms = np.sqrt(np.einsum("pn,pn->p", centered, centered))
    centered /= np.where(norms > 1e-6, norms, np.inf)[:, None]
    along = np.matmul(centered[:, None, :], out)
    left: Floats = out - centered[:, :, None] * along
    return left


def energy(labels: Weights, features: Floats) -> Floats:
    """Squared distance of the two sides' mean sketches, [p, 1 + B]."""
    kernel = np.matmul(features, features.transpose(0, 2, 1))
    out: Floats = np.einsum("pbn,pbn->pb", np.matmul(labels, kernel), labels)
    return out


def _shift(chunk: Chunk, features: Floats) -> Values:
    """Sum over probes of the differences of mean sketches, [1 + B, _SHIFT_WIDTH]: words that come in everywhere."""
    narrow = features.reshape(*features.shape[:2], -1, _SHIFT_WIDTH).sum(2)
    narrow = narrow * np.float32(chunk.block.first * chunk.block.second / chunk.block.draws)
    flat = chunk.labels.transpose(1, 0, 2).reshape(chunk.labels.shape[1], -1)
    out: Values = (flat @ narrow.reshape(-1, _SHIFT_WIDTH)).astype(float)
    return out


def _texts(energies: Floats) -> Mapping[str, Values]:
    """How far texts moved: over all probes (a mixture in which some moved; probes count by the size of their spread),
    and the one that moved most."""
    spread = energies.std(1, keepdims=True)
    live = spread[:, 0] > 1e-7
    if not live.any():
        return {}
    energies, spread = energies[live], spread[live]
    standard = (energies - energies.mean(1, keepdims=True)) / spread
    pull = 0.7 * np.sqrt(np.minimum(spread / np.median(spread), 4))
    moved = np.log1p(0.2 * np.expm1(np.minimum(pull * standard, 10)))
    return {WORDING: moved.sum(0, dtype=float), OUTLIER: standard.max(0).astype(float)}
