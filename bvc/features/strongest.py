"""Where each latent of a dictionary fires most, gathered from batches of activations as they pass by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch

_ROWS = 1024
"""Activations encoded at once: with 4,096 latents 16 MiB."""
_SPARE = 4
"""Places kept for each one that is asked for, since some turn out to lie in one window."""


@dataclass(frozen=True)
class Place:
    """One firing: its `strength`, and the token at `position` of the corpus's window number `window`."""

    strength: float
    window: int
    position: int


class Strongest:
    """Counts how often latents fire and keeps the `keep` strongest places of each, one per window.

    `encode` makes latents [n, m] of activations [n, d]. Memory: three numbers per latent and place kept.
    """

    def __init__(self, encode: Callable[[torch.Tensor], torch.Tensor], latents: int, keep: int) -> None:
        self._encode = encode
        self._keep = keep
        places = (latents, keep * _SPARE)
        self._values = torch.zeros(places)
        self._windows = torch.full(places, -1, dtype=torch.int64)
        self._positions = torch.zeros(places, dtype=torch.int64)
        self._fired = torch.zeros(latents, dtype=torch.int64)
        self._total = torch.zeros(latents, dtype=torch.float64)
        self._tokens = 0

    @property
    def tokens(self) -> int:
        """Activations seen."""
        return self._tokens

    @property
    def rates(self) -> torch.Tensor:
        """Share of activations at which each latent fires, [m] float64."""
        return self._fired.double() / max(1, self._tokens)

    @property
    def strengths(self) -> torch.Tensor:
        """Mean of each latent where it fires, [m] float64; 0 where it never does."""
        return self._total / self._fired.clamp(min=1)

    def add(self, vectors: torch.Tensor, window: torch.Tensor, position: torch.Tensor) -> None:
        """Takes in activations [n, d] of the tokens at `position` [n] of windows `window` [n]."""
        for start in range(0, len(vectors), _ROWS):
            span = slice(start, start + _ROWS)
            self._add(self._encode(vectors[span]).cpu(), window[span], position[span])

    def places(self, latent: int) -> list[Place]:
        """The strongest places of one latent, the strongest of each window, in order."""
        found: dict[int, Place] = {}
        rows = (self._values[latent].tolist(), self._windows[latent].tolist(), self._positions[latent].tolist())
        for value, window, position in zip(*rows, strict=True):
            if value > 0 and window not in found:
                found[window] = Place(value, window, position)
        return list(found.values())[: self._keep]

    def _add(self, latents: torch.Tensor, window: torch.Tensor, position: torch.Tensor) -> None:
        self._tokens += len(latents)
        self._fired += (latents > 0).sum(0)
        self._total += latents.sum(0, dtype=torch.float64)
        best, where, at = _by_window(latents, window, position)
        values = torch.cat([self._values, best], dim=1)
        order = values.argsort(dim=1, descending=True, stable=True)[:, : self._values.shape[1]]
        self._values = values.gather(1, order)
        self._windows = torch.cat([self._windows, where], dim=1).gather(1, order)
        self._positions = torch.cat([self._positions, at], dim=1).gather(1, order)


def _by_window(
    latents: torch.Tensor, window: torch.Tensor, position: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The strongest of each latent in each run of equal windows: values, windows and positions, each [m, runs]."""
    starts = [0, *(window.diff().nonzero().flatten() + 1).tolist(), len(window)]
    values, where, at = [], [], []
    for start, stop in pairwise(starts):
        value, index = latents[start:stop].max(0)
        values.append(value)
        where.append(window[start].expand(len(value)))
        at.append(position[start:stop][index])
    return torch.stack(values, 1), torch.stack(where, 1), torch.stack(at, 1)
