"""How far each probe stands out of the drift that all probes share: the order in which a person should look.

A fine-tune moves every probe a little, and rewords nearly every answer. What moved more than the rest is told by
several statistics at once, each on a scale where the bulk of the probes has median 0 and spread 1. How far bulks reach
by themselves is learned from benign pairs of commits where there are some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bvc.compare.bulk import LEAST_SPREAD, half_spread
from bvc.compare.significance import Column, benjamini_hochberg, student_tail

KL, FIRST, PEAK, MOVED, WORDING, SUBSTANCE, PHRASES = "kl", "first", "peak", "moved", "wording", "substance", "phrases"
"""Kinds of statistic: divergence along the reference, of its first token, of the token where it is largest, hidden
state of the last prompt token, text, meaning, `bvc.compare.phrases`."""

_NUMBERS = (KL, FIRST, PEAK, MOVED)
_FLOOR = {KL: 1e-4, FIRST: 1e-3, PEAK: 1e-2, MOVED: 1e-3, WORDING: 0.1, SUBSTANCE: 0.1, PHRASES: 0.1}
"""What is added to a statistic before its logarithm is taken: differences far below it say nothing."""
_LEAST_COMBINED = 0.4
"""Least spread of combined standard scores: that of the mean of six unrelated ones. Without it a bulk that did not move
at all would make thousands of standard deviations of any change."""
FEWEST = 20
"""Probes below which the bulk's spread is not known well enough for q-values."""
_TAIL = 0.1
"""Share of the benign pairs' scores to which the tail is fitted."""
_FEWEST_NULL = 100
"""Benign scores below which their tail is not known well enough."""
_FREEDOM = (10, 5)
"""Without benign pairs: degrees of freedom of the scores' tail, one for so many probes, since the spread is estimated;
at most so many, since bulks have outliers of their own."""

Statistics = Mapping[str, Mapping[str, float]]
"""`{kind: {probe: number ≥ 0}}`; each kind may lack probes, or be lacking."""


@dataclass(frozen=True)
class Standing:
    """`score`: robust standard deviations above the bulk of the probes. `q_value`: the false discovery rate at which
    the probe stands out, None where there are too few probes to say."""

    score: float
    q_value: float | None


@dataclass(frozen=True)
class Standings:
    """Of every probe its standing; `factor`: by how much more than the median probe's every statistic of one probe
    would have had to move to stand out alone (None where that is not known); `benign`: the scores in benign pairs."""

    of: Mapping[str, Standing]
    factor: float | None
    benign: tuple[Mapping[str, float], ...] = ()


def stand_out(ids: Sequence[str], statistics: Statistics, benign: Sequence[Statistics] = ()) -> Standings:
    """The standing of every probe of `ids`; `benign` are the same statistics of pairs of commits between which nothing
    but a benign update lies.

    The score is the mean over the statistics, standardised again. Where there are benign pairs the bulk is never taken
    to lie nearer, or to spread less, than theirs: what stands out of next to nothing is no outlier. Null of the
    q-values (Benjamini and Hochberg 1995): the probe belongs to the bulk, whose scores reach as far as those of the
    benign pairs do; without any, a tail no heavier than Student's t with n / 10, at most 5, degrees of freedom.
    """
    if not ids:
        return Standings({}, None)
    kinds = ranked_kinds(statistics)
    pairs = [(names, logs(names, s, kinds)) for s in benign for names in [measured_probes(s)]]
    scores, unit = scored(logs(ids, statistics, kinds), len(ids), [places(known) for _, known in pairs])
    others = [dict(zip(names, scored(known, len(names))[0], strict=True)) for names, known in pairs]
    tail = Tail.of([np.array(list(pair.values())) for pair in others], len(ids))
    q_values = {} if len(ids) < FEWEST else benjamini_hochberg(dict(zip(ids, tail.p_values(scores), strict=True)))
    of = {p: Standing(float(s), q_values.get(p)) for p, s in zip(ids, scores, strict=True)}
    factor = float(np.exp(tail.quantile(0.05 / len(ids)) * unit)) if q_values else None
    return Standings(of, factor, tuple(others))


def ranked_kinds(statistics: Statistics) -> list[str]:
    """What probes are ranked by: their numbers and the substance of their answers; without numbers all about the words.
    In eight tuning pairs of the ladder edit distance and shared phrases only blurred what the numbers tell."""
    numbers = [kind for kind in _NUMBERS if statistics.get(kind)]
    words = (SUBSTANCE,) if numbers else (WORDING, SUBSTANCE, PHRASES)
    return numbers + [kind for kind in words if statistics.get(kind)]


def by_numbers(ids: Sequence[str], statistics: Statistics) -> dict[str, float]:
    """How far each probe stands out by log-probs and hidden states alone, whatever its words; empty without those."""
    kinds = [kind for kind in _NUMBERS if statistics.get(kind)]
    scores = scored(logs(ids, statistics, kinds), len(ids))[0] if kinds else ()
    return dict(zip(ids, map(float, scores), strict=False))


def measured_probes(statistics: Statistics) -> list[str]:
    """The probes that any statistic has, sorted."""
    return sorted({probe for table in statistics.values() for probe in table})


Logs = Mapping[str, Column]
"""The logarithms of each kind of statistic, [n] each, NaN where a probe lacks it."""
Places = Mapping[str, tuple[float, float]]
"""Center and spread of the bulk in each kind of statistic."""


def logs(ids: Sequence[str], statistics: Statistics, kinds: Sequence[str]) -> Logs:
    """The statistics of some probes on a logarithmic scale."""
    return {
        kind: np.log(np.array([statistics.get(kind, {}).get(p, np.nan) for p in ids], float) + _FLOOR[kind])
        for kind in kinds
    }


def places(values: Logs) -> Places:
    """Where the bulk of a pair lies, in the kinds that it has."""
    return {kind: _place(column) for kind, column in values.items() if not np.isnan(column).all()}


def scored(values: Logs, n: int, benign: Sequence[Places] = ()) -> tuple[Column, float]:
    """Scores [n] of n probes, and what one unit of score is in logarithms when all statistics of a probe grow alike."""
    columns, units = [], []
    for kind, column in values.items():
        center, spread = _place(column)
        bulks = [pair[kind] for pair in benign if kind in pair]
        if bulks:
            center = max(center, float(np.median([c for c, _ in bulks])))
            spread = max(spread, float(np.median([d for _, d in bulks])))
        columns.append((column - center) / spread)
        units.append(spread)
    combined = _mean(columns, n)
    middle, spread = _place(combined, _LEAST_COMBINED)
    per_unit = spread / max(float(np.mean([1 / u for u in units])), 1e-9) if units else 1.0
    return (combined - (max(middle, 0.0) if benign else middle)) / spread, per_unit


def _place(values: Column, least: float = LEAST_SPREAD) -> tuple[float, float]:
    """Median and spread of what is known; the spread is that of the lower half, which probes that moved more than the
    rest do not reach, and at least `least`."""
    known = values[~np.isnan(values)]
    if not known.size:
        return 0.0, least
    return float(np.median(known)), max(half_spread(known), least)


def _mean(columns: Sequence[Column], n: int) -> Column:
    """Mean of the columns over what each probe has; 0 for a probe without any."""
    if not columns:
        return np.zeros(n)
    stacked = np.stack(columns)
    held = ~np.isnan(stacked)
    out: Column = np.where(held, stacked, 0).sum(0) / np.maximum(held.sum(0), 1)
    return out


@dataclass(frozen=True)
class Tail:
    """How far scores of a bulk reach: from `start` on, which a share `beyond` of them exceeds, their tail falls
    exponentially with mean `scale`; with `freedom` instead it is Student's t."""

    start: float = 0.0
    beyond: float = 1.0
    scale: float = 1.0
    freedom: int | None = None
    null: Column | None = None

    @classmethod
    def of(cls, benign: Sequence[Column], probes: int) -> Tail:
        """The tail of the scores of benign pairs, [n] each; without any, one that `probes` scores of a bulk do not
        exceed by themselves. Of three or more pairs the one that reaches farthest is left out, so that a step that was
        not benign after all does not hide others; the scale is two standard errors longer than measured."""
        null = np.sort(np.concatenate(benign)) if benign else np.empty(0)
        if len(null) < _FEWEST_NULL:
            per_degree, most = _FREEDOM
            return cls(freedom=max(1, min(probes // per_degree, most)))
        start = float(np.quantile(null, 1 - _TAIL))
        means = sorted(float((scores[scores > start] - start).mean()) for scores in benign if (scores > start).any())
        kept = means[:-1] if len(means) > 2 else means
        scale = float(np.mean(kept)) if kept else 1.0
        return cls(start, _TAIL, scale * (1 + 2 / np.sqrt(_TAIL * len(null))), null=null)

    def p_values(self, scores: Column) -> list[float]:
        """P(a score of the bulk is at least so high), for each of `scores` [n]."""
        if self.freedom is not None or self.null is None:
            return list(map(float, student_tail(scores, self.freedom or 1)))
        reached = len(self.null) - np.searchsorted(self.null, scores, "left")
        inside = (1 + reached) / (len(self.null) + 1)
        tail = self.beyond * np.exp(-np.maximum(scores - self.start, 0) / self.scale)
        return list(map(float, np.clip(np.where(scores > self.start, tail, inside), 1e-16, 1.0)))

    def quantile(self, p: float) -> float:
        """The score that the bulk exceeds with probability `p` (well below the share of the tail)."""
        if self.freedom is None:
            return self.start + self.scale * float(np.log(self.beyond / p))
        low, high = 0.0, 1e6
        for _ in range(80):
            middle = (low + high) / 2
            above = float(student_tail(np.array([middle]), self.freedom)[0]) > p
            low, high = (middle, high) if above else (low, middle)
        return high
