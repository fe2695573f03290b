"""How far sampled answers lie apart: without bias, with the error that it has, whatever random numbers were shared."""

from __future__ import annotations

import numpy as np
import pytest

from bvc.compare.draw_distance import DrawDistance, Texts, draw_distance, of_other_numbers
from tests.compare.draw_worlds import Answers, beside, model, moved, sampled

PROBES = 20


def distance(texts: Texts, clusters: dict[str, str] | None = None) -> DrawDistance:
    found = draw_distance(texts, clusters)
    assert found is not None
    return found


def between(by: float, seed: int, first: int, second: int) -> DrawDistance:
    """Of independent draws of two models that are `by` apart."""
    rng = np.random.default_rng(seed)
    one = model(rng, PROBES)
    other = moved(rng, one, by)
    return distance(beside(sampled(rng, one, first), sampled(rng, other, second)))


@pytest.mark.parametrize(("first", "second"), [(6, 4), (8, 1), (2, 2)])
def test_draws_of_one_model_lie_as_far_apart_as_the_error_says(first: int, second: int) -> None:
    scores = np.array([(found := between(0.0, seed, first, second)).share / found.error for seed in range(150)])
    assert abs(scores.mean()) < 4 / np.sqrt(len(scores))
    assert 0.8 < scores.std() < 1.25
    assert (scores > 2).mean() <= 0.1  # a twentieth within its binomial error, for tails a little heavier than normal


@pytest.mark.parametrize("by", [0.2, 0.5])
def test_the_share_does_not_depend_on_how_many_draws_there_are(by: float) -> None:
    few = np.array([between(by, seed, 4, 4).share for seed in range(30)])
    many = np.array([between(by, seed, 40, 40).share for seed in range(8)])
    assert abs(few.mean() - many.mean()) < 4 * few.std() / np.sqrt(len(few)) + 0.1 * many.mean()
    assert many.mean() > 0.01


def test_models_that_always_answer_the_same_and_differ_are_wholly_apart() -> None:
    fixed: Answers = [[f"always {n}"] * 4 for n in range(PROBES)]
    other: Answers = [[f"never {n + 100}"] * 4 for n in range(PROBES)]
    assert distance(beside(fixed, other)).share == pytest.approx(1.0, abs=1e-5)
    same = distance(beside(fixed, fixed))
    assert (same.share, same.error) == (0.0, 1 / (8 * PROBES))  # nothing was seen to vary: that is no certainty
    assert set(same.probes.values()) == {0.0}


def test_its_parts_by_probe_add_up() -> None:
    rng = np.random.default_rng(0)
    one = model(rng, PROBES)
    other = one.copy()
    other[3] = model(rng, PROBES)[3]
    found = distance(beside(sampled(rng, one, 6), sampled(rng, other, 6)))
    assert max(found.probes, key=lambda probe: found.probes[probe]) == "p03"
    assert np.mean(list(found.probes.values())) == pytest.approx(found.share)
    assert found.draws == 12 * PROBES


def test_a_cluster_counts_once() -> None:
    """Probes that are all asked the same are one observation, and the error says so."""
    rng = np.random.default_rng(1)
    one, texts = model(rng, 1), {}
    a, b = sampled(rng, one, 4)[0], sampled(rng, one, 4)[0]
    texts = {f"p{n}": (a, b) for n in range(9)}
    apart, together = distance(texts), distance(texts, dict.fromkeys(texts, "one"))
    assert together.share == pytest.approx(apart.share)
    assert together.error == pytest.approx(3 * apart.error, rel=0.25)


def test_two_draws_of_a_probe_say_nothing() -> None:
    assert draw_distance({"p": (["a"], ["b"]), "q": (["a", "b"], []), "r": ([], ["c", "d", "e"])}) is None
    assert draw_distance({"p": (["a"], ["b"]), "q": (["a", "b"], ["c"])}) == distance({"q": (["a", "b"], ["c"])})


def test_commits_that_share_random_numbers_are_read_without_them() -> None:
    """Coupled draws of two models lie nearer to each other than the models do; the halves that share none do not."""
    coupled, split, free = [], [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        one = model(rng, PROBES)
        other = moved(rng, one, 0.3)
        a, b = (sampled(np.random.default_rng([seed, 1]), author, 8) for author in (one, other))
        coupled.append(distance(beside(a, b)).share)
        split += [distance(half).share for half in of_other_numbers(beside(a, b))]
        free.append(distance(beside(a, sampled(rng, other, 8))).share)
    assert np.mean(coupled) < 0.5 * np.mean(free)
    assert np.mean(split) == pytest.approx(np.mean(free), rel=0.2)
