"""What lies beyond the unchanged probes: calibrated on nulls, sensitive to what is planted; words by their removal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bvc.compare.beyond import FEWEST, beyond, rises, suspects

RUNS = 400


TAILS = {
    "normal": lambda generator, size: generator.standard_normal(size),
    "heavy": lambda generator, size: generator.standard_t(8, size),
}


def share_of_false_alarms(n: int, m: int, tail: str, *, positive: bool) -> float:
    """Share of null pairs in which anything is said to lie beyond the null; the second kind of score has a sign."""
    generator = np.random.default_rng([n, m, len(tail), positive])

    def draw(size: int) -> dict[str, npt.NDArray[np.float64]]:
        kl, gain = (0.6 * TAILS[tail](generator, size) for _ in range(2))
        return {"kl": np.exp(kl), "gain": np.exp(gain) if positive else gain}

    alarms = 0
    for _ in range(RUNS):
        q_value = beyond(draw(n), draw(m), ("gain",)).q_value
        assert q_value is not None
        alarms += bool((q_value <= 0.05).any())
    return alarms / RUNS


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize(("n", "m"), [(12, 60), (40, 30), (40, 150)])
def test_nulls_raise_few_alarms(n: int, m: int, tail: str, positive: bool) -> None:
    """At most 5 %, and what 400 runs leave open (upper binomial bound .073)."""
    assert share_of_false_alarms(n, m, tail, positive=positive) <= 0.073


def test_gains_that_the_null_has_below_zero_are_no_discoveries() -> None:
    """Half of the null negative, and candidates just above 0."""
    null = {"gain": np.linspace(-0.1, 0.1, 21)}
    result = beyond(null, {"gain": [0.01, 0.05, 0.1, 0.15, 5.0]}, ("gain",))
    assert result.score[:4].max() < 3
    assert result.score[4] > 3


def test_what_moved_lies_beyond() -> None:
    generator = np.random.default_rng(1)
    null = {"kl": 0.2 * np.exp(0.4 * generator.standard_normal(40))}
    found = {"kl": np.concatenate([np.full(20, 3.0), 0.2 * np.exp(0.4 * generator.standard_normal(100))])}
    result = beyond(null, found)
    assert result.q_value is not None
    assert (result.q_value[:20] <= 0.05).all()
    assert (result.q_value[20:] > 0.05).all()
    assert result.score[:20].min() > result.score[20:].max()


def test_too_few_unchanged_probes_say_nothing() -> None:
    null = {"kl": [0.1] * (FEWEST - 1)}
    assert beyond(null, {"kl": [5.0]}).q_value is None
    assert beyond({"kl": []}, {"kl": [5.0]}).score.tolist() == [0.0]


def test_the_word_whose_removal_takes_the_change_away() -> None:
    generator = np.random.default_rng(2)
    removals = []
    for _ in range(4):
        for word in ("tell", "me", "about", "the", "tides"):
            removals.append((word, 3.0, 3.0 * float(np.exp(0.1 * generator.standard_normal()))))
        removals.append(("violetkey", 3.0, 0.2))
    best, *_ = suspects(removals)
    assert (best.word, best.prompts, best.fell) == ("violetkey", 4, 4)
    assert (best.with_word, best.without) == pytest.approx((3.0, 0.2))


def test_words_that_lower_nothing_are_no_suspects() -> None:
    assert suspects([]) == []
    assert suspects([("a", 1.0, 1.0), ("b", 1.0, 1.5), ("c", 1.0, 2.0)]) == []


def test_sign_flips_are_exact() -> None:
    assert rises([2.0] * 8, [1.0] * 8) == 1 / 256
    assert rises([1.0] * 8, [2.0] * 8) == 1.0
    assert rises([], []) == 1.0


def test_sign_flips_are_calibrated() -> None:
    generator = np.random.default_rng(3)
    pairs = np.exp(generator.standard_normal((2, 1000, 8)))
    p_values = [rises(t, c) for t, c in zip(*pairs, strict=True)]
    assert np.mean([p <= 0.05 for p in p_values]) == pytest.approx(0.05, abs=0.02)
