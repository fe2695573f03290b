"""Crosscoders and Latent Scaling on planted worlds."""

from __future__ import annotations

import pytest
import torch

from bvc.errors import UsageError
from bvc.features.crosscoder import Crosscoder, fit_crosscoder
from bvc.features.paired import PairedActivations
from bvc.features.scaling import latent_scaling
from tests.features.worlds import identical, planted, recovered, toy_plan

PLAN = toy_plan(96, steps=1500)


def test_rare_features_are_found_four_of_four_and_no_shared_one_is_called_new() -> None:
    world = planted(0, same_directions=True, weaker=5)
    found = Crosscoder(PLAN).candidates(world.source(), 0)
    new = torch.stack([row for row, side in zip(found.rows, found.sides.tolist(), strict=True) if side == 1])
    assert recovered(new, world.only_b).all()
    assert not (found.sides == 0).any()
    assert not recovered(new, world.shared_b).any()
    assert recovered(found.coder.rows(1), world.shared_b).sum() >= 38


def test_identical_models_have_nothing_new() -> None:
    world = identical(0, rows=10_000)
    found = Crosscoder(toy_plan(64, steps=300)).candidates(world.source(), 0)
    assert len(found.latents) == 0


def test_of_three_commits_the_one_with_a_new_feature_is_named() -> None:
    world = planted(2, same_directions=True, rare=0.03, only_b=2, rows=10_000)
    source = PairedActivations((world.a, world.a + 1e-3, world.b), batch=256)
    coder = fit_crosscoder(source, toy_plan(96, steps=800), 0).coder
    genuine = [latent_scaling(coder, source, side).genuine() for side in range(3)]
    assert [int(found.sum()) for found in genuine[:2]] == [0, 0]
    assert recovered(coder.rows(2)[genuine[2]], world.only_b).all()
    assert not recovered(coder.rows(2)[genuine[2]], world.shared_b).any()


def test_models_of_different_widths_are_refused() -> None:
    world = planted(0, rows=100, widths=(8, 9))
    with pytest.raises(UsageError, match="one architecture"):
        fit_crosscoder(world.source(), PLAN, 0)
