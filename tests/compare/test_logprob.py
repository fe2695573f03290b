"""The divergence of two sketches is a lower bound of the exact one, tight where it can be, and 0 for equal captures."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bvc.compare.logprob import divergence
from bvc.errors import NotComparable
from bvc.evidence import NO_TOKEN, TOP_TOKENS, LogprobBlock
from tests.compare.worlds import bucket_table, exact_kl, sketch

ROUNDING = 1e-6


def pair(
    vocabulary: int, sharpness: float, change: float, seed: int, rows: int = 8
) -> tuple[LogprobBlock, LogprobBlock, np.ndarray, np.ndarray, np.ndarray]:
    """Two sketches, both exact divergences, and the bucket table."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(rows, vocabulary)) * sharpness
    second = first + rng.normal(size=(rows, vocabulary)) * change
    table, tokens = bucket_table(vocabulary, seed), rng.integers(0, vocabulary, rows)
    a, b = (sketch(logits, table, tokens, [rows]) for logits in (first, second))
    return a, b, exact_kl(first, second), exact_kl(second, first), table


@settings(max_examples=60)
@given(
    vocabulary=st.sampled_from([70, 300, 1_000, 5_000]),
    sharpness=st.floats(0.1, 12),
    change=st.one_of(st.floats(1e-6, 1e-2), st.floats(1e-2, 8)),
    seed=st.integers(0, 10_000),
)
def test_both_bounds_stay_below_the_exact_divergence(
    vocabulary: int, sharpness: float, change: float, seed: int
) -> None:
    a, b, forward, backward, table = pair(vocabulary, sharpness, change, seed)
    bound = divergence(a, b, table)
    assert (bound.forward <= forward + ROUNDING).all()
    assert (bound.backward <= backward + ROUNDING).all()
    assert (bound.forward >= 0).all()
    assert (bound.backward >= 0).all()


@pytest.mark.parametrize("change", [1e-4, 1e-2, 0.3, 3.0])
def test_the_bound_holds_over_a_vocabulary_of_50000(change: float) -> None:
    a, b, forward, backward, table = pair(50_000, 4, change, seed=3)
    bound = divergence(a, b, table)
    assert (bound.forward <= forward + ROUNDING).all()
    assert (bound.backward <= backward + ROUNDING).all()


def test_differences_between_buckets_do_not_break_the_bound() -> None:
    """Where the change is one number per bucket the coarse divergence is the exact one, and only what 16-bit rounding
    added can lie above."""
    rng = np.random.default_rng(0)
    table = bucket_table(3_000)
    first = rng.normal(size=(40, 3_000))
    second = first + (rng.normal(size=(40, 256)) * 1.5)[:, table]
    tokens = rng.integers(0, 3_000, 40)
    a, b = (sketch(logits, table, tokens, [40]) for logits in (first, second))
    bound, exact = divergence(a, b, table).forward, exact_kl(first, second)
    assert (bound <= exact + ROUNDING).all()
    assert bound.sum() > 0.9 * exact.sum()


@pytest.mark.parametrize(("sharpness", "least"), [(5, 0.85), (8, 0.95)])
def test_most_of_the_divergence_is_kept_for_distributions_as_sharp_as_models_have(
    sharpness: float, least: float
) -> None:
    a, b, exact, _, table = pair(20_000, sharpness, 0.5, seed=1, rows=30)
    assert divergence(a, b, table).forward.sum() > least * exact.sum()


def test_equal_sketches_have_divergence_exactly_zero() -> None:
    a, _, _, _, table = pair(2_000, 2, 1, seed=5)
    again = replace(a, top_logprobs=a.top_logprobs.copy(), buckets=a.buckets.copy())
    bound = divergence(a, again, table)
    assert not bound.forward.any()
    assert not bound.backward.any()


def test_exchanging_the_sides_exchanges_the_bounds() -> None:
    a, b, _, _, table = pair(2_000, 3, 0.5, seed=6)
    one, other = divergence(a, b, table), divergence(b, a, table)
    np.testing.assert_allclose(one.forward, other.backward, rtol=1e-4, atol=1e-6)


def test_a_token_that_only_one_side_holds_in_its_top_is_counted_in_its_bucket() -> None:
    logits = np.zeros((1, 1_000))
    logits[0, 7], logits[0, :7] = 12, 3
    other = logits.copy()
    other[0, 7], other[0, 900] = -5, 12  # token 7 leaves the top, token 900 enters it
    table = bucket_table(1_000)
    a, b = (sketch(x, table, [0], [1]) for x in (logits, other))
    bound = divergence(a, b, table).forward[0]
    assert 0.3 * exact_kl(logits, other)[0] < bound <= exact_kl(logits, other)[0] + ROUNDING


def test_certain_predictions_stay_finite() -> None:
    logits = np.full((2, 500), -200.0)
    logits[:, 3] = 200
    other = np.full((2, 500), -200.0)
    other[:, 4] = 200
    table = bucket_table(500)
    a, b = (sketch(x, table, [0, 0], [2]) for x in (logits, other))
    bound = divergence(a, b, table)
    assert np.isfinite(bound.forward).all()
    assert (bound.forward > 10).all()


def test_nothing_is_compared_along_different_tokens_or_outside_the_table() -> None:
    a, b, _, _, table = pair(300, 2, 1, seed=2)
    with pytest.raises(NotComparable, match="different tokens"):
        divergence(a, replace(b, token_ids=b.token_ids + np.uint32(1)), table)
    with pytest.raises(NotComparable, match="bucket table"):
        divergence(a, b, table[:10])


def test_no_positions_give_no_divergence() -> None:
    a, b, _, _, table = pair(300, 2, 1, seed=2)
    empty = divergence(a.rows(0, 0), b.rows(0, 0), table)
    assert empty.forward.shape == empty.backward.shape == (0,)


def test_12000_positions_take_a_fraction_of_a_second() -> None:
    a, b, _, _, table = pair(300, 3, 0.5, seed=4, rows=400)
    many = [LogprobBlock.concatenate([side] * 30) for side in (a, b)]
    start = time.process_time()
    divergence(many[0], many[1], table)
    assert time.process_time() - start < 1


def test_a_vocabulary_smaller_than_the_sketch_compares() -> None:
    """The engine fills the places that such a vocabulary leaves empty; they must neither count nor be looked up."""
    vocabulary, rows = 20, 6
    rng = np.random.default_rng(5)
    first = rng.normal(size=(rows, vocabulary)) * 2
    second = first + rng.normal(size=(rows, vocabulary))
    table, tokens = bucket_table(vocabulary, 5), rng.integers(0, vocabulary, rows)
    a, b = (_filled_up(sketch(logits, table, tokens, [rows])) for logits in (first, second))
    bound = divergence(a, b, table)
    np.testing.assert_allclose(bound.forward, exact_kl(first, second), rtol=1e-4)
    np.testing.assert_allclose(bound.backward, exact_kl(second, first), rtol=1e-4)
    assert not divergence(a, a, table).forward.any()


def _filled_up(block: LogprobBlock) -> LogprobBlock:
    missing = ((0, 0), (0, TOP_TOKENS - block.top_ids.shape[1]))
    return replace(
        block,
        top_ids=np.pad(block.top_ids, missing, constant_values=NO_TOKEN),
        top_logprobs=np.pad(block.top_logprobs, missing, constant_values=np.float32(-1e4)),
    )
