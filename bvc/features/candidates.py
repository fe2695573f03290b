"""What a fit offers as features of one model only, before anything has judged it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bvc.features.cross_fit import CrossCoder, CrossPlan, FittedCross, Progress
from bvc.features.gate import GateBatch
from bvc.features.paired import PairedSource


@dataclass(frozen=True)
class Candidates:
    """Latents of a coder that may be of one side only. `latents` [c] are their numbers, `sides` [c] whose they would
    be, `rows[i]` the decoder row of candidate i in that side's units, `claimed` [c] whether the coder alone, without
    the gate, would call them exclusive; `spread[s]` [l, width of s] are the rows of all living latents."""

    coder: CrossCoder
    source: PairedSource
    """What the coder encodes: the pair, or for a coder of differences the differences."""
    latents: Tensor
    sides: Tensor
    rows: tuple[Tensor, ...]
    claimed: Tensor
    spread: tuple[Tensor, ...]

    def of(self, side: int) -> Tensor:
        """Places [k] in `latents` of the candidates of one side."""
        return (self.sides == side).nonzero().flatten()

    def judged(self, side: int, pair: PairedSource) -> Iterator[GateBatch]:
        """One pass of what the gate judges a side's candidates by: the other sides stand beside each other."""
        chosen = self.latents[self.of(side)]
        for coded, batch in zip(self.source.batches(None), pair.batches(None), strict=True):
            others = torch.cat([x for s, x in enumerate(batch.sides) if s != side], dim=-1)
            yield GateBatch(self.coder.encode(coded.sides)[:, chosen], batch.sides[side], others, batch.texts)


class Method(Protocol):
    """A way to look for exclusive features."""

    @property
    def plan(self) -> CrossPlan:
        """The settings of its fits."""
        ...

    def candidates(self, source: PairedSource, seed: int, progress: Progress | None = None) -> Candidates | None:
        """Fit once and say what might be exclusive; None where there is nothing to fit."""
        ...


def offered(fitted: FittedCross, source: PairedSource, claimed: Tensor) -> Candidates:
    """Every latent that is not dead, on the side where its decoder row is longest in common units; `claimed` [m]."""
    coder = fitted.coder
    parts = coder.parted(coder.decoder)
    sides = torch.stack([part.norm(dim=-1) for part in parts]).argmax(dim=0)
    latents = (~fitted.dead).nonzero().flatten()
    spread = living_rows(fitted)
    own = tuple(spread[side][place] for place, side in enumerate(sides[latents].tolist()))
    return Candidates(coder, source, latents, sides[latents], own, claimed[latents], spread)


def living_rows(fitted: FittedCross) -> tuple[Tensor, ...]:
    """Decoder rows [l, width] of the living latents on each side, in its units."""
    return tuple(fitted.coder.rows(side)[~fitted.dead] for side in range(len(fitted.coder.widths)))
