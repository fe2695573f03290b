"""Reading latents from the stream of a running model, probe by probe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import embedding_bag

from bvc.evidence import FeatureBlock
from bvc.features.dictionary import Dictionary

_CHUNK = 256
"""Positions that are encoded at a time; it bounds the memory beside the result to some _CHUNK x m numbers."""
_MOST_POSITIONS = np.iinfo(np.uint16).max


class DictionaryEncoder:
    """A dictionary that encodes while a model is captured (the protocol `FeatureEncoder` of the engine).

    The numbers of a probe come from its own activations alone, to the last bit: other rows, padding and the shape of
    the batch do not enter, because each probe's held positions are multiplied by themselves.
    """

    def __init__(self, dictionary: Dictionary) -> None:
        self.layer = dictionary.spec.layer
        self.digest = dictionary.spec.digest
        self._dictionary = dictionary

    @torch.no_grad()
    def encode(self, stream: torch.Tensor, held: torch.Tensor) -> FeatureBlock:
        """The latents of n probes from the stream [n, positions, d] of any float type, on its device, in float32.

        `held` [n, positions] bool says which positions count, in order; what the others contain is never read. Raises
        ValueError for other shapes and for more than 65,535 positions.
        """
        n, positions, width = stream.shape
        if width != self._dictionary.spec.width or held.shape != (n, positions) or positions > _MOST_POSITIONS:
            raise ValueError(f"a stream of shape {tuple(stream.shape)} does not fit a dictionary of {self.layer}")
        if self._dictionary.device != stream.device:
            self._dictionary = self._dictionary.to(stream.device)
        held = held.to(stream.device, torch.bool)
        latents = _Latents.nothing(n, self._dictionary.spec.latents, stream.device)
        for row in range(n):
            _read_probe(self._dictionary, stream[row, held[row]], latents, row)
        return latents.block(held.sum(1))


@dataclass(frozen=True)
class _Latents:
    """What n probes have shown so far: each array [n, m], energy and missed [n], sums over the positions read."""

    fired: torch.Tensor
    strongest: torch.Tensor
    total: torch.Tensor
    peak: torch.Tensor
    energy: torch.Tensor
    missed: torch.Tensor

    @classmethod
    def nothing(cls, n: int, m: int, device: torch.device) -> _Latents:
        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        whole = torch.int32
        return cls(zeros(n, m, dtype=whole), zeros(n, m), zeros(n, m), zeros(n, m, dtype=whole), zeros(n), zeros(n))

    def block(self, positions: torch.Tensor) -> FeatureBlock:
        fires = self.fired > 0
        counts = _numpy(positions)
        read = np.maximum(counts, 1).astype(np.float32)
        return FeatureBlock(
            lengths=_numpy(fires.sum(1)).astype(np.int64),
            positions=counts.astype(np.uint32),
            energy=_numpy(self.energy) / read,
            missed=_numpy(self.missed) / read,
            latent=_numpy(fires.nonzero()[:, 1]).astype(np.uint32),
            fired=_numpy(self.fired[fires]).astype(np.uint16),
            strongest=_numpy(self.strongest[fires]),
            total=_numpy(self.total[fires]),
            peak=_numpy(self.peak[fires]).astype(np.uint16),
        )


def _read_probe(dictionary: Dictionary, x: torch.Tensor, latents: _Latents, row: int) -> None:
    """Adds what the activations x [positions, d] of one probe show to its row of `latents`."""
    for start in range(0, len(x), _CHUNK):
        chunk = x[start : start + _CHUNK]
        f = dictionary.encode(chunk)  # [c, m]
        largest, place = f.max(0)
        better = largest > latents.strongest[row]
        latents.peak[row] = torch.where(better, (place + start).to(torch.int32), latents.peak[row])
        latents.strongest[row] = torch.maximum(largest, latents.strongest[row])
        latents.fired[row] += (f > 0).sum(0)
        latents.total[row] += f.sum(0)
        centered = dictionary.scaled(chunk) - dictionary.weights["decoder_bias"]
        latents.energy[row] += centered.square().sum()
        latents.missed[row] += (centered - decode_sparse(f, dictionary.weights["decoder"])).square().sum()


def decode_sparse(f: torch.Tensor, decoder: torch.Tensor) -> torch.Tensor:
    """f @ decoder [n, d] for latents f [n, m] of which few are not 0: only the rows that fire are read."""
    token, latent = f.nonzero(as_tuple=True)
    counts = (f != 0).sum(1)
    starts = counts.cumsum(0) - counts
    return embedding_bag(latent, decoder, starts, mode="sum", per_sample_weights=f[token, latent])


def _numpy(array: torch.Tensor) -> npt.NDArray[Any]:
    return array.cpu().numpy()
