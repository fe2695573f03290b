"""What sampled answers say about two models, as small arrays that tests can relabel fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from bvc.compare.sketches import sketch

Texts = Sequence[str]
Scores = Sequence[float]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_COUPLED_SHARE = 0.1
_COUPLED_ERRORS = 3.0
_COUPLED_PROBES = 8
_AT_ONCE = 128


@dataclass(frozen=True)
class Block:
    """Probes that have `first` draws of a and `second` of b: positions `probes` [p] among those given, `scores`
    [p, first + second] (0 throughout where a probe has none: `scored` [p]) and which of all distinct texts each draw
    is, `texts` [p, first + second]; a's draws come first. `sketches` [distinct texts, WIDTH] is shared by all
    blocks."""

    probes: Ints
    first: int
    second: int
    scores: Floats
    scored: npt.NDArray[np.bool_]
    texts: Ints
    sketches: Floats

    @property
    def draws(self) -> int:
        """Draws of both sides."""
        return self.first + self.second

    def features(self, rows: Ints | slice = slice(None)) -> Floats:
        """Unit sketches of the draws of some of the probes, [p, draws, WIDTH]."""
        return self.sketches[self.texts[rows]]


@dataclass(frozen=True)
class DrawEvidence:
    """`blocks` hold the probes with draws on both sides, by their numbers of draws; `total` counts the probes given,
    `clusters` [total] numbers their clusters (a probe without one is its own). `scored`: there are scores. `coupled`:
    draw k of a and draw k of b used the same random numbers, so only whole pairs may be exchanged."""

    total: int
    blocks: tuple[Block, ...]
    clusters: Ints
    scored: bool
    coupled: bool

    @property
    def probes(self) -> int:
        """Probes with draws on both sides."""
        return sum(len(block.probes) for block in self.blocks)

    def rates(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean score of each probe on each side, [total] twice; NaN where a probe has no scores."""
        a, b = np.full(self.total, np.nan), np.full(self.total, np.nan)
        for block in self.blocks:
            rows = block.scored
            a[block.probes[rows]] = block.scores[rows, : block.first].mean(1)
            b[block.probes[rows]] = block.scores[rows, block.first :].mean(1)
        return a, b


def draw_evidence(
    pairs: Sequence[tuple[Texts, Texts]],
    *,
    scores: Sequence[tuple[Scores, Scores]] | None = None,
    clusters: Sequence[str | None] | None = None,
    coupled: bool | None = None,
) -> DrawEvidence:
    """The draws of each probe under a and under b, with their scores (0 to 1, as many as draws, or none for a probe)
    and clusters.

    Draw k of one probe and draw k of another in its cluster are taken as made together; a cluster's probes therefore
    keep the number of draws that all of them have. `coupled` says whether draws of the two sides share random numbers;
    None: it is read off the draws (pairs are much more alike than other draws of the same probe). Raises ValueError
    where scores do not fit the draws.
    """
    numbers = _cluster_numbers(clusters, len(pairs))
    shapes = _shapes(pairs, numbers, bool(coupled))
    blocks = _blocks(pairs, scores, shapes)
    if coupled is None and _look_coupled(blocks):
        return draw_evidence(pairs, scores=scores, clusters=clusters, coupled=True)
    return DrawEvidence(len(pairs), blocks, numbers, scores is not None, bool(coupled))


def _cluster_numbers(clusters: Sequence[str | None] | None, total: int) -> Ints:
    if clusters is None:
        return np.arange(total)
    if len(clusters) != total:
        raise ValueError("there must be one cluster (or None) for each probe")
    places: dict[object, int] = {}
    named = ((i,) if name is None else name for i, name in enumerate(clusters))
    return np.array([places.setdefault(name, len(places)) for name in named], np.int64)


def _shapes(pairs: Sequence[tuple[Texts, Texts]], clusters: Ints, coupled: bool) -> list[tuple[int, int]]:
    """How many draws of each side are used: what all probes of the cluster have; (0, 0) where a side has none."""
    shapes = [(len(a), len(b)) if len(a) and len(b) else (0, 0) for a, b in pairs]
    if coupled:
        shapes = [(min(shape),) * 2 for shape in shapes]
    if len(set(shapes) - {(0, 0)}) < 2:
        return shapes
    least: dict[int, tuple[int, int]] = {}
    for cluster, (n, m) in zip(clusters.tolist(), shapes, strict=True):
        if n:
            known = least.get(cluster, (n, m))
            least[cluster] = (min(known[0], n), min(known[1], m))
    return [least[c] if n else (0, 0) for c, (n, _) in zip(clusters.tolist(), shapes, strict=True)]


def _blocks(
    pairs: Sequence[tuple[Texts, Texts]],
    scores: Sequence[tuple[Scores, Scores]] | None,
    shapes: Sequence[tuple[int, int]],
) -> tuple[Block, ...]:
    texts: dict[str, int] = {}
    grouped: dict[tuple[int, int], list[int]] = {}
    for probe, shape in enumerate(shapes):
        if shape[0]:
            grouped.setdefault(shape, []).append(probe)
    rows = {
        (n, m): np.array(
            [texts.setdefault(t, len(texts)) for p in probes for t in chain(pairs[p][0][:n], pairs[p][1][:m])], np.int64
        ).reshape(len(probes), n + m)
        for (n, m), probes in grouped.items()
    }
    table = sketch(list(texts))
    return tuple(
        Block(
            np.array(probes),
            n,
            m,
            _score_rows(pairs, scores, probes, (n, m)),
            np.array([scores is not None and len(scores[p][0]) > 0 for p in probes]),
            rows[n, m],
            table,
        )
        for (n, m), probes in sorted(grouped.items())
    )


def _score_rows(
    pairs: Sequence[tuple[Texts, Texts]],
    scores: Sequence[tuple[Scores, Scores]] | None,
    probes: Sequence[int],
    shape: tuple[int, int],
) -> Floats:
    n, m = shape
    if scores is None:
        return np.zeros((len(probes), n + m), np.float32)
    for p in probes:
        sizes = len(scores[p][0]), len(scores[p][1])
        if sizes not in ((len(pairs[p][0]), len(pairs[p][1])), (0, 0)):
            raise ValueError(f"probe {p} has {sizes[0]} and {sizes[1]} scores, but another number of draws")
    blank = [0.0] * (n + m)
    rows = [[*scores[p][0][:n], *scores[p][1][:m]] or blank for p in probes]
    return np.array(rows, np.float32)


def _look_coupled(blocks: Sequence[Block]) -> bool:
    """Whether draws of equal number are more alike across the sides than draws of unequal number: by a tenth of what
    sets draws apart, and by three standard errors. Such a choice of the group of relabelings leaves the test its level:
    exchanging pairs is right whether or not draws are coupled, and it does not move this statistic."""
    found = [_alike(block) for block in blocks if min(block.first, block.second) > 1]
    own, other = np.concatenate([np.zeros((2, 0)), *found], axis=1)
    gap = own - other
    if len(gap) < _COUPLED_PROBES:
        return False
    error = gap.std() / np.sqrt(len(gap))
    return bool(gap.mean() > max(_COUPLED_SHARE * (1 - other).mean(), _COUPLED_ERRORS * error, 1e-6))


def _alike(block: Block) -> npt.NDArray[np.float64]:
    """How alike draws of equal and of unequal number are across the sides, on average, [2, probes]."""
    k = min(block.first, block.second)
    out = np.empty((2, len(block.probes)))
    for start in range(0, len(block.probes), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        features = block.features(rows)
        alike = np.matmul(features[:, :k], features[:, block.first : block.first + k].transpose(0, 2, 1))
        own = np.einsum("pkk->p", alike)
        out[0, rows], out[1, rows] = own / k, (alike.sum((1, 2)) - own) / (k * (k - 1))
    return out
