"""Which latents moved at all, and which further than the bulk of latents does when a model is updated harmlessly.

Two questions. The first has an exact answer (`feature_flips`), and of two checkpoints that differ at all it is "many".
The second compares each latent's shift with those of benign pairs: the spread of a latent falls with the number of
prompts it is active in, varies about that trend from latent to latent, and is estimated from few pairs, so that it is
shrunk toward the trend (moderated t statistics, Smyth 2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from bvc.compare.feature_flips import flip_p_values
from bvc.compare.feature_pairs import FeaturePair, Ints, Mask
from bvc.compare.phrase_test import Column, Shifts, least_support, step_up, sums
from bvc.compare.significance import student_tail
from bvc.compare.tails import t_quantile

LEVEL = 0.05
FEWEST = 6
"""Clusters that a latent must be active in: of fewer, no sign test says anything at .05."""
_BULK = 40
"""Latents below which the bulk says nothing."""
_COMMON = 8.0
"""Effective clusters from which on a latent counts for the shift that all share."""
_BIN = 50
"""Latents of a bin of the trend."""
_LEAST_MIDDLE = 0.03
"""Least typical size of a log ratio: where the bulk hardly moved, 5 % more is no outlier."""
_REACHES = (0.95, 0.99)
"""Quantiles of the bulk that say how heavy its tail is; a few latents that are sought do not reach the first."""
_HEAVIEST, _LIGHTEST = 3, 30
"""Degrees of freedom that are taken for the tail of the bulk."""
_UNVOUCHED = 7
"""The most that are taken where the bulk is that of the compared pair itself, which may hold what is sought."""
_STEP_CAP = 6.0
"""A single unvouched step counts as at most that many times its latent's usual variance."""
_CHI_MEDIAN = 0.454936
_FEW_STEPS = 3


@dataclass(frozen=True)
class LatentMoves:
    """How far each latent moved between two captures, all [latents].

    `shift`: log of b's activity over a's, where activity is the root of the mean strength per position, added up over
    clusters, and half a typical cluster is added to both; `active`: effective number of clusters behind it;
    `support`: clusters in which it fires on a side at least; `only`: 1 where it never fires on side a, -1 where never
    on side b; `p_value` of "both sides of each cluster could as well be exchanged".
    """

    shift: Column
    active: Column
    support: Ints
    only: Ints
    p_value: Column

    @property
    def tested(self) -> Mask:
        """[latents] which latents are active in enough clusters to stand out."""
        return self.support >= FEWEST

    def different(self) -> Mask:
        """[latents] which differ at all, at a false discovery rate of .05."""
        return self.q_values() <= LEVEL

    def q_values(self) -> Column:
        """[latents] false discovery rates of `p_value`, over the latents that could be found if all clusters agreed."""
        out = np.ones(len(self.p_value))
        kept = self.support >= least_support(self.support, FEWEST)
        out[kept] = step_up(self.p_value[kept])
        return out


def latent_moves(pair: FeaturePair) -> LatentMoves:
    """The moves of a pair, which is what is kept of benign pairs."""
    units, size = pair.units[pair.probe], max(pair.unit_count, 1)
    cells, at = np.unique(pair.latent * size + units, return_inverse=True)
    roots = np.sqrt(pair.activity())
    sides = [sums(at, roots[:, side], len(cells)) for side in (0, 1)]
    latent, most = cells // size, np.maximum(*sides)
    total, squares = sums(latent, most, pair.latents), sums(latent, most**2, pair.latents)
    typical = squares / np.maximum(total, 1e-30)
    a, b = (sums(latent, side, pair.latents) + np.maximum(typical, 1e-30) / 2 for side in sides)
    fires = pair.by_latent(pair.fired) > 0
    return LatentMoves(
        shift=np.log(b / a),
        active=total / np.maximum(typical, 1e-30),
        support=np.bincount(latent, minlength=pair.latents),
        only=fires[:, 1].astype(np.int64) - fires[:, 0],
        p_value=_exchange(pair),
    )


def _exchange(pair: FeaturePair) -> Column:
    """Twice the lesser p-value of two: of the share of positions, and of the strength per position."""
    found = [_flipped(pair, rows[:, 1] - rows[:, 0]) for rows in (pair.shares(), pair.activity())]
    out: Column = np.minimum(1.0, 2 * np.minimum(*found))
    return out


def _flipped(pair: FeaturePair, differences: Column) -> Column:
    moved = differences != 0
    shifts = Shifts(pair.latent[moved], pair.probe[moved], differences[moved], pair.latents, len(pair.ids))
    return flip_p_values(shifts.grouped(pair.units))


# Beyond what is benign


@dataclass(frozen=True)
class Spreads:
    """How far shifts spread in a benign update: the `middle` size along the log of active clusters (`at`), each
    latent's own `factor` [latents] about it, and the `freedom` of the tail (Student's t)."""

    at: Column
    middle: Column
    factor: Column
    freedom: int

    def of(self, moves: LatentMoves) -> Column:
        """[latents] typical size of each latent's shift in a pair, no less than that pair's own bulk has."""
        own = _trend(np.abs(_centered(moves))[moves.tested] / self.factor[moves.tested], moves.active[moves.tested])
        out: Column = np.maximum(_along(self.at, self.middle, moves), _along(*own, moves)) * self.factor
        return out


@dataclass(frozen=True)
class Standing:
    """How each latent stands to the bulk, all [latents]: `score`, its shift less the one that all share, in robust
    standard deviations; `q_value` of "it belongs to the bulk" (1 where not tested). Where there is no bulk nothing is
    `known` of it: all scores are 0."""

    score: Column
    q_value: Column
    known: bool = True


def standing(moves: LatentMoves, benign: Sequence[LatentMoves], *, trusted: bool) -> Standing:
    """How the latents of a pair stand to those of `benign` pairs and to the pair's own bulk, whichever spreads further.
    `trusted`: a person vouched for the pairs; of steps nobody did, one that moves a latent far does not excuse the
    latent."""
    size = len(moves.shift)
    tested = moves.tested
    spreads = _spreads(benign, trusted=trusted) or _spreads([moves], own=True)
    if spreads is None or int(tested.sum()) < _BULK:
        return Standing(np.zeros(size), np.ones(size), known=False)
    ratio = _centered(moves) / spreads.of(moves)
    freedom = min(spreads.freedom, _freedom(np.abs(ratio[tested]), _REACHES[0]))
    score = np.where(tested, ratio * t_quantile(0.75, freedom), 0.0)
    q_values = np.ones(size)
    q_values[tested] = step_up(np.minimum(1.0, 2 * student_tail(np.abs(score[tested]), freedom)))
    return Standing(score, q_values)


def stands_out(moves: LatentMoves, stand: Standing) -> Mask:
    """[latents] the rule of what is listed: beyond the bulk at a false discovery rate of .05, and to one side in more
    clusters than chance (p ≤ .05), so that no single prompt makes a finding."""
    out: Mask = (stand.q_value <= LEVEL) & (moves.p_value <= LEVEL)
    return out


def _centered(moves: LatentMoves) -> Column:
    """Shifts less the median of those of common latents."""
    common = moves.tested & (moves.active >= _COMMON)
    return moves.shift - (float(np.median(moves.shift[common])) if int(common.sum()) >= _BULK else 0.0)


def _spreads(pairs: Sequence[LatentMoves], *, own: bool = False, trusted: bool = True) -> Spreads | None:
    """What `pairs` say; `own`: they are the compared pair itself. None where none has a bulk."""
    known = [moves for moves in pairs if int(moves.tested.sum()) >= _BULK]
    if not known:
        return None
    sizes = np.concatenate([np.abs(_centered(moves))[moves.tested] for moves in known])
    active = np.concatenate([moves.active[moves.tested] for moves in known])
    at, middle = _trend(sizes, active)
    scaled = sizes / np.interp(np.log(active), at, middle)
    freedom = min(_freedom(scaled, _REACHES[0]), _UNVOUCHED) if own else min(_freedom(scaled, r) for r in _REACHES)
    prior = Spreads(at, middle, np.ones(len(known[0].shift)), freedom)
    return prior if own else _shrunk(prior, known, capped=not trusted and len(known) >= _FEW_STEPS)


def _along(at: Column, values: Column, moves: LatentMoves) -> Column:
    out: Column = np.interp(np.log(np.maximum(moves.active, 1.0)), at, values)
    return out


def _trend(sizes: Column, active: Column) -> tuple[Column, Column]:
    """The median size of a shift along the log of active clusters, never rising."""
    order = np.argsort(active, kind="stable")
    bins = np.array_split(order, max(1, len(order) // _BIN))
    at = np.array([float(np.median(np.log(active[rows]))) for rows in bins])
    middle = np.array([float(np.median(sizes[rows])) for rows in bins])
    return at, np.maximum(np.maximum.accumulate(middle[::-1])[::-1], _LEAST_MIDDLE)


@cache
def _tail_ratio(freedom: int, level: float) -> float:
    """How far a quantile of absolute values lies beyond their median, for Student's t."""
    return t_quantile(0.5 + level / 2, freedom) / t_quantile(0.75, freedom)


def _freedom(scaled: Column, level: float) -> int:
    """Degrees of freedom of Student's t whose absolute values reach as far, at a quantile, as `scaled` does."""
    reach = float(np.quantile(scaled, level)) / max(float(np.median(scaled)), 1e-30)
    fits = [f for f in range(_HEAVIEST, _LIGHTEST + 1) if _tail_ratio(f, level) >= reach]
    return fits[-1] if fits else _HEAVIEST


def _shrunk(prior: Spreads, known: Sequence[LatentMoves], *, capped: bool) -> Spreads:
    """`prior` with each latent's own shifts in the `known` pairs as evidence."""
    seen = np.stack([moves.tested for moves in known])
    squares = np.stack([np.where(moves.tested, _squares(moves, prior), np.nan) for moves in known])
    if capped:
        usual = np.nanmedian(np.where(seen.any(0), squares, 0.0), axis=0) / _CHI_MEDIAN
        squares = np.minimum(squares, _STEP_CAP * np.maximum(usual, 1.0))
    total, count = np.nansum(squares, axis=0), seen.sum(0)
    factor = np.sqrt((prior.freedom + total) / (prior.freedom + count))
    return Spreads(prior.at, prior.middle, factor, prior.freedom + len(known))


def _squares(moves: LatentMoves, prior: Spreads) -> Column:
    """[latents] squared shifts of a pair in units of the trend."""
    usual = _along(prior.at, prior.middle, moves) / t_quantile(0.75, prior.freedom)
    out: Column = (_centered(moves) / usual) ** 2
    return out
