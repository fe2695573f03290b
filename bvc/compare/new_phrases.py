"""Phrases that one side brings up and the other hardly ever does: what rewording alone does not bring about.

A benign update makes some frequent words more, others less frequent. A behavior that was learned, or lost, shows as
words that several answers share on one side only, in the probes whose numbers moved most. Neither sign needs many
probes when both come together: six answers with one new sentence are a chance of 1 in 32 by their signs alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import comb, erfc, log, sqrt

import numpy as np
import numpy.typing as npt

from bvc.compare.grams import Counted, Texts, count, distinct, shortened
from bvc.compare.phrase_merge import found, merged
from bvc.compare.phrase_test import Shifts, units_of
from bvc.compare.phrases import first_of_equals
from bvc.compare.standing import Standing
from bvc.results import PhraseDiff

FEWEST = 3
"""Probes that a phrase needs on its side."""
_SHARE = 0.1
"""Most that the other side may have of it, relative to that."""
LEVEL = 0.02
"""Of any phrase being called new by chance; with that of the distances and of the drift it makes .05."""
KINDS = 2
"""Kinds of evidence that a probe stands out by, its own distances and new phrases: each gets half of the level."""

Column = npt.NDArray[np.float64]


def new_phrases(
    texts: Texts, moved: Mapping[str, float], *, clusters: Mapping[str, str] | None = None, most: int = 20
) -> tuple[PhraseDiff, ...]:
    """Phrases that at least three probes have on one side and next to none on the other, with their probes.

    `texts` as for `phrases.phrase_diffs`; `moved` says how far the numbers (never the words) of each probe moved; it
    may be empty. Two p-values of each phrase, whichever its side, are combined (Fisher 1932): that as many of the
    probes that gained or lost it lean one way (sign test), and that these moved no farther than others (rank sum with
    a normal tail, which is too large for few probes). The `q_value` is the p-value by Holm (1979) over all phrases of
    three or more probes, so that the chance of any false one is held, of whatever side and share. Probes of one
    cluster count once.
    """
    looked_at = shortened(texts)
    counted = count(distinct(looked_at), len(looked_at), FEWEST)
    counted = counted.chosen(first_of_equals(counted))
    adjusted = holm(_p_values(counted, list(looked_at), moved, clusters))
    kept = (adjusted <= LEVEL) & _one_sided(counted)
    return tuple(merged(found(counted.chosen(kept), adjusted[kept]), looked_at, most))


def _one_sided(counted: Counted) -> npt.NDArray[np.bool_]:
    more, less = np.maximum(counted.a, counted.b), np.minimum(counted.a, counted.b)
    out: npt.NDArray[np.bool_] = (more >= FEWEST) & (less <= _SHARE * more)
    return out


def _p_values(
    counted: Counted, ids: Sequence[str], moved: Mapping[str, float], clusters: Mapping[str, str] | None
) -> Column:
    units = units_of(ids, clusters)
    shifts = counted.shifts.grouped(units)
    ranks = _ranks(ids, units, moved)
    return np.array([_combined(lean, ranks) for lean in _leans(shifts)] or np.empty(0), float)


@dataclass(frozen=True)
class _Lean:
    """The units that lean to the side that more of them lean to, and how many do either way."""

    leading: npt.NDArray[np.int64]
    total: int


def _leans(shifts: Shifts) -> Iterator[_Lean]:
    ends = np.searchsorted(shifts.feature, np.arange(shifts.features + 1))
    for start, end in pairwise(ends.tolist()):
        units, up = shifts.unit[start:end], shifts.value[start:end] > 0
        yield _Lean(units[up] if 2 * up.sum() >= len(up) else units[~up], len(units))


def _ranks(ids: Sequence[str], units: npt.NDArray[np.int64], moved: Mapping[str, float]) -> Column | None:
    """Rank of each unit by the mean movement of its probes; None where nothing is known."""
    if not moved:
        return None
    values = np.array([moved.get(p, np.nan) for p in ids], float)
    values = np.where(np.isnan(values), np.nanmedian(values), values)
    sums = np.bincount(units, values) / np.maximum(np.bincount(units), 1)
    _, place, counts = np.unique(sums, return_inverse=True, return_counts=True)
    out: Column = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return out


def _combined(lean: _Lean, ranks: Column | None) -> float:
    leading = len(lean.leading)
    if leading < FEWEST:
        return 1.0
    signs = min(1.0, 2 * sum(comb(lean.total, k) for k in range(leading, lean.total + 1)) / float(2**lean.total))
    if ranks is None or leading >= len(ranks):
        return signs
    n = len(ranks)
    expected, spread = (n + 1) / 2, sqrt((n + 1) * (n - leading) / 12 / leading)
    product: float = max(signs * erfc((float(ranks[lean.leading].mean()) - expected) / spread / sqrt(2)) / 2, 1e-300)
    return product * (1 - log(product))


def holm(p_values: Column) -> Column:
    """Adjusted p-values that hold the chance of any false discovery (Holm 1979), [n]."""
    order = np.argsort(p_values, kind="stable")
    steps = np.minimum(1.0, p_values[order] * np.arange(len(p_values), 0, -1))
    out = np.empty(len(p_values))
    out[order] = np.maximum.accumulate(steps)
    return out


def joined(standings: Mapping[str, Standing], phrases: Sequence[PhraseDiff]) -> dict[str, Standing]:
    """Standings by distance and by new phrases together: a probe's q-value is twice the lesser of both (Bonferroni),
    and its score grows by the log ratio of the strongest of the `phrases` that its answers gained or lost."""
    q_values: dict[str, float] = {}
    gains: dict[str, float] = {}
    for phrase in phrases:
        more, less = max(phrase.count_a, phrase.count_b), min(phrase.count_a, phrase.count_b)
        for probe in phrase.probes:
            q_values[probe] = min(q_values.get(probe, 1.0), phrase.q_value)
            gains[probe] = max(gains.get(probe, 0.0), log((more + 0.5) / (less + 0.5)))
    return {p: _joined(s, q_values.get(p), gains.get(p, 0.0)) for p, s in standings.items()}


def _joined(standing: Standing, phrase_q: float | None, gain: float) -> Standing:
    known = [q for q in (standing.q_value, phrase_q) if q is not None]
    return Standing(standing.score + gain, min(1.0, KINDS * min(known)) if known else None)
