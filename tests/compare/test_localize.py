"""Each probe's own test, and what is called a discovery among many."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from bvc.compare.draw_evidence import draw_evidence
from bvc.compare.localize import combine, e_bh, e_from_p, localize, q_values
from tests.compare import simulated
from tests.compare.rivals import fisher_table
from tests.compare.simulated import DRAWS, SAME, TENTH, World, world

WORLDS = 60


def test_p_values_of_scores_are_those_of_fishers_test() -> None:
    assert fisher_table(8, 8)[0, 8] == pytest.approx(2 / 12_870)
    assert fisher_table(3, 5)[3, 0] == pytest.approx(1 / 56)
    drawn = world(TENTH, 0, 40)
    a, b = drawn.counts()
    fisher = fisher_table(DRAWS, DRAWS)[a.astype(int), b.astype(int)]
    found = localize(drawn.evidence()).score_p
    assert found is not None
    sure = found <= 0.1
    assert sure.sum() >= 2
    assert found[sure] == pytest.approx(fisher[sure])


def test_wholly_unlike_draws_reach_the_smallest_p_value() -> None:
    evidence = draw_evidence([([f"yes {i}" for i in range(8)], [f"no {i}" for i in range(8)]), (["x"] * 8, ["x"] * 8)])
    found = localize(evidence)
    assert found.p_values.tolist() == pytest.approx([2 / comb(16, 8), 1.0])
    assert found.q_values[0] == pytest.approx(2 / comb(16, 8))
    assert found.able.tolist() == [True, False]
    assert found.score_p is None


def test_p_values_are_no_smaller_than_uniform() -> None:
    p = np.concatenate([localize(world(SAME, seed, 60).evidence()).p_values for seed in range(20)])
    for level in (0.01, 0.05, 0.1):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / len(p))
    assert (p <= 0.05).mean() > 0.01


def planted(seed: int, probes: int = 100) -> tuple[World, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Correlated draws in clusters of 10; every fifth probe, in other clusters each time, now answers otherwise."""
    drawn = simulated.clustered_null(seed, probes)
    changed = np.arange(probes) % 5 == seed % 5
    drawn.right[changed, :DRAWS], drawn.right[changed, DRAWS:] = True, False
    return drawn, changed


def test_false_discoveries_stay_at_the_level_under_correlated_probes() -> None:
    shares, found = [], 0
    for seed in range(WORLDS):
        drawn, changed = planted(seed)
        called = localize(drawn.evidence()).q_values <= 0.05
        shares.append((called & ~changed).sum() / max(called.sum(), 1))
        found += int((called & changed).sum())
    assert np.mean(shares) <= 0.05 + 3 * np.std(shares) / np.sqrt(WORLDS)
    assert found == WORLDS * 20


def test_a_suite_without_change_has_a_discovery_in_at_most_one_of_twenty() -> None:
    called = [(localize(simulated.clustered_null(s, 100).evidence()).q_values <= 0.05).any() for s in range(WORLDS)]
    assert np.mean(called) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / WORLDS)


def test_probes_that_cannot_be_discovered_cost_nothing() -> None:
    p, least = np.array([0.01, 0.3, *[1.0] * 98]), np.array([0.001, 0.001, *[0.5] * 98])
    q, able = q_values(p, least)
    assert able.sum() == 2
    assert q[:3].tolist() == pytest.approx([0.02, 0.3, 1.0])
    assert q_values(p, np.zeros(100))[0][0] == pytest.approx(1.0)


def test_combined_p_values_hold_under_any_dependence() -> None:
    assert combine({"text": 0.01, "logprob": 0.5}) == pytest.approx(0.02)
    assert combine({"text": 0.01, "logprob": 0.5}, {"text": 4, "logprob": 1}) == pytest.approx(0.0125)
    assert combine({"text": 0.9, "logprob": 0.8}) == 1.0
    assert combine({}) == 1.0
    rng = np.random.default_rng(0)
    first = rng.uniform(size=4_000)
    opposed = np.array([combine({"a": x, "b": 1 - x}) for x in first])
    assert (opposed <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4_000)


def test_e_values_have_mean_one_and_e_bh_holds_its_level_under_any_dependence() -> None:
    grid = (np.arange(1_000_000) + 0.5) / 1_000_000
    assert 0.9 < e_from_p(grid).mean() <= 1.0
    assert (np.diff(e_from_p(grid)) < 0).all()
    assert e_from_p(np.array([0.001]))[0] == pytest.approx(20.8, abs=0.1)
    assert e_bh(np.array([100.0, 45.0, 1.0, 0.0])).tolist() == [True, True, False, False]
    assert not e_bh(np.array([19.0])).any()
    rng = np.random.default_rng(1)
    called = [e_bh(np.full(20, e_from_p(rng.uniform(size=1))[0])).any() for _ in range(2_000)]
    assert np.mean(called) <= 0.05


@pytest.mark.parametrize("draws", [5, 12, 20])
def test_scores_that_are_all_equal_are_no_evidence(draws: int) -> None:
    """Nor is the rounding of their sums, which depends on which draws are called b's."""
    rng = np.random.default_rng(draws)
    texts = [[f"wording {k}" for k in rng.integers(0, 4, 2 * draws)] for _ in range(40)]
    pairs = [(row[:draws], row[draws:]) for row in texts]
    alike = draw_evidence(pairs, scores=[([1.0] * draws, [1.0] * draws)] * 40, coupled=False)
    found = localize(alike)
    assert found.score_p is not None
    assert (found.score_p == 1).all()
    assert (found.p_values >= localize(draw_evidence(pairs, coupled=False)).p_values - 0.02).all()
