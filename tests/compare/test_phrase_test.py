"""The flip test: false findings where nothing changed, found and false where something did, dependence, clusters."""

from __future__ import annotations

import numpy as np
import pytest

from bvc.compare.phrase_test import (
    FLIPS,
    NO_DRIFT,
    Drift,
    Odds,
    Shifts,
    drift,
    flip_test,
    least_support,
    step_up,
    units_of,
)


def shifts(columns: np.ndarray) -> Shifts:
    """From a dense table, [units, features]."""
    feature, unit = np.nonzero(columns.T)
    return Shifts(feature, unit, columns[unit, feature].astype(float), columns.shape[1], columns.shape[0])


def dependent(rng: np.random.Generator, units: int, features: int, copies: int) -> np.ndarray:
    """Signs of -1, 0 and 1 where blocks of `copies` features hardly differ."""
    base = rng.choice([-1, 0, 1], (units, features // copies), p=[0.2, 0.6, 0.2])
    columns = np.repeat(base, copies, axis=1)
    columns[rng.random(columns.shape) < 0.05] = 0
    return columns


def test_at_most_a_twentieth_of_null_tables_shows_anything_whatever_depends_on_what() -> None:
    rng = np.random.default_rng(1)
    alarms = sum(flip_test(shifts(dependent(rng, 40, 120, 10))).min() <= 0.05 for _ in range(300))
    assert alarms <= 24  # 300 at .05: 15, and 2.4 standard deviations


def test_the_rate_of_false_discoveries_is_held_and_real_ones_are_found() -> None:
    rng = np.random.default_rng(2)
    false, real = [], 0
    for _ in range(100):
        columns = dependent(rng, 60, 200, 4)
        columns[:20, :20] = np.where(rng.random((20, 20)) < 0.9, 1, 0)
        columns[20:, :20] = 0
        found = flip_test(shifts(columns)) <= 0.05
        real += int(found[:20].sum())
        false.append(found[20:].sum() / max(found.sum(), 1))
    assert real > 0.9 * 2000
    assert np.mean(false) <= 0.06


def test_no_finding_is_surer_than_the_test_of_all_together() -> None:
    columns = np.zeros((60, 30))
    columns[:30] = 1
    assert flip_test(shifts(columns)).min() == pytest.approx(1 / (FLIPS + 1))


def test_real_valued_leans_are_tested_as_they_are() -> None:
    rng = np.random.default_rng(3)
    alarms = sum(flip_test(shifts(rng.standard_t(2, (30, 50)))).min() <= 0.05 for _ in range(200))
    assert alarms <= 18
    leaning = rng.standard_t(2, (30, 50))
    leaning[:, 7] = np.abs(leaning[:, 7])
    assert np.argmin(flip_test(shifts(leaning))) == 7


def test_one_cluster_counts_once_however_many_probes_it_has() -> None:
    columns = np.zeros((40, 1))
    columns[:30, 0] = 1
    many = shifts(columns)
    units = units_of([str(i) for i in range(40)], {str(i): "same" for i in range(30)})
    assert flip_test(many)[0] < 0.05
    assert flip_test(many.grouped(units))[0] == 1
    assert many.grouped(units).support().tolist() == [1]


def test_clusters_whose_leans_cancel_do_not_lean() -> None:
    both = shifts(np.array([[1.0], [-1.0], [1.0]]))
    assert both.grouped(np.array([0, 0, 1])).support().tolist() == [1]


def test_features_with_too_little_support_are_left_out_before_the_test() -> None:
    assert least_support(np.array([5])) == 6  # 2^(1-5) = .0625 even if all five agree
    assert least_support(np.array([6])) == 6
    assert least_support(np.full(1000, 12)) == 13
    assert least_support(np.full(1000, 20)) == 16
    assert least_support(np.array([30]), fewest=8) == 8


def test_drift_is_the_place_and_spread_of_the_bulk_and_a_planted_minority_does_not_reach_it() -> None:
    rng = np.random.default_rng(4)
    units = rng.integers(10, 60, 600)
    to_b = rng.binomial(units, 1 / (1 + np.exp(0.5 - rng.normal(size=600) * 0.8)))
    odds = Odds(np.log((to_b + 0.5) / (units - to_b + 0.5)), units.astype(float))
    found = drift(odds)
    assert (found.center, found.spread) == (pytest.approx(-0.5, abs=0.12), pytest.approx(0.8, rel=0.2))
    planted = drift(Odds(np.where(np.arange(600) < 60, 4.0, odds.log_odds), odds.units))
    assert (planted.center, planted.spread) == (pytest.approx(-0.5, abs=0.25), pytest.approx(0.8, rel=0.3))
    fair = rng.binomial(units, 0.5)
    assert drift(Odds(np.log((fair + 0.5) / (units - fair + 0.5)), odds.units)).spread < 0.25
    assert drift(Odds(odds.log_odds[:30], odds.units[:30])) is NO_DRIFT


def test_odds_are_those_of_the_leans() -> None:
    odds = shifts(np.array([[1.0, 0.5], [1.0, 0.25], [-1.0, 0.0], [1.0, 0.25]])).odds()
    assert odds.log_odds.tolist() == pytest.approx([np.log(3.5 / 1.5), np.log((8 / 3 + 0.5) / 0.5)])
    assert odds.units.tolist() == pytest.approx([4, 8 / 3])


def test_a_spread_hides_what_drifts_and_leaves_what_is_new() -> None:
    columns = np.zeros((100, 2))
    columns[:60, 0] = 1
    columns[60:80, 0] = -1  # a common word: three times as often, 60 to 20
    columns[:14, 1] = 1  # a new one
    plain, hidden = flip_test(shifts(columns)), flip_test(shifts(columns), Drift(0.0, 0.7))
    assert plain.max() <= 0.05
    assert hidden[0] > 0.05
    assert hidden[1] <= 0.05
    assert flip_test(shifts(columns), Drift(np.log(60 / 20), 0.1))[0] > 0.05


def test_step_up_is_benjamini_and_hochberg() -> None:
    assert step_up(np.array([0.01, 0.04, 0.03, 0.5])).tolist() == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert step_up(np.array([])).tolist() == []


def test_nothing_to_test() -> None:
    assert flip_test(shifts(np.zeros((5, 0)))).tolist() == []
    assert flip_test(shifts(np.zeros((0, 0)))).tolist() == []
    assert flip_test(shifts(np.zeros((5, 3)))).tolist() == [1, 1, 1]
