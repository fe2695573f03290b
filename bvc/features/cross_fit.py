"""One sparse code for the activations of several models, and the loop that fits it.

With the sides' activations beside each other a crosscoder is a sparse autoencoder, some of whose weights do not exist:
`reach` says which sides a latent reads and writes. All True is a crosscoder (2504.02922), one side a plain
autoencoder, rows with a single side the exclusive latents of a Dedicated Feature Crosscoder (2602.11729).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from math import inf

import torch
from torch import Tensor

from bvc.errors import UsageError
from bvc.features.batchtopk import auxiliary_loss, batch_top_k, least_kept
from bvc.features.paired import Norms, PairedSource, measure_norms
from bvc.features.schedule import annealed, drop_radial, rate_factor, unit_rows

CALIBRATION_BATCHES = 32
NEGLIGIBLE = 1e-6
"""Share of the variance below which dead latents are not asked to explain what is left."""
Progress = Callable[[int, int], None]
"""Called with the steps done and the steps to do."""


@dataclass(frozen=True)
class CrossPlan:
    """Settings of a fit: `latents` m; `k` latents per row on average, come down to from `first_k` over `anneal` steps
    (0: `first_k` latents is `k`); Adam at `rate`; `auxiliary` the weight of the dead latents' loss, in which each row
    uses `auxiliary_k` of them; a latent is dead that did not fire for `dead_after` rows; rows whose norm is above
    `limit` medians are left out."""

    latents: int
    k: int = 200
    first_k: int = 1000
    anneal: int = 5000
    steps: int = 50_000
    rate: float = 1e-4
    auxiliary: float = 0.03
    auxiliary_k: int = 512
    dead_after: int = 1_000_000
    limit: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.k <= self.latents or self.steps < 1:
            raise UsageError("a coder needs a step or more, and 0 < k <= latents")


@dataclass(frozen=True)
class CrossCoder:
    """A fitted code. `encoder` [D, m], `encoder_bias` [m], `decoder` [m, D], `decoder_bias` [D], where D is the sum of
    `widths`; `reach` [sides, m] bool: forbidden blocks of encoder and decoder are exactly 0.

    With x the sides, each times its scale, beside each other: f = (x - decoder_bias) @ encoder + encoder_bias where
    that is above `threshold`, else 0.
    """

    widths: tuple[int, ...]
    scales: tuple[float, ...]
    encoder: Tensor
    encoder_bias: Tensor
    decoder: Tensor
    decoder_bias: Tensor
    reach: Tensor
    threshold: float

    def encode(self, sides: tuple[Tensor, ...]) -> Tensor:
        """Latents [n, m] of activations [n, width] of each side."""
        beside = torch.cat([side.float() * scale for side, scale in zip(sides, self.scales, strict=True)], dim=-1)
        pre: Tensor = (beside - self.decoder_bias) @ self.encoder + self.encoder_bias
        return pre.where(pre > self.threshold, 0.0)

    def decode(self, latents: Tensor) -> tuple[Tensor, ...]:
        """Activations [n, width] of each side as latents [n, m] make them, in the sides' own units."""
        parts = self.parted(latents @ self.decoder + self.decoder_bias)
        return tuple(part / scale for part, scale in zip(parts, self.scales, strict=True))

    def rows(self, side: int) -> Tensor:
        """Decoder rows [m, width] of one side, in its own units: what one unit of a latent adds to its activations."""
        rows: Tensor = self.parted(self.decoder)[side] / self.scales[side]
        return rows

    def bias(self, side: int) -> Tensor:
        """What is decoded for one side where no latent fires [width], in its own units."""
        bias: Tensor = self.parted(self.decoder_bias)[side] / self.scales[side]
        return bias

    def parted(self, beside: Tensor) -> tuple[Tensor, ...]:
        """The sides' parts [..., width] of what has them beside each other [..., D], in common units."""
        return torch.split(beside, list(self.widths), dim=-1)


@dataclass(frozen=True)
class FittedCross:
    """A coder and how good it is on the rows it was fitted on: the share of each side's variance that it explains, the
    mean number of latents per row, and which latents [m] never fired in the last rows."""

    coder: CrossCoder
    explained: tuple[float, ...]
    active: float
    dead: Tensor


def fit_cross(
    source: PairedSource, reach: Tensor, plan: CrossPlan, seed: int, progress: Progress | None = None
) -> FittedCross:
    """Fit a coder whose latents reach the sides that `reach` [sides, latents] says, on the device of the activations.

    Seeded: the same source, plan and seed give the same coder on the same machine. Raises UsageError for a source
    without usable rows.
    """
    norms = measure_norms(source, plan.limit)
    trainer = _Trainer(norms, source.widths, reach, plan, seed)
    for step, rows in enumerate(islice(_endless(source, norms, seed), plan.steps)):
        trainer.step(step, rows)
        if progress is not None:
            progress(step + 1, plan.steps)
    coder = trainer.coder(source)
    return _assessed(coder, source, norms, trainer.silent > plan.dead_after)


def _endless(source: PairedSource, norms: Norms, seed: int) -> Iterator[Tensor]:
    """Scaled rows of pass after pass, each in another order."""
    for epoch in count():
        empty = True
        for batch in source.batches(seed * 1_000_003 + epoch):
            rows = norms.scaled(batch.sides)
            if len(rows):
                empty = False
                yield rows
        if empty:
            raise UsageError("every row of the activations is an outlier or not finite")


class _Trainer:
    """Weights, optimizer and what is known of dead latents."""

    def __init__(self, norms: Norms, widths: tuple[int, ...], reach: Tensor, plan: CrossPlan, seed: int) -> None:
        device = norms.means[0].device
        self.norms, self.widths, self.plan = norms, widths, plan
        self.reach = reach.to(device)
        self.mask = torch.cat([side[:, None].expand(-1, w) for side, w in zip(self.reach, widths, strict=True)], -1)
        center = torch.cat([mean * scale for mean, scale in zip(norms.means, norms.scales, strict=True)])
        decoder = torch.randn(self.mask.shape, generator=torch.Generator().manual_seed(seed)).to(device) * self.mask
        unit_rows(decoder)
        self.weights = [decoder.T.clone(), torch.zeros(plan.latents, device=device), decoder, center]
        for weight in self.weights:
            weight.requires_grad_()
        self.optimizer = torch.optim.Adam(self.weights, lr=plan.rate, betas=(0.9, 0.999))
        self.silent = torch.zeros(plan.latents, dtype=torch.int64, device=device)

    def pre(self, rows: Tensor) -> Tensor:
        """Values [n, m] before the choice."""
        encoder, bias, _, center = self.weights
        return (rows - center) @ (encoder * self.mask.T) + bias

    def step(self, step: int, rows: Tensor) -> None:
        """One step of Adam on `rows` [n, D]."""
        plan = self.plan
        _, _, raw, center = self.weights
        k = annealed(step, max(plan.first_k, plan.k), plan.k, plan.anneal)
        pre, decoder = self.pre(rows), raw * self.mask
        latents = batch_top_k(pre, round(min(k, plan.latents) * len(rows)))
        error = rows - center - latents @ decoder
        # Not this batch's own energy: one in which nothing varies (differences mostly do not) must count for little.
        energy = max(self.norms.variance, NEGLIGIBLE * self.norms.common**2) * len(rows)
        dead = self.silent > plan.dead_after
        help_dead = auxiliary_loss(error, pre, dead, decoder, plan.auxiliary_k, least=NEGLIGIBLE * energy)
        loss = error.square().sum() / energy + plan.auxiliary * help_dead
        self._update(loss, rate_factor(step, plan.steps))
        fired = (latents > 0).any(dim=0)
        self.silent = torch.where(fired, 0, self.silent + len(rows))

    def _update(self, loss: Tensor, factor: float) -> None:
        decoder = self.weights[2]
        for weight, gradient in zip(self.weights, torch.autograd.grad(loss, self.weights), strict=True):
            weight.grad = gradient
            if weight is decoder:
                drop_radial(decoder, gradient)
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate * factor
        self.optimizer.step()
        unit_rows(decoder)

    @torch.no_grad()
    def coder(self, source: PairedSource) -> CrossCoder:
        """The coder as it stands, with the threshold that keeps k latents per row on average."""
        encoder, bias, decoder, center = (weight.detach() for weight in self.weights)
        floors = []
        for batch in islice(source.batches(None), CALIBRATION_BATCHES):
            rows = self.norms.scaled(batch.sides)
            if len(rows):
                floors.append(least_kept(self.pre(rows), self.plan.k * len(rows)))
        finite = [floor for floor in floors if floor < inf]
        threshold = sum(finite) / len(finite) if finite else 0.0
        return CrossCoder(self.widths, self.norms.scales, encoder, bias, decoder, center, self.reach, threshold)


@torch.no_grad()
def _assessed(coder: CrossCoder, source: PairedSource, norms: Norms, dead: Tensor) -> FittedCross:
    """How much of each side's variance about its mean the coder explains on the first batches."""
    missed, total = [0.0] * len(coder.widths), [0.0] * len(coder.widths)
    fired, rows = 0, 0
    for batch in islice(source.batches(None), CALIBRATION_BATCHES):
        kept = norms.kept(batch.sides)
        sides = tuple(side[kept].float() for side in batch.sides)
        latents = coder.encode(sides)
        fired, rows = fired + int((latents > 0).sum()), rows + len(latents)
        for s, (side, made) in enumerate(zip(sides, coder.decode(latents), strict=True)):
            missed[s] += float((side - made).square().sum())
            total[s] += float((side - norms.means[s]).square().sum())
    explained = tuple(1 - lost / all_ if all_ else 0.0 for lost, all_ in zip(missed, total, strict=True))
    return FittedCross(coder, explained, fired / max(rows, 1), dead)
