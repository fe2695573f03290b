"""Texts as two models read them side by side, and their rows in files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bvc.api.exclusive_streams import Side, read_streams, source_of
from bvc.api.exclusive_texts import CHARACTERS, PairedText, _plain, pieces
from bvc.capture.corpus import CorpusReader
from bvc.capture.load import Source, forget_models, load
from bvc.capture.prompts import Prompts
from bvc.features.row_file import RowFile
from bvc.records import ModelIdentity, Recipe
from tests.tiny_models import TEXT, tiny_model

TEXTS = [*TEXT, "Zażółć gęślą jaźń — 猫が好き 😀 twice 😀.", "  spaces   and\ttabs\n\nand lines ", "x" * 50]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[object, object]]:
    """Two architectures with tokenizers of their own, of which the second begins with a special token."""
    folder = tmp_path_factory.mktemp("sides")
    places = [
        tiny_model(folder / "a", seed=1),
        tiny_model(folder / "b", seed=2, kind="gemma3", vocab_size=300, bos=True, hidden_size=40),
    ]
    loaded = [
        load(Source(ModelIdentity(p.name, p.name, "hf", location=str(p))), Recipe("transformers")) for p in places
    ]
    yield loaded[0], loaded[1]
    for one in loaded:
        one.release()
    forget_models()


def _prompts(models: tuple[object, object]) -> tuple[Prompts, Prompts]:
    one, other = (Prompts(model.tokenizer, ()) for model in models)  # type: ignore[attr-defined]
    return one, other


@given(st.text())
def test_pieces_are_the_text(text: str) -> None:
    found = list(pieces(text))
    assert all(0 < len(piece) <= CHARACTERS and piece.strip() for piece in found)
    assert "".join("".join(found).split()) == "".join(text.split())


def test_a_long_text_is_cut_at_white_space() -> None:
    words = " ".join(f"word{n}" for n in range(400))
    assert all(piece.strip() in words and piece.split()[-1] in words.split() for piece in pieces(words))


@pytest.mark.parametrize("text", TEXTS)
def test_paired_tokens_have_read_the_same_text(models: tuple[object, object], text: str) -> None:
    prompts = _prompts(models)
    paired = _plain(text, prompts)
    assert paired.covered == pytest.approx(len(text))
    assert len(paired) > 3 and min(*paired.at_a, *paired.at_b) > 0
    for a, b in zip(paired.at_a, paired.at_b, strict=True):
        assert prompts[0].decode(paired.a[: a + 1]) == prompts[1].decode(paired.b[1 : b + 1])
    assert paired.at_a[-1] == len(paired.a) - 1 and paired.at_b[-1] == len(paired.b) - 1


def _rows(reader: CorpusReader, side: Side, path: Path) -> torch.Tensor:
    file = RowFile(path, reader.width)
    read_streams(reader, side, file, lambda _done, _of: None)
    return file.tensor()


def test_rows_are_the_streams_at_the_paired_tokens(models: tuple[object, object], tmp_path: Path) -> None:
    texts = [_plain(text, _prompts(models)) for text in TEXTS]
    for number, side in enumerate((Side.first(texts), Side.second(texts))):
        reader = CorpusReader(models[number], "layer.02", rows=2)  # type: ignore[arg-type]
        rows = _rows(reader, side, tmp_path / str(number))
        assert rows.shape == (sum(map(len, texts)), reader.width)
        first = 0
        for ids, at in zip(side.ids, side.at, strict=True):
            (alone,) = reader.read([tuple(ids)])
            want = alone.vectors[[place - 1 for place in at]]
            assert torch.allclose(rows[first : first + len(at)], want, atol=1e-5)
            first += len(at)


@pytest.mark.parametrize("left", [0, 1, 400, 5000, 10**9])
def test_an_interrupted_reading_ends_with_the_same_bytes(
    models: tuple[object, object], tmp_path: Path, left: int
) -> None:
    side = Side.first([_plain(text, _prompts(models)) for text in TEXTS])
    reader = CorpusReader(models[0], "layer.02", rows=2)  # type: ignore[arg-type]
    _rows(reader, side, tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    (tmp_path / "part").write_bytes(whole[:left])
    _rows(reader, side, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == whole


def test_rows_with_an_outlier_on_either_side_are_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sides = [torch.randn(40, 6) for _ in range(2)]
    sides[0][7] *= 100
    sides[1][20] = torch.nan
    files = [RowFile(tmp_path / str(n), 6) for n in range(2)]
    for file, side in zip(files, sides, strict=True):
        file.append(side)
    texts = [PairedText((), (), range(20), range(20), 1, 1.0)] * 2  # type: ignore[arg-type]
    source = source_of(files, texts)
    batch = next(source.batches(None))
    kept = [n for n in range(40) if n not in (7, 20)]
    usual = [n for n in kept if max(float(side[n].norm()) for side in sides) < 4]
    assert set(usual) <= set(kept) and {7, 20}.isdisjoint(source.rows.tolist())  # type: ignore[union-attr]
    assert batch.texts.tolist() == [n // 20 for n in source.rows.tolist()]  # type: ignore[union-attr]
    assert torch.equal(batch.sides[0], sides[0][source.rows])
