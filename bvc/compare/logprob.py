"""Kullback-Leibler divergence of two log-prob sketches, position by position, without either model.

Two sketches of the same position are brought to their finest common coarse-graining: the tokens in both tops one by
one, everything else by bucket. By the data-processing inequality the divergence of the coarse distributions is a
lower bound of the exact one. Stored buckets are rounded to 16 bits; since the divergence is jointly convex, its
tangent plane bounds what rounding can have added, and that much is taken off, so that the bound stays a bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bvc.errors import NotComparable
from bvc.evidence import MASS_BUCKETS, NO_TOKEN, TOP_TOKENS, Floats, LogprobBlock

Table = npt.NDArray[np.uint8]
"""Bucket of each token of a vocabulary, [vocab]."""
Ids = npt.NDArray[np.uint32]
Places = npt.NDArray[np.intp]

_CHUNK = 256
"""Positions worked on at a time: what fits a second-level cache, and bounds memory."""
_LEAST_LOGPROB = np.float32(-69.0)
_SINGLE = np.float32(1 - 2.0**-18)
"""What single precision of a log-probability of -69 can add to a divergence, relative to it."""
_LEAST_RESIDUAL = np.float32(2.0**-24)
"""Residuals below are not told apart: they are differences to 1 of float32 sums."""
_ROUNDING = np.float32(2.0**-11)
"""Relative rounding of a normal float16; below `_SMALLEST_NORMAL` it is absolute."""
_SMALLEST_NORMAL = np.float32(2.0**-14)
_SMALLEST_BUCKET = np.float32(2.0**-25)
"""A bucket stored as 0 held at most this share."""


@dataclass(frozen=True)
class Divergence:
    """Lower bounds in nats, [T] float32, never negative: `forward` of KL(a‖b), `backward` of KL(b‖a)."""

    forward: Floats
    backward: Floats


def divergence(a: LogprobBlock, b: LogprobBlock, table: Table) -> Divergence:
    """Both divergences at every position of two blocks along the same tokens; exactly 0 where the sketches are equal,
    not finite where a sketch is not.

    `table` is the bucket of each token, [vocab], the same on both sides. Raises NotComparable where the positions do
    not match or a token is not in the table.
    """
    if not np.array_equal(a.token_ids, b.token_ids):
        raise NotComparable("the two captures run along different tokens")
    if NO_TOKEN in (_largest(a), _largest(b)):
        a, b, table = _filled(a, len(table)), _filled(b, len(table)), np.pad(table, (0, TOP_TOKENS))
    if max(_largest(a), _largest(b)) >= len(table):
        raise NotComparable("a captured token lies outside the bucket table")
    total = len(a.token_ids)
    forward, backward = np.empty(total, np.float32), np.empty(total, np.float32)
    with np.errstate(all="ignore"):
        for start in range(0, total, _CHUNK):
            span = slice(start, min(start + _CHUNK, total))
            forward[span], backward[span] = _chunk(a, b, span, table)
    return Divergence(forward, backward)


def _largest(block: LogprobBlock) -> int:
    return int(block.top_ids.max(initial=0))


def _filled(block: LogprobBlock, vocabulary: int) -> LogprobBlock:
    """The sketches with an id of its own, from `vocabulary` on, in each place that a small vocabulary left empty; those
    places hold no probability."""
    ids = block.top_ids.copy()
    rows, places = np.nonzero(ids == NO_TOKEN)
    ids[rows, places] = vocabulary + places
    return replace(block, top_ids=ids)


def _chunk(a: LogprobBlock, b: LogprobBlock, span: slice, table: Table) -> tuple[Floats, Floats]:
    common_a, common_b = _common(a.top_ids[span], b.top_ids[span])
    forward, backward = _tokens(_logprobs(a, span), common_a, _logprobs(b, span), common_b)
    error_a, p = _rest(a, span, common_a, table)
    error_b, q = _rest(b, span, common_b, table)
    ratio = p / q
    logs = np.log(ratio)
    excess = (q - p).sum(1)
    size = np.abs(logs)
    forward += _dot(p, logs) + excess
    backward -= _dot(q, logs) + excess
    forward -= _ROUNDING * (_dot(error_a, size) + _dot(error_b, np.abs(ratio - 1)))
    backward -= _ROUNDING * (_dot(error_b, size) + _dot(error_a, np.abs(1 / ratio - 1)))
    return np.maximum(forward, 0) * _SINGLE, np.maximum(backward, 0) * _SINGLE


def _dot(x: Floats, y: Floats) -> Floats:
    out: Floats = np.einsum("ij,ij->i", x, y)
    return out


def _logprobs(block: LogprobBlock, span: slice) -> Floats:
    return np.maximum(block.top_logprobs[span], _LEAST_LOGPROB)


def _common(a: Ids, b: Ids) -> tuple[Places, Places]:
    """Where the ids that rows of `a` [n, k] and `b` [n, m] share lie in each, as rising flat indices of equal count.

    Rows (rising ids) are merged by sorting, the side in the lowest bit, so that common ids become neighbors; an entry's
    place on one side is its place in the merge less the other side's entries before it.
    """
    merged = np.sort(np.concatenate([a << np.uint32(1), b << np.uint32(1) | np.uint32(1)], axis=1), axis=1)
    from_b = (merged & 1).astype(np.int32)
    pairs = np.zeros(merged.shape, bool)
    pairs[:, :-1] = (merged[:, 1:] ^ merged[:, :-1] == 1) & (from_b[:, :-1] == 0)
    at = np.flatnonzero(pairs)
    in_b: Places = np.cumsum(from_b.ravel(), dtype=np.intp)[at]
    return at - in_b, in_b


def _tokens(log_p: Floats, in_p: Places, log_q: Floats, in_q: Places) -> tuple[Floats, Floats]:
    """Σ p log(p/q) - p + q over the tokens told apart, both ways; each term is ≥ 0 whatever the totals are."""
    aligned = log_p.copy()
    aligned.ravel()[in_p] = log_q.ravel()[in_q]
    p, q, logs = np.exp(log_p), np.exp(aligned), log_p - aligned
    excess = (q - p).sum(1)
    return _dot(p, logs) + excess, -_dot(q, logs) - excess


def _rest(block: LogprobBlock, span: slice, common: Places, table: Table) -> tuple[Floats, Floats]:
    """Mass by bucket outside the common tokens, [rows, 256], and the part that 16-bit rounding is relative to."""
    residual = np.maximum(block.residual[span], _LEAST_RESIDUAL)[:, None]
    shares = block.buckets[span].astype(np.float32)
    ids = block.top_ids[span]
    own = np.ones(ids.size, bool)
    own[common] = False
    loose = np.flatnonzero(own)
    cells = loose // ids.shape[1] * MASS_BUCKETS + table[ids.ravel()[loose]]
    mass = np.maximum(shares, _SMALLEST_BUCKET)
    mass *= residual
    np.add.at(mass.reshape(-1), cells, np.exp(_logprobs(block, span).ravel()[loose]))
    np.maximum(shares, _SMALLEST_NORMAL, out=shares)
    shares *= residual
    return shares, mass
