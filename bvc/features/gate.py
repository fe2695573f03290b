"""The ridge gate: can a latent's code be read off the other model's activations as well as off its own?

    nu = R2(code from the other model's activations) / R2(code from the model's own)

both by ridge regression that is fitted on one half of the texts and judged on the other. A feature that only one model
has is not linearly readable in the other (nu near 0); a latent that a coder put on one side although both models have
it, is (nu near 1, also where one model is a linear map of the other). A latent is called exclusive only where the whole
interval of nu is below the limit. Sparse codes are never quite linear in activations, hence the ratio.

What the gate cannot see: a feature that both models have but use for different things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

import torch
from torch import Tensor

BLOCKS = 256
"""Texts are thrown into so many blocks; even ones are fitted on (every fourth of them chooses the penalty), odd ones
judge. The blocks are the units of the bootstrap, so memory does not grow with the texts."""
PENALTIES = tuple(10.0**power for power in range(-7, 3))
"""Candidates, as multiples of the mean variance of the activations' dimensions."""
MIX = 0x9E3779B1
_SUMS = ("gram", "cross", "side", "code", "power", "fired")


class Standing(StrEnum):
    """What the gate says of a latent."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class GatePlan:
    """`limit` of nu; `confidence` of its interval; the `firings` that a latent needs in each half to be judged at all;
    bootstrap `draws` and their `seed`."""

    limit: float = 0.5
    confidence: float = 0.95
    firings: int = 20
    draws: int = 2000
    seed: int = 0


@dataclass(frozen=True)
class Gated:
    """One latent at the gate: nu with its interval (infinite where the bootstrap cannot bound it, nan where there was
    nothing to compute), the two R2 on the held-out half, and how often the latent fires there."""

    standing: Standing
    nu: float
    low: float
    high: float
    own: float
    other: float
    firings: int


@dataclass(frozen=True)
class GateBatch:
    """Rows to judge by: `codes` [n, c] of the latents, activations `own` [n, d] and `other` [n, e], `texts` [n]."""

    codes: Tensor
    own: Tensor
    other: Tensor
    texts: Tensor


Batches = Callable[[], Iterable[GateBatch]]
"""Starts a pass over the rows, the same each time."""


@torch.no_grad()
def gate(batches: Batches, plan: GatePlan | None = None) -> list[Gated]:
    """Judge the latents whose codes `batches` has, in two passes. Empty where there are no rows or no latents."""
    chosen = plan or GatePlan()
    fit = _fit(batches)
    if fit is None:
        return []
    own, other, mean, fired = fit
    sums = _Held(mean)
    for batch in batches():
        sums.add(batch, own, other)
    return sums.judge(fired, chosen)


def _fit(batches: Batches) -> tuple[_Map, _Map, Tensor, Tensor] | None:
    """First pass: ridge maps from both sides, the codes' means and their firings in the half fitted on."""
    own = (_Moments(), _Moments())
    other = (_Moments(), _Moments())
    for batch in batches():
        block = blocks_of(batch.texts)
        for part, chosen in enumerate(((block % 2 == 0) & (block % 8 != 0), block % 8 == 0)):
            codes = batch.codes[chosen].double()
            own[part].add(batch.own[chosen].double(), codes)
            other[part].add(batch.other[chosen].double(), codes)
    if not own[0].rows or not own[1].rows or not own[0].code.numel():
        return None
    mean = (own[0].code + own[1].code) / (own[0].rows + own[1].rows)
    return _ridge(*own), _ridge(*other), mean, own[0].fired + own[1].fired


def blocks_of(texts: Tensor) -> Tensor:
    """The block [n] (0 … BLOCKS - 1) of each text number [n]: scattered, and the same in every pass."""
    return ((texts.long() * MIX) & 0xFFFFFFFF) // (2**32 // BLOCKS)


class _Moments:
    """Sums of activations x [n, d] and codes f [n, c] that a regression needs."""

    def __init__(self) -> None:
        self.rows = 0
        self.gram = self.cross = self.side = self.code = self.power = self.fired = torch.zeros(0)

    def add(self, x: Tensor, f: Tensor) -> None:
        """Takes in further rows."""
        self._take(len(x), (x.T @ x, x.T @ f, x.sum(0), f.sum(0), f.square().sum(0), (f > 0).sum(0)))

    def _take(self, rows: int, sums: Sequence[Tensor]) -> None:
        for name, more in zip(_SUMS, sums, strict=True):
            setattr(self, name, getattr(self, name) + more if self.rows else more)
        self.rows += rows

    def about(self, x_mean: Tensor, f_mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Second moments about the given means: x with x [d, d], x with f [d, c], f with itself [c]."""
        gram = self.gram - torch.outer(self.side, x_mean) - torch.outer(x_mean, self.side)
        cross = self.cross - torch.outer(self.side, f_mean) - torch.outer(x_mean, self.code)
        power = self.power - 2 * f_mean * self.code + self.rows * f_mean.square()
        return (
            gram + self.rows * torch.outer(x_mean, x_mean),
            cross + self.rows * torch.outer(x_mean, f_mean),
            power,
        )

    def __add__(self, more: _Moments) -> _Moments:
        both = _Moments()
        for part in (self, more):
            both._take(part.rows, [getattr(part, name) for name in _SUMS])
        return both


@dataclass(frozen=True)
class _Map:
    """A linear reading of codes off activations."""

    x_mean: Tensor
    f_mean: Tensor
    weights: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return (x.double() - self.x_mean) @ self.weights + self.f_mean


def _ridge(fit: _Moments, check: _Moments) -> _Map:
    """Ridge with the penalty that does best on `check`, then fitted again on both.

    One penalty for all latents of a side: chosen latent by latent it follows chance, and intervals of nu come out far
    too narrow. A latent counts by how often it fires.
    """
    means = fit.side / fit.rows, fit.code / fit.rows
    values, vectors, cross = _spectrum(fit, *means)
    gram_c, cross_c, power_c = check.about(*means)
    gram_c, cross_c = vectors.T @ gram_c @ vectors, vectors.T @ cross_c
    missed = []
    for penalty in PENALTIES:
        w = cross / (values + penalty * values.mean())[:, None]
        left = power_c - 2 * (w * cross_c).sum(0) + (w * (gram_c @ w)).sum(0)
        missed.append(float((left / power_c * check.fired).nansum()))
    best = PENALTIES[missed.index(min(missed))]
    both = fit + check
    means = both.side / both.rows, both.code / both.rows
    values, vectors, cross = _spectrum(both, *means)
    return _Map(*means, vectors @ (cross / (values + best * values.mean())[:, None]))


def _spectrum(sums: _Moments, x_mean: Tensor, f_mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues [d] and vectors [d, d] of the activations' scatter, and x with f in that basis [d, c]."""
    gram, cross, _ = sums.about(x_mean, f_mean)
    values, vectors = torch.linalg.eigh(gram)
    floor = torch.finfo(values.dtype).tiny
    return values.clamp_min(floor), vectors, vectors.T @ cross


class _Held:
    """Second pass: what each reading misses on the held-out half, summed by block."""

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean
        self.sums = mean.new_zeros(3, BLOCKS, len(mean))
        self.fired = torch.zeros(len(mean), dtype=torch.int64, device=mean.device)

    def add(self, batch: GateBatch, own: _Map, other: _Map) -> None:
        """Add the rows of a batch that are in odd blocks."""
        blocks = blocks_of(batch.texts)
        held = blocks % 2 == 1
        codes, blocks = batch.codes[held].double(), blocks[held]
        made = (self.mean, own(batch.own[held]), other(batch.other[held]))
        for part, guess in enumerate(made):
            self.sums[part].index_add_(0, blocks, (codes - guess).square())
        self.fired += (codes > 0).sum(0)

    def judge(self, fired: Tensor, plan: GatePlan) -> list[Gated]:
        """The verdict of each latent; `fired` [c] is how often it did in the half that was fitted on."""
        sums = self.sums[:, 1::2]
        total, own, other = sums.sum(dim=1)
        nu, tail = (total - other) / (total - own), (1 - plan.confidence) / 2
        low, high = _bootstrap(sums, tail, plan)
        columns = torch.stack((nu, low, high, 1 - own / total, 1 - other / total), dim=-1)
        least = torch.minimum(fired, self.fired).tolist()
        return [
            _gated(row, firings, enough >= plan.firings, plan.limit)
            for row, firings, enough in zip(columns.tolist(), self.fired.tolist(), least, strict=True)
        ]


def _bootstrap(sums: Tensor, tail: float, plan: GatePlan) -> tuple[Tensor, Tensor]:
    """Percentile interval of nu [c] over draws of the blocks [3, blocks, c] with replacement. Draws in which the own
    side explains nothing count as unbounded above."""
    blocks = sums.shape[1]
    generator = torch.Generator().manual_seed(plan.seed)
    drawn = torch.randint(blocks, (plan.draws, blocks), generator=generator)
    weights = torch.zeros(plan.draws, blocks).scatter_add_(1, drawn, torch.ones(plan.draws, blocks)).to(sums)
    lows, highs = [], []
    ends = torch.tensor([tail, 1 - tail]).to(sums)
    for part in torch.split(sums, 1024, dim=2):
        total, own, other = weights @ part
        nu = ((total - other) / (total - own)).where(total > own, float("inf"))
        low, high = nu.quantile(ends, dim=0, interpolation="higher")
        lows.append(low)
        highs.append(high)
    return torch.cat(lows), torch.cat(highs)


def _gated(row: Sequence[float], firings: int, enough: bool, limit: float) -> Gated:
    nu, low, high, own, other = row
    standing = Standing.UNDECIDED
    if enough and isfinite(nu) and own > 0:
        if high < limit:
            standing = Standing.EXCLUSIVE
        elif low >= limit:
            standing = Standing.SHARED
    return Gated(standing, nu, low, high, own, other, firings)
