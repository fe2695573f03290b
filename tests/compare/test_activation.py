"""Hidden-state distances: relative, folded without losing length, and beyond what all probes share."""

from __future__ import annotations

import numpy as np
import pytest

from bvc.compare.activation import Movement, shifts
from bvc.evidence import ActivationBlock, Floats

SITE = "layer.01/prompt"


def hidden(n: int, width: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def movement(a: Floats, b: Floats) -> Movement:
    found = Movement()
    shift = shifts(ActivationBlock({SITE: a}), ActivationBlock({SITE: b}))[SITE]
    found.add(SITE, [str(i) for i in range(len(a))], shift)
    return found


def test_distance_is_relative_to_the_mean_length() -> None:
    a = hidden(5, 64)
    assert list(movement(a, a * 3).raw(SITE).values()) == pytest.approx([1.0] * 5)
    assert set(movement(a, a.copy()).raw(SITE).values()) == {0.0}


def test_zero_vectors_have_no_distance() -> None:
    a = np.zeros((2, 16), np.float32)
    assert list(movement(a, a).raw(SITE).values()) == [0.0, 0.0]


@pytest.mark.parametrize("width", [64, 576, 4096])
def test_folding_keeps_lengths(width: int) -> None:
    a = hidden(200, width)
    found = movement(a, a + hidden(200, width, 1) * 0.1)
    raw = np.array(list(found.raw(SITE).values()))
    kept = np.array(list(found.beyond_shift(SITE).values()))  # independent moves have no common shift
    assert abs(np.mean(kept / raw) - 1) < 0.03
    assert np.std(kept / raw) < 0.08


def test_a_shift_that_all_probes_share_is_taken_off_and_outliers_stay() -> None:
    a = hidden(50, 576)
    b = a + hidden(1, 576, 1) * 2
    b[:5] += hidden(5, 576, 2)
    found = movement(a, b)
    beyond = np.array(list(found.beyond_shift(SITE).values()))
    raw = np.array(list(found.raw(SITE).values()))
    assert raw[5:].min() > 1
    assert beyond[:5].min() > 3 * np.median(beyond[5:])


def test_probes_that_did_not_move_count_in_the_common_shift() -> None:
    a = hidden(3, 32)
    found = movement(a, a + 1)
    still = [f"still {i}" for i in range(10)]
    beyond = found.beyond_shift(SITE, still)
    assert all(beyond[p] == 0 for p in still)
    assert all(beyond[str(i)] > 0.1 for i in range(3))


def test_sites_of_unlike_width_or_name_are_left_out() -> None:
    a = ActivationBlock({SITE: hidden(2, 8), "layer.02/prompt": hidden(2, 8)})
    b = ActivationBlock({SITE: hidden(2, 16), "layer.02/prompt": hidden(2, 8), "layer.03/prompt": hidden(2, 8)})
    assert list(shifts(a, b)) == ["layer.02/prompt"]
