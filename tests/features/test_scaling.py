"""Latent Scaling against least squares solved in full."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bvc.features.cross_fit import CrossCoder
from bvc.features.paired import PairedActivations
from bvc.features.scaling import ScalingSums, latent_scaling


def least_squares(codes: Tensor, row: Tensor, target: Tensor, *, intercept: bool = False) -> float:
    """The factor on codes [n] times row [w] that fits target [n, w] best, beside a constant vector or not."""
    columns = [torch.outer(codes, row).flatten()]
    if intercept:
        columns += [unit.expand_as(target).flatten() for unit in torch.eye(len(row))]
    design = torch.stack(columns, dim=1).double().numpy()
    return float(np.linalg.lstsq(design, target.double().flatten().numpy(), rcond=None)[0][0])


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_betas_equal_least_squares_however_the_rows_are_cut() -> None:
    codes, target, rows = drawn(0, 90, 6).relu().double(), drawn(1, 90, 4).double() + 2, drawn(2, 6, 4).double()
    sums = ScalingSums()
    for part in (slice(0, 7), slice(7, 60), slice(60, 90)):
        sums.add(codes[part], target[part])
    for intercept in (False, True):
        expected = [least_squares(codes[:, j], rows[j], target, intercept=intercept) for j in range(6)]
        np.testing.assert_allclose(sums.beta(rows, intercept=intercept).numpy(), expected, rtol=1e-9)


def coder(widths: tuple[int, ...], latents: int) -> CrossCoder:
    """A random coder of sides of the given widths, each scaled in its own way."""
    total = sum(widths)
    weights = (drawn(3, total, latents), drawn(4, latents), drawn(5, latents, total), drawn(6, total))
    scales = tuple(0.5 + side for side in range(len(widths)))
    reach = torch.ones(len(widths), latents, dtype=torch.bool)
    return CrossCoder(widths, scales, *weights, reach, 0.1)


def test_a_latents_own_part_is_put_back_into_the_error() -> None:
    made = coder((5, 5, 5), 4)
    sides = tuple(drawn(seed, 200, 5) for seed in (7, 8, 9))
    scaling = latent_scaling(made, PairedActivations(sides, batch=64), 1)
    codes = made.encode(sides)
    for side, (x, whole) in enumerate(zip(sides, made.decode(codes), strict=True)):
        for j in range(4):
            left = x - whole + torch.outer(codes[:, j], made.rows(side)[j])
            row = made.rows(1)[j]
            assert abs(float(scaling.error[side, j]) - least_squares(codes[:, j], row, left)) < 1e-4
            built = whole - made.bias(side)
            assert abs(float(scaling.reconstruction[side, j]) - least_squares(codes[:, j], row, built)) < 1e-4


def test_nu_is_the_largest_share_of_any_other_side() -> None:
    scaling = latent_scaling(coder((5, 5, 5), 4), PairedActivations(tuple(drawn(s, 99, 5) for s in (1, 2, 3))), 2)
    expected = torch.maximum(*(scaling.error[other] / scaling.error[2] for other in (0, 1))).abs()
    lower = torch.minimum(*(scaling.error[other] / scaling.error[2] for other in (0, 1))).abs()
    assert torch.allclose(scaling.nu_error, torch.maximum(expected, lower))


def test_a_latent_that_never_fires_is_not_genuine() -> None:
    made = coder((4, 4), 3)
    made.encoder_bias[1] = -1e6
    scaling = latent_scaling(made, PairedActivations((drawn(1, 50, 4), drawn(2, 50, 4))), 0)
    assert bool(scaling.error[0, 1].isnan())
    assert not bool(scaling.genuine(error=1e9, reconstruction=1e9)[1])
