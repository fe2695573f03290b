"""How far each probe stands out of the drift that all probes share: the order in which a person should look.

A fine-tune moves every probe a little, and rewords nearly every answer. Two kinds of evidence tell what moved more
than the rest: the probe's distances, each on a scale where the bulk of the probes has median 0 and spread 1; and
phrases that its answer gained, or lost, together with other answers, which rewording does not bring about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bvc.compare.significance import Column, benjamini_hochberg, student_tail

KL, FIRST, MOVED, WORDING, PHRASES = "kl", "first", "moved", "wording", "phrases"
"""Kinds of statistic: divergence along the reference, of its first token, hidden state, text, `bvc.compare.phrases`."""

_FLOOR = {KL: 1e-4, FIRST: 1e-4, MOVED: 1e-3, WORDING: 0.1, PHRASES: 0.1}
"""What is added to a statistic before its logarithm is taken: differences far below it say nothing."""
_DISTANCES = (KL, FIRST, MOVED, WORDING)
_LEAST_SPREAD = 0.1
"""Least spread of the bulk, in units of a logarithm: where it hardly varies, 1 % more is no outlier."""
_LEAST_COMBINED = 0.5
"""Least spread of combined standard scores: that of the mean of four unrelated ones. Without it a bulk that did not
move at all would make thousands of standard deviations of any change."""
_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""
_FEWEST = 20
"""Probes below which the bulk's spread is not known well enough for q-values."""
_FREEDOM = (10, 5)
"""Degrees of freedom of the scores' tail: one for so many probes, since the spread is estimated; at most so many, since
bulks have outliers of their own."""


@dataclass(frozen=True)
class Standing:
    """`score`: robust standard deviations above the bulk of the probes. `q_value`: the false discovery rate at which
    the probe stands out, None where there are too few probes to say."""

    score: float
    q_value: float | None


Statistics = Mapping[str, Mapping[str, float]]
"""`{kind: {probe: number ≥ 0}}`; each kind may lack probes, or be lacking."""


def stand_out(ids: Sequence[str], statistics: Statistics) -> dict[str, Standing]:
    """The standing of every probe of `ids`.

    The score is the greatest of three, standardised again: the mean over the kinds of distance, the phrases, and both
    together. Null of the q-values (Benjamini and Hochberg 1995): the probe belongs to the bulk, whose scores have a
    tail no heavier than Student's t with n / 10, at most 5, degrees of freedom.
    """
    if not ids:
        return {}
    columns = {kind: _column(kind, ids, table) for kind, table in statistics.items()}
    moved = _mean([columns[k] for k in _DISTANCES if k in columns], len(ids))
    phrases = np.nan_to_num(columns[PHRASES]) if PHRASES in columns else np.zeros(len(ids))
    scores = standardize(np.max([moved, phrases, (moved + phrases) / np.sqrt(2)], axis=0), _LEAST_COMBINED)
    q_values = _q_values(ids, scores) if len(ids) >= _FEWEST else {}
    return {p: Standing(float(s), q_values.get(p)) for p, s in zip(ids, scores, strict=True)}


def _q_values(ids: Sequence[str], scores: Column) -> dict[str, float]:
    per_degree, most = _FREEDOM
    tails = student_tail(scores, min(len(ids) // per_degree, most))
    return benjamini_hochberg(dict(zip(ids, tails.tolist(), strict=True)))


def _column(kind: str, ids: Sequence[str], table: Mapping[str, float]) -> Column:
    """One kind of statistic [n] as standard deviations above the bulk, NaN where a probe lacks it."""
    return standardize(np.log(np.array([table.get(p, np.nan) for p in ids], float) + _FLOOR[kind]))


def _mean(columns: Sequence[Column], n: int) -> Column:
    """Standardised mean of the columns over what each probe has; 0 for a probe without any."""
    if not columns:
        return np.zeros(n)
    stacked = np.stack(columns)
    held = ~np.isnan(stacked)
    out: Column = np.where(held, stacked, 0).sum(0) / np.maximum(held.sum(0), 1)
    return standardize(out, _LEAST_COMBINED)


def standardize(values: Column, least: float = _LEAST_SPREAD) -> Column:
    """`values` as robust standard deviations above the median; the spread is that of the lower half, which probes that
    moved more than the rest do not reach, and at least `least`. NaN stays NaN."""
    known = values[~np.isnan(values)]
    if not known.size:
        return values
    center = np.median(known)
    spread = max(_TO_SIGMA * float(np.median(center - known[known <= center])), least)
    out: Column = (values - center) / spread
    return out
