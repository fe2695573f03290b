"""The noise behind draws: uniform, independent, the same everywhere; and what sampling with it does."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bvc.capture.gumbel import CoupledSampler, noise_key, noise_words, token_words

CPU = torch.device("cpu")
Ids = npt.NDArray[np.int64]


def keys(count: int, *, probe: str = "p", seed: int = 0, position: int = 0) -> list[tuple[int, int]]:
    return [noise_key(seed, probe, draw, position) for draw in range(count)]


def uniforms(chosen: list[tuple[int, int]], vocabulary: int) -> npt.NDArray[np.float64]:
    words = noise_words(torch.tensor(chosen, dtype=torch.int32), token_words(vocabulary, CPU))
    return (words.numpy().astype(np.float64) + 0.5) / 2**31


def chi_square(counts: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> float:
    """How many standard deviations the chi-square statistic lies above its mean."""
    freedom = len(counts) - 1
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


def test_words_are_those_of_plain_32_bit_arithmetic() -> None:
    chosen = keys(5)
    got = noise_words(torch.tensor(chosen, dtype=torch.int32), token_words(1000, CPU)).numpy()
    for row, (first, second) in enumerate(chosen):
        for token in (0, 1, 2, 77, 999):
            word = (token * 0x9E3779B1 & 0xFFFFFFFF) ^ (first & 0xFFFFFFFF)
            word = (word ^ (word >> 16)) * 0x7FEB352D & 0xFFFFFFFF
            word ^= second & 0xFFFFFFFF
            word = (word ^ (word >> 15)) * 0x846CA68B & 0xFFFFFFFF
            assert got[row, token] == (word ^ (word >> 16)) & 0x7FFFFFFF


def test_the_noise_never_changes() -> None:
    """Stored draws are compared across years: a change here is a change of every recipe."""
    words = noise_words(torch.tensor(keys(3, probe="probe", seed=7)), token_words(64, CPU))
    assert hashlib.sha256(words.numpy().astype("<i4").tobytes()).hexdigest()[:16] == "097b711e01936c84"


def test_uniform_over_tokens_and_over_keys() -> None:
    flat = uniforms(keys(40), 5000)
    for values in (flat.ravel(), flat[:, 17], uniforms(keys(4000), 3)[:, 0]):
        counts = np.histogram(values, 64 if len(values) > 1000 else 8, (0, 1))[0].astype(float)
        assert abs(chi_square(counts, np.full(len(counts), counts.mean()))) < 4


ORIGIN = (0, "p", 0, 0)


@pytest.mark.parametrize("other", [(0, "p", 1, 0), (0, "p", 0, 1), (1, "p", 0, 0), (0, "q", 0, 0)])
def test_independent_between_draws_positions_seeds_and_probes(other: tuple[int, str, int, int]) -> None:
    x, y = uniforms([noise_key(*ORIGIN), noise_key(*other)], 40_000)
    for shift in (0, 1, 5):
        assert abs(np.corrcoef(x, np.roll(y, shift))[0, 1]) < 4 / np.sqrt(len(x))
    joint = np.histogram2d(x, y, 8, ((0, 1), (0, 1)))[0].ravel()
    assert abs(chi_square(joint, np.full(64, joint.mean()))) < 4


def test_neighboring_tokens_are_independent() -> None:
    values = uniforms(keys(20), 5000)
    for lag in (1, 2, 16, 256):
        correlation = np.corrcoef(values[:, :-lag].ravel(), values[:, lag:].ravel())[0, 1]
        assert abs(correlation) < 4 / np.sqrt(values.size)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax(temperature: float) -> None:
    n, logits = 20_000, torch.tensor([3.0, 2.0, 1.0, 0.5, 0.0, -1.0, -float("inf"), 2.0])
    chosen = CoupledSampler(8, temperature, CPU).choose(logits.expand(n, 8), keys(n))
    expected = torch.softmax(logits.double() / temperature, -1).numpy() * n
    counts = np.bincount(chosen, minlength=8).astype(float)
    assert counts[6] == 0
    possible = expected > 0
    assert abs(chi_square(counts[possible], expected[possible])) < 4


def test_draws_over_a_wide_flat_distribution_are_uniform() -> None:
    n, vocabulary = 3000, 5000
    chosen = CoupledSampler(vocabulary, 1.0, CPU).choose(torch.zeros(1, vocabulary).expand(n, -1), keys(n))
    counts = np.histogram(chosen, 50, (0, vocabulary))[0].astype(float)
    assert abs(chi_square(counts, np.full(50, n / 50))) < 4
    assert len(set(chosen.tolist())) > 0.8 * vocabulary * (1 - np.exp(-n / vocabulary))


@given(st.integers(0, 2**31), st.floats(0.1, 5), st.sampled_from([2, 63, 1000]))
def test_the_winner_is_the_arg_max_with_gumbel_noise(seed: int, scale: float, vocabulary: int) -> None:
    logits = torch.from_numpy(np.random.default_rng(seed).normal(0, scale, (6, vocabulary)).astype(np.float32))
    chosen = keys(6, seed=seed)
    gumbel = -np.log(-np.log1p(-uniforms(chosen, vocabulary)))
    best = (logits.double().numpy() + gumbel).argmax(-1)
    assert CoupledSampler(vocabulary, 1.0, CPU).choose(logits, chosen).tolist() == best.tolist()


def test_equal_logits_draw_equal_tokens_and_a_small_shift_moves_few() -> None:
    n, vocabulary = 4000, 300
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.normal(0, 2, (1, vocabulary)).astype(np.float32)).expand(n, -1)
    sampler = CoupledSampler(vocabulary, 1.0, CPU)
    base = sampler.choose(logits, keys(n))
    assert (sampler.choose(logits + 5.0, keys(n)) == base).all()
    shift = torch.from_numpy(random.normal(0, 0.05, (1, vocabulary)).astype(np.float32))
    moved = (sampler.choose(logits + shift, keys(n)) != base).mean()
    p, q = (torch.softmax(x[0].double(), -1).numpy() for x in (logits, logits + shift))
    apart = 0.5 * np.abs(p - q).sum()
    assert 0 < moved < 4 * apart
    independent = 1 - (p * q).sum()
    assert moved < independent / 10


def test_no_draw_at_all_and_temperature_zero() -> None:
    sampler = CoupledSampler(8, 0.0, CPU)
    assert sampler.choose(torch.eye(8)[[3, 5]], keys(2)).tolist() == [3, 5]
    assert CoupledSampler(8, 1.0, CPU).choose(torch.empty(0, 8), []).tolist() == []
    with pytest.raises(ValueError, match="negative"):
        CoupledSampler(8, -1.0, CPU)


def test_rows_are_independent_of_how_many_are_drawn_together() -> None:
    logits = torch.from_numpy(np.random.default_rng(1).normal(0, 3, (40, 60_000)).astype(np.float32))
    sampler = CoupledSampler(60_000, 1.0, CPU)
    together = sampler.choose(logits, keys(40))
    assert [int(sampler.choose(logits[i : i + 1], [keys(40)[i]])[0]) for i in range(40)] == together.tolist()
