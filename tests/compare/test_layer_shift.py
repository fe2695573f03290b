"""Layers: distances and bands, the seat of a change with its probes, false claims where nothing sits anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from bvc.compare.activation import Movement, Shift
from bvc.compare.layer_shift import layer_shifts
from bvc.compare.noise import band

PROBES = [f"p{i:02d}" for i in range(60)]
OUTLIERS = PROBES[:12]
SITES = [f"layer.{k:02d}/prompt" for k in range(6)]


def movement(seed: int, planted: float = 0.0, at: int = 4) -> Movement:
    """A fine-tune: each layer shifted by one common vector and by noise of unlike size per probe; `planted` moves the
    outliers further at layer `at`."""
    rng = np.random.default_rng(seed)
    out = Movement()
    size = np.exp(rng.normal(0, 0.35, len(PROBES)))[:, None]
    for k, site in enumerate(SITES):
        moved = rng.normal(size=64) * 0.1 + rng.normal(size=(len(PROBES), 64)) * size * 0.02 * (k + 1)
        if k == at:
            moved[: len(OUTLIERS)] += rng.normal(size=64) * planted
        folded = moved.astype(np.float32)
        out.add(site, PROBES, Shift(np.linalg.norm(folded, axis=1), folded))
    return out


def test_a_seat_is_claimed_in_at_most_a_twentieth_of_pairs_where_there_is_none() -> None:
    found = [layer_shifts(movement(seed), outliers=OUTLIERS) for seed in range(300)]
    assert sum(shifts.seat is not None for shifts in found) <= 24  # 300 at .05: 15, and 2.4 standard deviations
    assert sum(any(layer.probes for layer in shifts.layers) for shifts in found) <= 15


def test_the_seat_is_the_layer_where_the_outliers_moved_with_the_probes_behind_it() -> None:
    for seed in range(5):
        shifts = layer_shifts(movement(seed, planted=0.3), outliers=OUTLIERS)
        assert shifts.seat == SITES[4]
        assert shifts.p_value is not None and shifts.p_value <= 0.01
        probes = {layer.hookpoint: layer.probes for layer in shifts.layers}
        assert set(probes[SITES[4]]) == set(OUTLIERS)
        assert all(not probes[site] for site in SITES[:4])


def test_probes_come_in_the_order_of_their_movement() -> None:
    moved = movement(1, planted=0.3)
    left = moved.beyond_shift(SITES[4])
    probes = next(s.probes for s in layer_shifts(moved, outliers=OUTLIERS).layers if s.hookpoint == SITES[4])
    assert list(probes) == sorted(probes, key=lambda p: -left[p])


def test_without_outliers_nothing_is_claimed_but_the_distances() -> None:
    shifts = layer_shifts(movement(2, planted=0.3))
    assert shifts.seat is None and shifts.p_value is None
    assert [layer.hookpoint for layer in shifts.layers] == SITES
    assert not any(layer.probes for layer in shifts.layers)
    assert layer_shifts(movement(2), outliers=PROBES).seat is None
    assert layer_shifts(Movement(), outliers=OUTLIERS).layers == ()


def test_distances_are_medians_in_which_unmoved_probes_count_and_bands_are_those_of_the_noise() -> None:
    moved = movement(3)
    noise = band([0.01, 0.02])
    assert noise is not None
    plain = layer_shifts(moved, noise={SITES[0]: noise}).layers
    assert plain[0].distance == pytest.approx(float(np.median(np.concatenate(moved.distances[SITES[0]]))))
    assert (plain[0].band, plain[1].band) == (0.02, None)
    still = [f"still{i}" for i in range(70)]
    assert all(layer.distance == 0 for layer in layer_shifts(moved, still).layers)


def test_a_probe_that_some_site_lacks_is_compared_where_it_is() -> None:
    moved = movement(4, planted=0.3)
    moved.add("layer.05/reference", PROBES[6:], Shift(np.ones(54, np.float32), np.zeros((54, 64), np.float32)))
    shifts = layer_shifts(moved, outliers=OUTLIERS)
    assert shifts.seat == SITES[4]
    assert set(OUTLIERS[:6]) <= set(next(s.probes for s in shifts.layers if s.hookpoint == SITES[4]))
