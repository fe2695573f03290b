"""The test on draws: exact under the null, and able to see a changed mixture of answers."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from bvc.compare.draws import draws_p_value

ANSWERS = [f"the answer is {word} and that is {mood}" for word in ("red", "blue", "green") for mood in ("good", "bad")]


def test_too_few_draws_decide_nothing() -> None:
    assert draws_p_value(["a"], ["b", "c"]) is None


def test_equal_draws_have_p_one_in_any_order() -> None:
    assert draws_p_value(["a", "b", "c"], ["c", "a", "b"]) == 1.0


@pytest.mark.parametrize("n", [4, 6, 8])
def test_wholly_unlike_draws_reach_the_smallest_p_of_an_exact_test(n: int) -> None:
    a, b = [f"yes {i}" for i in range(n)], [f"no {i}" for i in range(n)]
    assert draws_p_value(a, b) == pytest.approx(2 / comb(2 * n, n))


def test_beyond_the_exact_range_splits_are_drawn_and_the_real_one_counts() -> None:
    a, b = [f"yes {i}" for i in range(20)], [f"no {i}" for i in range(12)]
    assert draws_p_value(a, b) == pytest.approx(1 / 10_000)


def test_order_of_words_counts() -> None:
    a, b = ["dog bites man"] * 8, ["man bites dog"] * 8
    assert draws_p_value(a, b) == pytest.approx(2 / comb(16, 8))


@pytest.mark.parametrize(("n", "m"), [(5, 5), (8, 8), (6, 10), (12, 12)])
def test_rejects_a_true_null_no_more_often_than_stated(n: int, m: int) -> None:
    """600 worlds in which both sides draw from one distribution; the level may be exceeded by 3.5 standard errors."""
    rng = np.random.default_rng(n * m)
    worlds = 600
    p_values = []
    for _ in range(worlds):
        weights = rng.dirichlet(np.ones(len(ANSWERS)))
        drawn = rng.choice(ANSWERS, n + m, p=weights).tolist()
        p_values.append(draws_p_value(drawn[:n], drawn[n:]))
    for level in (0.05, 0.2):
        rate = np.mean([p <= level for p in p_values if p is not None])
        assert rate <= level + 3.5 * np.sqrt(level * (1 - level) / worlds)


def test_sees_a_changed_mixture() -> None:
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(100):
        a, b = rng.choice(ANSWERS[:4], 8).tolist(), rng.choice(ANSWERS[2:], 8).tolist()
        p = draws_p_value(a, b)
        seen += p is not None and p <= 0.05
    assert seen > 40
