"""Steering judged against random directions: no more false claims than 5 %, effects are found, broken answers do not
count."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from bvc.compare.steering import (
    Pushed,
    Steers,
    broken_answers,
    random_directions,
    steering_effects,
)
from tests.compare.steering_worlds import PROBES, Values, judged, pushed, world

WORLDS = 600


def binomial_limit(trials: int, rate: float = 0.05) -> int:
    """Hits that a rate of `rate` exceeds once in a thousand."""
    return int(trials * rate + NormalDist().inv_cdf(0.999) * (trials * rate * (1 - rate)) ** 0.5)


@pytest.mark.parametrize("scatter", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("base", [0.02, 0.4])
def test_one_more_random_direction_is_seldom_said_to_move_more(scatter: float, base: float) -> None:
    """Directions alike: without any effect, with small and with large ones; over three strengths together."""
    rng = np.random.default_rng(5)
    strengths = np.array([-1.0, 1.0, 2.0])
    false = sum(
        any(e.verdict in (Steers.MORE, Steers.BREAKS) for e in judged(rng, strengths, scatter=scatter, base=base))
        for _ in range(WORLDS)
    )
    assert false <= binomial_limit(WORLDS)


@pytest.mark.parametrize("scatter", [0.3, 1.0])
def test_the_interval_holds_the_difference_to_an_average_direction(scatter: float) -> None:
    """At least 95 times in 100 (it is the wider of two), where the direction is one more random one."""
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(WORLDS):
        (effect,) = judged(rng, np.array([1.0]), scatter=scatter)
        held += effect.beyond.ci[0] <= 0.0 <= effect.beyond.ci[1]
    assert WORLDS - held <= binomial_limit(WORLDS)


@pytest.mark.parametrize(("shift", "least"), [(4.0, 0.95), (-4.0, 0.8), (2.5, 0.7)])
def test_an_effect_is_found(shift: float, least: float) -> None:
    """From a rate of 3 in 10 up to about 9 in 10, down to nearly none, and up to about 3 in 4."""
    rng = np.random.default_rng(7)
    found = [judged(rng, np.array([1.0]), shift, scatter=0.2)[0] for _ in range(200)]
    assert np.mean([e.verdict is Steers.MORE for e in found]) >= least
    assert all(e.moved.difference * shift > 0 for e in found if e.verdict is Steers.MORE)


def test_no_more_than_random_is_said_where_nothing_moves() -> None:
    rng = np.random.default_rng(8)
    unsteered = (rng.random((200, 8)) < 0.3).astype(float)
    scores = np.repeat(unsteered[None], 5, axis=0)
    (effect,) = steering_effects(unsteered, [pushed(scores)])
    assert effect.verdict is Steers.NO_MORE
    assert effect.need is None
    assert effect.as_far == 4


@pytest.mark.parametrize("kept", [1.0, 0.8])
def test_a_direction_that_moves_less_than_random_ones_does_not_move_more(kept: float) -> None:
    """Random directions ruin the score, this one does not, or a little: the difference is large, and no effect."""
    rng = np.random.default_rng(9)
    unsteered = (rng.random((60, 5)) < 0.9).astype(float)
    scores = np.stack([unsteered * (rng.random(unsteered.shape) < share) for share in (kept, *[0.3] * 4)])
    (effect,) = steering_effects(unsteered, [pushed(scores)])
    assert effect.beyond.difference > 0.4
    assert effect.verdict is Steers.NO_MORE


def test_an_effect_in_broken_answers_alone_is_called_so() -> None:
    rng = np.random.default_rng(10)
    unsteered = (rng.random((40, 5)) < 0.1).astype(float)
    scores = np.stack([np.ones_like(unsteered), *[unsteered] * 4])
    broken = np.zeros(scores.shape, bool)
    (whole,) = steering_effects(unsteered, [Pushed(scores[0], scores[1:], broken[0], broken[1:])])
    broken[0] = True
    (ruined,) = steering_effects(unsteered, [Pushed(scores[0], scores[1:], broken[0], broken[1:])])
    assert (whole.verdict, ruined.verdict) == (Steers.MORE, Steers.BREAKS)
    assert ruined.intact.difference == 0.0
    assert (ruined.broken, ruined.random_broken) == (1.0, 0.0)


def test_what_is_needed_decides() -> None:
    """With as many draws as were asked for, most of the undecided worlds are decided."""
    rng = np.random.default_rng(11)
    decided, asked = 0, 0
    for _ in range(300):
        logit = np.full(PROBES, -1.0)
        gain = np.array([0.5, 0.0, 0.0, 0.0, 0.0])
        few, many = (rng.random((2, PROBES, k)) for k in (4, 64))

        def scores(noise: Values, logit: Values = logit, gain: Values = gain) -> tuple[Values, Values]:
            rates = 1 / (1 + np.exp(-(logit + gain[:, None])))
            drawn = (noise[0][None] < rates[:, :, None]).astype(float)
            return (noise[0] < rates[1][:, None]).astype(float), drawn

        unsteered, table = scores(few)
        (effect,) = steering_effects(unsteered, [pushed(table)])
        if effect.verdict is Steers.UNDECIDED and effect.need is not None and effect.need.draws is not None:
            assert effect.need.draws > 4
            asked += 1
            unsteered, table = scores(many)
            again = steering_effects(unsteered, [pushed(table)])[0]
            decided += again.verdict is not Steers.UNDECIDED
    assert asked >= 20
    assert decided >= 0.8 * asked


def test_scattering_controls_ask_for_more_of_them() -> None:
    unsteered = np.zeros((60, 5))
    scores = np.stack([np.full((60, 5), 0.5), *(np.full((60, 5), rate) for rate in (0.2, 0.1, 0.05, 0.2))])
    (effect,) = steering_effects(unsteered, [pushed(scores)])
    assert effect.verdict is Steers.UNDECIDED
    assert effect.need is not None
    assert effect.need.directions is not None
    assert effect.need.directions > 4
    assert effect.need.draws is None


def test_strengths_are_corrected_for_each_other() -> None:
    rng = np.random.default_rng(12)
    unsteered, scores = world(rng, np.array([1.3, 0.0, 0.1, -0.1, 0.0]))
    (alone,) = steering_effects(unsteered, [pushed(scores)])
    among = steering_effects(unsteered, [pushed(scores)] * 5)
    assert alone.p_value < among[0].p_value == pytest.approx(5 * alone.p_value)


def test_probes_of_a_cluster_count_once() -> None:
    rng = np.random.default_rng(13)
    unsteered, scores = world(rng, np.array([1.5, 0.0, 0.1, -0.1, 0.0]))
    apart = steering_effects(unsteered, [pushed(scores)])[0]
    tripled = [np.repeat(a, 3, axis=-2) for a in (unsteered, scores)]
    names = [f"cluster {i // 3}" for i in range(3 * PROBES)]
    again = steering_effects(tripled[0], [pushed(tripled[1])], names)[0]
    assert again.beyond.ci == pytest.approx(apart.beyond.ci, abs=0.02)


def test_random_directions_are_orthogonal_equally_long_and_seeded() -> None:
    vector = np.random.default_rng(0).normal(size=64) * 3
    drawn = random_directions(vector, 6, 1)
    assert np.linalg.norm(drawn, axis=1) == pytest.approx(np.full(6, np.linalg.norm(vector)))
    assert np.abs(drawn @ vector).max() < 1e-9
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    assert np.abs(unit @ unit.T - np.eye(6)).max() < 0.6
    assert np.array_equal(drawn, random_directions(vector, 6, 1))
    assert np.allclose(drawn[:2], random_directions(vector, 2, 1))
    assert not np.array_equal(drawn, random_directions(vector, 6, 2))
    with pytest.raises(ValueError, match="length"):
        random_directions(np.zeros(8), 2, 0)


def test_broken_answers_loop_or_are_word_salad_and_were_not_so_before() -> None:
    own = np.array([[0.0, 0.9, 0.0, 0.0]]), np.array([[-1.0, -1.0, -9.0, -1.0]])
    repeats = np.array([[[0.6, 0.9, 0.0, 0.5]]])
    likely = np.array([[[-1.0, -1.0, -9.0, -1.0]]])
    salad = np.linspace(-8.0, -6.0, 21)
    assert broken_answers(repeats, likely, own, salad).tolist() == [[[True, False, False, False]]]
    worse = np.array([[[-1.0, -7.0, -9.0, -6.1]]])
    assert broken_answers(np.zeros((1, 1, 4)), worse, own, salad).tolist() == [[[False, True, False, False]]]
    silent = np.full((1, 1, 4), np.nan)
    assert not broken_answers(np.zeros((1, 1, 4)), silent, own, salad).any()
    assert not broken_answers(np.zeros((1, 1, 4)), worse, own, []).any()


def test_two_directions_and_a_probe_are_needed() -> None:
    scores = np.zeros((2, 3, 1))
    with pytest.raises(ValueError, match="two random directions"):
        steering_effects(scores[0], [pushed(scores)])
    with pytest.raises(ValueError, match="one probe"):
        steering_effects(np.zeros((0, 1)), [pushed(np.zeros((5, 0, 1)))])
