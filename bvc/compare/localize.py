"""Which probes changed: exact p-values inside each probe, false discovery rates over them, and e-values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
import numpy.typing as npt

from bvc.compare.draw_evidence import Block, DrawEvidence, Floats, Ints
from bvc.compare.relabel import Weights, own_p_values, relabeled_p_values, splits

LEVEL = 0.05
_FIRST_LOOK = 400
_CLEAR = 0.1
"""A probe whose p-value over the first relabelings is above this is left at that."""
_LABELS_AT_ONCE = 50_000

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Localization:
    """Per probe given, [total]: `p_values` of "both sides draw alike" (1 where nothing can be said), `score_p` of the
    scores alone (None without them), q-values (`q_values` <= LEVEL is a discovery) and `e_values`; `able` marks the
    probes that have enough draws to be discovered at all."""

    p_values: Values
    q_values: Values
    e_values: Values
    score_p: Values | None
    able: npt.NDArray[np.bool_]


def localize(evidence: DrawEvidence, *, level: float = LEVEL) -> Localization:
    """Each probe's own test, over all relabelings of its draws (8 a side: 12,870; beyond, 20,000 random ones).

    p is that of the smaller of two p-values, of the energy distance of texts and of the difference of scores (for 0 and
    1 that of Fisher's exact test), by the same relabelings, hence exact; coupled draws make it conservative. q-values
    are Benjamini and Hochberg's over the probes that can be discovered (Gilbert 2005), and hold `level` where probes
    are independent or positively dependent.
    """
    p = np.ones((3, evidence.total))
    least = np.ones(evidence.total)
    for block in evidence.blocks:
        listed = splits(block.first, block.second, False)
        rows = _live(block)
        p[:, block.probes[rows]] = _block_p_values(block, rows, listed, evidence.scored)
        least[block.probes[rows]] = _least_p(block, rows)
    q, able = q_values(p[0], least, level)
    scores = p[2] if evidence.scored else None
    return Localization(p[0], q, e_from_p(p[0]), scores, able)


def _live(block: Block) -> Ints:
    """Probes with more than one distinct draw whose sides are not the same draws in another order."""
    first, second = np.sort(block.texts[:, : block.first], axis=1), np.sort(block.texts[:, block.first :], axis=1)
    equal = (first == second).all(1) if block.first == block.second else np.zeros(len(block.texts), bool)
    moved = (block.scores != block.scores[:, :1]).any(1)
    constant = (block.texts == block.texts[:, :1]).all(1)
    return np.flatnonzero(~(equal | constant) | moved)


def _least_p(block: Block, rows: Ints) -> Values:
    """A lower bound of the p-values that a probe's draws could have given under any labels: that of the rarest way to
    divide them, and of its mirror image where the sides are equally large."""
    total = len(splits(block.first, block.second, False))
    alike = 2.0 if block.first == block.second else 1.0
    _, scores = np.unique(block.scores[rows], return_inverse=True)
    kinds = np.sort(
        block.texts[rows] * (1 + int(scores.max(initial=0))) + scores.reshape(len(rows), block.draws), axis=1
    )
    fewest = [_fewest(tuple(np.unique(row, return_counts=True)[1].tolist()), block.second) for row in kinds]
    return np.minimum(1.0, alike / total * np.array(fewest, float))


@lru_cache(maxsize=4096)
def _fewest(counts: tuple[int, ...], second: int) -> int:
    """The smallest number of labelings that look the same: over ways to divide draws, of which `counts` are equal, the
    product of the ways to choose among equal ones."""
    best: dict[int, int] = {0: 1}
    for count in counts:
        grown: dict[int, int] = {}
        for taken, ways in best.items():
            for more in range(min(count, second - taken) + 1):
                product = ways * comb(count, more)
                grown[taken + more] = min(grown.get(taken + more, product), product)
        best = grown
    return best[second]


def _block_p_values(block: Block, rows: Ints, listed: Weights, scored: bool) -> Values:
    """p-values [3, rows] over all relabelings: the joint one, that of texts, that of scores. Most probes are settled by
    the first few hundred, drawn at random; taking the full list for those that look unlike keeps p-values valid, as
    neither the first nor the second then falls to a level more often than it should."""
    generator = np.random.default_rng(len(listed))
    some = listed
    if len(listed) > 2 * _FIRST_LOOK:
        some = listed[np.concatenate([[0], generator.integers(len(listed), size=_FIRST_LOOK)])]
    out = _by_relabeling(block, rows, some, scored)
    open_ = np.flatnonzero(out.min(0) <= _CLEAR) if len(some) < len(listed) else np.zeros(0, np.int64)
    out[:, open_] = _by_relabeling(block, rows[open_], listed, scored)
    return out


def _by_relabeling(block: Block, rows: Ints, listed: Weights, scored: bool) -> Values:
    out = np.ones((3, len(rows)))
    at_once = max(1, _LABELS_AT_ONCE // len(listed))
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        features = block.features(some)
        features -= features.mean(1, keepdims=True)
        kernels = np.matmul(features, features.transpose(0, 2, 1))
        energies = np.einsum("psn,sn->ps", np.matmul(listed, kernels), listed)
        stop = start + len(some)
        if scored:
            moves = np.abs(block.scores[some] @ listed.T)
            out[:, start:stop] = np.array([_joint(*pair) for pair in zip(energies, moves, strict=True)]).T
        else:
            out[:2, start:stop] = own_p_values(energies)
    return out


def _joint(energy: Floats, moves: Floats) -> tuple[float, float, float]:
    """p-values of the actual labels, which stand first: of the smaller of the two, of `energy`, of `moves`."""
    text, score = relabeled_p_values(energy), relabeled_p_values(moves)
    both = own_p_values(-np.minimum(text, score)[None])
    return float(both[0]), float(text[0]), float(score[0])


def q_values(p_values: Values, least: Values, level: float = LEVEL) -> tuple[Values, npt.NDArray[np.bool_]]:
    """q-values, and which tests they run over: those whose smallest attainable p-value `least` could be a discovery at
    `level` among as many (Tarone 1990, Gilbert 2005); the others get 1. `least` must not depend on the labels."""
    order = np.sort(least)
    sizes = np.searchsorted(order, level / np.arange(1, len(least) + 1), side="right")
    fitting = np.flatnonzero(sizes <= np.arange(1, len(least) + 1))
    able = least <= level / (fitting[0] + 1) if len(fitting) else np.zeros(len(least), bool)
    out = np.ones(len(p_values))
    out[able] = _benjamini_hochberg(p_values[able])
    return out, able


def _benjamini_hochberg(p_values: Values) -> Values:
    order = np.argsort(p_values)
    scaled = p_values[order] * len(order) / np.arange(1, len(order) + 1)
    out = np.empty(len(order))
    out[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.minimum(out, 1.0)


def combine(p_values: Mapping[str, float], weights: Mapping[str, float] | None = None) -> float:
    """One p-value from several channels' about the same null, however they depend on each other: the least of p over
    its share of the weights (Bonferroni). 1 where there is none."""
    shares = {name: 1.0 if weights is None else weights[name] for name in p_values}
    total = sum(shares.values())
    return min([1.0, *(p * total / shares[name] for name, p in p_values.items() if shares[name] > 0)])


def e_from_p(p_values: Values) -> Values:
    """e-values (mean at most 1 under the null) from p-values, by the calibrator integral of k p^(k - 1) over k (Vovk
    and Wang 2021): for a p-value of 0.001 it is 21."""
    p = np.clip(np.asarray(p_values, float), 1e-300, 1.0)
    logs = -np.log(p)
    small = logs < 1e-3
    safe = np.where(small, 1.0, logs)
    out: Values = np.where(small, 0.5 + logs / 6, (1 - p - p * safe) / (p * safe**2))
    return out


def e_bh(e_values: Values, level: float = LEVEL) -> npt.NDArray[np.bool_]:
    """Which are discoveries with false discovery rate at most `level`, whatever the dependence (Wang and Ramdas 2022,
    arXiv 2009.02824): the k largest, for the largest k of which each is at least n / (k · level)."""
    e = np.asarray(e_values, float)
    order = np.sort(e)[::-1]
    reached = np.flatnonzero(order * np.arange(1, len(e) + 1) >= len(e) / level)
    found: npt.NDArray[np.bool_] = e >= (order[reached[-1]] if len(reached) else np.inf)
    return found
