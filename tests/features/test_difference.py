"""Autoencoders of differences."""

from __future__ import annotations

import pytest
import torch

from bvc.errors import UsageError
from bvc.features.difference import Difference, activation_scaling, difference_source, fit_difference
from bvc.features.paired import PairedActivations
from tests.features.worlds import directions, identical, planted, recovered, toy_plan

PLAN = toy_plan(48, k=1, steps=1500)


def test_new_features_are_told_from_features_that_changed_in_strength() -> None:
    world = planted(0, same_directions=True, weaker=10)
    found = Difference(PLAN).candidates(world.source(), 0)
    assert found is not None
    rows = torch.stack(found.rows)
    assert recovered(rows, world.only_b).all()
    assert not recovered(rows, torch.cat([world.shared_b, -world.shared_b])).any()
    assert (found.sides == 1).all()


def test_betas_of_the_sides_differ_by_one() -> None:
    world = planted(3, same_directions=True, weaker=10, rows=6000)
    fitted = fit_difference(world.source(), toy_plan(48, k=1, steps=400), 0)
    assert fitted is not None
    fires = fitted.coder.encode(next(iter(difference_source(world.source()).batches(None))).sides).any(dim=0)
    first, second = activation_scaling(fitted.coder, world.source())[:, fires & ~fitted.dead]
    assert len(first) > 5
    assert 0.8 < float((second - first).median()) < 1.2


def test_a_change_in_few_rows_is_not_dropped_as_an_outlier() -> None:
    g = torch.Generator().manual_seed(4)
    base, new = torch.randn(8000, 16, generator=g), directions(1, 16, g)
    when = (torch.rand(8000, 1, generator=g) < 0.01).float()
    source = PairedActivations((base, base + 20 * when * new), batch=256)
    fitted = fit_difference(source, toy_plan(8, k=1, steps=300), 0)
    assert fitted is not None
    assert recovered(fitted.coder.rows(0), new, 0.99).all()
    assert fitted.explained[0] > 0.9


def test_a_constant_shift_is_no_feature() -> None:
    base = planted(5, rows=2000).a
    source = PairedActivations((base, base + 3.0), batch=256)
    fitted = fit_difference(source, toy_plan(8, k=1, steps=50), 0)
    assert fitted is not None
    assert bool(fitted.coder.decoder.isfinite().all())
    assert torch.allclose(fitted.coder.bias(0), torch.full((32,), 3.0), atol=0.05)


def test_where_nothing_differs_there_is_nothing_to_fit() -> None:
    assert Difference(PLAN).candidates(identical(0, rows=500).source(), 0) is None


def test_only_two_commits_of_one_architecture_have_a_difference() -> None:
    world = planted(0, rows=100, widths=(8, 9))
    with pytest.raises(UsageError, match="one architecture"):
        fit_difference(world.source(), PLAN, 0)
    with pytest.raises(UsageError, match="two commits"):
        difference_source(PairedActivations((world.a, world.a, world.a)))
