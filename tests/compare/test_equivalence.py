"""Intervals cover what they claim to, for few and many probes and draws, and every kind of score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from bvc.compare.equivalence import (
    draws_needed,
    energy_interval,
    equivalence,
    fisher_power,
    paired_difference,
    probe_equivalence,
    rate_difference,
    smallest_detectable,
    smallest_detectable_probe,
    wilson,
)
from bvc.compare.tails import binomial_tail, fisher_table, t_quantile, t_tail

Values = npt.NDArray[np.float64]
Pair = tuple[Values, Values]
Draw = Callable[[np.random.Generator, int], Pair]


def coins(rng: np.random.Generator, n: int) -> Pair:
    return (rng.random(n) < 0.5).astype(float), (rng.random(n) < 0.5).astype(float)


def rare(rng: np.random.Generator, n: int) -> Pair:
    return (rng.random(n) < 0.02).astype(float), (rng.random(n) < 0.02).astype(float)


def gained(rng: np.random.Generator, n: int) -> Pair:
    return np.zeros(n), (rng.random(n) < 0.05).astype(float)


def often(rng: np.random.Generator, n: int) -> Pair:
    return np.zeros(n), (rng.random(n) < 0.3).astype(float)


def draws(rng: np.random.Generator, n: int) -> Pair:
    """Rates of 8 draws, unequal among probes; in one of ten the behavior is gone."""
    rates = rng.beta(0.6, 0.6, n)
    return rng.binomial(8, rates) / 8, rng.binomial(8, np.where(rng.random(n) < 0.1, 0, rates)) / 8


@pytest.mark.parametrize("n", [5, 20, 200, 2_000])
@pytest.mark.parametrize(("draw", "truth"), [(coins, 0.0), (rare, 0.0), (gained, 0.05), (often, 0.3), (draws, -0.05)])
def test_interval_of_a_paired_difference_covers(draw: Draw, truth: float, n: int) -> None:
    rng = np.random.default_rng(n)
    worlds = 300
    found = [paired_difference(*draw(rng, n)) for _ in range(worlds)]
    covered = np.mean([f.ci[0] - 1e-12 <= truth <= f.ci[1] + 1e-12 for f in found])
    assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / worlds)
    if truth == 0:
        wrong = np.mean([f.p_value <= 0.05 for f in found])
        assert wrong <= 0.05 + 3 * np.sqrt(0.95 * 0.05 / worlds)


def clustered(rng: np.random.Generator, clusters: int, size: int) -> Pair:
    """Differences whose share .7 of the variance lies between clusters."""
    moved = np.sqrt(0.7) * np.repeat(rng.normal(size=clusters), size) + np.sqrt(0.3) * rng.normal(size=clusters * size)
    return np.full(clusters * size, 0.5), 0.5 + 0.1 * np.clip(moved, -4, 4)


@pytest.mark.parametrize(("clusters", "size"), [(8, 10), (40, 5)])
def test_clusters_are_the_units(clusters: int, size: int) -> None:
    rng = np.random.default_rng(clusters)
    names = [str(i // size) for i in range(clusters * size)]
    pairs = [clustered(rng, clusters, size) for _ in range(300)]
    own = np.mean([paired_difference(a, b, names).p_value <= 0.05 for a, b in pairs])
    none = np.mean([paired_difference(a, b).p_value <= 0.05 for a, b in pairs])
    assert own <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert none > 0.2
    assert paired_difference(*pairs[0], names).units == clusters


def test_data_without_any_difference_say_how_much_may_hide() -> None:
    found = paired_difference([1.0] * 100, [1.0] * 100)
    assert (found.difference, found.p_value) == (0.0, 1.0)
    assert found.ci == (pytest.approx(-0.0275, abs=0.002), pytest.approx(0.0275, abs=0.002))
    assert paired_difference([0.0], [1.0]).ci == (-1.0, 1.0)
    with pytest.raises(ValueError, match="paired"):
        paired_difference([], [])
    with pytest.raises(ValueError, match="paired"):
        paired_difference([1.0], [1.0, 0.0])


def test_six_flips_one_way_are_a_change_and_four_are_not() -> None:
    """As in McNemar's exact test."""
    for flips, low, high in ((4, 0.06, 0.15), (6, 0.02, 0.05)):
        b = np.zeros(200)
        b[:flips] = 1
        assert low < paired_difference(np.zeros(200), b).p_value < high


def test_equivalence_is_rarely_claimed_at_the_edge_of_the_band_and_often_well_inside() -> None:
    rng = np.random.default_rng(0)
    edge = [equivalence(*often(rng, 100), band=0.3).same for _ in range(300)]
    inside = [equivalence(*rare(rng, 300), band=0.1).same for _ in range(100)]
    assert np.mean(edge) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert np.mean(inside) > 0.9
    found = equivalence(*rare(rng, 300), band=0.1)
    assert found.same is (found.p_value <= 0.05)
    assert found.same is (found.ci[0] > -0.1 and found.ci[1] < 0.1)


def test_one_probe_needs_many_draws_to_be_called_the_same() -> None:
    few, many = probe_equivalence(4, 8, 4, 8, 0.2), probe_equivalence(100, 200, 100, 200, 0.2)
    assert (few.same, many.same) == (False, True)
    assert many.p_value < 0.05
    assert few.p_value > 0.05


def coverage(k: int) -> float:
    """The least coverage over a grid of rates, exactly."""
    grid = np.linspace(0, 1, 21)
    ends = np.array([[rate_difference(x, k, y, k) for y in range(k + 1)] for x in range(k + 1)])
    tails = np.array([[binomial_tail(x, k, p) - binomial_tail(x + 1, k, p) for x in range(k + 1)] for p in grid])
    gap = grid[None, :] - grid[:, None]
    least = 1.0
    for i, j in np.ndindex(gap.shape):
        inside = (ends[..., 0] <= gap[i, j] + 1e-9) & (gap[i, j] - 1e-9 <= ends[..., 1])
        least = min(least, float(tails[i] @ inside @ tails[j]))
    return least


@pytest.mark.parametrize("k", [2, 3, 4, 5, 6, 8, 12, 16])
def test_interval_of_one_probes_rates_covers_at_least_93_percent_for_all_rates(k: int) -> None:
    assert coverage(k) >= 0.93


@pytest.mark.parametrize("n", [1, 5, 20, 200])
def test_wilson_covers_on_average_over_rates(n: int) -> None:
    grid = np.linspace(0.01, 0.99, 99)
    ends = [wilson(k, n) for k in range(n + 1)]
    inside = [
        sum(
            binomial_tail(k, n, p) - binomial_tail(k + 1, n, p)
            for k, (low, high) in enumerate(ends)
            if low <= p <= high
        )
        for p in grid
    ]
    assert np.mean(inside) >= 0.945
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(n, n)[1] == 1.0
    assert wilson(0.0, n)[0] == 0.0


@pytest.mark.parametrize(("k", "mix"), [(4, 0.0), (8, 0.3), (8, 1.0), (16, 0.6)])
def test_interval_of_text_distance_covers(k: int, mix: float) -> None:
    rng = np.random.default_rng(k)
    before, other = np.array([0.4, 0.3, 0.2, 0.1, 0, 0]), np.array([0, 0, 0.1, 0.2, 0.3, 0.4])
    after = (1 - mix) * before + mix * other
    truth = float(((after - before) ** 2).sum())
    covered, worlds = 0, 100
    for _ in range(worlds):
        kinds = np.concatenate([rng.choice(6, k, p=before), rng.choice(6, k, p=after)])
        _, (low, high) = energy_interval((kinds[:, None] != kinds).astype(float), k)
        covered += low - 1e-9 <= truth <= high + 1e-9
    assert covered / worlds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / worlds)


def test_a_single_draw_a_side_bounds_the_distance_by_the_largest() -> None:
    distance, interval = energy_interval(np.array([[0, 0.4], [0.4, 0]]), 1)
    assert np.isnan(distance)
    assert interval == (0.0, 0.4)


def test_the_smallest_detectable_difference_is_detected_as_often_as_stated() -> None:
    rng = np.random.default_rng(0)
    least = smallest_detectable(100, 8, rate=0.4)
    found = [
        paired_difference(rng.binomial(8, 0.4, 100) / 8, rng.binomial(8, 0.4 + least, 100) / 8).p_value <= 0.05
        for _ in range(300)
    ]
    assert abs(np.mean(found) - 0.8) < 0.1
    assert smallest_detectable(100, 8, icc=0.7, cluster_size=10) == pytest.approx(
        smallest_detectable(100, 8) * np.sqrt(7.3)
    )
    assert smallest_detectable(0, 8) == np.inf


def test_what_one_probe_can_show() -> None:
    assert smallest_detectable_probe(3) == np.inf
    least = smallest_detectable_probe(8)
    assert fisher_power(8, 0.5 - least / 2, 0.5 + least / 2) == pytest.approx(0.8, abs=0.001)
    assert fisher_power(8, 0.5, 0.5) <= 0.05
    assert fisher_power(4, 0.0, 1.0) == pytest.approx(1.0)


def test_draws_needed_decide_about_as_often_as_wanted() -> None:
    assert draws_needed(8, 8, 0, 8, band=0.2) == 0
    more = draws_needed(6, 8, 3, 8, band=0.1)
    assert more is not None
    assert draws_needed(4, 8, 4, 8, band=0.01) is None
    rng = np.random.default_rng(0)
    n = 8 + more
    a, b = rng.binomial(n, 6.5 / 9, 300), rng.binomial(n, 3.5 / 9, 300)
    decided = [rate_difference(x, n, y, n)[1] < -0.1 for x, y in zip(a, b, strict=True)]
    assert 0.65 < np.mean(decided) < 0.95


def test_tails() -> None:
    for freedom, at, tail in ((1, 6.3138, 0.05), (5, 2.0150, 0.05), (61, 1.6702, 0.05), (500, 1.6479, 0.05)):
        assert t_tail(at, freedom) == pytest.approx(tail, abs=1e-5)
        assert t_tail(-at, freedom) == pytest.approx(1 - tail, abs=1e-5)
        assert t_quantile(0.95, freedom) == pytest.approx(at, abs=1e-3)
    assert fisher_table(8, 8)[0, 8] == pytest.approx(2 / 12_870)
    assert fisher_table(3, 5)[3, 0] == pytest.approx(1 / 56)
