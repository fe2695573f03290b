"""Phrases that one side brings up and the other hardly ever does: what rewording alone does not bring about.

A benign update makes some frequent words more, others less frequent. A behavior that was learned, or lost, shows as
words that several answers share on one side only, in the probes whose numbers moved most. Neither sign needs many
probes when both come together: six answers with one new sentence are a chance of 1 in 32 by their signs alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import comb, erfc, log, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from bvc.compare.grams import FEWEST, Counted, Gathered, Texts, gather
from bvc.compare.holm import holm
from bvc.compare.phrase_merge import found, merged
from bvc.compare.phrase_test import units_of
from bvc.compare.significance import mid_ranks
from bvc.compare.standing import Standing
from bvc.compare.verdict import OUTLIER_LEVEL
from bvc.results import PhraseDiff

_SHARE = 0.1
"""Most that the other side may have of it, relative to that."""
KINDS = 3
"""Kinds of evidence that a probe stands out by, each of which gets a third of the level: its own distances, new
phrases, and its families."""
_EXACT = 200
"""Probes up to which the sign test is exact; beyond, it is the normal one with its correction for continuity."""
LEVEL = OUTLIER_LEVEL / KINDS
"""Of any phrase being called new by chance."""

Column = npt.NDArray[np.float64]


def new_phrases(
    texts: Texts,
    moved: Mapping[str, float],
    *,
    clusters: Mapping[str, str] | None = None,
    most: int = 20,
    gathered: Gathered | None = None,
) -> tuple[PhraseDiff, ...]:
    """Phrases that at least three probes have on one side and next to none on the other, with their probes.

    `texts` as for `phrases.phrase_diffs`; `moved` says how far the numbers (never the words) of each probe moved; it
    may be empty. Two p-values of each phrase, whichever its side, are combined (Fisher 1932): that as many of the
    probes that gained or lost it lean one way (sign test), and that these moved no farther than others (rank sum with
    a normal tail, which is too large for few probes). The `q_value` is the p-value by Holm (1979) over all phrases of
    three or more probes, so that the chance of any false one is held, of whatever side and share. Probes of one
    cluster count once. `gathered` is `gather(texts)`, where that is at hand.
    """
    gathered = gathered or gather(texts)
    counted = gathered.counted
    adjusted = holm(_p_values(counted, list(texts), moved, clusters))
    kept = (adjusted <= LEVEL) & _one_sided(counted)
    return tuple(merged(found(counted.chosen(kept), adjusted[kept]), gathered.texts, most))


def _one_sided(counted: Counted) -> npt.NDArray[np.bool_]:
    more, less = np.maximum(counted.a, counted.b), np.minimum(counted.a, counted.b)
    out: npt.NDArray[np.bool_] = (more >= FEWEST) & (less <= _SHARE * more)
    return out


def _p_values(
    counted: Counted, ids: Sequence[str], moved: Mapping[str, float], clusters: Mapping[str, str] | None
) -> Column:
    units = units_of(ids, clusters)
    shifts = counted.shifts.grouped(units)
    up = np.bincount(shifts.feature, shifts.value > 0, shifts.features).astype(np.int64)
    total = shifts.support()
    leading = np.maximum(up, total - up)
    signs = np.array([_sign_p(k, n) for k, n in zip(leading.tolist(), total.tolist(), strict=True)])
    ranks = _ranks(ids, units, moved)
    if ranks is None:
        return np.where(leading < FEWEST, 1.0, signs)
    leads = (shifts.value > 0) == (2 * up >= total)[shifts.feature]
    sums = np.bincount(shifts.feature[leads], ranks[shifts.unit[leads]], shifts.features)
    return np.where(leading < FEWEST, 1.0, _combined(signs, _rank_p(sums, leading, len(ranks))))


@lru_cache(maxsize=65_536)
def _sign_p(leading: int, total: int) -> float:
    """Two-sided probability that so many of `total` fair coins, or more, fall one way."""
    if total > _EXACT:
        return erfc(max(2 * leading - total - 1, 0) / sqrt(2 * total))
    return min(1.0, 2 * sum(comb(total, k) for k in range(leading, total + 1)) / float(2**total))


def _rank_p(sums: npt.NDArray[Any], counts: npt.NDArray[np.int64], n: int) -> Column:
    """P(as many of n ranks add up to as much), by the normal approximation."""
    few = np.clip(counts, 1, n)
    spread = np.sqrt((n + 1) * np.maximum(n - few, 0) / 12 / few)
    scores = (sums / few - (n + 1) / 2) / np.maximum(spread, 1e-9)
    return np.array([erfc(score / sqrt(2)) / 2 for score in scores.tolist()])


def _combined(first: Column, second: Column) -> Column:
    """p-value of the product of two independent p-values (Fisher 1932)."""
    product = np.maximum(first * second, 1e-300)
    out: Column = product * (1 - np.log(product))
    return out


def _ranks(ids: Sequence[str], units: npt.NDArray[np.int64], moved: Mapping[str, float]) -> Column | None:
    """Rank of each unit by the mean movement of its probes; None where nothing is known."""
    if not moved:
        return None
    values = np.array([moved.get(p, np.nan) for p in ids], float)
    values = np.where(np.isnan(values), np.nanmedian(values), values)
    return mid_ranks(np.bincount(units, values) / np.maximum(np.bincount(units), 1))


def joined(
    standings: Mapping[str, Standing], phrases: Sequence[PhraseDiff], families: Mapping[str, float]
) -> dict[str, Standing]:
    """Standings by all kinds of evidence together: a probe's q-value is three times (Bonferroni) the least of that of
    its distances, of the new `phrases` that its answers gained or lost, and of its `families`; its score grows by the
    log ratio of the strongest phrase."""
    q_values = dict(families)
    gains: dict[str, float] = {}
    for phrase in phrases:
        more, less = max(phrase.count_a, phrase.count_b), min(phrase.count_a, phrase.count_b)
        for probe in phrase.probes:
            q_values[probe] = min(q_values.get(probe, 1.0), phrase.q_value)
            gains[probe] = max(gains.get(probe, 0.0), log((more + 0.5) / (less + 0.5)))
    return {p: _joined(s, q_values.get(p), gains.get(p, 0.0)) for p, s in standings.items()}


def _joined(standing: Standing, other_q: float | None, gain: float) -> Standing:
    known = [q for q in (standing.q_value, other_q) if q is not None]
    return Standing(standing.score + gain, min(1.0, KINDS * min(known)) if known else None)
