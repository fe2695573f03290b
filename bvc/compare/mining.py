"""Diff mining: tokens whose probability along the references rose or fell in many probes, beyond the drift.

The idea is that of logit-diff mining (arXiv 2608.26462): at every position look at the tokens that moved most. Here
with a null and a false discovery rate: what is counted is probes, whose signs are flipped, and the bulk of the tokens
says how far a token moves anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

import numpy as np
import numpy.typing as npt

from bvc.compare.logprob import Table, divergence
from bvc.compare.phrase_test import ALPHA, Shifts, flip_test, least_support, step_up, sums, units_of
from bvc.compare.significance import student_tail
from bvc.errors import NotComparable
from bvc.evidence import Floats, LogprobBlock
from bvc.results import PhraseDiff

PER_PROBE = 64
"""Tokens of each probe that are kept: those that moved most."""
_LEAST_PROBABILITY = 0.0025
"""Tokens below that on both sides are not looked at."""
_LEAST_MOVE = 0.02
_FEWEST = 6
_HALF = 0.5
"""Added to both sides of a ratio, in units of one certain token."""
_COMMON = 2.0
"""Tokens with that much on both sides together are the bulk."""
_LEAST_SPREAD = 0.05
"""Least spread of the bulk's log ratios: where it hardly moved, 5 % more is no outlier."""
_FREEDOM = 7
"""Of the tail of the bulk's log ratios: as in seven steps of a real lineage, whose 99th percentiles lie at 2.6 to 4
times the spread."""
_STUDENT_MEDIAN = 0.7111
"""Median absolute value of Student's t with that many degrees of freedom."""
_ID_BITS = 32

Ints = npt.NDArray[np.int64]
Column = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Moves:
    """How far tokens moved: `a` and `b` [m] are the sums over a probe's positions of √p on each side."""

    probe: Ints
    token: Ints
    a: Column
    b: Column

    @property
    def value(self) -> Column:
        """[m] > 0 where the token became more probable on side b."""
        return self.b - self.a

    def chosen(self, rows: npt.NDArray[np.bool_] | Ints) -> _Moves:
        """Only `rows`."""
        return _Moves(self.probe[rows], self.token[rows], self.a[rows], self.b[rows])


class TokenMiner:
    """Gathers the moves of a whole suite block by block; memory is at most PER_PROBE numbers a probe and two per
    token of the vocabulary, which has `vocabulary` tokens (the length of the bucket table)."""

    def __init__(self, vocabulary: int) -> None:
        self._ids: list[str] = []
        self._parts: list[_Moves] = []
        self._mass = np.zeros((2, vocabulary))
        """Each token's √p on both sides, added up over everything, moved or not: the bulk."""

    def add(self, a: LogprobBlock, b: LogprobBlock, ids: Sequence[str]) -> None:
        """The probes `ids`, both blocks along the same tokens. Raises NotComparable where they are not."""
        if not np.array_equal(a.token_ids, b.token_ids) or not np.array_equal(a.lengths, b.lengths):
            raise NotComparable("the two captures run along different tokens")
        owner = np.repeat(np.arange(len(ids)), a.lengths) + len(self._ids)
        self._ids += ids
        moves = _summed(owner, *_position_moves(a, b))
        moves = moves.chosen(moves.token < self._mass.shape[1])
        for row, side in zip(self._mass, (moves.a, moves.b), strict=True):
            np.add.at(row, moves.token, side)
        self._parts.append(moves.chosen(_strongest(moves)))

    def finish(
        self, texts: Mapping[int, str], *, clusters: Mapping[str, str] | None = None, most: int = 20
    ) -> tuple[PhraseDiff, ...]:
        """The tokens that moved to one side in many probes, the strongest first, with kind "token" and q ≤ .05.

        `texts` are the texts of token ids; tokens without are not reported. `clusters` as in `phrase_diffs`. Counts are
        the probes in which the token moved noticeably to either side, `probes` those of its `side`, most first.
        """
        if not self._parts:
            return ()
        moves = self._moves(texts)
        tokens, feature = np.unique(moves.token, return_inverse=True)
        shifts = Shifts(feature, moves.probe, moves.value, len(tokens), len(self._ids))
        grouped = shifts.grouped(units_of(self._ids, clusters))
        support = grouped.support()
        kept = support >= least_support(support, _FEWEST)
        q_values = np.ones(len(tokens))
        q_values[kept] = np.maximum(flip_test(grouped.chosen(kept)), self._beyond_bulk(tokens[kept]))
        found = q_values <= ALPHA
        named = zip(tokens[found].tolist(), _leans(shifts.chosen(found)), strict=True)
        return tuple(self._diffs([(texts[token], lean) for token, lean in named], q_values[found].tolist(), most))

    def _moves(self, texts: Mapping[int, str]) -> _Moves:
        """All that was gathered of the tokens that have a text, in the order of the tokens."""
        names = ("probe", "token", "a", "b")
        moves = _Moves(*(np.concatenate([getattr(part, name) for part in self._parts]) for name in names))
        moves = moves.chosen(np.isin(moves.token, np.fromiter(texts, np.int64, len(texts))))
        return moves.chosen(np.argsort(moves.token, kind="stable"))

    def _beyond_bulk(self, tokens: Ints) -> Column:
        """q-value of each of `tokens`: its null is that the token belongs to the bulk, whose log ratios of probability
        have tails no heavier than Student's t with few degrees of freedom."""
        ratio = np.log((self._mass[1] + _HALF) / (self._mass[0] + _HALF))
        bulk = ratio[self._mass.sum(0) >= _COMMON]
        center = float(np.median(bulk)) if len(bulk) else 0.0
        spread = float(np.median(np.abs(bulk - center))) / _STUDENT_MEDIAN if len(bulk) else 1.0
        scores = np.abs(ratio[tokens] - center) / max(spread, _LEAST_SPREAD)
        return step_up(np.minimum(1.0, 2 * student_tail(scores, _FREEDOM)))

    def _diffs(self, named: list[tuple[str, _Lean]], q_values: list[float], most: int) -> list[PhraseDiff]:
        out: dict[tuple[str, str], PhraseDiff] = {}
        order = sorted(range(len(named)), key=lambda i: -named[i][1].effect)
        for i in order:
            text, lean = named[i]
            key = text.strip().casefold(), lean.side
            if key in out or len(out) == most:
                continue  # the same word with and without a space before it is one finding
            probes = tuple(self._ids[row] for row in lean.rows)
            out[key] = PhraseDiff(text, lean.side, *lean.counts, q_values[i], probes, "token")
        return list(out.values())


@dataclass(frozen=True)
class _Lean:
    """The side that a token moved to, the rows of the probes in which it did, most first, and both sides' counts."""

    side: str
    rows: tuple[int, ...]
    counts: tuple[int, int]
    effect: float


def _leans(shifts: Shifts) -> list[_Lean]:
    ends = np.searchsorted(shifts.feature, np.arange(shifts.features + 1))
    return [_lean(shifts.unit[i:j], shifts.value[i:j]) for i, j in pairwise(ends)]


def _lean(rows: Ints, values: Column) -> _Lean:
    sign = 1 if values.sum() > 0 else -1
    order = np.argsort(-sign * values, kind="stable")
    with_it = order[sign * values[order] > 0]
    more, less = float(sign * values[with_it].sum()), float(-sign * values[sign * values < 0].sum())
    effect = (more - less) * log((more + 0.1) / (less + 0.1))
    counts = int((values < 0).sum()), int((values > 0).sum())
    return _Lean("b" if sign > 0 else "a", tuple(rows[with_it].tolist()), counts, effect)


def _position_moves(a: LogprobBlock, b: LogprobBlock) -> tuple[Ints, Ints, Column, Column]:
    """(position, token, √p of a, √p of b) of every token that is probable enough on a side.

    Where a side's top lacks the token its probability is at most the least in that top: the move is then a lower bound.
    """
    forward = _moves(a, b)
    backward = _moves(b, a)
    only = backward[3] ** 2 < _LEAST_PROBABILITY  # the others were seen from side a
    position, token = (np.concatenate([forward[i], backward[i][only]]) for i in (0, 1))
    of_a, of_b = (np.concatenate([forward[i], backward[j][only]]) for i, j in ((2, 3), (3, 2)))
    return position, token, of_a, of_b


def _moves(own: LogprobBlock, other: LogprobBlock) -> tuple[Ints, Ints, Column, Column]:
    """(position, token, own √p, other √p) of the tokens that are probable enough in `own`."""
    position, place = np.nonzero(own.top_logprobs >= np.float32(log(_LEAST_PROBABILITY)))
    token = own.top_ids[position, place].astype(np.int64)
    mine = np.exp(np.minimum(own.top_logprobs[position, place], 0) / 2, dtype=np.float64)
    keys = (np.arange(len(other.top_ids))[:, None] << _ID_BITS | other.top_ids.astype(np.int64)).ravel()
    wanted = position << _ID_BITS | token
    at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    present = keys[at] == wanted if len(keys) else np.zeros(0, bool)
    least = _root(other.top_logprobs.min(1, initial=0))[position]
    theirs = np.where(present, _root(other.top_logprobs.ravel()[at]), np.minimum(least, mine))
    return position, token, mine, theirs


def _root(logprobs: Floats) -> Column:
    """√p; 0 for what is not a number."""
    out: Column = np.nan_to_num(np.exp(np.minimum(logprobs, 0) / 2, dtype=np.float64))
    return out


def _summed(owner: Ints, position: Ints, token: Ints, a: Column, b: Column) -> _Moves:
    """Moves added up over the positions of each probe."""
    cells, at = np.unique(owner[position] << _ID_BITS | token, return_inverse=True)
    of_a, of_b = (sums(at, side, len(cells)) for side in (a, b))
    return _Moves(cells >> _ID_BITS, cells & ((1 << _ID_BITS) - 1), of_a, of_b)


def _strongest(moves: _Moves) -> Ints:
    """The rows of the PER_PROBE tokens of each probe that moved most, whichever way (so that flipping signs changes
    no choice)."""
    size = np.abs(moves.value)
    rows = np.flatnonzero(size >= _LEAST_MOVE)
    ends = np.flatnonzero(np.diff(moves.probe[rows], append=-1)) + 1
    return np.concatenate([rows[:0], *(_largest(rows[i:j], size) for i, j in pairwise([0, *ends.tolist()]))])


def _largest(rows: Ints, size: Column) -> Ints:
    """Those of one probe's `rows` that are largest."""
    if len(rows) <= PER_PROBE:
        return rows
    return rows[np.argpartition(size[rows], -PER_PROBE)[-PER_PROBE:]]


@dataclass(frozen=True)
class PositionShift:
    """One token of a reference: its `text` ("" for the end of turn), its log-probability on both sides (nats), and the
    divergence `kl` of the next-token distributions there (mean of both directions, nats)."""

    text: str
    a: float
    b: float
    kl: float

    @property
    def change(self) -> float:
        """Log-probability on side b less that on side a."""
        return self.b - self.a


def strip(a: LogprobBlock, b: LogprobBlock, table: Table, reference: str) -> list[PositionShift]:
    """One probe's log-probs side by side along its reference; both blocks hold that probe alone, `table` is the
    bucket of each token. Raises NotComparable where the sides run along different tokens."""
    bounds = divergence(a, b, table)
    kl = ((bounds.forward + bounds.backward) / 2).tolist()
    ends = np.cumsum(a.characters, dtype=np.int64).tolist()
    pieces = [reference[i:j] for i, j in pairwise([0, *ends])]
    return [PositionShift(*row) for row in zip(pieces, a.target.tolist(), b.target.tolist(), kl, strict=True)]
