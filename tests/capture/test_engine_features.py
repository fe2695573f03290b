"""Features that the engine reads: the stream of a plain forward pass, encoded; each probe's bits are its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bvc.capture.engine import Batch, ProbeCapture, ProbeRequest
from bvc.capture.prompts import own_reference
from bvc.capture.transformers_engine import TransformersEngine
from bvc.errors import EngineError
from bvc.evidence import AnswerFeatures, FeatureBlock, Features
from bvc.features.encoder import DictionaryEncoder
from bvc.records import Generation, Probe, Recipe, Reference
from tests.dictionaries import random_dictionary
from tests.engines import captures, chat, differences, numbers, opened, probes, recipe
from tests.tiny_models import tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def encoder(layer: str = "layer.02", seed: int = 0) -> DictionaryEncoder:
    return DictionaryEncoder(random_dictionary(layer=layer, seed=seed))


def features(capture: ProbeCapture) -> FeatureBlock:
    found = capture.evidence.feature
    assert found is not None and len(found) == 1
    return found


def answered(capture: ProbeCapture) -> AnswerFeatures:
    found = capture.evidence.answer_feature
    assert found is not None and len(found) == 1
    return found


def encoded(
    engine: TransformersEngine, asked: dict[str, ProbeCapture], how: Recipe, all_of: list[Probe]
) -> dict[str, Features]:
    """The features of captures at hand, along their references and answers."""
    requests = [ProbeRequest(p, asked[p.id].reference, asked[p.id].outputs.greedy) for p in all_of]
    return {
        request.probe.id: block
        for batch in engine.plan(requests, how)
        for request, block in zip(batch.requests, engine.encode(batch), strict=True)
    }


def same(a: FeatureBlock, b: FeatureBlock) -> bool:
    names = ("lengths", *a.BY_PROBE, *a.FIELDS)
    return type(a) is type(b) and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["llama", "gemma3", "gpt2"])
def test_alone_in_the_suite_and_after_others(folder: Path, kind: str, dtype: str) -> None:
    how, asked = recipe(dtype=dtype), probes()
    with opened(tiny_model(folder / kind, kind=kind), how, encoder=encoder()) as engine:
        suite = captures(engine, asked, how)
        added = captures(engine, [Probe(prompt="a new one"), *reversed(asked), Probe(prompt="and another")], how)
        alone = {p.id: captures(engine, [p], how)[p.id] for p in asked}
        later = encoded(engine, suite, how, asked)
        single = {p.id: encoded(engine, suite, how, [p])[p.id] for p in asked}
    assert any(features(c).lengths.sum() > 5 for c in suite.values())
    for probe in asked:
        assert {"feature/total", "answer/total"} < numbers(suite[probe.id]).keys()
        assert differences(alone[probe.id], suite[probe.id]) == []
        assert differences(added[probe.id], suite[probe.id]) == []
        for found in (later[probe.id], single[probe.id]):
            assert same(found.reference, features(suite[probe.id])) and same(found.answer, answered(suite[probe.id]))


def test_the_rest_of_a_capture_is_as_without_a_dictionary(folder: Path) -> None:
    how, asked = recipe(), probes()
    model = tiny_model(folder / "llama")
    for layer in ("layer.02", "layer.03"):
        with opened(model, how) as plain, opened(model, how, encoder=encoder(layer)) as reading:
            without, read = captures(plain, asked, how), captures(reading, asked, how)
        for probe in asked:
            a, b = numbers(without[probe.id]), numbers(read[probe.id])
            assert {n for n in b if not n.startswith(("feature/", "answer/"))} == a.keys()
            assert all(np.array_equal(a[n], b[n]) for n in a)
            assert without[probe.id].outputs == read[probe.id].outputs


def test_without_hookpoints_the_layer_is_read_all_the_same(folder: Path) -> None:
    how, asked = recipe(hookpoints=()), probes()[:2]
    with opened(tiny_model(folder / "llama"), how, encoder=encoder()) as engine:
        bare = captures(engine, asked, how)
    with opened(tiny_model(folder / "llama"), recipe(), encoder=encoder()) as engine:
        full = captures(engine, asked, recipe())
    for probe in asked:
        assert bare[probe.id].evidence.activation is None
        assert same(features(bare[probe.id]), features(full[probe.id]))


def test_the_positions_are_those_of_the_sketch(folder: Path) -> None:
    """Against one unpadded forward pass, encoded by the arithmetic that the records state."""
    how = recipe()
    model_folder = tiny_model(folder / "llama")
    asked = [chat("merci"), Probe(prompt="The quick brown")]
    texts = {asked[0].id: Reference("The capital of France is Paris.", end=True), asked[1].id: Reference(" fox jumps")}
    made = random_dictionary()
    with opened(model_folder, how, encoder=DictionaryEncoder(made)) as engine:
        found = captures(engine, asked, how, texts)
    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    turns = [m.to_json() for m in asked[0].messages or ()]
    prompts = {
        asked[0].id: tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"],
        asked[1].id: tokenizer(asked[1].prompt)["input_ids"],
    }
    for probe in asked:
        text = tokenizer(texts[probe.id].text, add_special_tokens=False)["input_ids"]
        scored = len(text) + texts[probe.id].end
        ids = torch.tensor([[*prompts[probe.id], *text]])
        with torch.inference_mode():
            hidden = model(input_ids=ids, output_hidden_states=True).hidden_states[2][0]
        stream = hidden[len(prompts[probe.id]) - 1 :][:scored]
        block = features(found[probe.id])
        sketch = found[probe.id].evidence.logprob
        assert sketch is not None and block.positions.tolist() == sketch.lengths.tolist() == [scored]
        latents = made.encode(stream)
        fires = (latents > 0).any(0)
        assert block.latent.tolist() == fires.nonzero()[:, 0].tolist() and len(block.latent) > 5
        assert block.fired.tolist() == (latents[:, fires] > 0).sum(0).tolist()
        np.testing.assert_allclose(block.strongest, latents[:, fires].amax(0), rtol=1e-4)
        np.testing.assert_allclose(block.total, latents[:, fires].sum(0), rtol=1e-4)
        assert block.peak.tolist() == latents[:, fires].argmax(0).tolist()
        missed = (stream - made.decode(latents)).square().sum(1).mean()
        np.testing.assert_allclose(block.missed, missed, rtol=1e-4)
        np.testing.assert_allclose(block.energy, stream.square().sum(1).mean(), rtol=1e-4)


def test_an_answer_is_read_as_its_text_is_written(folder: Path) -> None:
    """Against one unpadded forward pass over the prompt and the tokens of the answer: after the prompt, and after
    each token but the last of an answer that was cut off."""
    how = recipe()
    model_folder = tiny_model(folder / "llama")
    made = random_dictionary()
    asked = [Probe(prompt="The quick brown"), Probe(prompt="Ask me anything: I am", max_new_tokens=5)]
    with opened(model_folder, how, encoder=DictionaryEncoder(made)) as engine:
        found = captures(engine, asked, how)
    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    for probe in asked:
        greedy, block = found[probe.id].outputs.greedy, answered(found[probe.id])
        said = own_reference(greedy.text, finished=greedy.finish == "stop")
        encoded = tokenizer(said.text, add_special_tokens=False, return_offsets_mapping=True)
        prompt, text = tokenizer(probe.prompt)["input_ids"], encoded["input_ids"]
        with torch.inference_mode():
            hidden = model(input_ids=torch.tensor([[*prompt, *text]]), output_hidden_states=True).hidden_states[2][0]
        latents = made.encode(hidden[len(prompt) - 1 :][: len(text) + said.end])
        fires = (latents > 0).any(0)
        assert block.positions.tolist() == [len(text) + said.end]
        assert block.latent.tolist() == fires.nonzero()[:, 0].tolist() and len(block.latent) > 5
        assert block.peak.tolist() == latents[:, fires].argmax(0).tolist()
        np.testing.assert_allclose(block.total, latents[:, fires].sum(0), rtol=1e-4)
        ends = [0, *(end for _, end in encoded["offset_mapping"])]
        assert block.reached.tolist() == [max(ends[: peak + 1]) for peak in block.peak.tolist()]


def test_the_answer_of_the_capture_at_hand_is_read_whatever_the_model_says_now(folder: Path) -> None:
    """As when a capture was made on another machine."""
    how, asked = recipe(), probes()[:3]
    said = Generation("The capital of France is Paris.", "stop", 6)
    with opened(tiny_model(folder / "llama"), how, encoder=encoder()) as engine:
        first = captures(engine, asked, how)
        requests = [ProbeRequest(p, first[p.id].reference, first[p.id].outputs.greedy) for p in asked]
        requests[1] = ProbeRequest(asked[1], Reference(said.text, end=True), said)
        found = {
            r.probe.id: features
            for batch in engine.plan(requests, how)
            for r, features in zip(batch.requests, engine.encode(batch), strict=True)
        }
        own = encoded(engine, first, how, asked)
    other = found[asked[1].id]
    for name in (*FeatureBlock.BY_PROBE, *FeatureBlock.FIELDS):
        np.testing.assert_array_equal(getattr(other.answer, name), getattr(other.reference, name))
    assert other.answer.reached.max() <= len(said.text) and other.answer.reached[other.answer.peak > 1].min() > 0
    for probe in (asked[0], asked[2]):
        assert same(found[probe.id].answer, own[probe.id].answer)


def test_a_reference_without_any_token_is_read_at_the_prompt(folder: Path) -> None:
    how, probe = recipe(), Probe(prompt="The quick brown", reference="")
    with opened(tiny_model(folder / "llama"), how, encoder=encoder()) as engine:
        beside = captures(engine, [probe, *probes()[:3]], how)[probe.id]
        assert features(beside).positions.tolist() == [1]
        assert differences(captures(engine, [probe], how)[probe.id], beside) == []


def test_padding_does_not_reach_the_encoder(folder: Path) -> None:
    """What stands behind the end of a shorter reference is not 0 in the stream, and must not be read."""
    seen: list[tuple[int, int]] = []

    class Watching(DictionaryEncoder):
        def encode(self, stream: torch.Tensor, held: torch.Tensor) -> FeatureBlock:
            seen.append((len(stream), int(held.sum()) if bool(held.all()) else -1))
            return super().encode(stream, held)

    how = recipe()
    asked = [Probe(prompt=f"The quick brown {n}", reference=" fox" * n) for n in (1, 40, 3)]
    with opened(tiny_model(folder / "llama"), how, encoder=Watching(random_dictionary())) as engine:
        found = captures(engine, asked, how)
    lengths = [len(block.token_ids) for p in asked if (block := found[p.id].evidence.logprob) is not None]
    assert [n for _, n in seen[1::2]] == lengths and len(set(lengths)) == 3
    answers = [answered(found[p.id]).positions.item() for p in asked]
    assert seen[::2] == [(1, n) for n in answers]


def test_a_layer_that_the_model_lacks_is_refused_before_anything_runs(folder: Path) -> None:
    with (
        pytest.raises(EngineError, match=r"has no layer\.05"),
        opened(tiny_model(folder / "llama"), recipe(), encoder=encoder("layer.05")),
    ):
        pass


def test_a_dictionary_of_another_width_is_an_engine_error(folder: Path) -> None:
    how = recipe()
    wide = DictionaryEncoder(random_dictionary(width=48))
    with opened(tiny_model(folder / "llama"), how, encoder=wide) as engine, pytest.raises(EngineError, match="fit"):
        captures(engine, probes()[:1], how)


def test_encoding_needs_a_dictionary_and_references(folder: Path) -> None:
    how = recipe()
    model = tiny_model(folder / "llama")
    request = ProbeRequest(probes()[0], Reference("Paris"))
    with opened(model, how) as engine, pytest.raises(EngineError, match="without a dictionary"):
        engine.encode(Batch((request,), how, 4, 32))
    with opened(model, how, encoder=encoder()) as engine:
        with pytest.raises(EngineError, match="without its reference"):
            engine.encode(Batch((ProbeRequest(probes()[0]),), how, 4, 32))
        with pytest.raises(EngineError, match="without its answer"):
            engine.encode(Batch((request,), how, 4, 32))
