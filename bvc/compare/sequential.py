"""Evidence that may be looked at again after every further draw: e-processes by betting.

Draw k of a and draw k of b are a pair. Under the null of one model the two are exchangeable, whether or not they share
random numbers, so that a bounded difference between them has mean 0 given all that was drawn before, and the wealth of
somebody who bets on it is a martingale that starts at 1: it ever reaches 1 / alpha with probability at most alpha
(Ville 1939). So a look costs nothing, and draws may be added for as long as one likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np
import numpy.typing as npt

from bvc.compare.draw_evidence import Block, DrawEvidence

_AT_ONCE = 128
_BETS = 64
BETS = np.cos((np.arange(_BETS) + 0.5) * np.pi / _BETS)
"""Stakes; their even mixture is the Beta(1/2, 1/2) mixture of Krichevsky and Trofimov (1981) for discordant pairs."""
_TEXT_BETS = BETS[: _BETS // 2]
_SHARES = (0.02, 0.1, 0.5)
"""Shares of clusters that may have changed."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SequentialEvidence:
    """Log e-values against "one model": of the whole suite and of each probe [total] (0 without draws). The `p_value`
    is valid at every look: over any number of looks it ever falls to alpha with probability at most alpha."""

    log_e: float
    probes: Values

    @property
    def p_value(self) -> float:
        """The smallest level at which the suite is called changed."""
        return exp(-max(0.0, self.log_e))


def stream_log_e(differences: Sequence[float] | Values) -> Values:
    """Log e-value after each of a stream of differences in [-1, 1] (b's score less a's, in the order drawn), [n]."""
    steps = np.log1p(np.asarray(differences, float)[:, None] * BETS)
    return _mixed(np.cumsum(steps, axis=0))


def sequential_evidence(evidence: DrawEvidence) -> SequentialEvidence:
    """The evidence of all pairs so far; draws must stand in the order drawn, and none may be left out between looks.

    Scores: bets on b's score less a's. Texts: bets that b's draw is more like earlier draws of b than a's draw is. A
    probe's e-value is the mean of its two. The suite's is the mean of bets that all probes share (a common direction;
    a cluster's pairs of one number count as one) and of the clusters' e-values multiplied after each was diluted with
    certainty of no change (a change anywhere). Clusters must be independent of each other given the models.
    """
    text, score = np.zeros(evidence.total), np.zeros(evidence.total)
    shared_text, shared_score = np.zeros(len(_TEXT_BETS)), np.zeros(len(BETS))
    for block in evidence.blocks:
        units = evidence.clusters[block.probes]
        text_steps, score_steps = _text_steps(block), _score_steps(block)
        text[block.probes] = _mixed(_wealth(text_steps, _TEXT_BETS))
        score[block.probes] = _mixed(_wealth(score_steps, BETS))
        shared_text += _wealth(_by_unit(text_steps, units), _TEXT_BETS).sum(0)
        shared_score += _wealth(_by_unit(score_steps, units), BETS).sum(0)
    probes = _mixed(np.stack([text, score], axis=1)) if evidence.scored else text
    anywhere = _mixed(np.array([_anywhere(probes, evidence, share) for share in _SHARES]))
    shared = [_mixed(shared_text), _mixed(shared_score)] if evidence.scored else [_mixed(shared_text)]
    return SequentialEvidence(float(_mixed(np.array([*shared, anywhere]))), probes)


def _wealth(steps: Values, bets: Values) -> Values:
    """Log of what each stake has become over the steps of the last axis, [..., bets]."""
    out = np.zeros((*steps.shape[:-1], len(bets)))
    for k in range(steps.shape[-1]):
        out += np.log1p(steps[..., k, None] * bets)
    return out


def _mixed(wealth: Values) -> Values:
    """Log of the mean over the last axis of exp(wealth)."""
    out: Values = np.logaddexp.reduce(wealth, axis=-1) - np.log(wealth.shape[-1])
    return out


def _anywhere(probes: Values, evidence: DrawEvidence, share: float) -> float:
    """Log of the product over clusters of 1 - share + share · (mean e-value of the cluster's probes)."""
    used = np.concatenate([np.zeros(0, np.int64), *(block.probes for block in evidence.blocks)])
    _, units = np.unique(evidence.clusters[used], return_inverse=True)
    e = np.bincount(units, weights=np.exp(np.minimum(probes[used], 600))) / np.maximum(np.bincount(units), 1)
    return float(np.log1p(share * (e - 1)).sum())


def _score_steps(block: Block) -> Values:
    """b's score less a's of each pair, [probes, pairs]."""
    pairs = min(block.first, block.second)
    out: Values = (block.scores[:, block.first : block.first + pairs] - block.scores[:, :pairs]).astype(float)
    return out


def _text_steps(block: Block) -> Values:
    """1 where b's draw is more like earlier draws of b rather than of a than a's draw is, -1 where it is less,
    [probes, pairs]."""
    pairs = min(block.first, block.second)
    out = np.zeros((len(block.probes), pairs))
    for start in range(0, len(block.probes), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        features = block.features(rows)
        apart = features[:, block.first : block.first + pairs] - features[:, :pairs]
        likeness = np.einsum("pkd,pkd->pk", apart[:, 1:], np.cumsum(apart, axis=1)[:, :-1])
        out[rows, 1:] = np.where(np.abs(likeness) > 1e-5, np.sign(likeness), 0)
    return out


def _by_unit(steps: Values, units: npt.NDArray[np.int64]) -> Values:
    """Mean step of each cluster's pairs of one number, [clusters, pairs]."""
    _, places = np.unique(units, return_inverse=True)
    sums = np.zeros((int(places.max(initial=-1)) + 1, steps.shape[1]))
    np.add.at(sums, places, steps)
    out: Values = sums / np.maximum(np.bincount(places), 1)[:, None]
    return out
