"""The evidence of captures: places between the ends told from drift, and what answers are worth."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from bvc.api.bisect_evidence import Shown, complete, observations, pack, stir, tally, unpack, worth
from bvc.api.bisect_like import asked_of, place, squashed
from bvc.api.bisect_live import left_to_gain, wanted_answers
from bvc.api.bisect_log import Ranges
from bvc.bisection import BisectPlan, BisectStatus, Conclusion, Observation, Span
from bvc.compare.bisect import next_step

WORLDS, DRIFTS, PROBES, DIMENSIONS = 60, 300, 10, 40


def places(rng: np.random.Generator, steps: int, jump: int | None, size: float) -> list[list[float]]:
    """A lineage whose probes walk at random, with one jump: its places, commit by commit."""
    lengths = np.exp(rng.normal(0, 0.4, steps))[:, None, None]
    common, own = rng.normal(size=(steps, 1, DIMENSIONS)) * 0.7, rng.normal(size=(steps, PROBES, DIMENSIONS))
    walk = (common + own) * lengths / math.sqrt(DIMENSIONS)
    if jump is not None:
        walk[jump] += size * rng.normal(size=(PROBES, DIMENSIONS)) / math.sqrt(DIMENSIONS)
    at = np.concatenate([np.zeros((1, PROBES, DIMENSIONS)), np.cumsum(walk, 0)])
    old, new = ((at - at[0]) ** 2).sum(-1), ((at - at[-1]) ** 2).sum(-1)
    return [[squashed(place(old[c, p], new[c, p], old[-1, p])) for p in range(PROBES)] for c in range(steps + 1)]


def conclusion(values: list[list[float]]) -> Conclusion:
    """What follows from all commits of a line."""
    n = len(values)
    span = Span(((), *((i,) for i in range(n - 1))), (0,))
    seen = [Observation(i, len(v), 0, values=tuple(v), source="stored", load=False) for i, v in enumerate(values)]
    plan = BisectPlan(confidence=asked_of(0.95, n - 1), available=dict.fromkeys(range(n), 0))
    found = next_step(span, plan, seen)
    assert isinstance(found, Conclusion)
    return found


def test_drift_alone_names_a_commit_no_more_often_than_is_left_open() -> None:
    rng = np.random.default_rng(11)
    cases = [steps for steps in (7, 9, 12) for _ in range(DRIFTS)]
    found = sum(conclusion(places(rng, steps, None, 0)).status is BisectStatus.FOUND for steps in cases)
    assert found <= 62, "5 % are 45 of 900; more than 62 would come by chance less than once in a hundred times"


def test_the_more_steps_the_surer_one_must_be() -> None:
    asked = [asked_of(0.95, steps) for steps in (1, 2, 4, 5, 7, 13)]
    assert asked == pytest.approx([0.95, 0.95, 0.95, 0.9625, 0.975, 0.9875])
    assert asked_of(0.5, 7) == pytest.approx(0.75)


@pytest.mark.parametrize(("steps", "least"), [(7, 50), (12, 45)])
def test_a_jump_is_found_in_drift(steps: int, least: int) -> None:
    rng = np.random.default_rng(12)
    ends = [conclusion(places(rng, steps, steps // 2, 5.0)) for _ in range(WORLDS)]
    named = [end.culprit for end in ends if end.status is BisectStatus.FOUND]
    assert named.count(steps // 2 + 1) >= least
    assert len(named) - named.count(steps // 2 + 1) <= 2


def test_places_follow_from_squared_distances() -> None:
    assert place(0, 4, 4) == 0 and place(4, 0, 4) == 1 and place(2, 2, 4) == 0.5
    assert place(2 + 9, 2 + 9, 4) == 0.5, "what lies aside of the way cancels out"
    assert place(100, 0, 4) == 1.5 and place(0, 100, 4) == -0.5
    assert [round(squashed(x), 12) for x in (0.0, 0.5, 1.0)] == [0.0, 0.5, 1.0]
    assert 0 < squashed(0.1) < 0.15 and 1 < squashed(1.5) < 1.5


# Answers


def shown(means: list[float], answers: int) -> Shown:
    """`answers` of each probe, with these means."""
    return Shown(tuple((len(means), sum(means)) for _ in range(answers)), tuple(means))


def test_sums_and_their_bytes() -> None:
    found = tally([(0, (1.0, 0.0, None)), (1, (None, 1.0)), (2, (0.5,)), (1, (0.25, 0.25))], 4)
    assert found is not None
    assert found.counts == ((3, 1.75), (3, 1.25)) and (found.answers, found.total) == (6, 3.0)
    assert found.means[:3] == (0.5, 0.5, 0.5) and math.isnan(found.means[3])
    again = unpack(pack(found))
    assert again is not None and again.counts == found.counts and again.means[:3] == found.means[:3]
    assert tally([(0, (None,))], 1) is None and unpack(pack(None)) is None
    assert complete(found) == 2


def test_what_is_peculiar_to_probes_costs_nothing() -> None:
    line = [shown([1.0] * 14 + [0.0] * 46, 9)] * 3
    assert stir(line) == 0 and worth(540, 0) == 540


def test_one_step_among_others_does_not_count() -> None:
    old, new = shown([0.0] * 20, 5), shown([1.0] * 20, 5)
    assert stir([old, old, new, new]) == 0
    assert stir([old, new]) == 0, "two commits tell nothing about steps"


def test_steps_that_flip_whole_probes_make_many_answers_worth_less() -> None:
    rng = random.Random(4)
    line = [shown([float(rng.random() < 0.5) for _ in range(20)], 50) for _ in range(9)]
    moving = stir(line)
    assert 10 < worth(1000, moving) < 40, "twenty probes, whatever the number of answers"
    left = left_to_gain(line[0], moving)
    assert left is not None and left <= 1
    assert left_to_gain(line[0], 0.0) is None


def test_chance_is_not_taken_for_movement() -> None:
    rng = random.Random(5)
    line = [shown([sum(rng.random() < 0.4 for _ in range(16)) / 16 for _ in range(12)], 16) for _ in range(20)]
    assert worth(192, stir(line)) > 120


def test_observations_of_visits_add_up() -> None:
    found = shown([0.5] * 10, 6)
    visits = [Ranges("x", 1, 3), Ranges("x", 3, 5)]
    one, two, three = observations(0, found, 0.0, visits, [Ranges("x", 5, 6)])
    assert (one.draws, one.hits, one.source, one.load) == (10, 5, "stored", False)
    assert [(v.draws, v.hits, v.source, v.load) for v in (two, three)] == [(20, 10, "live", True)] * 2
    (half,) = observations(0, shown([1.0] * 10, 1), 0.1, (), ())
    assert (half.draws, half.hits) == (5, 5)


def test_asks_are_spread_over_the_probes() -> None:
    assert (wanted_answers("x", None, ["a"] * 4, 64).first, wanted_answers("x", None, ["a"] * 4, 64).end) == (0, 16)
    assert wanted_answers("x", None, ["a"] * 100, 64).end == 1
    again = wanted_answers("x", shown([1.0] * 4, 16), ["a"] * 4, 8)
    assert (again.first, again.end) == (16, 18)
