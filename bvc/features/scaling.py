"""Latent Scaling: how much of a latent each model really uses (Minder et al., 2504.02922).

For a latent with codes f [n] and decoder row d [w], and activations Y [n, w], the beta of

    sum over rows of |beta f_i d - Y_i|^2

is least at beta = d.(Y'f) / (|f|^2 |d|^2). With d the row of the model in question, it is computed for every model on
what the other latents leave (its error, the latent's own contribution put back) and on the reconstruction. nu is
another model's beta as a share of that model's own: near 1 where both use the latent, near 0 where only one does.
Norms of decoder rows cannot tell: a sparse fit shrinks them to 0 for features that both have.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bvc.features.cross_fit import CrossCoder
from bvc.features.paired import PairedSource

ERROR_LIMIT = 0.2
RECONSTRUCTION_LIMIT = 0.5
"""Limits of nu below which a latent is taken for genuine (2504.02922)."""


class ScalingSums:
    """The sums of Latent Scaling over a stream: add batches, then ask for the betas."""

    def __init__(self) -> None:
        self.rows = 0
        self._cross = self._target = self._code = self._power = torch.zeros(())

    def add(self, codes: Tensor, target: Tensor) -> None:
        """Add rows: `codes` [n, m] and `target` [n, w]. Summed in float64."""
        f, y = codes.double(), target.double()
        self.rows += len(f)
        self._cross = self._cross.to(f.device) + y.T @ f
        self._target = self._target.to(f.device) + y.sum(0)
        self._code = self._code.to(f.device) + f.sum(0)
        self._power = self._power.to(f.device) + f.square().sum(0)

    def beta(self, rows: Tensor, *, intercept: bool = False) -> Tensor:
        """Betas [m] (float64) along the decoder `rows` [m, w]; nan for a latent that never fires.

        With `intercept` a constant vector is fitted beside each latent, so that the targets' mean does not count.
        """
        cross, power = self._cross, self._power
        if intercept:
            cross = cross - torch.outer(self._target, self._code) / self.rows
            power = power - self._code.square() / self.rows
        d = rows.double()
        return (d * cross.T).sum(-1) / (power * d.square().sum(-1))

    def power(self) -> Tensor:
        """Sum of squares of each latent's codes [m]."""
        return self._power


@dataclass(frozen=True)
class Scaling:
    """Betas [sides, m] along the decoder rows of side `target`, on error and on reconstruction."""

    target: int
    error: Tensor
    reconstruction: Tensor

    @property
    def nu_error(self) -> Tensor:
        """The largest share, in absolute terms, that another side has of the target's beta on error [m]."""
        return self._share(self.error)

    @property
    def nu_reconstruction(self) -> Tensor:
        """The same on reconstruction [m]."""
        return self._share(self.reconstruction)

    def genuine(self, error: float = ERROR_LIMIT, reconstruction: float = RECONSTRUCTION_LIMIT) -> Tensor:
        """Which latents [m] only the target uses, as far as Latent Scaling sees; one that never fires is not."""
        used = (self.error[self.target] > 0) & (self.reconstruction[self.target] > 0)
        return used & (self.nu_error < error) & (self.nu_reconstruction < reconstruction)

    def _share(self, betas: Tensor) -> Tensor:
        others = torch.cat([betas[: self.target], betas[self.target + 1 :]])
        return (others / betas[self.target]).abs().amax(dim=0)


@torch.no_grad()
def latent_scaling(coder: CrossCoder, source: PairedSource, target: int) -> Scaling:
    """Betas of every latent of `coder` on every side, in one pass. All sides must be of one width and have their
    dimensions in common, that is, be of one architecture."""
    sides = range(len(coder.widths))
    errors, made_sums = [ScalingSums() for _ in sides], [ScalingSums() for _ in sides]
    for batch in source.batches(None):
        codes = coder.encode(batch.sides)
        for s, (x, made) in enumerate(zip(batch.sides, coder.decode(codes), strict=True)):
            errors[s].add(codes, x - made)
            made_sums[s].add(codes, made - coder.bias(s))
    rows = coder.rows(target)
    own = [_own_part(coder.rows(s), rows) for s in sides]
    error = torch.stack([errors[s].beta(rows) + own[s] for s in sides])
    return Scaling(target, error, torch.stack([made_sums[s].beta(rows) for s in sides]))


def _own_part(rows: Tensor, target: Tensor) -> Tensor:
    """The beta [m] of each latent's own contribution f d_side along the target's row: it needs no pass over data."""
    d, e = rows.double(), target.double()
    return (d * e).sum(-1) / e.square().sum(-1)
