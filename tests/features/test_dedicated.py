"""Dedicated Feature Crosscoders: what belongs to one side stays there."""

from __future__ import annotations

import pytest
import torch

from bvc.errors import UsageError
from bvc.features.cross_fit import CrossPlan, fit_cross
from bvc.features.dedicated import Dedicated, fit_dedicated, partition
from bvc.features.paired import PairedActivations, measure_norms
from tests.features.worlds import World, planted, toy_plan

SHORT = toy_plan(48, steps=120)


@pytest.fixture(scope="module")
def world() -> World:
    return planted(0, rows=4000, widths=(16, 24), only_a=4, only_b=4, rare=0.05)


def test_a_partition_gives_each_side_its_share() -> None:
    reach = partition(100)
    assert reach.sum(dim=1).tolist() == [95, 95]
    assert reach[:, :5].tolist() == [[True] * 5, [False] * 5]
    assert reach[:, 5:10].tolist() == [[False] * 5, [True] * 5]
    assert partition(10).sum(dim=0).tolist() == [1, 1] + [2] * 8
    assert partition(60, sides=3)[:, :9].sum(dim=0).tolist() == [1] * 9


@pytest.mark.parametrize(("latents", "share"), [(2, 0.05), (10, 0.5), (10, 0.0)])
def test_a_partition_leaves_shared_latents(latents: int, share: float) -> None:
    with pytest.raises(UsageError):
        partition(latents, share)


def test_forbidden_blocks_are_exactly_zero_after_training(world: World) -> None:
    coder = fit_dedicated(world.source(), SHORT, 0, share=0.25).coder
    decoder, encoder = coder.parted(coder.decoder), coder.parted(coder.encoder.T)
    for side, other in ((0, 1), (1, 0)):
        own = coder.reach[side] & ~coder.reach[other]
        assert int(own.sum()) == 12
        assert not decoder[other][own].any()
        assert not encoder[other][own].any()
        assert bool(decoder[side][own].any(dim=-1).all())
        assert bool(encoder[side][own].any(dim=-1).all())


def test_an_exclusive_latent_neither_reads_nor_writes_the_other_side(world: World) -> None:
    coder = fit_dedicated(world.source(), SHORT, 0, share=0.25).coder
    only_a = coder.reach[0] & ~coder.reach[1]
    codes, moved = coder.encode((world.a, world.b)), coder.encode((world.a, world.b.flip(0) * 3 + 1))
    assert torch.equal(codes[:, only_a], moved[:, only_a])
    assert bool(codes[:, only_a].any())
    written = coder.decode(codes * only_a)
    assert torch.equal(written[1], coder.bias(1).expand_as(world.b))
    assert not torch.equal(written[0], coder.bias(0).expand_as(world.a))


def test_sides_are_scaled_to_a_common_median_and_outliers_left_out() -> None:
    world = planted(1, rows=4000, widths=(16, 24))
    a, b = world.a.clone(), world.b * 50
    a[::100] *= 1000
    a[1] = float("nan")
    norms = measure_norms(PairedActivations((a, b)))
    kept = norms.kept((a, b))
    assert not kept[::100].any()
    assert not kept[1]
    assert 0.9 < float(kept.float().mean()) < 1
    for side, scale in zip((a, b), norms.scales, strict=True):
        scaled = (side * scale).norm(dim=-1)
        assert float(scaled[kept].max()) <= 2 * norms.common * 1.0001
        assert float(scaled.nanmedian()) == pytest.approx(norms.common, rel=1e-3)


def test_a_fit_survives_outliers_and_learns_the_sides_in_their_own_units(world: World) -> None:
    a, b = world.a.clone(), world.b * 50
    a[::100] *= 1e6
    fitted = fit_dedicated(PairedActivations((a, b), batch=256), toy_plan(48, steps=400), 0)
    assert min(fitted.explained) > 0.8
    made = fitted.coder.decode(fitted.coder.encode((world.a, b)))
    assert float((made[1] - b).square().sum() / (b - b.mean(0)).square().sum()) < 0.25
    assert 1.0 < fitted.active < 3.5


def test_the_same_seed_gives_the_same_coder_and_another_seed_another(world: World) -> None:
    one, again, other = (fit_dedicated(world.source(), SHORT, seed).coder.decoder for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_every_living_latent_is_a_candidate_and_only_dedicated_ones_are_claimed(world: World) -> None:
    found = Dedicated(SHORT).candidates(world.source(), 0)
    reached_by_one = found.coder.reach.sum(dim=0) == 1
    assert torch.equal(found.claimed, reached_by_one[found.latents])
    own = found.claimed.nonzero().flatten().tolist()
    assert own
    assert all(bool(found.coder.reach[found.sides[i], found.latents[i]]) for i in own)
    assert all(len(found.rows[i]) == found.coder.widths[found.sides[i]] for i in range(len(found.latents)))


def test_unusable_activations_are_refused(world: World) -> None:
    with pytest.raises(UsageError, match="zero or not finite"):
        fit_dedicated(PairedActivations((world.a, torch.zeros_like(world.b))), SHORT, 0)
    with pytest.raises(UsageError, match="no activations"):
        fit_dedicated(PairedActivations((world.a[:0], world.b[:0])), SHORT, 0)
    with pytest.raises(UsageError, match="two models"):
        fit_dedicated(PairedActivations((world.a,)), SHORT, 0)
    with pytest.raises(UsageError, match="as many rows"):
        PairedActivations((world.a, world.b[1:]))
    with pytest.raises(UsageError, match="k <= latents"):
        CrossPlan(latents=10, k=11)


def test_progress_tells_of_every_step(world: World) -> None:
    heard: list[tuple[int, int]] = []
    fit_cross(world.source(), partition(48), SHORT, 0, lambda done, all_: heard.append((done, all_)))
    assert heard == [(step + 1, 120) for step in range(120)]
