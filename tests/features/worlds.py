"""Toy worlds whose features are known: sparse features at known directions, of which some are in one model only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bvc.features.cross_fit import CrossPlan
from bvc.features.paired import PairedActivations

SHARED_RATE = 0.05
RARE_RATE = 0.005


@dataclass(frozen=True)
class World:
    """Activations of models A and B and what they are made of. `shared_a` [s, d_a] and `shared_b` [s, d_b] are the
    directions of features that both have, `only_a` and `only_b` those that one has."""

    a: Tensor
    b: Tensor
    shared_a: Tensor
    shared_b: Tensor
    only_a: Tensor
    only_b: Tensor

    def source(self, batch: int = 256) -> PairedActivations:
        """Both models' activations as a source."""
        return PairedActivations((self.a, self.b), batch=batch)


def directions(features: int, width: int, generator: torch.Generator) -> Tensor:
    """Random unit rows [features, width]."""
    rows = torch.randn(features, width, generator=generator)
    return rows / rows.norm(dim=-1, keepdim=True)


def strengths(rows: int, rates: Tensor, generator: torch.Generator) -> Tensor:
    """Feature values [rows, features]: 0, or between 1 and 3 with the probability `rates` [features]."""
    on = torch.rand(rows, len(rates), generator=generator) < rates
    return on * (1 + 2 * torch.rand(rows, len(rates), generator=generator))


def planted(
    seed: int,
    *,
    rows: int = 30_000,
    widths: tuple[int, int] = (32, 32),
    shared: int = 40,
    only_a: int = 0,
    only_b: int = 4,
    rate: float = SHARED_RATE,
    rare: float = RARE_RATE,
    same_directions: bool = False,
    weaker: int = 0,
    noise: float = 0.02,
) -> World:
    """Two models with `shared` features (at `rate`) and exclusive ones (at `rare`), each model with its own directions
    or, with `same_directions`, as one architecture has it. The first `weaker` shared features are a third as strong
    in B as in A, the next `weaker` a third as strong in A."""
    g = torch.Generator().manual_seed(seed)
    shared_a = directions(shared, widths[0], g)
    shared_b = shared_a.clone() if same_directions else directions(shared, widths[1], g)
    shared_b[:weaker] /= 3
    shared_a[weaker : 2 * weaker] /= 3
    a_rows, b_rows = directions(only_a, widths[0], g), directions(only_b, widths[1], g)
    both = strengths(rows, torch.full((shared,), rate), g)
    in_a, in_b = (strengths(rows, torch.full((n,), rare), g) for n in (only_a, only_b))
    a = both @ shared_a + in_a @ a_rows + noise * torch.randn(rows, widths[0], generator=g)
    b = both @ shared_b + in_b @ b_rows + noise * torch.randn(rows, widths[1], generator=g)
    return World(a, b, shared_a, shared_b, a_rows, b_rows)


def identical(seed: int, **settings: int) -> World:
    """One model twice."""
    world = planted(seed, only_b=0, **settings)  # type: ignore[arg-type]
    return World(world.a, world.a.clone(), world.shared_a, world.shared_a, world.only_a, world.only_a)


def linear_map(seed: int, width: int | None = None, **settings: int) -> World:
    """A model and a random linear map of it (condition number 10), to `width` dimensions or to as many as it has."""
    world = planted(seed, only_b=0, **settings)  # type: ignore[arg-type]
    have = world.a.shape[1]
    g = torch.Generator().manual_seed(seed + 1)
    left = torch.linalg.qr(torch.randn(have, have, generator=g)).Q
    right = torch.linalg.qr(torch.randn(max(have, width or have), have, generator=g)).Q.T
    mapping = left @ torch.diag(torch.logspace(0, 1, have)) @ right
    shared = world.shared_a @ mapping
    return World(world.a, world.a @ mapping, world.shared_a, shared, world.only_a, world.only_a @ mapping)


def recovered(rows: Tensor, truth: Tensor, cosine: float = 0.9) -> Tensor:
    """Which of the true directions [t, d] have a row among `rows` [k, d] within `cosine` of them: [t] bool."""
    if not len(rows):
        return torch.zeros(len(truth), dtype=torch.bool)
    unit = rows / rows.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    true = truth / truth.norm(dim=-1, keepdim=True)
    return (true @ unit.T).max(dim=-1).values >= cosine


def toy_plan(latents: int, *, k: int = 2, steps: int = 1200) -> CrossPlan:
    """Settings that suit these worlds: forty features at a rate of .05 are two at a time."""
    return CrossPlan(
        latents=latents,
        k=k,
        first_k=8,
        anneal=steps // 2,
        steps=steps,
        rate=3e-3,
        auxiliary_k=16,
        dead_after=20_000,
    )
