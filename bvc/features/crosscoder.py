"""BatchTopK crosscoders: one code for two or more commits of one architecture (2504.02922)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bvc.errors import UsageError
from bvc.features.candidates import Candidates, living_rows
from bvc.features.cross_fit import CrossPlan, FittedCross, Progress, fit_cross
from bvc.features.paired import PairedSource
from bvc.features.scaling import latent_scaling


def fit_crosscoder(source: PairedSource, plan: CrossPlan, seed: int, progress: Progress | None = None) -> FittedCross:
    """Fit a crosscoder whose latents all read and write every side.

    Sides must be of one width: for models of two architectures see `bvc.features.dedicated`. The norms of its decoder
    rows say nothing about what is new; `bvc.features.scaling` and the gate do.
    """
    if len(source.widths) < 2 or len(set(source.widths)) != 1:
        raise UsageError(
            "a crosscoder needs two or more commits of one architecture",
            hint="models of different widths are compared by a dedicated crosscoder",
        )
    reach = torch.ones(len(source.widths), plan.latents, dtype=torch.bool)
    return fit_cross(source, reach, plan, seed, progress)


@dataclass(frozen=True)
class Crosscoder:
    """Looks for exclusive features by a crosscoder and Latent Scaling."""

    plan: CrossPlan

    def candidates(self, source: PairedSource, seed: int, progress: Progress | None = None) -> Candidates:
        """The living latents that Latent Scaling finds genuine for one of the sides."""
        fitted = fit_crosscoder(source, self.plan, seed, progress)
        coder, living = fitted.coder, ~fitted.dead
        sides, latents = [], []
        for side in range(len(source.widths)):
            genuine = (latent_scaling(coder, source, side).genuine() & living).nonzero().flatten()
            latents.append(genuine)
            sides.append(torch.full_like(genuine, side))
        rows = tuple(row for side, own in enumerate(latents) for row in coder.rows(side)[own])
        found = torch.cat(latents)
        claimed = torch.ones_like(found, dtype=torch.bool)
        return Candidates(coder, source, found, torch.cat(sides), rows, claimed, living_rows(fitted))
