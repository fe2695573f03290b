"""A cached source: the same batches as the source's own, whatever of the file is there already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bvc.features.buffer import ActivationBatch
from bvc.features.cached import CachedSource


class _Counted:
    """Batches of known vectors; counts those that were asked for."""

    width = 3

    def __init__(self) -> None:
        self.made = 0

    def batches(self, skip_texts: int) -> Iterator[ActivationBatch]:
        for number in range(skip_texts // 2, 5):
            self.made += 1
            yield ActivationBatch(torch.arange(12.0).reshape(4, 3) + 100 * number, 2)


def _values(source: CachedSource, skip: int = 0) -> list[list[float]]:
    return [batch.vectors.flatten().tolist() for batch in source.batches(skip)]


WANT = [batch.vectors.flatten().tolist() for batch in _Counted().batches(0)]


def test_later_passes_do_not_ask_the_source(tmp_path: Path) -> None:
    inner = _Counted()
    source = CachedSource(inner, tmp_path / "cache")
    assert [_values(source) for _ in range(3)] == [WANT] * 3
    assert inner.made == 5
    assert _values(source, skip=4) == WANT[2:]


@pytest.mark.parametrize("kept", range(0, 5 * 64 + 16, 7))
def test_a_file_cut_off_anywhere_is_gone_on_with(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cache"
    _values(CachedSource(_Counted(), path))
    path.write_bytes(path.read_bytes()[:kept])
    inner = _Counted()
    assert _values(CachedSource(inner, path)) == WANT
    assert inner.made == 5 - kept // 64
    assert _values(CachedSource(_Counted(), path)) == WANT


def test_skipping_what_is_not_there_yet_makes_it_all_the_same(tmp_path: Path) -> None:
    source = CachedSource(_Counted(), tmp_path / "cache")
    assert _values(source, skip=6) == WANT[3:]
    assert _values(source) == WANT


def test_a_pass_that_was_left_early_keeps_what_it_made(tmp_path: Path) -> None:
    inner = _Counted()
    source = CachedSource(inner, tmp_path / "cache")
    stream = source.batches(0)
    next(stream), next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert _values(source) == WANT
    assert inner.made == 5
