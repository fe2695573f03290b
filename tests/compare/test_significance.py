"""Tests over a suite keep the rates that they claim."""

from __future__ import annotations

import numpy as np
import pytest

from bvc.compare.significance import benjamini_hochberg, exceeds_noise, student_tail

Table = dict[str, dict[str, float]]


def table(rng: np.random.Generator, n: int, shift: float = 0.0, moved: int | None = None) -> Table:
    """Distances of n probes in three correlated channels; `moved` of them (default all) are exp(shift) times larger."""
    common = rng.normal(size=n)
    boost = np.zeros(n)
    boost[: n if moved is None else moved] = shift
    return {
        channel: {str(i): float(v) for i, v in enumerate(np.exp(common + rng.normal(size=n) + boost))}
        for channel in ("activation", "logprob", "text")
    }


def test_q_values_of_a_known_example() -> None:
    found = benjamini_hochberg({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.5})
    assert found == pytest.approx({"a": 0.04, "b": 0.16 / 3, "c": 0.16 / 3, "d": 0.5})
    assert benjamini_hochberg({}) == {}


def test_false_discoveries_stay_at_the_level() -> None:
    """300 worlds of 60 probes, 10 of them changed: the mean share of false ones among discoveries at q ≤ .1."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        p = np.concatenate([rng.uniform(size=50), rng.uniform(size=10) * 1e-3])
        q = benjamini_hochberg({str(i): float(v) for i, v in enumerate(p)})
        found = [i for i in range(60) if q[str(i)] <= 0.1]
        shares.append(sum(i < 50 for i in found) / max(len(found), 1))
    assert 0.05 < np.mean(shares) < 0.1 + 3 * np.std(shares) / np.sqrt(300)


def test_no_noise_gives_no_p_value() -> None:
    rng = np.random.default_rng(0)
    assert exceeds_noise(table(rng, 5), []) is None
    assert exceeds_noise(table(rng, 5), [{"text": {}}]) is None
    assert exceeds_noise({}, [table(rng, 5)]) is None


def test_equal_distances_everywhere_give_p_one() -> None:
    zeros: Table = {"text": dict.fromkeys("abc", 0.0)}
    assert exceeds_noise(zeros, [zeros]) == 1.0


@pytest.mark.parametrize(("n", "null"), [(60, 6), (200, 20)])
def test_distances_no_larger_than_noise_are_called_larger_at_the_stated_rate(n: int, null: int) -> None:
    rng = np.random.default_rng(n)
    worlds = 400
    p = [exceeds_noise(table(rng, n), [table(rng, null)]) for _ in range(worlds)]
    for level in (0.05, 0.2):
        rate = np.mean([x is not None and x <= level for x in p])
        assert rate <= level + 3.5 * np.sqrt(level * (1 - level) / worlds)


def test_distances_larger_than_noise_are_seen() -> None:
    rng = np.random.default_rng(1)
    found = [exceeds_noise(table(rng, 60, shift=3), [table(rng, 6)]) for _ in range(50)]
    assert sum(p is not None and p <= 0.05 for p in found) > 45


def test_a_channel_without_noise_is_left_out() -> None:
    rng = np.random.default_rng(2)
    compared = table(rng, 30, shift=6)
    null = table(rng, 10)
    only_text = {"text": null["text"]}
    assert exceeds_noise(compared, [only_text]) == exceeds_noise({"text": compared["text"]}, [only_text])


@pytest.mark.parametrize(
    ("freedom", "at", "tail"),
    [(1, 6.3138, 0.05), (2, 2.9200, 0.05), (5, 4.0321, 0.005), (5, 0.0, 0.5), (6, 1.9432, 0.05), (10, 4.5869, 0.0005)],
)
def test_the_tail_is_that_of_students_t(freedom: int, at: float, tail: float) -> None:
    found = student_tail(np.array([at, -at]), freedom)
    assert found == pytest.approx(np.array([tail, 1 - tail]), rel=1e-3)
