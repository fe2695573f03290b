"""The rules that bvc is measured beside: each scores a pair, perhaps with a p-value, and most score its probes.

All see the same captures: greedy texts, draws, and log-probs along the references. What a rule needs a pass mark for is
the same for all: how much an answer shares with the reference (the base's greedy text), by the F1 of their words.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from tests.bench.ladder_pairs import Pair, Side

LEVEL = 0.05
RESAMPLES = 2000


@dataclass(frozen=True)
class Score:
    """What a rule says of a pair: a score that grows with change; a p-value or a verdict where the rule decides by
    itself; a score for each probe where it has one."""

    pair: float
    p: float | None = None
    changed: bool | None = None
    probes: tuple[float, ...] | None = None


Rule = Callable[[Pair], Score]


# Distances, whose threshold is learned from benign pairs


def exact_text(pair: Pair) -> Score:
    """Whether the greedy texts differ; one that does is enough for "changed"."""
    differs = [float(a != b) for a, b in zip(pair.a.greedy, pair.b.greedy, strict=True)]
    return Score(_mean(differs), changed=any(differs), probes=tuple(differs))


def edit_distance(pair: Pair) -> Score:
    """Levenshtein's distance of the greedy texts over the length of the longer one."""
    return _averaged(levenshtein(a, b) for a, b in zip(pair.a.greedy, pair.b.greedy, strict=True))


def mean_kl(pair: Pair) -> Score:
    """Mean KL divergence along the reference, nats per token."""
    return _averaged(float(row.mean()) for row in pair.divergences)


def logprob_shift(pair: Pair) -> Score:
    """Mean |Δ log-prob| along the reference: the statistic of LT (Chauvin et al., 2512.03816)."""
    return _averaged(float(np.abs(a - b).mean()) for a, b in zip(pair.a.target, pair.b.target, strict=True))


def first_logprob_shift(pair: Pair) -> Score:
    """The same on the first token alone, as LT asks for one token of output."""
    return _averaged(float(abs(a[0] - b[0])) for a, b in zip(pair.a.target, pair.b.target, strict=True))


# Tests, which decide by a p-value


def logprob_permutation(pair: Pair) -> Score:
    """LT's statistic with a permutation of the signs: the captures hold one log-prob a side, exact under a fixed
    recipe, so that the test can only ask whether the shifts share a direction."""
    shifts = np.array([float((b - a).mean()) for a, b in zip(pair.a.target, pair.b.target, strict=True)])
    if not shifts.any():
        return Score(0.0, p=1.0, probes=(0.0,) * len(shifts))
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (RESAMPLES, len(shifts)))
    observed, drawn = abs(shifts.mean()), np.abs((signs * shifts).mean(axis=1))
    p = (1 + int((drawn >= observed).sum())) / (RESAMPLES + 1)
    return Score(-math.log10(p), p=p, probes=tuple(np.abs(shifts)))


def paired_t(pair: Pair) -> Score:
    """Paired t on how much the draws share with the reference (as Miller, 2411.00640), two-sided."""
    difference = np.array(agreements(pair.b)) - np.array(agreements(pair.a))
    p = t_test(difference)
    return Score(-math.log10(p), p=p, probes=tuple(np.abs(difference)))


def mcnemar(pair: Pair) -> Score:
    """McNemar's exact test on probes that pass: most draws share as much with the reference as the median draw of A."""
    mark = pass_mark(pair.a)
    before, after = passed(pair.a, mark), passed(pair.b, mark)
    majority = [(2 * sum(a) > len(a), 2 * sum(b) > len(b)) for a, b in zip(before, after, strict=True)]
    p = sign_test(sum(a and not b for a, b in majority), sum(b and not a for a, b in majority))
    return Score(-math.log10(p), p=p, probes=tuple(float(a != b) for a, b in majority))


def fisher_bh(pair: Pair) -> Score:
    """Fisher's exact test on the passes of each probe's draws, Benjamini and Hochberg over probes."""
    mark = pass_mark(pair.a)
    counts = zip(passed(pair.a, mark), passed(pair.b, mark), strict=True)
    raw = [fisher(sum(a), len(a), sum(b), len(b)) for a, b in counts]
    p = min(benjamini_hochberg(raw))
    return Score(-math.log10(p), p=p, probes=tuple(-math.log10(value) for value in raw))


RULES: dict[str, Rule] = {
    "exact text": exact_text,
    "edit distance": edit_distance,
    "mean KL": mean_kl,
    "mean abs. Δ log-prob (LT)": logprob_shift,
    "first-token Δ log-prob (LT)": first_logprob_shift,
    "Δ log-prob, sign permutation": logprob_permutation,
    "paired t": paired_t,
    "McNemar": mcnemar,
    "Fisher + BH": fisher_bh,
}


def needs_threshold(score: Score) -> bool:
    """Whether the rule has neither a verdict nor a p-value of its own."""
    return score.changed is None and score.p is None


def learned_threshold(scores: Sequence[float]) -> float | None:
    """What a score must exceed: the highest of the rule's scores on benign pairs; None without any."""
    return max(scores, default=None)


def beyond(score: Score, threshold: float | None) -> bool | None:
    """Whether the score exceeds the threshold; None where none is known."""
    return None if threshold is None else score.pair > threshold


def decision(score: Score, threshold: float | None) -> bool | None:
    """Whether the rule calls the pair changed: its own verdict, else its p-value at LEVEL, else the threshold."""
    if score.changed is not None:
        return score.changed
    return beyond(score, threshold) if score.p is None else score.p <= LEVEL


# Parts


def levenshtein(a: str, b: str) -> float:
    """Insertions, deletions and substitutions that make `b` of `a`, over the longer length; 0 for two empty texts."""
    if not a or not b:
        return float(a != b)
    codes = np.array([ord(c) for c in b])
    row = np.arange(len(b) + 1)
    steps = np.arange(len(b) + 1)
    for place, letter in enumerate(a, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(letter)))
        best = np.concatenate([[place], best])
        row = np.minimum.accumulate(best - steps) + steps  # insertions, which run along the row
    return float(row[-1] / max(len(a), len(b)))


def agreements(side: Side) -> list[float]:
    """How much each probe's draws share with its reference on average."""
    return [_mean([shared_words(text, ref) for text in draws]) for draws, ref in _answers(side)]


def pass_mark(side: Side) -> float:
    """The median of what one draw shares with its reference."""
    return float(np.median([shared_words(text, ref) for draws, ref in _answers(side) for text in draws]))


def passed(side: Side, mark: float) -> list[list[bool]]:
    """For each probe, which draws share at least `mark` with the reference."""
    return [[shared_words(text, ref) >= mark for text in draws] for draws, ref in _answers(side)]


def _answers(side: Side) -> list[tuple[tuple[str, ...], str]]:
    return list(zip(side.draws, side.references, strict=True))


def shared_words(text: str, reference: str) -> float:
    """F1 of the words of two texts, 0 to 1."""
    a, b = _words(text), _words(reference)
    common = (a & b).total()
    return 2 * common / (a.total() + b.total()) if common else float(not a and not b)


@lru_cache(maxsize=100_000)
def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.casefold()))


def t_test(differences: npt.NDArray[np.float64]) -> float:
    """Two-sided p of mean 0; the normal tail stands in for t's, which is within .002 of it from 100 probes on."""
    spread = differences.std(ddof=1)
    if spread == 0:
        return float(not differences.any())
    z = abs(differences.mean()) / (spread / math.sqrt(len(differences)))
    return max(2 * NormalDist().cdf(-float(z)), 1e-300)


def sign_test(lost: int, won: int) -> float:
    """Two-sided exact p of equal chances (McNemar on discordant pairs)."""
    total, least = lost + won, min(lost, won)
    tail = sum(math.comb(total, k) for k in range(least + 1)) / 2**total
    return min(1.0, 2 * tail)


@lru_cache(maxsize=10_000)
def fisher(hits_a: int, n_a: int, hits_b: int, n_b: int) -> float:
    """Two-sided p of Fisher's exact test: all tables that are no more probable than the observed one."""
    hits, total = hits_a + hits_b, n_a + n_b
    weights = {k: math.comb(n_a, k) * math.comb(n_b, hits - k) for k in range(max(0, hits - n_b), min(hits, n_a) + 1)}
    return min(1.0, sum(w for w in weights.values() if w <= weights[hits_a]) / math.comb(total, hits))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Benjamini and Hochberg 1995), in the order given."""
    p = np.asarray(p_values, float)
    order = np.argsort(-p)
    ranked = p[order] * len(p) / np.arange(len(p), 0, -1)
    out = np.empty_like(p)
    out[order] = np.minimum(1.0, np.minimum.accumulate(ranked))
    return [float(value) for value in out]


def _averaged(values: Iterable[float]) -> Score:
    probes = tuple(values)
    return Score(_mean(probes), probes=probes)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
