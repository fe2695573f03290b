"""What one fit of a search for exclusive features gave, after the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from bvc.features.cross_fit import CrossCoder
from bvc.features.gate import Gated


@dataclass(frozen=True)
class SeedYield:
    """What one fit gave: latents that the coder alone would call exclusive, those that it put before the gate, and
    what the gate said of them (`exclusive` for each side)."""

    seed: int
    claimed: int
    candidates: int
    exclusive: tuple[int, ...]
    shared: int
    undecided: int


@dataclass(frozen=True)
class FoundLatent:
    """One latent that passed the gate. `row` [width of its side] is what a unit of it adds to the activations."""

    seed: int
    side: int
    latent: int
    gated: Gated
    row: Tensor


@dataclass(frozen=True)
class Run:
    """One fit, gated; `spread` has the rows of all its living latents on each side."""

    given: SeedYield
    found: tuple[FoundLatent, ...]
    spread: tuple[Tensor, ...]
    coder: CrossCoder | None


class KeptRuns(Protocol):
    """Where finished runs are kept, by the name of the pair ("" for the one asked about) and the seed."""

    def get(self, pair: str, seed: int) -> Run | None:
        """A run that was finished before; None without one."""
        ...

    def put(self, pair: str, seed: int, run: Run) -> None:
        """Keeps a finished run."""
        ...
