"""Features of one model only: found from several seeds, gated, matched, beside null pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from bvc.errors import UsageError
from bvc.features.crosscoder import Crosscoder
from bvc.features.dedicated import Dedicated
from bvc.features.difference import Difference
from bvc.features.gate import Gated, Standing, gate
from bvc.features.matching import (
    ExclusiveSearch,
    NullYield,
    chance_cosine,
    find_exclusive,
    match,
    null_pairs,
)
from bvc.features.paired import PairedActivations
from bvc.features.runs import FoundLatent, SeedYield
from tests.features.worlds import World, directions, identical, linear_map, planted, recovered, toy_plan

HEARD: list[tuple[int, int]] = []


@pytest.fixture(scope="module")
def world() -> World:
    """Two architectures (32 and 40 dimensions), forty shared features, four rare ones of each."""
    return planted(0, widths=(32, 40), only_a=4, only_b=4)


@pytest.fixture(scope="module")
def search(world: World) -> ExclusiveSearch:
    """All of it, once: three seeds of the pair and of two null pairs."""
    g = torch.Generator().manual_seed(1)
    again = world.a + 1e-3 * torch.randn(world.a.shape, generator=g)
    recapture = PairedActivations((world.a, again), batch=256)
    plan = toy_plan(96, steps=1000)
    return find_exclusive(
        world.source(), Dedicated(plan), recapture=recapture, progress=lambda done, all_: HEARD.append((done, all_))
    )


def found_rows(search: ExclusiveSearch, side: int, seeds: int) -> Tensor:
    return torch.stack([f.latents[0].row for f in search.features if f.side == side and len(f.latents) >= seeds])


def test_null_pairs_yield_nothing_in_any_seed(search: ExclusiveSearch) -> None:
    assert [null.name for null in search.nulls] == ["a re-capture of the first", "a linear map of it"]
    for null in search.nulls:
        assert [found.exclusive for found in null.seeds] == [(0, 0)] * 3
        assert all(found.shared >= 35 for found in null.seeds)
    assert search.null_yield == 0


@pytest.mark.parametrize("kind", [identical, linear_map])
def test_a_coder_with_too_few_latents_fills_its_exclusive_ones_and_the_gate_empties_them(
    kind: Callable[..., World],
) -> None:
    source = kind(0, rows=10_000).source()
    found = Dedicated(toy_plan(32, steps=300), share=0.2).candidates(source, 0)
    assert int(found.claimed.sum()) >= 6
    verdicts = [verdict for side in (0, 1) for verdict in gate(partial(found.judged, side, source))]
    assert len(verdicts) == len(found.latents)
    assert not any(verdict.standing is Standing.EXCLUSIVE for verdict in verdicts)


def test_rare_features_of_either_side_are_found_from_every_seed(search: ExclusiveSearch, world: World) -> None:
    for side, true, shared in ((0, world.only_a, world.shared_a), (1, world.only_b, world.shared_b)):
        rows = found_rows(search, side, seeds=3)
        assert int(recovered(rows, true).sum()) >= 3
        assert recovered(found_rows(search, side, seeds=2), true).all()
        assert not recovered(found_rows(search, side, seeds=1), shared).any()


def test_no_shared_feature_is_lost(search: ExclusiveSearch) -> None:
    assert all(found.shared >= 38 for found in search.seeds)
    assert all(found.candidates == found.shared + found.undecided + sum(found.exclusive) for found in search.seeds)


def test_features_are_one_latent_of_each_seed_best_matched_first(search: ExclusiveSearch) -> None:
    counts = [len(feature.latents) for feature in search.features]
    assert counts == sorted(counts, reverse=True)
    for feature in search.features:
        assert len({latent.seed for latent in feature.latents}) == len(feature.latents)
        assert all(latent.gated.standing is Standing.EXCLUSIVE for latent in feature.latents)
        assert feature.agreement >= 0.5
    assert search.found_in(1) == len(search.features) == search.found_in(1, 0) + search.found_in(1, 1)


def test_coders_encode_other_text(search: ExclusiveSearch, world: World) -> None:
    latent = search.features[0].latents[0]
    codes = search.coders[latent.seed].encode((world.a[:500], world.b[:500]))
    assert codes.shape == (500, 96)


def test_progress_covers_all_fits(search: ExclusiveSearch) -> None:
    assert search.seeds
    assert [HEARD[0], HEARD[-1]] == [(1, 9 * 1000), (9 * 1000, 9 * 1000)]
    assert sorted(HEARD) == HEARD


def yields(seeds: tuple[int, ...] = (0, 1, 2)) -> tuple[SeedYield, ...]:
    return tuple(SeedYield(seed, 0, 0, (0, 0), 0, 0) for seed in seeds)


@pytest.mark.parametrize(
    ("seeds", "nulls"),
    [
        (yields(), ()),
        (yields((0, 1)), (NullYield("itself", yields((0, 1))),)),
        (yields(), (NullYield("itself", yields((0, 1))),)),
        (yields(), (NullYield("itself", yields()), NullYield("a map", yields((0, 1, 3))))),
    ],
)
def test_no_features_without_null_pairs_of_the_same_seeds(
    seeds: tuple[SeedYield, ...], nulls: tuple[NullYield, ...]
) -> None:
    with pytest.raises(UsageError, match="null pairs"):
        ExclusiveSearch((), seeds, nulls, {})


@pytest.mark.parametrize("seeds", [(0, 1), (0, 1, 1), ()])
def test_three_different_seeds_are_asked_for(seeds: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="different seeds"):
        find_exclusive(planted(0, rows=10).source(), Dedicated(toy_plan(10)), seeds)


def test_null_pairs_take_the_widths_that_the_map_needs() -> None:
    wide, narrow = planted(0, rows=50, widths=(8, 12)), planted(0, rows=50, widths=(12, 8))
    assert [pair.widths for pair in null_pairs(wide.source()).values()] == [(8, 8), (8, 12)]
    assert [pair.widths for pair in null_pairs(narrow.source()).values()] == [(12, 12), (12, 12)]
    mapped = next(iter(null_pairs(wide.source())["a linear map of it"].batches(None))).sides
    back = mapped[1] @ torch.linalg.lstsq(mapped[1], mapped[0]).solution
    assert torch.allclose(back, wide.a, atol=1e-3)
    assert torch.equal(mapped[0], wide.a)


@pytest.mark.parametrize("method", [Crosscoder, Difference])
def test_methods_for_one_architecture_yield_nothing_on_null_pairs(method: type[Crosscoder] | type[Difference]) -> None:
    world = planted(6, rows=6000, same_directions=True, rare=0.03)
    search = find_exclusive(world.source(), method(toy_plan(64, steps=150)))
    assert [found.exclusive for null in search.nulls for found in null.seeds] == [(0, 0)] * 6
    claimed = {null.name: sum(found.claimed for found in null.seeds) for null in search.nulls}
    assert claimed["the first itself"] == 0
    assert claimed["a linear map of it"] > 10  # Latent Scaling alone takes a turned copy for a new model.


EXCLUSIVE = Gated(Standing.EXCLUSIVE, 0.0, -0.1, 0.1, 0.5, 0.0, 100)


def latents(seed: int, rows: Tensor) -> list[FoundLatent]:
    return [FoundLatent(seed, 1, place, EXCLUSIVE, row) for place, row in enumerate(rows)]


def seen_from(rows: Tensor, seed: int, noise: float) -> Tensor:
    """The same directions as another fit finds them: in another order, of another length, a little off."""
    g = torch.Generator().manual_seed(seed)
    moved = rows + noise * torch.randn(rows.shape, generator=g) / rows.shape[1] ** 0.5
    order = torch.randperm(len(rows), generator=g)
    return moved[order] * (1 + 5 * torch.rand(len(rows), 1, generator=g))


def test_the_same_directions_match_in_any_order() -> None:
    rows = directions(6, 64, torch.Generator().manual_seed(0))
    spread = directions(50, 64, torch.Generator().manual_seed(1))
    views = [seen_from(rows, seed, 0.3) for seed in (1, 2, 3)]
    found = match([latent for seed, view in enumerate(views) for latent in latents(seed, view)], [(spread, spread)])
    assert [len(feature.latents) for feature in found] == [3] * 6
    assert all(feature.agreement > 0.8 for feature in found)
    assert all(recovered(torch.stack([x.row for x in f.latents]), rows, 0.9).sum() == 1 for f in found)


def test_two_latents_of_one_seed_are_never_one_feature() -> None:
    row = directions(1, 64, torch.Generator().manual_seed(0))
    twice = torch.cat([row, row + 0.01])
    spread = directions(50, 64, torch.Generator().manual_seed(1))
    found = match(latents(0, twice) + latents(1, row) + latents(2, twice), [(spread, spread)])
    assert sorted(len(feature.latents) for feature in found) == [2, 3]


def test_a_latent_is_not_matched_with_one_that_has_a_better_match() -> None:
    def at(*degrees: float) -> Tensor:
        turned = torch.deg2rad(torch.tensor(degrees))
        return torch.cat([turned.cos()[:, None], turned.sin()[:, None], torch.zeros(len(degrees), 62)], dim=1)

    spread = directions(50, 64, torch.Generator().manual_seed(1))
    found = match(latents(0, at(0, 55)) + latents(1, at(5, 18)), [(spread, spread)])
    assert [len(feature.latents) for feature in found] == [2, 1, 1]
    assert {latent.latent for latent in found[0].latents} == {0}


def test_directions_that_have_nothing_in_common_do_not_match() -> None:
    matched = 0
    for trial in range(50):
        views = [directions(8, 12, torch.Generator().manual_seed(100 * trial + seed)) for seed in range(3)]
        found = match([x for seed, v in enumerate(views) for x in latents(seed, v)], [(v, v) for v in views])
        matched += any(len(feature.latents) > 1 for feature in found)
    assert matched <= 5  # Three comparisons of a hundredth each, in each of 50 trials.


def test_chance_knows_how_directions_spread() -> None:
    g = torch.Generator().manual_seed(0)
    even = directions(400, 64, g)
    narrow = even.clone()
    narrow[:, 3:] *= 0.02
    assert chance_cosine(even, 4) < 0.6 < 0.9 < chance_cosine(narrow, 4)
    assert chance_cosine(even, 30) > chance_cosine(even, 2)


def test_sides_are_not_matched_with_each_other() -> None:
    rows = directions(2, 64, torch.Generator().manual_seed(0))
    other = [replace(latent, side=0) for latent in latents(1, rows)]
    assert [len(f.latents) for f in match(latents(0, rows) + other, [(rows, rows)])] == [1] * 4
