"""Distances of two captures in every channel, probe by probe, from evidence that is streamed in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bvc.compare.activation import Movement, shifts
from bvc.compare.logprob import Table, divergence
from bvc.compare.pairing import ACTIVATION, LOGPROB, TEXT, PairedBlock, Terms
from bvc.compare.shared_phrases import shared_phrases
from bvc.compare.substance import substance_distances
from bvc.compare.text import text_distance
from bvc.evidence import LogprobBlock
from bvc.records import Generation, Outputs

ByProbe = dict[str, float]
Mask = npt.NDArray[np.bool_]


@dataclass
class Distances:
    """`{probe id: number}` per channel, per activation site, and for the ranking.

    For the ranking: `first`, the divergence of the first token, and `peak`, that of the token where it is largest
    (nats); `beyond_shift`, how far the last prompt token's state at the deepest hookpoint moved beyond the common shift
    (relative distance); `substance`, how far the meaning of the greedy text moved (0 to 1); `phrases`, how much that
    text gained or lost in common with others (`shared_phrases`).
    Channels: text, word-level edit distance (0 to 1); logprob, mean over the reference of the average of both KL
    bounds (nats per token; where tokenizers differ, the difference of log-prob per character); activation, mean over
    sites of the relative distance (0 to 2). A probe that a channel cannot compare is missing there; `broken` are those
    with numbers that are not finite, in a channel or site where they are missing for that.
    """

    channels: dict[str, ByProbe] = field(default_factory=dict)
    sites: dict[str, ByProbe] = field(default_factory=dict)
    first: ByProbe = field(default_factory=dict)
    peak: ByProbe = field(default_factory=dict)
    beyond_shift: ByProbe = field(default_factory=dict)
    substance: ByProbe = field(default_factory=dict)
    phrases: ByProbe = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)


@dataclass
class Moved:
    """Hidden states of a whole suite: those of the probes in `unmoved` are equal on both sides."""

    movement: Movement = field(default_factory=Movement)
    unmoved: list[str] = field(default_factory=list)


def measure(
    texts: Mapping[str, tuple[Outputs, Outputs]],
    blocks: Iterable[PairedBlock],
    terms: Terms,
    moved: Moved | None = None,
) -> Distances:
    """All distances between the first and the second of each pair, under `terms`; `blocks` is read once. What moved
    where is left in `moved`."""
    distances = Distances()
    if TEXT in terms.channels:
        _add_texts(texts, terms, distances)
    moved = Moved() if moved is None else moved
    for block in blocks:
        if LOGPROB in terms.channels:
            _add_logprobs(block, terms, distances)
        if ACTIVATION in terms.channels:
            _add_activations(block, terms, moved, distances)
    _finish_activations(moved, distances, terms)
    return distances


def _add_texts(texts: Mapping[str, tuple[Outputs, Outputs]], terms: Terms, distances: Distances) -> None:
    distances.channels[TEXT] = {p: greedy_distance(a.greedy, b.greedy, terms.recut) for p, (a, b) in texts.items()}
    if not terms.ranked:
        return
    greedy = {p: (a.greedy.text, b.greedy.text) for p, (a, b) in texts.items()}
    differing = [p for p, (a, b) in greedy.items() if a != b]
    cuts = [tuple(o.greedy.finish == "length" for o in texts[p]) for p in differing]
    found = substance_distances([greedy[p] for p in differing], cuts=[(a, b) for a, b in cuts])
    distances.substance = dict.fromkeys(greedy, 0.0) | dict(zip(differing, found.tolist(), strict=True))
    distances.phrases = shared_phrases(greedy)


def gaps(distances: Distances, terms: Terms) -> list[str]:
    """Sentences about probes and channels that turned out not to be comparable once the evidence was read."""
    out: list[str] = []
    scored = distances.channels.get(LOGPROB, {})
    along = {probe for probe, reference in terms.references.items() if reference.text or reference.end}
    missing = len(along - scored.keys() - distances.broken) if LOGPROB in terms.channels else 0
    if missing:
        what = "1 reference is" if missing == 1 else f"{missing} references are"
        out.append(f"{what} not scored along the same tokens on both sides: log-probs are not compared there")
    if ACTIVATION in terms.channels and ACTIVATION not in distances.channels:
        out.append("the models have no hookpoint of equal width in common: activations are not compared")
    if distances.broken:
        out.append(f"{len(distances.broken)} probes hold numbers that are not finite: those are not compared")
    return out


def greedy_distance(a: Generation, b: Generation, recut: bool) -> float:
    """Distance of two greedy texts; with `recut` (unlike limits) the longer is cut where the other met its limit."""
    text_a, text_b = a.text, b.text
    if recut:
        short = min(len(text_a), len(text_b))
        if (a if len(text_a) == short else b).finish == "length":
            text_a, text_b = text_a[:short], text_b[:short]
    return text_distance(text_a, text_b)


def _add_logprobs(block: PairedBlock, terms: Terms, distances: Distances) -> None:
    kept = np.array([p in terms.references for p in block.ids], bool)
    a, b, ids = block.a.logprob, block.b.logprob, _chosen(block.ids, kept)
    means = distances.channels.setdefault(LOGPROB, {})
    if block.identical:
        means.update(dict.fromkeys(ids, 0.0))
        distances.first.update(dict.fromkeys(ids, 0.0))
        distances.peak.update(dict.fromkeys(ids, 0.0))
    elif a is None or b is None:
        return
    elif terms.table is None:
        _per_character(select(a, kept), select(b, kept), ids, distances)
    else:
        _per_position(*aligned(select(a, kept), select(b, kept), ids), terms.table, distances)


def _chosen(ids: Sequence[str], kept: Mask) -> list[str]:
    return [p for p, k in zip(ids, kept, strict=True) if k]


def _per_character(a: LogprobBlock, b: LogprobBlock, ids: list[str], distances: Distances) -> None:
    gap = np.abs(_rate(a) - _rate(b))
    finite = np.isfinite(gap)
    distances.channels[LOGPROB].update(_table(ids, gap, finite))
    distances.broken.update(_chosen(ids, ~finite))


def _rate(block: LogprobBlock) -> npt.NDArray[np.float64]:
    """Log-probability of each probe's reference per character of the part that was scored, [n]; NaN where a position's
    is not finite."""
    finite = np.isfinite(block.target)
    total: npt.NDArray[np.float64] = _sums(np.where(finite, block.target, 0), block.lengths)
    total[_sums(~finite, block.lengths) > 0] = np.nan
    return total / np.maximum(_sums(block.characters, block.lengths), 1)


def _per_position(a: LogprobBlock, b: LogprobBlock, ids: list[str], table: Table, distances: Distances) -> None:
    if not ids:
        return
    bounds = divergence(a, b, table)
    both = (bounds.forward + bounds.backward) / 2
    odd = ~np.isfinite(both)
    both[odd] = 0  # kept out of running sums, where it would reach every later probe
    finite = _sums(odd, a.lengths) == 0
    distances.channels[LOGPROB].update(_table(ids, _sums(both, a.lengths) / a.lengths, finite))
    starts = np.cumsum(a.lengths) - a.lengths
    distances.first.update(_table(ids, both[starts], finite))
    distances.peak.update(_table(ids, np.maximum.reduceat(both, starts), finite))
    distances.broken.update(_chosen(ids, ~finite))


def _table(ids: list[str], values: npt.NDArray[np.floating], kept: Mask) -> ByProbe:
    return dict(zip(_chosen(ids, kept), values[kept].tolist(), strict=True))


def _sums(values: npt.NDArray[Any], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Sum over each probe's positions, [n]; 0 for a probe without any."""
    running = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.cumsum(lengths)
    out: npt.NDArray[np.float64] = running[ends] - running[ends - lengths]
    return out


def aligned(a: LogprobBlock, b: LogprobBlock, ids: list[str]) -> tuple[LogprobBlock, LogprobBlock, list[str]]:
    """Both blocks cut to the probes that run along the same, non-empty, tokens."""
    kept = (a.lengths == b.lengths) & (a.lengths > 0)
    a, b, ids = select(a, kept), select(b, kept), _chosen(ids, kept)
    if np.array_equal(a.token_ids, b.token_ids):
        return a, b, ids
    same = _sums(a.token_ids != b.token_ids, a.lengths) == 0
    return select(a, same), select(b, same), _chosen(ids, same)


def select(block: LogprobBlock, kept: Mask) -> LogprobBlock:
    """Only the probes in `kept` [n]."""
    if kept.all():
        return block
    positions = np.repeat(kept, block.lengths)
    chosen = {name: getattr(block, name)[positions] for name in block.FIELDS}
    return replace(block, lengths=block.lengths[kept], **chosen)


def _add_activations(block: PairedBlock, terms: Terms, moved: Moved, distances: Distances) -> None:
    a, b, ids = block.a.activation, block.b.activation, list(block.ids)
    if block.identical:
        moved.unmoved.extend(ids)
    elif a is not None and b is not None:
        for site, shift in shifts(a, b).items():
            along = np.array([p not in terms.apart or not site.endswith("/reference") for p in ids], bool)
            finite = np.isfinite(shift.distance)
            distances.broken.update(_chosen(ids, along & ~finite))
            moved.movement.add(site, _chosen(ids, along & finite), shift.rows(along & finite))


def _finish_activations(moved: Moved, distances: Distances, terms: Terms) -> None:
    """Sites and their mean from what was gathered; unmoved probes are 0 everywhere."""
    movement, unmoved = moved.movement, moved.unmoved
    still = dict.fromkeys(unmoved, 0.0)
    for site in sorted(movement.ids):
        distances.sites[site] = movement.raw(site) | still
    at_prompt = [site for site in distances.sites if site.endswith("/prompt")]
    if terms.ranked and at_prompt:
        distances.beyond_shift = movement.beyond_shift(at_prompt[-1], unmoved)
    if unmoved or movement.ids:
        distances.channels[ACTIVATION] = _means([*distances.sites.values(), still])


def _means(tables: list[ByProbe]) -> ByProbe:
    """Mean of each probe over the tables that have it."""
    gathered: dict[str, list[float]] = {}
    for table in tables:
        for probe, value in table.items():
            gathered.setdefault(probe, []).append(value)
    return {probe: sum(values) / len(values) for probe, values in gathered.items()}
