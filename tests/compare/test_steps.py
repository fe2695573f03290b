"""Steps of a behavior: few false ones where nothing changes, planted ones found at their commit, confidence kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bvc.compare.steps import Steps, find_steps
from tests.compare.step_worlds import Scores, World, flickering, lasting, line, steps, unlike


def share(found: Sequence[bool]) -> float:
    return float(np.mean(found))


def most(level: float, worlds: int) -> float:
    return level + 3 * float(np.sqrt(level * (1 - level) / worlds))


@pytest.mark.parametrize("world", [flickering, lasting, unlike])
@pytest.mark.parametrize(("commits", "rate"), [(8, 0.02), (8, 0.3), (40, 0.02), (40, 0.3)])
def test_few_lineages_without_a_step_show_one(world: World, commits: int, rate: float) -> None:
    rng = np.random.default_rng(commits)
    found = [bool(steps(world(rng, np.full(commits, rate), 60)).found) for _ in range(200)]
    assert share(found) <= most(0.05, 200)


def test_the_level_is_used() -> None:
    rng = np.random.default_rng(7)
    found = [bool(steps(flickering(rng, np.full(16, 0.3), 60), level=0.3).found) for _ in range(200)]
    assert 0.1 < share(found) <= most(0.3, 200)


def test_probes_of_one_cluster_move_together() -> None:
    rng = np.random.default_rng(3)
    clusters = [str(i // 5) for i in range(60)]
    each, alone = [], []
    for _ in range(150):
        scores = np.repeat(lasting(rng, np.full(12, 0.3), 12), 5, axis=1)
        each.append(bool(find_steps(line(12), scores, clusters, band=0.0).found))
        alone.append(bool(steps(scores).found))
    assert share(each) <= most(0.05, 150)
    assert share(alone) > 0.2, "without the clusters it would not hold"


@pytest.mark.parametrize("probes", [60, 200])
def test_unrest_that_all_probes_share_is_noise_in_long_lineages(probes: int) -> None:
    rng = np.random.default_rng(probes)
    found = [steps(flickering(rng, 0.3 + rng.normal(0, 0.08, 48), probes)) for _ in range(100)]
    assert share([bool(one.found) for one in found]) <= most(0.05, 100)
    assert np.median([one.unrest for one in found]) > 1.5
    calm = [steps(flickering(rng, np.full(48, 0.3), probes)).unrest for _ in range(30)]
    assert np.median(calm) == 1.0


@pytest.mark.parametrize("world", [flickering, lasting])
@pytest.mark.parametrize(("commits", "at"), [(8, 4), (40, 11), (128, 100)])
def test_a_planted_step_is_found_at_its_commit(world: World, commits: int, at: int) -> None:
    rng = np.random.default_rng(commits)
    rates = np.where(np.arange(commits) < at, 0.02, 0.3)
    found = [steps(world(rng, rates, 60)).found for _ in range(60)]
    assert share([any(step.node == at for step in each) for each in found]) >= 0.95
    assert share([len(each) > 1 for each in found]) <= most(0.05, 60)
    assert all(step.difference > 0.1 for each in found for step in each if step.node == at)


def test_steps_too_small_for_two_commits_are_found_over_many() -> None:
    rng = np.random.default_rng(1)
    rates = np.where(np.arange(100) < 50, 0.2, 0.35)
    found = [steps(flickering(rng, rates, 60)).found for _ in range(40)]
    assert share([bool(each) for each in found]) >= 0.95
    assert share([abs(each[0].node - 50) <= 3 for each in found if each]) >= 0.9
    assert np.median([len(step.before) for each in found for step in each]) > 1


def test_stated_confidence_is_kept() -> None:
    """Over steps of all sizes: where the mean confidence of a group is c, at least c of them are right, give or take
    chance."""
    rng = np.random.default_rng(2)
    stated, right, held = [], [], []
    for number in range(300):
        world = (flickering, lasting)[number % 2]
        low, high = ((0.02, 0.3), (0.2, 0.5), (0.2, 0.38), (0.6, 0.4))[number % 4]
        commits = (8, 24, 64)[number % 3]
        at = int(rng.integers(3, commits - 2))
        found = steps(world(rng, np.where(np.arange(commits) < at, low, high), 80)).found
        stated += [step.confidence for step in found]
        right += [step.node == at for step in found]
        held += [at in dict(step.candidates) for step in found]
    sure, correct = np.array(stated), np.array(right)
    for low, high in ((0.0, 0.7), (0.7, 0.95), (0.95, 1.0)):
        chosen = (sure > low) & (sure <= high)
        assert chosen.sum() > 15
        expected = float(sure[chosen].mean())
        assert correct[chosen].mean() >= expected - 3 * np.sqrt(expected * (1 - expected) / chosen.sum()) - 0.01
    assert share(held) > 0.93


def test_what_comes_and_goes_is_reported_with_all_its_steps() -> None:
    rng = np.random.default_rng(4)
    rates = np.concatenate([np.full(10, 0.05), np.full(10, 0.6), np.full(10, 0.05)])
    found = [steps(lasting(rng, rates, 60)).found for _ in range(30)]
    assert share([[step.node for step in each] == [10, 20] for each in found]) >= 0.9
    assert all(each[0].difference > 0 > each[1].difference for each in found if len(each) == 2)


def test_six_probes_that_all_turn_at_once_are_enough() -> None:
    scores = np.zeros((8, 6))
    scores[5:] = 1
    (step,) = steps(scores).found
    assert (step.node, step.p_value) == (5, 2 / 64)
    assert steps(scores[:, :5]).found == (), "five could all have turned by chance"


def test_small_steps_are_counted_but_not_named() -> None:
    rng = np.random.default_rng(5)
    rates = np.where(np.arange(30) < 15, 0.30, 0.33)
    found = steps(flickering(rng, rates, 8_000), band=0.05)
    assert (found.found, found.immaterial) == ((), 1)
    assert steps(flickering(rng, rates, 8_000)).found != ()
    assert found.smallest == 0.05


def merged(first: Scores, left: Scores, right: Scores, merge: Scores) -> Steps:
    """Two commits before, one on each branch, a merge, and one commit after it."""
    parents = [(), (0,), (1,), (1,), (2, 3), (4,)]
    return steps(np.stack([first, first, left, right, merge, merge]), parents)


def test_a_merge_is_not_blamed_for_what_it_inherits() -> None:
    old, new = np.zeros(40), np.concatenate([np.ones(20), np.zeros(20)])
    assert [step.node for step in merged(old, new, old, new).found] == [2]
    assert [step.node for step in merged(old, new, old, old).found] == [2], "what a merge drops is its other parent's"
    other = np.concatenate([np.zeros(20), np.ones(20)])
    assert [step.node for step in merged(old, new, other, np.ones(40)).found] == [2, 3], "a part from each parent"


def test_a_merge_is_blamed_for_what_neither_parent_has() -> None:
    old, new = np.zeros(40), np.concatenate([np.ones(20), np.zeros(20)])
    (step,) = merged(old, old, old, new).found
    assert (step.node, step.before) == (4, (2, 3))


def test_branches_do_not_see_each_other() -> None:
    rng = np.random.default_rng(6)
    parents = [(), *((i,) for i in range(9)), (4,), *((i,) for i in range(10, 14))]
    rates = np.array([0.05] * 10 + [0.6] * 5)
    found = [steps(lasting(rng, rates, 60), parents).found for _ in range(30)]
    assert share([[step.node for step in each] == [10] for each in found]) >= 0.9


def test_probes_that_come_later_change_no_rate() -> None:
    scores = np.zeros((8, 60))
    scores[:4, 30:] = np.nan
    scores[4:, 30:] = 1
    assert steps(scores).found == ()
    scores[6:, :30] = 1
    assert [step.node for step in steps(scores).found] == [6]


@pytest.mark.parametrize("scores", [np.zeros((1, 5)), np.zeros((0, 5)), np.zeros((4, 0)), np.full((4, 3), np.nan)])
def test_nothing_to_compare(scores: Scores) -> None:
    assert steps(scores).found == ()


def test_the_same_lineage_gives_the_same_steps() -> None:
    scores = flickering(np.random.default_rng(8), np.where(np.arange(20) < 9, 0.1, 0.4), 60)
    first, second = steps(scores), steps(scores)
    assert [(s.node, s.p_value, s.candidates) for s in first.found] == [
        (s.node, s.p_value, s.candidates) for s in second.found
    ]


def test_the_order_of_probes_does_not_matter() -> None:
    rng = np.random.default_rng(9)
    scores = flickering(rng, np.where(np.arange(20) < 9, 0.1, 0.4), 60)
    shuffled = scores[:, rng.permutation(60)]
    assert [s.node for s in steps(scores).found] == [s.node for s in steps(shuffled).found] == [9]
