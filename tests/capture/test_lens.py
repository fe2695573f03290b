"""The logit lens reads what the model's own unembedding would make of a direction, and of tokens alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bvc.capture.corpus import CorpusReader
from bvc.capture.identity import identify
from bvc.capture.lens import Lens
from bvc.capture.load import Source, forget_models, load
from bvc.errors import EngineError
from bvc.records import Recipe
from tests.tiny_models import tiny_model


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A model whose unembedding has 24 rows more than its tokenizer has tokens."""
    folder: Path = tiny_model(tmp_path_factory.mktemp("lens") / "model", pad_vocab=24)
    yield load(Source(identify(str(folder))), Recipe("transformers"))
    forget_models()


def test_logits_are_those_of_tokens_alone_in_parts(padded: Any) -> None:
    head, gain = padded.model.lm_head.weight.detach(), padded.model.model.norm.weight.detach()
    known = len(padded.tokenizer)
    assert len(head) == known + 24
    directions = torch.randn(300, 32, generator=torch.Generator().manual_seed(0))
    parts = list(Lens(padded).logits(directions))
    assert [len(part) for part in parts] == [256, 44]
    torch.testing.assert_close(torch.cat(parts), (directions * gain) @ head[:known].T)
    arrays = np.concatenate(list(Lens(padded).arrays(directions.numpy())))
    np.testing.assert_array_equal(arrays, torch.cat(parts).numpy())


def test_a_reader_of_corpora_promotes_by_the_same_lens(padded: Any) -> None:
    directions = torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
    found = Lens(padded).promoted(directions, 4)
    assert CorpusReader(padded, "layer.02").lens().promoted(directions, 4) == found
    assert [len(tokens) for tokens in found] == [4] * 5
    assert all(text for tokens in found for text, _ in tokens)


def test_a_stream_of_another_width_is_refused(padded: Any) -> None:
    with pytest.raises(EngineError, match="16 numbers, and the unembedding reads 32"):
        next(Lens(padded).logits(torch.zeros(1, 16)))


def test_a_model_without_an_unembedding_is_refused(padded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padded.model, "get_output_embeddings", lambda: None)
    with pytest.raises(EngineError, match="names no tokens"):
        Lens(padded)
