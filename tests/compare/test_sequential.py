"""Looking again after every draw raises no false alarm beyond the level."""

from __future__ import annotations

from math import lgamma, log

import numpy as np
import pytest

from bvc.compare.draw_evidence import draw_evidence
from bvc.compare.sequential import sequential_evidence, stream_log_e
from tests.compare.simulated import DRAWS, SAME, TENTH, WORDED, World, world

LOOKS = 2_000
ALARM = log(20)


def alarms(differences: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    """Share of streams whose e-value ever reaches 20."""
    return float(np.mean([stream_log_e(row).max() >= ALARM for row in differences]))


@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_a_stream_of_2000_looks_has_at_most_one_false_alarm_in_twenty(rate: float) -> None:
    rng = np.random.default_rng(0)
    streams = 300
    drawn = rng.binomial(1, rate, (2, streams, LOOKS)).astype(float)
    assert alarms(drawn[1] - drawn[0]) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / streams)


def test_fractional_scores_too() -> None:
    rng = np.random.default_rng(1)
    drawn = rng.beta(0.5, 2, (2, 150, LOOKS))
    assert alarms(drawn[1] - drawn[0]) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


def test_a_naive_test_at_every_look_would_alarm() -> None:
    """What the e-process is for: the same streams under a z test."""
    rng = np.random.default_rng(0)
    steps = rng.choice([-1.0, 1.0], (200, LOOKS))
    z = np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, LOOKS + 1))
    assert np.mean((np.abs(z[:, 10:]) > 1.96).any(1)) > 0.3


def test_of_discordant_pairs_it_is_the_krichevsky_trofimov_mixture() -> None:
    won, lost = 9, 3
    found = stream_log_e([1.0] * won + [-1.0] * lost + [0.0] * 5)
    beta = lgamma(won + 0.5) + lgamma(lost + 0.5) - lgamma(won + lost + 1) - 2 * lgamma(0.5)
    assert found[-1] == pytest.approx(beta + (won + lost) * log(2), abs=1e-6)
    assert found[-1] == found[-6]


def look(drawn: World, draws: int) -> float:
    pairs = [(a[:draws], b[:draws]) for a, b in drawn.texts()]
    scores = [(a[:draws], b[:draws]) for a, b in drawn.scores()]
    return sequential_evidence(draw_evidence(pairs, scores=scores, coupled=False)).log_e


def test_a_suite_that_is_looked_at_after_every_draw_keeps_the_level() -> None:
    worlds = 100
    called = [any(look(world(SAME, seed, 40), k) >= ALARM for k in range(1, DRAWS + 1)) for seed in range(worlds)]
    assert np.mean(called) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)


def test_a_change_is_found_in_scores_or_in_texts_alone() -> None:
    assert look(world(TENTH, 0), DRAWS) > look(world(SAME, 0), DRAWS)
    pairs = [([f"yes {i} {k}" for k in range(8)], [f"no {i} {k}" for k in range(8)]) for i in range(10)]
    found = sequential_evidence(draw_evidence(pairs))
    assert found.p_value < 1e-6
    assert (found.probes > 1).all()
    assert found.probes.shape == (10,)


def test_an_unchanged_or_empty_suite_has_no_evidence() -> None:
    same = [(["a", "b"], ["a", "b"])] * 3
    found = sequential_evidence(draw_evidence(same, coupled=True))
    assert (found.log_e, found.p_value) == (pytest.approx(0.0), pytest.approx(1.0))
    assert sequential_evidence(draw_evidence([([], ["a"])])).p_value == pytest.approx(1.0)


def test_clusters_count_once() -> None:
    """Copies of one probe in a cluster are no more evidence than the probe."""
    pair = ([f"yes {k}" for k in range(8)], [f"no {k}" for k in range(8)])
    one = sequential_evidence(draw_evidence([pair])).log_e
    copies = sequential_evidence(draw_evidence([pair] * 5, clusters=["c"] * 5)).log_e
    assert copies == pytest.approx(one)
    assert sequential_evidence(draw_evidence([pair] * 5)).log_e > one + 5


def test_wording_moves_texts_but_not_scores() -> None:
    drawn = world(WORDED, 0)
    flat = [([0.5] * DRAWS, [0.5] * DRAWS) for _ in range(len(drawn.right))]
    with_scores = sequential_evidence(draw_evidence(drawn.texts(), scores=flat))
    without = sequential_evidence(draw_evidence(drawn.texts()))
    assert with_scores.log_e < without.log_e or without.log_e < 0
