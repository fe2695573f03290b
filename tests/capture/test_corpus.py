"""Streams along texts: what is read is what the model computes there, whatever shares the pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from bvc.capture.corpus import CorpusReader, CorpusText
from bvc.capture.identity import identify
from bvc.capture.load import Source, forget_models, load
from bvc.errors import UsageError
from bvc.records import Message, Probe, Recipe, Reference
from tests.tiny_models import TEXT, tiny_model

TEXTS = [CorpusText(text) for text in (*TEXT, "Paris is the capital.", "", "a", "one two three four five six " * 30)]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    folder = tmp_path_factory.mktemp("corpus") / "model"
    tiny_model(folder)
    found = load(Source(identify(str(folder))), Recipe("transformers"))
    yield found
    forget_models()


def _streams(loaded: object, ids: tuple[int, ...], layer: int) -> torch.Tensor:
    """What transformers itself says: [tokens, d] after `layer` blocks (not the last one, which it normalizes)."""
    with torch.inference_mode():
        out = loaded.model(input_ids=torch.tensor([ids]), output_hidden_states=True)  # type: ignore[attr-defined]
    return out.hidden_states[layer][0]


def test_streams_are_those_of_the_model_alone(loaded: object) -> None:
    reader = CorpusReader(loaded, "layer.02", rows=3, window=32)  # type: ignore[arg-type]
    windows = list(reader.windows(TEXTS))
    assert {len(w) for w in windows} > {32}
    seen = 0
    for batch in reader.read(windows):
        assert batch.vectors.shape == (len(batch.window), reader.width)
        for number, ids in batch.windows.items():
            mine = batch.window == number
            assert batch.position[mine].tolist() == list(range(1, len(ids)))
            assert torch.allclose(batch.vectors[mine], _streams(loaded, ids, 2)[1:], atol=1e-5)
            seen += 1
    assert seen == len(windows)


def test_skipping_gives_what_is_left(loaded: object) -> None:
    reader = CorpusReader(loaded, "layer.01", rows=2, window=16)  # type: ignore[arg-type]
    windows = list(reader.windows(TEXTS))
    whole = [n for batch in reader.read(windows) for n in batch.windows]
    late = [n for batch in reader.read(windows, skip=5) for n in batch.windows]
    assert whole == list(range(len(windows)))
    assert late == whole[5:]


def test_a_probe_is_read_with_the_answer_behind_its_template(loaded: object) -> None:
    reader = CorpusReader(loaded, "layer.02")  # type: ignore[arg-type]
    probe = Probe(messages=(Message("user", "What is the capital of France?"),))
    (window,) = reader.windows([CorpusText(probe=probe, reference=Reference("Paris.", end=True))])
    assert reader.text(window).endswith("<|im_start|>assistant\nParis.<|im_end|>")


def test_losses_are_the_models_own_and_grow_where_the_stream_is_lost(loaded: object) -> None:
    reader = CorpusReader(loaded, "layer.02", rows=2, window=24)  # type: ignore[arg-type]
    windows = list(reader.windows(TEXTS))
    own = reader.losses(windows, None)
    kept = reader.losses(windows, lambda stream: stream)
    assert own.shape == (sum(len(w) - 2 for w in windows),)
    assert torch.allclose(own, kept, atol=1e-5)
    ids = torch.tensor([windows[0]])
    with torch.inference_mode():
        logits = loaded.model(input_ids=ids).logits[0]  # type: ignore[attr-defined]
    want = torch.nn.functional.cross_entropy(logits[1:-1], ids[0, 2:], reduction="none")
    assert torch.allclose(own[: len(want)], want, atol=1e-4)
    assert not torch.allclose(own, reader.losses(windows, torch.zeros_like), atol=1e-2)


def test_promoted_tokens_are_those_that_the_unembedding_points_to(loaded: object) -> None:
    reader = CorpusReader(loaded, "layer.04")  # type: ignore[arg-type]
    head = loaded.model.get_output_embeddings().weight.detach()  # type: ignore[attr-defined]
    gain = loaded.model.model.norm.weight.detach()  # type: ignore[attr-defined]
    (found,) = reader.lens().promoted(head[77:78] / gain, 3)
    values, tokens = (head @ head[77]).topk(3)
    assert [token for token, _ in found] == [reader.text([int(t)]) for t in tokens]
    assert [value for _, value in found] == pytest.approx(values.tolist(), rel=1e-4)


def test_unknown_layers_are_named(loaded: object) -> None:
    with pytest.raises(UsageError, match=r"no layer\.09") as caught:
        CorpusReader(loaded, "layer.09")  # type: ignore[arg-type]
    assert "layer.01 to layer.04" in str(caught.value.hint)
