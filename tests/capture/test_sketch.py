"""Log-prob sketches against a plain computation in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from bvc.capture.sketch import BLOCK_ROWS, LOGPROB_FLOOR, Fields, Sketcher
from bvc.evidence import MASS_BUCKETS, NO_TOKEN, TOP_TOKENS

CPU = torch.device("cpu")
RANDOM = np.random.default_rng(0)
Table = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def table(vocabulary: int) -> Table:
    return RANDOM.integers(0, MASS_BUCKETS, vocabulary).astype(np.uint8)


def random_logits(rows: int, vocabulary: int, scale: float = 3.0) -> torch.Tensor:
    return torch.from_numpy(RANDOM.normal(0, scale, (rows, vocabulary)).astype(np.float32))


def exact(logits: torch.Tensor) -> Floats:
    return np.asarray(torch.log_softmax(logits.double(), -1).numpy())


def coarse(fields: Fields, row: int, buckets: Table, kept: list[int]) -> Floats:
    """The distribution that a sketch stands for on `kept` tokens and, for all others, the buckets."""
    mass = fields["buckets"][row].astype(np.float64)
    mass *= float(fields["residual"][row]) / (mass.sum() or 1.0)
    alone = dict(
        zip(fields["top_ids"][row].tolist(), np.exp(fields["top_logprobs"][row].astype(np.float64)), strict=True)
    )
    for token, probability in alone.items():
        if token not in kept:
            mass[buckets[token]] += probability
    return np.array([*(alone[t] for t in kept), *mass])


@pytest.mark.parametrize("vocabulary", [65, 500, 3000])
def test_against_float64(vocabulary: int) -> None:
    rows, buckets = 2 * BLOCK_ROWS + 3, table(vocabulary)
    logits, targets = random_logits(rows, vocabulary), RANDOM.integers(0, vocabulary, rows)
    got = Sketcher(buckets, CPU).sketch(logits, targets)
    truth = exact(logits)
    assert np.allclose(got["target"], truth[np.arange(rows), targets], atol=1e-5)
    assert np.allclose(got["entropy"], -(np.exp(truth) * truth).sum(-1), atol=1e-4)
    for row in range(rows):
        top = np.sort(np.argsort(-truth[row])[:TOP_TOKENS])
        assert (got["top_ids"][row] == top).all()
        assert np.allclose(got["top_logprobs"][row], truth[row, top], atol=1e-5)
        left = np.exp(truth[row])
        left[top] = 0
        assert np.isclose(got["residual"][row], left.sum(), rtol=1e-4, atol=1e-9)
        masses = np.bincount(buckets, weights=left, minlength=MASS_BUCKETS)
        assert np.allclose(got["buckets"][row], masses / left.sum(), rtol=2e-3, atol=1e-6)


def test_a_row_is_the_same_whatever_is_sketched_beside_it() -> None:
    logits, targets, sketcher = random_logits(40, 1000), RANDOM.integers(0, 1000, 40), Sketcher(table(1000), CPU)
    together = sketcher.sketch(logits, targets)
    for row in (0, 15, 16, 39):
        alone = sketcher.sketch(logits[row : row + 1], targets[row : row + 1])
        assert all((alone[name][0] == together[name][row]).all() for name in alone)


def test_kl_of_sketches_is_a_lower_bound_and_zero_for_equal_ones() -> None:
    buckets = table(2000)
    a, sketcher = random_logits(30, 2000), Sketcher(buckets, CPU)
    b, targets = a + random_logits(30, 2000, 0.3), np.zeros(30, np.int64)
    left, right, p, q = sketcher.sketch(a, targets), sketcher.sketch(b, targets), exact(a), exact(b)
    for row in range(30):
        kept = sorted(set(left["top_ids"][row].tolist()) & set(right["top_ids"][row].tolist()))
        x, y = coarse(left, row, buckets, kept), coarse(right, row, buckets, kept)
        some = x > 0
        estimate = (x[some] * np.log(x[some] / y[some])).sum()
        truth = (np.exp(p[row]) * (p[row] - q[row])).sum()
        assert 0.3 * truth < estimate < truth + 1e-6


def test_fewer_tokens_than_a_sketch_keeps() -> None:
    got = Sketcher(table(27), CPU).sketch(random_logits(2, 27), np.array([3, 26]))
    assert (got["top_ids"][:, :27] == np.arange(27)).all() and (got["top_ids"][:, 27:] == NO_TOKEN).all()
    assert (got["top_logprobs"][:, 27:] == LOGPROB_FLOOR).all()
    assert np.allclose(np.exp(got["top_logprobs"]).sum(-1), 1, atol=1e-6)
    assert (got["residual"] == 0).all() and (got["buckets"] == 0).all()


def test_impossible_tokens_have_finite_numbers() -> None:
    logits = random_logits(1, 200)
    logits[:, 80:] = -float("inf")
    got = Sketcher(table(200), CPU).sketch(logits, np.array([150]))
    assert got["target"][0] == LOGPROB_FLOOR
    assert all(np.isfinite(got[name].astype(np.float64)).all() for name in got)
    assert np.isclose(np.exp(got["top_logprobs"][0].astype(np.float64)).sum() + got["residual"][0], 1, atol=1e-6)


def test_no_position_and_half_precision() -> None:
    sketcher = Sketcher(table(100), CPU)
    empty = sketcher.sketch(torch.empty(0, 100), np.empty(0, np.int64))
    full = sketcher.sketch(random_logits(1, 100).bfloat16(), np.array([1]))
    assert {k: (v.dtype, v.shape[1:]) for k, v in empty.items()} == {k: (v.dtype, v.shape[1:]) for k, v in full.items()}
