"""Intervals cover what they claim to, for few and many probes and draws, and every kind of score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from bvc.compare.intervals import paired_difference, smallest_detectable
from bvc.compare.tails import t_quantile, t_tail

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


def test_tails() -> None:
    for freedom, at, tail in ((1, 6.3138, 0.05), (5, 2.0150, 0.05), (61, 1.6702, 0.05), (500, 1.6479, 0.05)):
        assert t_tail(at, freedom) == pytest.approx(tail, abs=1e-5)
        assert t_tail(-at, freedom) == pytest.approx(1 - tail, abs=1e-5)
        assert t_quantile(0.95, freedom) == pytest.approx(at, abs=1e-3)
