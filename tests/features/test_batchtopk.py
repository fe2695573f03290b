"""The pieces that BatchTopK coders are trained with."""

from __future__ import annotations

import pytest
import torch

from bvc.features.batchtopk import auxiliary_loss, batch_top_k, least_kept
from bvc.features.schedule import annealed, drop_radial, rate_factor, unit_rows


def test_the_budget_is_that_of_the_batch() -> None:
    values = torch.tensor([[5.0, 4.0, 3.0], [0.5, 0.2, 0.1]])
    assert batch_top_k(values, 3).tolist() == [[5, 4, 3], [0, 0, 0]]


def test_ties_do_not_exceed_the_budget_and_nothing_negative_is_kept() -> None:
    assert int((batch_top_k(torch.ones(4, 5), 7) > 0).sum()) == 7
    assert batch_top_k(torch.tensor([[-1.0, 2.0, -3.0]]), 2).tolist() == [[0, 2, 0]]
    assert batch_top_k(torch.tensor([[-1.0, 2.0]]), 10).tolist() == [[0, 2]]


def test_gradients_reach_what_was_kept_and_nothing_else() -> None:
    values = torch.tensor([[3.0, 1.0, 2.0]], requires_grad=True)
    batch_top_k(values, 2).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert values.grad.tolist() == [[1, 0, 1]]


def test_the_threshold_of_a_batch_is_its_least_kept_value() -> None:
    values = torch.tensor([[3.0, 1.0, 2.0], [-1.0, 0.5, -2.0]])
    assert [least_kept(values, count) for count in (1, 3, 6)] == [3.0, 1.0, 0.5]
    assert least_kept(-torch.ones(2, 2), 2) == float("inf")


def test_schedules() -> None:
    assert [annealed(step, 10, 2, 4) for step in (0, 2, 4, 9)] == [10, 6, 2, 2]
    assert annealed(0, 10, 2, 0) == 2
    factors = [rate_factor(step, 100) for step in range(100)]
    assert factors[0] == pytest.approx(0.2)
    assert factors[4:80] == [1.0] * 76
    assert factors[-1] == pytest.approx(0.05)
    assert factors[80:] == sorted(factors[80:], reverse=True)


def test_dead_latents_are_scored_by_what_they_explain_of_the_rest() -> None:
    error, decoder = torch.eye(2), torch.eye(2)
    pre, dead = torch.eye(2), torch.tensor([True, True])
    assert float(auxiliary_loss(error, pre, dead, decoder, 1)) == 0.0
    only_one = torch.tensor([True, False])
    assert float(auxiliary_loss(error, pre, only_one, decoder, 4)) == pytest.approx(0.5)


def test_no_auxiliary_loss_where_nothing_is_dead_or_left() -> None:
    none, all_ = torch.zeros(2, dtype=torch.bool), torch.ones(2, dtype=torch.bool)
    assert float(auxiliary_loss(torch.eye(2), torch.eye(2), none, torch.eye(2), 1)) == 0.0
    assert float(auxiliary_loss(torch.zeros(2, 2), torch.eye(2), all_, torch.eye(2), 1)) == 0.0


def test_rows_keep_their_length_along_the_cleaned_gradient() -> None:
    g = torch.Generator().manual_seed(0)
    decoder, gradient = torch.randn(5, 8, generator=g), torch.randn(5, 8, generator=g)
    unit_rows(decoder)
    drop_radial(decoder, gradient)
    assert torch.allclose((decoder * gradient).sum(-1), torch.zeros(5), atol=1e-6)
    assert torch.allclose(decoder.norm(dim=-1), torch.ones(5))
    zeros = torch.zeros(2, 3)
    unit_rows(zeros)
    assert not zeros.any()
