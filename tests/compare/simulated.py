"""Simulated suites of sampled answers: the world of the table in docs/statistics.md, and its changes.

A probe's answers are right with a rate from Beta(.6, .6), and come in one of four wordings (rates: Dirichlet(1)); draws
are independent, 8 a side. With these shapes the published rules reach the powers they are reported to have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.draw_evidence import DrawEvidence, draw_evidence

SHAPE = 0.6
WORDINGS = 4
REWORDED = 0.75
DRAWS = 8

SAME = "same model"
TENTH = "10 % of probes −.5"
FEW = "2.5 % −.9"
ALL = "all −.03"
FLIPS = "balanced flips 10 % ±.5"
WORDED = "wording only 20 %"
COLUMNS = (SAME, TENTH, FEW, ALL, FLIPS, WORDED)

Floats = npt.NDArray[np.float64]
_TABLE_SIZE = 100_000
_NORMAL = np.sort(np.random.default_rng(0).normal(size=_TABLE_SIZE))


@dataclass(frozen=True)
class World:
    """Drawn answers of two commits: whether each is right and which wording it has, [probes, draws of both], a's first;
    `clusters` names each probe's."""

    right: npt.NDArray[np.bool_]
    wording: npt.NDArray[np.int64]
    clusters: Sequence[str] | None = None

    def counts(self) -> tuple[Floats, Floats]:
        """Right answers of each probe, a's and b's."""
        half = self.draws
        return self.right[:, :half].sum(1).astype(float), self.right[:, half:].sum(1).astype(float)

    @property
    def draws(self) -> int:
        """Of each side."""
        return self.right.shape[1] // 2

    def scores(self) -> list[tuple[list[float], list[float]]]:
        rows = self.right.astype(float).tolist()
        return [(row[: self.draws], row[self.draws :]) for row in rows]

    def texts(self) -> list[tuple[list[str], list[str]]]:
        """The answers in words."""
        rows = [
            [_text(probe, right, wording) for right, wording in zip(rights, wordings, strict=True)]
            for probe, (rights, wordings) in enumerate(zip(self.right.tolist(), self.wording.tolist(), strict=True))
        ]
        return [(row[: self.draws], row[self.draws :]) for row in rows]

    def evidence(self, *, scored: bool = True, clustered: bool = True) -> DrawEvidence:
        scores = self.scores() if scored else None
        return draw_evidence(self.texts(), scores=scores, clusters=self.clusters if clustered else None)


def _text(probe: int, right: bool, wording: int) -> str:
    answer = f"yes it is item {probe}" if right else f"no never item {probe}"
    return f"about topic {probe} {answer} said in way {wording} of {probe}"


def world(change: str, seed: int, probes: int = 200, draws: int = DRAWS) -> World:
    """A suite in which b differs from a by `change`, one of COLUMNS, with so many draws a side."""
    rng = np.random.default_rng([COLUMNS.index(change), seed, probes])
    a = rng.beta(SHAPE, SHAPE, probes)
    before = rng.dirichlet(np.ones(WORDINGS), probes)
    after = before.copy()
    if change == WORDED:
        moved = probes // 5
        after[:moved] = (1 - REWORDED) * before[:moved] + REWORDED * rng.dirichlet(np.ones(WORDINGS), moved)
    return _drawn(rng, (a, np.clip(a + _shift(change, probes), 0, 1)), (before, after), draws)


def _shift(change: str, probes: int) -> Floats:
    out = np.zeros(probes)
    tenth, half, few = probes // 10, probes // 20, probes // 40
    if change == ALL:
        out -= 0.03
    elif change == TENTH:
        out[:tenth] = -0.5
    elif change == FEW:
        out[:few] = -0.9
    elif change == FLIPS:
        out[:half], out[half:tenth] = -0.5, 0.5
    return out


def _drawn(
    rng: np.random.Generator, rates: tuple[Floats, Floats], wordings: tuple[Floats, Floats], draws: int = DRAWS
) -> World:
    """Draws of both sides: `rates` and `wordings` are a's and b's."""
    shape = len(rates[0]), 2 * draws
    right = rng.random(shape) < np.repeat(np.stack(rates, axis=1), draws, axis=1)
    return World(right, _wordings(rng.random(shape), *wordings))


def _wordings(uniform: Floats, before: Floats, after: Floats) -> npt.NDArray[np.int64]:
    draws = uniform.shape[1] // 2
    limits = np.stack([before.cumsum(1)] * draws + [after.cumsum(1)] * draws, axis=1)[:, :, :-1]
    out: npt.NDArray[np.int64] = (uniform[:, :, None] > limits).sum(2)
    return out


def clustered_null(seed: int, probes: int = 200, size: int = 10, icc: float = 0.7) -> World:
    """One model; draw k of a cluster's probes was made together: its answers have the intraclass correlation `icc`."""
    rng = np.random.default_rng([77, seed, probes])
    cluster = np.arange(probes) // size
    a, before = rng.beta(SHAPE, SHAPE, probes), rng.dirichlet(np.ones(WORDINGS), probes)
    right = _correlated(rng, cluster, icc) < a[:, None]
    return World(right, _wordings(_correlated(rng, cluster, icc), before, before), [f"c{c}" for c in cluster])


def _correlated(rng: np.random.Generator, cluster: npt.NDArray[np.int64], icc: float) -> Floats:
    """Uniform numbers [probes, draws] that a cluster's probes share in part (normal ones, by their distribution)."""
    shared = rng.normal(size=(cluster[-1] + 1, 2 * DRAWS))[cluster]
    own = rng.normal(size=shared.shape)
    return np.searchsorted(_NORMAL, np.sqrt(icc) * shared + np.sqrt(1 - icc) * own) / _TABLE_SIZE


def offset_null(seed: int, probes: int = 200, spread: float = 0.3, replicates: int = 5) -> tuple[World, list[float]]:
    """One model whose captures each have an offset of their own, common to all probes (on the scale of log odds, normal
    with standard deviation `spread`); and the overall shifts between `replicates` further pairs of captures."""
    rng = np.random.default_rng([78, seed, probes])
    a, before = rng.beta(SHAPE, SHAPE, probes), rng.dirichlet(np.ones(WORDINGS), probes)
    captured = [_captured(rng, a, spread) for _ in range(2 * replicates)]
    shifts = [float((rng.binomial(DRAWS, x) - rng.binomial(DRAWS, y)).mean() / DRAWS) for x, y in _in_pairs(captured)]
    return _drawn(rng, (_captured(rng, a, spread), _captured(rng, a, spread)), (before, before)), shifts


def _in_pairs(items: list[Floats]) -> list[tuple[Floats, Floats]]:
    return list(zip(items[::2], items[1::2], strict=True))


def _captured(rng: np.random.Generator, rates: Floats, spread: float) -> Floats:
    odds = rates / np.maximum(1 - rates, 1e-12) * np.exp(spread * rng.normal())
    return odds / (1 + odds)


def wilson_upper(hits: int, n: int) -> float:
    """Upper end of the 95 % interval of a rate (Wilson 1927), written out again here as a check."""
    z = 1.959964
    rate = hits / n
    return (rate + z * z / (2 * n) + z * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))) / (1 + z * z / n)
