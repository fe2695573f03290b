"""A BatchTopK sparse autoencoder in training.

Method: Bussmann et al., "BatchTopK Sparse Autoencoders" (2412.06410): of a batch of B activations the k x B strongest
latents are kept, wherever they are. The auxiliary loss that teaches dead latents what the living ones leave over is
that of Gao et al. (2406.04093).

Of m latents only k fire at a token, so nearly all of a dense step multiplies zeros. Here the one dense product is the
encoder's; everything behind the choice of latents, gradients included, reads only the latents kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn.functional import embedding_bag

from bvc.features.schedule import drop_radial, unit_rows

AUXILIARY_WEIGHT = 1 / 32
"""Weight of the auxiliary loss (Gao et al.)."""
_PARAMETERS = ("encoder", "encoder_bias", "decoder", "decoder_bias")
_LOOK_FOR_DEAD = 16
"""Steps between looks at which latents are dead: the look waits for the device."""
_AUXILIARY_SHARE = 4
"""The auxiliary loss sees one in so many rows of a batch."""


@dataclass(frozen=True)
class Kept:
    """The latents kept of a batch of B rows, by row: `row` and `latent` [s], `values` [s] (0 where too weak to fire),
    and `starts` [B], where each row's begin."""

    row: torch.Tensor
    latent: torch.Tensor
    values: torch.Tensor
    starts: torch.Tensor


class Sae:
    """Weights, Adam's moments and what is known of each latent's activity.

    `encoder` and `decoder` are [m, d], rows of the decoder of length 1; `encoder_bias` [m], `decoder_bias` [d]; `idle`
    [m] int64 counts the activations since each latent last fired. `variance` is the mean squared distance of an
    activation from the mean; losses are in units of it. A latent is dead after `patience` activations without firing.
    """

    def __init__(self, directions: torch.Tensor, center: torch.Tensor, *, variance: float, patience: int) -> None:
        """Begins with `directions` [m, d], made unit rows, as decoder and encoder alike, and `center` [d] as decoder
        bias; on their device."""
        self.encoder = directions.clone()
        unit_rows(self.encoder)
        self.decoder = self.encoder.clone()
        latents = len(directions)
        self.encoder_bias = torch.zeros(latents, device=center.device)
        self.decoder_bias = center.clone()
        self.idle = torch.zeros(latents, dtype=torch.int64, device=center.device)
        self._variance, self._patience = variance, patience
        self._dead = torch.zeros(0, dtype=torch.int64, device=center.device)
        self._steps = 0
        self._adam = torch.optim.Adam([getattr(self, name) for name in _PARAMETERS], fused=True)

    @torch.no_grad()
    def step(self, x: torch.Tensor, k: float, rate: float) -> torch.Tensor:
        """One step of Adam at learning rate `rate` on activations x [B, d], k latents a row on average.

        -> share of the variance not explained, a number on the device (reading it waits for the device).
        """
        if self._steps % _LOOK_FOR_DEAD == 0:
            self._dead = (self.idle > self._patience).nonzero().flatten()
        centered = x - self.decoder_bias
        pre = torch.addmm(self.encoder_bias, centered, self.encoder.T)  # [B, m]
        kept = keep_strongest(pre, max(1, round(k * len(x))))
        error, pull = self._reconstruct(x, kept)
        gradients = self._gradients(centered, kept, error, pull)
        if len(self._dead):
            self._add_auxiliary(gradients, centered, pre, error)
        self._update(gradients, rate)
        self._note_fired(kept, len(x))
        return error.square().sum() / (len(x) * self._variance)

    def _reconstruct(self, x: torch.Tensor, kept: Kept) -> tuple[torch.Tensor, torch.Tensor]:
        """The error of the reconstruction [B, d], and error · decoder row for each latent kept [s]."""
        with torch.enable_grad():
            values = kept.values.requires_grad_()
            decoded = embedding_bag(kept.latent, self.decoder, kept.starts, mode="sum", per_sample_weights=values)
            error = decoded.detach() + self.decoder_bias - x
            (pull,) = torch.autograd.grad(decoded, values, error)
        kept.values.requires_grad_(False)
        return error, pull

    def _gradients(
        self, centered: torch.Tensor, kept: Kept, error: torch.Tensor, pull: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Gradients of |error|² / (B variance), by parameter."""
        unit = 2 / (len(error) * self._variance)
        order = kept.latent.argsort(stable=True)
        row = kept.row[order]
        starts = torch.searchsorted(kept.latent[order], torch.arange(len(self.idle), device=row.device))
        pull = (pull * (kept.values > 0)).mul_(unit)[order]  # a latent that is too weak to fire is not pulled

        def gathered(table: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            """For each latent, the sum of the rows of `table` at which it is kept, weighted: [m, d]."""
            return embedding_bag(row, table, starts, mode="sum", per_sample_weights=weights)

        bias = gathered(torch.ones_like(error[:, :1]), pull).flatten()
        return {
            "encoder": gathered(centered, pull),
            "encoder_bias": bias,
            "decoder": gathered(error, kept.values[order] * unit),
            "decoder_bias": error.sum(0).mul_(unit) - bias @ self.encoder,
        }

    def _add_auxiliary(
        self, gradients: Mapping[str, torch.Tensor], centered: torch.Tensor, pre: torch.Tensor, error: torch.Tensor
    ) -> None:
        """Adds the gradients of the share of the error's energy that the dead latents do not explain."""
        some = max(1, len(error) // _AUXILIARY_SHARE)
        dead, target, decoder = self._dead, -error[:some], self.decoder[self._dead]
        latents = pre[:some, dead].relu_()
        most = max(1, error.shape[1] // 2)
        if len(dead) > most:
            weakest = latents.topk(most, dim=1, sorted=False).values.amin(1, keepdim=True)
            latents.masked_fill_(latents < weakest, 0.0)
        energy = target.square().sum().clamp_min(torch.finfo(target.dtype).tiny)
        missed = torch.addmm(target, latents, decoder, beta=-1).mul_(2 * AUXILIARY_WEIGHT / energy)
        pull = (missed @ decoder.T).mul_(latents > 0)
        gradients["decoder"].index_add_(0, dead, latents.T @ missed)
        gradients["encoder"].index_add_(0, dead, pull.T @ centered[:some])
        gradients["encoder_bias"].index_add_(0, dead, pull.sum(0))

    def _update(self, gradients: Mapping[str, torch.Tensor], rate: float) -> None:
        """Adam on gradients of length 1 in all: they shrink tenfold in the first steps, which Adam's mean of squares
        would remember for a thousand, and short fits would explain 2 % less of a language model's activations."""
        drop_radial(self.decoder, gradients["decoder"])
        length = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
        for name in _PARAMETERS:
            getattr(self, name).grad = gradients[name].div_(length.clamp_min(torch.finfo(length.dtype).tiny))
        self._adam.param_groups[0]["lr"] = rate
        self._adam.step()
        self._adam.zero_grad()
        unit_rows(self.decoder)
        self._steps += 1

    def _note_fired(self, kept: Kept, rows: int) -> None:
        strongest = torch.zeros_like(self.encoder_bias).scatter_reduce_(0, kept.latent, kept.values, "amax")
        self.idle.add_(rows).masked_fill_(strongest > 0, 0)

    @property
    def steps(self) -> int:
        """Steps taken."""
        return self._steps

    @property
    def dead(self) -> int:
        """Latents that counted as dead when it was last looked at."""
        return len(self._dead)

    def preactivations(self, x: torch.Tensor) -> torch.Tensor:
        """What each latent reads from activations x [n, d] in the coder's own unit: [n, m]."""
        return torch.addmm(self.encoder_bias, x - self.decoder_bias, self.encoder.T)

    def weights(self, threshold: float) -> dict[str, torch.Tensor]:
        """The arrays of a dictionary whose latents fire above `threshold`."""
        return {
            "encoder": self.encoder.T,
            "encoder_bias": self.encoder_bias,
            "decoder": self.decoder,
            "decoder_bias": self.decoder_bias,
            "threshold": torch.full_like(self.encoder_bias, threshold),
        }

    def state(self) -> dict[str, torch.Tensor]:
        """All that a later `restore` needs to go on bit for bit, by name, on the CPU. The arrays may be the coder's
        own: write them before the next step."""
        arrays = {name: getattr(self, name) for name in _PARAMETERS}
        arrays |= {"idle": self.idle, "dead": self._dead, "steps": torch.tensor(self._steps)}
        for name in _PARAMETERS:
            for moment, value in self._adam.state[getattr(self, name)].items():
                arrays[f"{name}.{moment}"] = value
        return {name: array.detach().cpu() for name, array in arrays.items()}

    def restore(self, arrays: Mapping[str, torch.Tensor]) -> None:
        """Go on from the state of a coder made with the same arguments."""
        device = self.idle.device
        for name in _PARAMETERS:
            parameter = getattr(self, name)
            parameter.copy_(arrays[name])
            self._adam.state[parameter] = {
                key.removeprefix(f"{name}."): value.to(device)
                for key, value in arrays.items()
                if key.startswith(f"{name}.")
            }
        self.idle.copy_(arrays["idle"])
        self._dead = arrays["dead"].to(device)
        self._steps = int(arrays["steps"])


def keep_strongest(pre: torch.Tensor, count: int) -> Kept:
    """The `count` largest of `pre` [B, m], which is as many for the batch as its rows have on average."""
    rows, latents = pre.shape
    flat = pre.flatten()
    count = min(count, len(flat))
    places = _largest(pre, count) if pre.device.type == "cpu" else flat.topk(count, sorted=False).indices
    places = places.sort().values
    row = places // latents
    starts = torch.searchsorted(row, torch.arange(rows, device=row.device))
    return Kept(row, places % latents, flat[places].relu_(), starts)


def _largest(pre: torch.Tensor, count: int) -> torch.Tensor:
    """Where the `count` largest are in the flattened `pre`. A few rows tell about how large they are, so that the exact
    choice is made among few candidates; torch's own on all takes longer than the product that made them."""
    flat = pre.flatten()
    share = max(1, len(pre) // 16)
    few = min(max(1, count * share // len(pre)), share * pre.shape[1])
    guess = pre[:share].flatten().topk(few, sorted=False).values.min()
    candidates = (flat > guess - guess.abs() * 0.1).nonzero().flatten()
    if len(candidates) < count:
        return flat.topk(count, sorted=False).indices
    return candidates[flat[candidates].topk(count, sorted=False).indices]
