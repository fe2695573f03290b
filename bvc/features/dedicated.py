"""Dedicated Feature Crosscoders (2602.11729): a few latents belong to one model by construction, for two models of any
architectures.

Exclusive latents read and write their own model only: the forbidden blocks of encoder and decoder are exactly 0 from
the first step to the last. That alone shows nothing: exclusive latents are filled even for one model against itself,
and with latents to spare true exclusive features settle among the shared ones, with a row of nearly 0 on one side.
So every latent is a candidate here, and the gate decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bvc.errors import UsageError
from bvc.features.candidates import Candidates, offered
from bvc.features.cross_fit import CrossPlan, FittedCross, Progress, fit_cross
from bvc.features.paired import PairedSource

EXCLUSIVE_SHARE = 0.05


def partition(latents: int, share: float = EXCLUSIVE_SHARE, sides: int = 2) -> Tensor:
    """Which sides each latent reaches [sides, latents] bool: for each side in turn `share` of the latents (one at
    least) that reach it alone, then the shared ones."""
    slots = max(1, round(share * latents))
    if share <= 0 or slots * sides >= latents:
        raise UsageError("exclusive latents must leave some that are shared")
    reach = torch.ones(sides, latents, dtype=torch.bool)
    for side in range(sides):
        reach[:, side * slots : (side + 1) * slots] = False
        reach[side, side * slots : (side + 1) * slots] = True
    return reach


def fit_dedicated(
    source: PairedSource,
    plan: CrossPlan,
    seed: int,
    progress: Progress | None = None,
    *,
    share: float = EXCLUSIVE_SHARE,
) -> FittedCross:
    """Fit a crosscoder with dedicated latents. The published settings are those of `CrossPlan`."""
    if len(source.widths) < 2:
        raise UsageError("a crosscoder needs the activations of two models or more")
    return fit_cross(source, partition(plan.latents, share, len(source.widths)), plan, seed, progress)


@dataclass(frozen=True)
class Dedicated:
    """Looks for exclusive features by a Dedicated Feature Crosscoder; its own claim is the exclusive latents."""

    plan: CrossPlan
    share: float = EXCLUSIVE_SHARE

    def candidates(self, source: PairedSource, seed: int, progress: Progress | None = None) -> Candidates:
        """Every living latent."""
        fitted = fit_dedicated(source, self.plan, seed, progress, share=self.share)
        return offered(fitted, source, fitted.coder.reach.sum(dim=0) == 1)
