"""The shuffling buffer: every vector once per pass, well mixed, bounded, and able to go on where it stopped."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator

import pytest
import torch

from bvc.errors import BadInput
from bvc.features.buffer import ActivationBatch, BufferState, ShuffleBuffer


class Numbered:
    """A source of texts whose vectors say their own number in their first entry; texts have 1 to 7 tokens, batches 1
    to 5 texts. Batches begin at every text, so that any number of texts can be skipped."""

    width = 4

    def __init__(self, texts: int, seed: int = 0, norm: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.lengths = torch.randint(1, 8, (texts,), generator=generator).tolist()
        self.norm = norm
        self.passes = 0

    @property
    def total(self) -> int:
        return sum(self.lengths)

    def batches(self, skip_texts: int) -> Iterator[ActivationBatch]:
        self.passes += 1
        start = skip_texts
        while start < len(self.lengths):
            texts = min(1 + start % 5, len(self.lengths) - start)
            first = sum(self.lengths[:start])
            tokens = sum(self.lengths[start : start + texts])
            vectors = torch.zeros(tokens, self.width)
            vectors[:, 0] = torch.arange(first, first + tokens)
            yield ActivationBatch(vectors, texts)
            start += texts


def numbers(vectors: torch.Tensor) -> list[int]:
    return [int(n) for n in vectors[:, 0]]


def drained(buffer: ShuffleBuffer, batch: int) -> list[int]:
    served: list[int] = []
    while len(vectors := buffer.take(batch)):
        assert len(vectors) == batch or not len(buffer.take(1)), "a short batch before the end"
        served += numbers(vectors)
    return served


@pytest.mark.parametrize("capacity", [2, 7, 64, 100, 5_000])
@pytest.mark.parametrize("batch", [1, 5, 32])
def test_every_vector_is_served_exactly_once(capacity: int, batch: int) -> None:
    source = Numbered(300)
    served = drained(ShuffleBuffer(source, capacity), batch)
    assert sorted(served) == list(range(source.total))
    assert served != sorted(served)


def test_it_keeps_refreshing_over_passes() -> None:
    source = Numbered(100)
    served = drained(ShuffleBuffer(source, 64, passes=3), 10)
    assert sorted(served) == sorted(list(range(source.total)) * 3)
    assert source.passes == 3


def test_without_an_end_it_begins_again() -> None:
    source = Numbered(20)
    buffer = ShuffleBuffer(source, 16, passes=None)
    served = [n for _ in range(40) for n in numbers(buffer.take(source.total // 4))]
    counts = torch.tensor(served).bincount(minlength=source.total)
    assert counts.min() >= 9
    assert counts.max() <= 11


def test_order_is_mixed_far_beyond_a_text() -> None:
    source = Numbered(2_000)
    served = torch.tensor(drained(ShuffleBuffer(source, 1_000), 50), dtype=torch.float64)
    moved = (served - torch.arange(len(served))).abs()
    assert moved.mean() > 200
    neighbors = (served.diff().abs() <= 1).double().mean()
    assert neighbors < 0.02
    drawn = torch.corrcoef(torch.stack([served[:500], torch.arange(500, dtype=torch.float64)]))[0, 1]
    assert abs(drawn) < 0.2, "the first half of the first fill is served in the order it came"


def test_half_of_it_is_from_before_each_refill() -> None:
    buffer = ShuffleBuffer(Numbered(2_000), 400)
    first, second = buffer.take(200), buffer.take(200)
    assert max(numbers(first)) < 400
    old = sum(n < 400 for n in numbers(second))
    assert 60 < old < 140


def test_same_seed_same_order_and_another_seed_another() -> None:
    orders = [drained(ShuffleBuffer(Numbered(200), 50, seed=seed), 7) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_skipped_texts_are_in_no_pass() -> None:
    source = Numbered(200)
    left_out = sum(source.lengths[:30])
    served = drained(ShuffleBuffer(source, 64, skip_texts=30, passes=2), 9)
    assert min(served) == left_out
    assert len(served) == 2 * (source.total - left_out)


class Outliers(Numbered):
    """Every eleventh vector is far too long, every thirteenth infinite or not a number."""

    def batches(self, skip_texts: int) -> Iterator[ActivationBatch]:
        for batch in super().batches(skip_texts):
            vectors = batch.vectors
            place = vectors[:, 0].clone()
            vectors[:, 1] = torch.where(place % 11 == 0, 1e6, vectors[:, 1])
            vectors[:, 2] = torch.where(place % 13 == 0, torch.where(place % 2 == 0, math.nan, math.inf), vectors[:, 2])
            yield ActivationBatch(vectors, batch.texts)


def test_outliers_and_broken_vectors_are_left_out_and_counted() -> None:
    source = Outliers(200)
    buffer = ShuffleBuffer(source, 64, longest=1e5)
    served = drained(buffer, 8)
    expected = [n for n in range(source.total) if n % 11 and n % 13]
    assert sorted(served) == expected
    assert buffer.dropped == source.total - len(expected)
    assert buffer.served == len(expected)


def test_infinite_vectors_are_left_out_even_without_a_limit() -> None:
    source = Outliers(200)
    served = drained(ShuffleBuffer(source, 64), 8)
    assert sorted(served) == [n for n in range(source.total) if n % 13]


@pytest.mark.parametrize("passes", [1, None])
def test_a_source_without_usable_vectors_is_refused(passes: int | None) -> None:
    with pytest.raises(BadInput, match="no activation"):
        ShuffleBuffer(Numbered(50), 64, longest=-1.0, passes=passes).take(1)


@pytest.mark.parametrize("stop", [0, 1, 3, 10, 39, 60, 200])
def test_a_restored_buffer_serves_what_the_first_would_have(stop: int) -> None:
    def new(seed: int = 5) -> ShuffleBuffer:
        return ShuffleBuffer(Numbered(100), 50, seed=seed, skip_texts=3, passes=2)

    buffer = new()
    for _ in range(stop):
        buffer.take(6)
    now = buffer.state()
    state = BufferState({name: array.clone() for name, array in now.arrays.items()}, now.counts)
    rest = drained(buffer, 6)
    again = new(seed=6)
    again.take(11)
    again.restore(state)
    assert drained(again, 6) == rest


def test_batches_are_copies() -> None:
    buffer = ShuffleBuffer(Numbered(100), 50)
    first = buffer.take(20)
    before = first.clone()
    drained(buffer, 20)
    assert torch.equal(first, before)


class Large:
    """A source of 200,000 vectors of 64 numbers, made as they are asked for."""

    width = 64

    def batches(self, skip_texts: int) -> Iterator[ActivationBatch]:
        for _ in range(skip_texts, 400):
            yield ActivationBatch(torch.ones(500, self.width), 1)


def test_memory_is_that_of_the_buffer() -> None:
    """What live tensors hold, looked at after each batch: the buffer, one batch of the source, one that was served."""
    gc.collect()
    before, capacity, most = tensor_bytes(), 10_000, 0
    buffer = ShuffleBuffer(Large(), capacity)
    while len(served := buffer.take(2_000)):
        most = max(most, tensor_bytes() - before)
    assert buffer.served == 200_000
    assert len(served) == 0
    assert capacity * 64 * 4 <= most <= 1.4 * capacity * 64 * 4


def tensor_bytes() -> int:
    tensors = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


def test_what_is_ahead_is_served_next() -> None:
    buffer = ShuffleBuffer(Numbered(100), 50)
    ahead = buffer.ahead(20)
    assert torch.equal(buffer.take(20), ahead)
    assert len(buffer.ahead(1_000)) <= 50
