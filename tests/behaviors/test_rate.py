"""Rates and their intervals, by hand and by coverage."""

from __future__ import annotations

import random

import pytest

from bvc.behaviors.rate import rate_interval
from bvc.quantiles import student_quantile, wilson


def test_wilson_by_hand() -> None:
    low, high = wilson(0.5, 10)
    assert (round(low, 4), round(high, 4)) == (0.2366, 0.7634)
    assert wilson(0.0, 10)[0] == 0
    assert round(wilson(0.0, 10)[1], 4) == 0.2775
    assert wilson(0.3, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.706), (5, 2.571), (9, 2.262), (30, 2.042), (200, 1.972)])
def test_student(freedom: int, quantile: float) -> None:
    assert student_quantile(freedom) == pytest.approx(quantile, abs=0.01)


def test_without_scores() -> None:
    with pytest.raises(ValueError, match="no scores"):
        rate_interval([], [])


def test_one_cluster_tells_little() -> None:
    assert rate_interval([1.0] * 50, ["a"] * 50)[1][0] < 0.3
    assert rate_interval([1.0] * 50, list(map(str, range(50))))[1][0] > 0.9


@pytest.mark.parametrize(
    ("rate", "clusters", "size"), [(0.5, 40, 1), (0.1, 60, 1), (0.03, 100, 1), (0.3, 30, 5), (0.9, 15, 2)]
)
def test_intervals_cover(rate: float, clusters: int, size: int) -> None:
    """Probes of one cluster agree with correlation .7: the interval must be of the clusters."""
    generator = random.Random(7)
    covered = 0
    for _ in range(800):
        scores, names = [], []
        for cluster in range(clusters):
            shared = float(generator.random() < rate)
            scores += [
                shared if generator.random() < 0.7**0.5 else float(generator.random() < rate) for _ in range(size)
            ]
            names += [str(cluster)] * size
        _, (low, high) = rate_interval(scores, names)
        covered += low <= rate <= high
    assert covered >= 0.93 * 800
