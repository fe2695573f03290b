"""The N0 band covers what it says it covers, however few re-captures there are."""

from __future__ import annotations

import numpy as np
import pytest

from bvc.compare.noise import FLOOR, band, bands


def test_no_distances_give_no_band() -> None:
    assert band([]) is None
    assert bands([{}, {"text": {}}]) == {}


def test_few_distances_give_the_largest_and_say_what_it_covers() -> None:
    found = band([0.1, 0.4, 0.2])
    assert found is not None
    assert (found.n, found.band, found.max, found.median, found.coverage) == (3, 0.4, 0.4, 0.2, 3 / 4)


def test_many_distances_leave_out_one_in_a_hundred() -> None:
    found = band(range(1, 1000))
    assert found is not None
    assert (found.band, found.max, found.q95, found.coverage) == (990, 999, 950, 0.99)


def test_a_band_is_at_least_its_floor() -> None:
    assert bands([{"logprob": {"p": 0.0}}])["logprob"].band == FLOOR["logprob"]
    assert bands([{"layer.01/prompt": {"p": 0.0}}])["layer.01/prompt"].band == FLOOR["activation"]
    assert bands([{"text": {"p": 0.0}}])["text"].band == 0


def test_re_captures_of_both_commits_are_pooled() -> None:
    found = bands([{"text": {"p": 0.1}}, {"text": {"p": 0.3}, "logprob": {"p": 1.0}}])
    assert (found["text"].n, found["text"].band, found["logprob"].n) == (2, 0.3, 1)


@pytest.mark.parametrize("n", [4, 20, 150])
def test_a_further_noise_distance_stays_inside_as_often_as_stated(n: int) -> None:
    """Heavy-tailed noise, 4,000 worlds: the observed coverage is within 4 standard errors of the stated one."""
    rng = np.random.default_rng(n)
    worlds = 4_000
    samples = rng.lognormal(sigma=1.5, size=(worlds, n + 1))
    found = [band(row[:n]) for row in samples]
    inside = np.mean([f is not None and row[n] <= f.band for f, row in zip(found, samples, strict=True)])
    stated = found[0].coverage if found[0] is not None else 0
    assert abs(inside - stated) < 4 * np.sqrt(stated * (1 - stated) / worlds)
