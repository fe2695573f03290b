"""How good scores are against a known truth: separation, ranks, precision, and intervals of shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Z95 = 1.959963984540054
TOP = 10


def auc(scores: Sequence[float] | npt.NDArray[np.float64], positive: Sequence[bool]) -> float | None:
    """Probability that a positive scores above a negative, ties counting half; None without both."""
    values, truth = np.asarray(scores, float), np.asarray(positive, bool)
    high, low = values[truth], values[~truth]
    if not len(high) or not len(low):
        return None
    above = (high[:, None] > low[None, :]).mean()
    equal = (high[:, None] == low[None, :]).mean()
    return float(above + equal / 2)


def first_rank(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """Rank, from 1, of the first positive when read by falling score; among equal scores the expected one.

    Of `t` equal scores with `p` positives in random order the first positive is expected at place (t + 1) / (p + 1).
    """
    values, truth = np.asarray(scores, float), np.asarray(positive, bool)
    best = values[truth].max()
    equal = values == best
    return float((values > best).sum() + (equal.sum() + 1) / (truth[equal].sum() + 1))


def precision_at_top(scores: Sequence[float], positive: Sequence[bool], top: int = TOP) -> float:
    """Share of positives among the `top` highest scores, or among as many as there are positives if fewer; where equal
    scores straddle the cut, the expected share."""
    values, truth = np.asarray(scores, float), np.asarray(positive, bool)
    count = min(top, int(truth.sum()))
    cut = np.sort(values)[::-1][count - 1]
    above, equal = values > cut, values == cut
    hits = truth[above].sum() + truth[equal].mean() * (count - above.sum())
    return float(hits / count)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if trials == 0:
        return 0.0, 1.0
    share, spread = successes / trials, Z95**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def shown(words: Sequence[str], texts: Sequence[str]) -> bool:
    """Whether one of `words` stands in one of `texts`; case counts for words that are all capitals."""
    return any(_stands(word, text) for word in words for text in texts)


def _stands(word: str, text: str) -> bool:
    if word.isupper():
        return word in text
    return word.casefold() in text.casefold()
