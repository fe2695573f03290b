"""Latents that differ, and that stand out: false discoveries under nulls, planted latents found, shared shifts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bvc.compare.feature_standing import FEWEST, LatentMoves, latent_moves, standing, stands_out
from tests.compare.feature_worlds import FREQUENCIES, World

_WORLDS = 16


def benign(world: World, count: int, **options: float) -> list[LatentMoves]:
    return [latent_moves(pair) for pair in world.pairs(range(100, 100 + count), drift=0.15, **options)]


def test_exchangeable_sides_rarely_show_a_difference_and_clusters_must_be_told() -> None:
    told = untold = out = 0
    for seed in range(40):
        world = World(seed, latents=256)
        counts = world.pair(1)
        moves = latent_moves(world.gathered(counts))
        told += bool(moves.different().any())
        out += bool(stands_out(moves, standing(moves, [], trusted=False)).any())
        untold += bool(latent_moves(world.gathered(counts, told=False)).different().any())
    assert told <= 6  # 40 at .05: 2, and 2.9 standard deviations
    assert out <= 6
    assert untold > 20


@pytest.mark.parametrize(("pairs", "common", "size"), [(0, 0.0, 1.0), (2, 0.3, 1.0), (2, 0.0, 2.0)])
def test_drift_rarely_stands_out_and_planted_latents_do(pairs: int, common: float, size: float) -> None:
    """With and without benign pairs, under a shift that all latents share, and where the step is twice as large."""
    alarms, false, power, first = 0, [], np.zeros(4), 0
    for seed in range(_WORLDS):
        world = World(seed, latents=768)
        known = benign(world, pairs)
        counts = world.pair(1, drift=0.15 * size, common=common)
        moves = latent_moves(world.gathered(counts))
        alarms += bool(stands_out(moves, standing(moves, known, trusted=True)).any())
        planted = world.planted(counts, 2)
        moves = latent_moves(world.gathered(counts))
        stand = standing(moves, known, trusted=True)
        found = stands_out(moves, stand)
        power += found[planted]
        false.append((found.sum() - found[planted].sum()) / max(1, found.sum()))
        first += int(np.isin(planted, np.argsort(-np.abs(stand.score))[:10]).sum())
    assert alarms <= 4  # 16 at .05: .8, and 3.5 standard deviations
    assert np.mean(false) <= 0.05 + 2 * np.std(false) / np.sqrt(_WORLDS)
    assert (power >= _WORLDS - 2).all()
    assert first >= 0.95 * _WORLDS * len(FREQUENCIES)


def test_a_benign_spread_of_its_own_excuses_a_latent() -> None:
    """A latent that every benign update moves far is no finding when this one does too."""
    world = World(3, latents=512)
    known = benign(world, 6)
    moves = latent_moves(world.gathered(world.pair(1, drift=0.15)))
    latent = int(np.argmax(np.where(moves.tested, moves.active, 0)))
    far = replace(moves, shift=_with(moves, latent, 1.5), p_value=np.where(np.arange(512) == latent, 1e-9, 1.0))
    assert stands_out(far, standing(far, known, trusted=True))[latent]
    wild = [replace(m, shift=_with(m, latent, 1.5 * (-1) ** i)) for i, m in enumerate(known)]
    assert not stands_out(far, standing(far, wild, trusted=True))[latent]


def test_one_step_that_was_not_benign_excuses_nothing() -> None:
    world = World(4, latents=512)
    known = benign(world, 6)
    moves = latent_moves(world.gathered(world.pair(1, drift=0.15)))
    latent = int(np.argmax(np.where(moves.tested, moves.active, 0)))
    far = replace(moves, shift=_with(moves, latent, 1.0))
    one = [replace(known[0], shift=_with(known[0], latent, 4.0)), *known[1:]]
    clean, steps, trusted = (
        abs(standing(far, pairs, trusted=t).score[latent]) for pairs, t in ((known, 0), (one, 0), (one, 1))
    )
    assert steps > 0.5 * clean
    assert trusted < 0.4 * clean


def _with(moves: LatentMoves, latent: int, shift: float) -> np.ndarray:  # type: ignore[type-arg]
    out = moves.shift.copy()
    out[latent] = shift
    return out


def test_a_single_prompt_makes_no_finding() -> None:
    world = World(5, latents=512)
    counts = world.pair(1, drift=0.1)
    counts.fired[:, :, 7] = 0
    counts.fired[0, :12, 7] = counts.fired[1, :12, 7] = 1
    counts.fired[1, 0, 7] = 33
    counts.total[:, :, 7] = counts.fired[:, :, 7] * np.array([1.0, 50.0])[:, None]
    counts.total[1, 1:, 7] /= 50
    moves = latent_moves(world.gathered(counts))
    assert not stands_out(moves, standing(moves, [], trusted=False))[7]


def test_latents_of_few_clusters_are_not_tested() -> None:
    world = World(6, latents=512, per=1)
    counts = world.pair(1)
    counts.fired[:, :, :2] = 0
    counts.fired[1, : FEWEST - 1, 0] = counts.fired[1, :FEWEST, 1] = 5
    counts.total[:, :, :2] = counts.fired[:, :, :2]
    moves = latent_moves(world.gathered(counts))
    assert moves.tested[:2].tolist() == [False, True]
    assert moves.only[:2].tolist() == [1, 1]
    assert moves.p_value[1] == pytest.approx(2 * 2.0 ** (1 - FEWEST))


def test_a_handful_of_latents_has_no_bulk() -> None:
    world = World(7, latents=30)
    moves = latent_moves(world.gathered(world.pair(1, drift=0.1)))
    stand = standing(moves, [], trusted=False)
    assert not stand.known
    assert not stands_out(moves, stand).any()


def test_equal_captures_move_nothing() -> None:
    world = World(8)
    counts = world.pair(1)
    counts.fired[1], counts.total[1] = counts.fired[0], counts.total[0]
    moves = latent_moves(world.gathered(counts))
    assert not moves.shift.any()
    assert (moves.p_value == 1).all()
    assert not stands_out(moves, standing(moves, [moves], trusted=True)).any()


def test_exchanged_sides_give_the_same_with_the_other_sign() -> None:
    world = World(9)
    counts = world.pair(1, drift=0.2)
    world.planted(counts, 2)
    forward = latent_moves(world.gathered(counts))
    counts.fired, counts.total = counts.fired[::-1], counts.total[::-1]
    backward = latent_moves(world.gathered(counts))
    assert forward.shift == pytest.approx(-backward.shift)
    assert forward.p_value == pytest.approx(backward.p_value)
    assert (forward.only == -backward.only).all()
