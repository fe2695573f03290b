"""Perturbed copies of a checkpoint, made without training: weight noise, magnitude pruning, int8 rounding.

The kinds and their steps of 2^-k are those of the TinyChange ladder (Chauvin et al., 2512.03816). Only matrices are
changed; norms stay as they are. A copy is a complete model folder of float32 weights, so that the smallest noise is not
lost to rounding; it is meant to be captured and deleted.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"
INT8_LEVELS = 127


@dataclass(frozen=True)
class Perturbation:
    """How a copy differs: `kind` is noise, prune or int8; noise and pruning are of size 2^-`k`."""

    name: str
    kind: str
    k: int = 0
    wave: str = "held-out"
    seed: int = 0

    @property
    def description(self) -> str:
        """One line for the commit's message."""
        size = f"2^-{self.k}"
        return {
            "noise": f"Gaussian noise on every weight, {size} of its matrix's root mean square.",
            "prune": f"The {size} smallest weights of every matrix set to zero.",
            "int8": "Every weight rounded to 8 bits, one scale per output channel.",
        }[self.kind]


PERTURBATIONS = (
    Perturbation("noise-6", "noise", 6),
    Perturbation("noise-8", "noise", 8, wave="tuning"),
    Perturbation("noise-10", "noise", 10),
    Perturbation("noise-12", "noise", 12, wave="tuning"),
    Perturbation("prune-3", "prune", 3),
    Perturbation("prune-5", "prune", 5, wave="tuning"),
    Perturbation("prune-7", "prune", 7),
    Perturbation("int8", "int8", wave="tuning"),
)


@contextmanager
def perturbed_copy(base: Path, perturbation: Perturbation, folder: Path) -> Iterator[Path]:
    """The perturbed model in a folder of its own below `folder`, removed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="perturbed-", dir=folder))
    target = place / perturbation.name
    try:
        write_copy(base, perturbation, target)
        yield target
    finally:
        shutil.rmtree(place, ignore_errors=True)


def write_copy(base: Path, perturbation: Perturbation, target: Path) -> None:
    """The model of `base` with changed weights as the new folder `target`."""
    shutil.copytree(base, target, ignore=shutil.ignore_patterns("*.safetensors"))
    state = perturb(load_file(base / WEIGHTS), perturbation)
    save_file(state, target / WEIGHTS, metadata={"format": "pt"})


def perturb(state: Mapping[str, torch.Tensor], perturbation: Perturbation) -> dict[str, torch.Tensor]:
    """`state` in float32, its matrices perturbed; equal arguments give equal bits."""
    generator = torch.Generator().manual_seed(perturbation.seed)
    return {name: _perturbed(state[name].float(), perturbation, generator) for name in sorted(state)}


def _perturbed(weight: torch.Tensor, perturbation: Perturbation, generator: torch.Generator) -> torch.Tensor:
    if weight.ndim != 2:
        return weight
    if perturbation.kind == "noise":
        return add_noise(weight, 2.0**-perturbation.k, generator)
    if perturbation.kind == "prune":
        return prune(weight, 2.0**-perturbation.k)
    if perturbation.kind == "int8":
        return round_to_int8(weight)
    raise ValueError(f"unknown kind of perturbation: {perturbation.kind}")


def add_noise(weight: torch.Tensor, size: float, generator: torch.Generator) -> torch.Tensor:
    """`weight` plus Gaussian noise of standard deviation `size` times the matrix's root mean square."""
    scale = size * weight.square().mean().sqrt()
    return weight + scale * torch.randn(weight.shape, generator=generator)


def prune(weight: torch.Tensor, share: float) -> torch.Tensor:
    """`weight` with the `share` of its entries that are smallest in magnitude set to zero."""
    flat = weight.flatten().clone()
    count = int(share * flat.numel())
    flat[flat.abs().argsort(stable=True)[:count]] = 0.0
    return flat.reshape(weight.shape)


def round_to_int8(weight: torch.Tensor) -> torch.Tensor:
    """`weight` rounded to whole multiples of a scale per row (output channel), -127 to 127 of them."""
    scale = weight.abs().amax(dim=1, keepdim=True) / INT8_LEVELS
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (weight / scale).round() * scale
