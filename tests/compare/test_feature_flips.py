"""Exact sign flips: equal to counting all signs, calibrated, fine enough for thousands of latents."""

from __future__ import annotations

import time
from itertools import product
from math import comb

import numpy as np
import numpy.typing as npt
import pytest

from bvc.compare.feature_flips import SCORES, flip_p_values
from bvc.compare.phrase_test import Shifts


def shifts(terms: list[npt.NDArray[np.float64]]) -> Shifts:
    """One feature for each array of terms, of units 0, 1, …"""
    sizes = [len(row) for row in terms]
    feature = np.repeat(np.arange(len(terms)), sizes)
    unit = np.concatenate([np.arange(size) for size in sizes])
    return Shifts(feature, unit, np.concatenate(terms).astype(float), len(terms), max(sizes))


def counted(terms: npt.NDArray[np.float64]) -> float:
    """The p-value from all signs one by one; scores as described."""
    size = np.abs(terms)
    cap = np.sort(size)[int(np.floor(0.8 * (len(size) - 1)))]
    scores = np.clip(np.ceil(SCORES * size / cap - 1e-6), 1, SCORES)
    sums = np.array(list(product((-1, 1), repeat=len(terms)))) @ scores
    return float((np.abs(sums) >= abs(np.sign(terms) @ scores) - 1e-9).mean())


def test_every_p_value_is_that_of_all_signs() -> None:
    rng = np.random.default_rng(0)
    terms = [rng.standard_t(2, size) + (size > 9) for size in rng.integers(1, 13, 40)]
    found = flip_p_values(shifts(terms))
    assert found == pytest.approx([counted(row) for row in terms], abs=1e-12)


def test_a_feature_without_terms_is_no_finding() -> None:
    assert flip_p_values(shifts([np.zeros(0), np.ones(3), np.zeros(0)])).tolist() == [1.0, 0.25, 1.0]
    assert flip_p_values(Shifts(*(np.zeros(0, int) for _ in range(2)), np.zeros(0), 2, 4)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("units", [1, 6, 20, 35])
def test_where_all_units_agree_it_is_the_sign_test(units: int) -> None:
    rng = np.random.default_rng(units)
    alike = flip_p_values(shifts([np.full(units, 0.3), rng.exponential(size=units)]))
    assert alike == pytest.approx(2.0 ** (1 - units), rel=1e-3)


def test_far_tails_are_told_apart() -> None:
    found = flip_p_values(shifts([np.array([*np.ones(50 - k), *-np.ones(k)]) for k in (0, 2, 5, 8)]))
    binomial = [2 * sum(comb(50, i) for i in range(k + 1)) / 2**50 for k in (2, 5, 8)]
    assert found[0] == 1e-12
    assert found[1:] == pytest.approx(binomial, rel=1e-3, abs=1e-15)


def test_p_values_are_calibrated_on_heavy_tails() -> None:
    rng = np.random.default_rng(1)
    found = flip_p_values(shifts([rng.standard_t(1.5, int(n)) for n in rng.integers(8, 60, 4000)]))
    for level in (0.05, 0.01):
        assert (found <= level).mean() <= level + 2.6 * np.sqrt(level * (1 - level) / 4000)
    assert (found <= 0.05).mean() > 0.03


def test_one_huge_term_decides_nothing() -> None:
    rng = np.random.default_rng(2)
    terms = np.abs(rng.normal(size=20))
    terms[0] = -1e6
    assert flip_p_values(shifts([terms]))[0] < 1e-3


def test_four_thousand_latents_take_a_moment() -> None:
    rng = np.random.default_rng(3)
    many = shifts([rng.normal(size=int(n)) for n in rng.geometric(1 / 100, 4096)])
    started = time.process_time()
    flip_p_values(many)
    assert time.process_time() - started < 3
