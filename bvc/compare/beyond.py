"""Whether what was just measured lies beyond what the bulk of a suite does, and which word a change hangs on.

Both answer for measurements that were looked for: the null is measured too, on the same models in the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from bvc.compare.bulk import LEAST_SPREAD, TO_SIGMA, half_spread
from bvc.compare.significance import Column, benjamini_hochberg, student_tail

FEWEST = 8
"""Null measurements below which nothing is said to lie beyond them."""
_FLOOR = 1e-3
"""Added before a logarithm is taken, in nats per token: differences far below it say nothing."""
_PER_DEGREE, _MOST_DEGREES = 10, 5
"""Degrees of freedom of the null's tail: one for so many measurements, at most so many, since bulks have outliers."""


@dataclass(frozen=True)
class Beyond:
    """`score`: robust standard deviations above the null, [m]; `q_value`: the false discovery rate at which each stands
    out of it, [m]; None with fewer null measurements than `FEWEST`."""

    score: Column
    q_value: Column | None


def beyond(
    null: Mapping[str, Sequence[float]],
    found: Mapping[str, Sequence[float]],
    signed: Collection[str] = (),
) -> Beyond:
    """Several kinds of score of the same m candidates, each against its own null; those in `signed` may be negative.

    Per kind the candidate's score, on a logarithmic scale, is set against median and spread of the null's, with
    Student's t for the tail (n / 10 degrees of freedom, 1 to 5, and the error of the median); the kinds are combined by
    Bonferroni, the candidates by Benjamini and Hochberg (1995). The score is the greatest over the kinds.
    """
    scores = np.max([_standing(null[kind], found[kind], kind in signed) for kind in found], axis=0)
    n = min(len(values) for values in null.values())
    if n < FEWEST:
        return Beyond(scores, None)
    freedom = min(max(n // _PER_DEGREE, 1), _MOST_DEGREES)
    p_values = np.minimum(1.0, len(found) * student_tail(scores / np.sqrt(1 + np.pi / 2 / n), freedom))
    q_values = benjamini_hochberg({f"{i:09d}": float(p) for i, p in enumerate(p_values)})
    return Beyond(scores, np.array([q_values[f"{i:09d}"] for i in range(len(p_values))]))


def _standing(null: Sequence[float], found: Sequence[float], signed: bool) -> Column:
    """Robust standard deviations of `found` [m] above the median of `null`."""
    if not len(null):
        return np.zeros(len(found))
    if not signed:
        bulk, values = _log(null), _log(found)
        # The lower half alone: a probe of the null that did move must not widen it.
        return (values - np.median(bulk)) / max(half_spread(bulk), LEAST_SPREAD)
    # The inverse hyperbolic sine is linear within the null's usual size and a logarithm beyond it. Scores on both sides
    # of 0 crowd together below it, so that the wider half counts.
    size = max(float(np.median(np.abs(null))), _FLOOR)
    bulk, values = (np.arcsinh(np.asarray(x, float) / size) for x in (null, found))
    return (values - np.median(bulk)) / max(half_spread(bulk, -1), half_spread(bulk, 1), LEAST_SPREAD)


def _log(values: Sequence[float]) -> Column:
    out: Column = np.log(np.maximum(np.asarray(values, float), 0.0) + _FLOOR)
    return out


@dataclass(frozen=True)
class Suspect:
    """A word whose removal took the change away: from how many prompts it was removed, in how many the distance fell,
    and its median there (nats per token) with the word and without."""

    word: str
    prompts: int
    fell: int
    with_word: float
    without: float


def suspects(removals: Sequence[tuple[str, float, float]], most: int = 3) -> list[Suspect]:
    """The words that a change hangs on most, of (word, distance with it, distance without it) triples.

    Words are ranked by the mean fall of the logarithm over their prompts, as standard errors of the falls of all
    words; only such whose removal lowers the distance. To be confirmed on other prompts: the choice itself is biased.
    """
    if not removals:
        return []
    falls = _log([with_word for _, with_word, _ in removals]) - _log([without for *_, without in removals])
    spread = max(TO_SIGMA * float(np.median(np.abs(falls - np.median(falls)))), LEAST_SPREAD)
    standing: dict[str, float] = {}
    for word in dict.fromkeys(word for word, *_ in removals):
        own = falls[[w == word for w, *_ in removals]]
        standing[word] = float((own.mean() - np.median(falls)) / spread * np.sqrt(len(own)))
    ranked = sorted(standing, key=lambda word: -standing[word])
    found = [_suspect(word, removals, falls) for word in ranked if standing[word] > 0]
    return [s for s in found if 2 * s.fell > s.prompts][:most]


def _suspect(word: str, removals: Sequence[tuple[str, float, float]], falls: Column) -> Suspect:
    own = [(a, b) for w, a, b in removals if w == word]
    fell = int((falls[[w == word for w, *_ in removals]] > 0).sum())
    before, after = np.median(np.array(own), axis=0)
    return Suspect(word, len(own), fell, float(before), float(after))


def rises(treated: Sequence[float], control: Sequence[float]) -> float:
    """p-value of "the distances `treated` are no greater than those `control` of the same prompts".

    Exact sign-flip test of the mean difference of logarithms, one-sided; 1 without pairs. For up to 16 pairs.
    """
    gains = _log(treated) - _log(control)
    if not gains.size:
        return 1.0
    signs = np.array(list(product((1.0, -1.0), repeat=len(gains))))
    return float((signs @ gains >= gains.sum() - 1e-9).mean())
