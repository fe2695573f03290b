"""diff-SAE: a sparse autoencoder of what changed, x_b - x_a at the same tokens of two commits of one architecture.

Good at changes that happen only sometimes (2605.07324). Where nothing changed there is nothing to fit. A latent of
the difference can stand for something that both models have and one has stronger; Latent Scaling on the activations
themselves says whose it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor

from bvc.errors import UsageError
from bvc.features.candidates import Candidates, living_rows
from bvc.features.cross_fit import CrossCoder, CrossPlan, FittedCross, Progress, fit_cross
from bvc.features.paired import ChangedSource, PairedSource
from bvc.features.scaling import ERROR_LIMIT, ScalingSums


def difference_source(source: PairedSource) -> ChangedSource:
    """The differences, second side less first, of a source with two sides of one width."""
    if len(source.widths) != 2 or source.widths[0] != source.widths[1]:
        raise UsageError("a difference needs two commits of one architecture")
    return ChangedSource(source, source.widths[:1], _difference)


def fit_difference(
    source: PairedSource, plan: CrossPlan, seed: int, progress: Progress | None = None
) -> FittedCross | None:
    """Fit an autoencoder of the differences; None where no row differs.

    No row is left out for its norm, whatever `plan.limit` says: in most rows nothing changes, and a row in which
    something does is an outlier.
    """
    differences = difference_source(source)
    if not any(bool(batch.sides[0].any()) for batch in differences.batches(None)):
        return None
    reach = torch.ones(1, plan.latents, dtype=torch.bool)
    return fit_cross(differences, reach, replace(plan, limit=inf), seed, progress)


def coded_sides(coder: CrossCoder, sides: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What `coder` encodes of the activations of two sides: themselves, or their difference if it has one side."""
    return sides if len(coder.widths) == len(sides) else _difference(sides)


@torch.no_grad()
def activation_scaling(coder: CrossCoder, source: PairedSource) -> Tensor:
    """How much of each latent of a coder of differences is in the activations of either side: betas [2, m] by Latent
    Scaling with an intercept, the second less the first about 1."""
    sums = ScalingSums(), ScalingSums()
    for batch in source.batches(None):
        codes = coder.encode(_difference(batch.sides))
        for side, x in zip(sums, batch.sides, strict=True):
            side.add(codes, x)
    return torch.stack([side.beta(coder.rows(0), intercept=True) for side in sums])


@dataclass(frozen=True)
class Difference:
    """Looks for exclusive features by an autoencoder of differences and Latent Scaling on the activations."""

    plan: CrossPlan

    def candidates(self, source: PairedSource, seed: int, progress: Progress | None = None) -> Candidates | None:
        """The living latents of which one side has less than a fifth of what the other has; None if nothing differs."""
        fitted = fit_difference(source, self.plan, seed, progress)
        if fitted is None:
            return None
        coder = fitted.coder
        used = activation_scaling(coder, source).abs()
        share = used.amin(dim=0) / used.amax(dim=0)
        found = ((share < ERROR_LIMIT) & ~fitted.dead).nonzero().flatten()
        sides, rows = used.argmax(dim=0)[found], tuple(coder.rows(0)[found])
        claimed = torch.ones_like(found, dtype=torch.bool)
        spread = living_rows(fitted) * 2
        return Candidates(coder, difference_source(source), found, sides, rows, claimed, spread)


def _difference(sides: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (sides[1].float() - sides[0].float(),)
