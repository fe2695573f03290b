"""The test of the whole suite keeps its level in every world that it claims to, and finds what the table says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bvc.compare.draw_evidence import draw_evidence
from bvc.compare.global_test import global_test, overall_shift, sampling_error, shift_p_value
from bvc.compare.relabel import relabeled_p_values, splits
from bvc.compare.sketches import sketch
from tests.compare import simulated
from tests.compare.simulated import ALL, DRAWS, FEW, FLIPS, SAME, TENTH, WORDED, World, world

PERMUTATIONS = 199


def share(call: Callable[[int], bool], worlds: int) -> float:
    return float(np.mean([call(seed) for seed in range(worlds)]))


def allowed(worlds: int, level: float = 0.05) -> float:
    """The level and 3 standard errors."""
    return level + 3 * float(np.sqrt(level * (1 - level) / worlds))


def changed(drawn: World, *, scored: bool = True, clustered: bool = True) -> bool:
    found = global_test(drawn.evidence(scored=scored, clustered=clustered), permutations=PERMUTATIONS)
    assert found is not None
    return found.p_value <= 0.05


@pytest.mark.parametrize(("probes", "worlds"), [(5, 150), (20, 150), (200, 100)])
def test_one_model_is_called_changed_no_more_often_than_stated(probes: int, worlds: int) -> None:
    assert share(lambda seed: changed(world(SAME, seed, probes)), worlds) <= allowed(worlds)


def test_without_scores_too() -> None:
    assert share(lambda seed: changed(world(SAME, seed, 40), scored=False), 150) <= allowed(150)


def test_clusters_are_relabeled_together() -> None:
    """Without their clusters the same suites are called changed far too often."""
    assert share(lambda seed: changed(simulated.clustered_null(seed, 100)), 150) <= allowed(150)
    assert share(lambda seed: changed(simulated.clustered_null(seed, 100), clustered=False), 40) > 0.15


def test_an_offset_of_a_capture_is_held_against_recaptures() -> None:
    """And is a change where none are known, which the result says."""

    def called(seed: int) -> tuple[bool, bool]:
        drawn, shifts = simulated.offset_null(seed, 100)
        evidence = drawn.evidence()
        blind = global_test(evidence, permutations=PERMUTATIONS)
        told = global_test(evidence, permutations=PERMUTATIONS, replicate_shifts=shifts)
        assert blind is not None
        assert told is not None
        assert (blind.offset_judged, told.offset_judged) == (False, True)
        assert "cannot be told from a change" in blind.note
        return blind.p_value <= 0.05, told.p_value <= 0.05

    rates = np.mean([called(seed) for seed in range(120)], axis=0)
    assert rates[0] > 0.3
    assert rates[1] <= allowed(120)


@pytest.mark.parametrize(
    ("change", "least"), [(TENTH, 0.827), (FEW, 0.523), (ALL, 0.6), (FLIPS, 0.71), (WORDED, 0.692)]
)
def test_finds_each_kind_of_change(change: str, least: float) -> None:
    """The figure for 600 worlds is in docs/statistics.md; here 3 standard errors below the bar are granted."""
    worlds = 60
    rate = share(lambda seed: changed(world(change, seed)), worlds)
    assert rate >= least - 3 * np.sqrt(least * (1 - least) / worlds)


def test_recaptures_that_happen_to_agree_prove_nothing() -> None:
    """A shift is held against no less than what drawing alone makes."""
    evidence = world(SAME, 1, 100).evidence()
    error = sampling_error(evidence)
    shifts = [overall_shift(world(SAME, seed, 100).evidence()) for seed in range(60)]
    assert np.std([s for s in shifts if s is not None]) == pytest.approx(error, rel=0.25)
    for replicates in ([0.0], [0.0] * 5, [1e-9, 0.0, 0.0]):
        rates = [shift_p_value(world(SAME, seed, 40).evidence(), replicates) <= 0.05 for seed in range(150)]
        assert np.mean(rates) <= allowed(150)
    changed_much = world(TENTH, 1, 100).evidence()
    assert shift_p_value(changed_much, [0.0] * 30) <= 0.05
    assert shift_p_value(changed_much, []) == 1.0


def test_drawing_error_counts_clusters_and_pairs() -> None:
    """Draws of one number that a cluster's probes share are not evidence for each probe anew."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, 16).astype(float).tolist()
    pairs = [(["t"] * 8, ["u"] * 8)] * 4
    scores = [(rows[:8], rows[8:])] * 4
    apart = draw_evidence(pairs, scores=scores, coupled=False)
    joint = draw_evidence(pairs, scores=scores, clusters=["c"] * 4, coupled=False)
    assert sampling_error(joint) == pytest.approx(2 * sampling_error(apart))
    coupled = draw_evidence(pairs, scores=[(rows[:8], rows[:8])] * 4, coupled=True)
    assert sampling_error(coupled) == 0.0
    assert shift_p_value(coupled, [0.0]) == 1.0
    assert sampling_error(draw_evidence(pairs)) == 0.0


def test_a_change_beside_a_judged_offset_is_found() -> None:
    evidence = world(FLIPS, 1).evidence()
    found = global_test(evidence, replicate_shifts=[0.01, -0.02, 0.005, 0.01])
    assert found is not None
    assert found.p_value <= 0.05


def coupled_null(seed: int) -> World:
    """Eight in ten pairs of draws came out alike, as with shared random numbers."""
    rng = np.random.default_rng(seed)
    drawn = world(SAME, seed, 60)
    kept = rng.random((60, DRAWS)) < 0.8
    for rows in (drawn.right, drawn.wording):
        rows[:, DRAWS:] = np.where(kept, rows[:, :DRAWS], rows[:, DRAWS:])
    return drawn


def test_coupled_draws_are_recognized_and_keep_the_level() -> None:
    assert all(coupled_null(seed).evidence().coupled for seed in range(20))
    assert sum(world(SAME, seed, 60).evidence().coupled for seed in range(40)) <= 1
    assert share(lambda seed: changed(coupled_null(seed)), 150) <= allowed(150)


def test_coupling_lets_a_small_change_be_seen() -> None:
    """Where few draws move, and all one way, exchanging pairs sees what splitting all draws hides."""
    drawn = coupled_null(3)
    drawn.right[:, DRAWS:] = drawn.right[:, :DRAWS]
    drawn.wording[:, DRAWS:] = drawn.wording[:, :DRAWS]
    drawn.right[:14, DRAWS + 3] = False
    drawn.right[:14, 3] = True
    pairs, scores = drawn.texts(), drawn.scores()
    tests = [global_test(draw_evidence(pairs, scores=scores, coupled=coupled)) for coupled in (True, False)]
    p_values = [t.p_value for t in tests if t is not None]
    assert p_values[0] <= 0.01
    assert p_values[1] > 0.05


def test_equal_draws_are_no_evidence() -> None:
    pairs = [(["a b", "c"], ["a b", "c"]) for _ in range(10)]
    found = global_test(draw_evidence(pairs))
    assert found is not None
    assert found.p_value == 1.0
    assert global_test(draw_evidence([([], ["x"]), (["y"], [])])) is None
    assert global_test(draw_evidence([])) is None


def test_equal_evidence_gives_equal_p_values_and_ragged_draws_are_taken() -> None:
    pairs = [([f"a {i} {k}" for k in range(2 + i % 3)], [f"b {i} {k}" for k in range(3)]) for i in range(12)]
    scores = [([1.0] * len(a), [0.5] * len(b)) for a, b in pairs]
    first, second = (global_test(draw_evidence(pairs, scores=scores)) for _ in range(2))
    assert first is not None
    assert first == second
    assert first.p_value <= 0.01
    assert first.shift == pytest.approx(-0.5)


def test_a_cluster_keeps_the_draws_that_all_its_probes_have() -> None:
    pairs = [(["a"] * n, ["b"] * m) for n, m in ((8, 8), (4, 6), (8, 8), (0, 3))]
    evidence = draw_evidence(pairs, clusters=["x", "x", None, "x"])
    assert [(b.first, b.second, b.probes.tolist()) for b in evidence.blocks] == [(4, 6, [0, 1]), (8, 8, [2])]
    assert evidence.probes == 3


def test_scores_must_fit_the_draws() -> None:
    with pytest.raises(ValueError, match="scores"):
        draw_evidence([(["a"], ["b"])], scores=[([1.0, 0.0], [1.0])])
    with pytest.raises(ValueError, match="cluster"):
        draw_evidence([(["a"], ["b"])], clusters=["x", "y"])


def test_probes_without_scores_do_not_move_the_rate() -> None:
    evidence = draw_evidence([(["a"], ["b"]), (["c"], ["d"])], scores=[([1.0], [0.0]), ([], [])])
    assert overall_shift(evidence) == pytest.approx(-1.0)


def test_relabelings_start_with_the_labels_as_they_are() -> None:
    for coupled in (False, True):
        listed = splits(3, 3, coupled)
        assert listed[0].tolist() == pytest.approx([-1 / 3] * 3 + [1 / 3] * 3)
        assert len({tuple(row) for row in listed.tolist()}) == len(listed) == (8 if coupled else 20)
    assert len(splits(12, 12, False)) == 20_000


def test_p_values_of_relabelings_count_ties() -> None:
    assert relabeled_p_values(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [0.5, 1.0, 0.5, 0.75]


def test_sketches_stand_for_shared_words() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(400)]
    shared = " ".join(rng.choice(words, 40).tolist())
    half = " ".join([*shared.split()[:20], *rng.choice(words, 20).tolist()])
    table = sketch([shared, shared, half, "", "猫が好き", "猫が嫌い"])
    alike = table @ table.T
    assert alike[0, 1] == pytest.approx(1, abs=1e-5)
    assert alike[0, 2] == pytest.approx(0.5, abs=0.25)
    assert alike[3].tolist() == [0.0] * 6
    assert 0.2 < alike[4, 5] < 0.9
