"""Greedy answers and draws: limits, ends, early stop, seeds, coupling between models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bvc.capture.engine import ProbeRequest
from bvc.capture.transformers_engine import TransformersEngine
from bvc.errors import EngineError
from bvc.records import Capability, Probe, Reference
from tests.engines import captures, chat, numbers, opened, probes, recipe
from tests.tiny_models import tiny_model

END = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def engine(folder: Path) -> Iterator[TransformersEngine]:
    with opened(folder, recipe()) as engine:
        yield engine


class Ending:
    """Makes a model end every answer at its n-th token, and counts its forward passes of one token."""

    def __init__(self, engine: TransformersEngine, at: int) -> None:
        self.at = at
        self.steps: list[int] = []
        self.read = 0
        engine._loaded.core.model.register_forward_pre_hook(self.note, with_kwargs=True)
        engine._loaded.core.lm_head.register_forward_hook(self)

    def note(self, module: Any, args: Any, kwargs: Any) -> None:
        """Counts tokens read one by one; the first after more rows, or after several tokens at once, begins anew."""
        rows, width = kwargs["input_ids"].shape
        alone = width == 1
        if alone and (self.read == 0 or self.rows != rows):
            self.steps.append(0)
            self.read = 0
        self.rows, self.read = rows, self.read + 1 if alone else 0
        if alone:
            self.steps[-1] += 1

    def __call__(self, module: Any, inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        if self.read == self.at - 1:
            logits = logits.clone()
            logits[..., END] = 1e4
        return logits


def test_answers_are_cut_at_the_probes_own_limit_or_the_recipes(engine: TransformersEngine) -> None:
    asked = [chat("Hi", max_new_tokens=3), chat("Hi"), chat("Hi", max_new_tokens=1)]
    found = captures(engine, asked, recipe(max_new_tokens=7))
    for probe, limit in zip(asked, (3, 7, 1), strict=True):
        outputs = found[probe.id].outputs
        for answer in (outputs.greedy, *outputs.draws):
            assert (answer.tokens, answer.finish) == (limit, "length") or answer.finish == "stop"
    whole, short = found[asked[1].id].outputs.greedy, found[asked[0].id].outputs.greedy
    assert whole.text.startswith(short.text.rstrip("\ufffd"))


def test_decoding_stops_when_all_answers_have_ended(engine: TransformersEngine) -> None:
    ending = Ending(engine, at=3)
    (batch,) = engine.plan([ProbeRequest(chat("Hi"))], recipe(max_new_tokens=50))
    captured = engine.run(batch)[0]
    for answer in (captured.outputs.greedy, *captured.outputs.draws):
        assert answer.finish == "stop" and answer.tokens == 2
    assert captured.reference == Reference(captured.outputs.greedy.text, end=True)
    block = captured.evidence.logprob
    assert block is not None and block.token_ids[-1] == END and block.characters[-1] == 0
    assert ending.steps == [2, 2], "the greedy answers, then the draws"


def test_a_prompt_shares_its_prefill_between_greedy_draws_and_reference(engine: TransformersEngine) -> None:
    shapes: list[tuple[int, ...]] = []
    engine._loaded.core.model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    (batch,) = engine.plan([ProbeRequest(chat("Hi"), Reference("a b c"))], recipe(max_new_tokens=4, draws=2))
    engine.run(batch)
    assert shapes == [(4, batch.prompt_tokens), *[(4, 1)] * 3, *[(16, 1)] * 3, (4, 16)]


def test_draws_are_repeatable_distinct_and_keyed_by_the_seed(engine: TransformersEngine) -> None:
    asked = probes()
    first, again, other = (captures(engine, asked, recipe(seed=s)) for s in (0, 0, 1))
    for probe in asked:
        draws = [g.text for g in first[probe.id].outputs.draws]
        assert first[probe.id].outputs == again[probe.id].outputs
        assert len(set(draws)) == len(draws)
        assert draws != [g.text for g in other[probe.id].outputs.draws]
        assert first[probe.id].outputs.greedy == other[probe.id].outputs.greedy


class Letters:
    """Makes a model give every one of the letters a to z the same chance, and nothing else."""

    def __init__(self, engine: TransformersEngine) -> None:
        self.ids = engine._loaded.tokenizer.convert_tokens_to_ids(list("abcdefghijklmnopqrstuvwxyz"))
        engine._loaded.core.lm_head.register_forward_hook(self)

    def __call__(self, module: Any, inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        flat = torch.full_like(logits, -float("inf"))
        flat[..., self.ids] = 0.0
        return flat


def test_noise_differs_by_probe_draw_and_position_and_is_shared_between_models(folder: Path, tmp_path: Path) -> None:
    """Where all letters are equally likely, draws are the noise alone."""
    how = recipe(draws=3)
    found = []
    for place in (folder, tiny_model(tmp_path / "other", kind="gpt2", seed=5)):
        with opened(place, how) as engine:
            Letters(engine)
            found.append([c.outputs.draws for c in captures(engine, [chat("a"), chat("b")], how).values()])
    assert found[0] == found[1]
    texts = [draw.text for draws in found[0] for draw in draws]
    assert len(set(texts)) == 6
    assert all(len(text) == 12 and len(set(text)) > 4 for text in texts)


def test_draws_at_temperature_zero_are_greedy(engine: TransformersEngine) -> None:
    for capture in captures(engine, probes(), recipe(temperature=0.0)).values():
        assert all(draw == capture.outputs.greedy for draw in capture.outputs.draws)


def test_a_small_change_of_the_weights_moves_few_first_tokens(folder: Path) -> None:
    how = recipe(draws=20, max_new_tokens=1)
    asked = probes()
    with opened(folder, how) as engine:
        before = captures(engine, asked, how)
        with torch.no_grad():
            engine._loaded.core.lm_head.weight.add_(torch.randn(400, 32, generator=torch.manual_seed(0)) * 2e-3)
        after = captures(engine, asked, how)
    pairs = [(before[p.id].outputs.draws, after[p.id].outputs.draws) for p in asked]
    moved = np.mean([x != y for a, b in pairs for x, y in zip(a, b, strict=True)])
    assert moved < 0.1


def test_references_come_from_the_request_the_probe_or_the_model(engine: TransformersEngine) -> None:
    asked = [chat("a"), chat("b", reference="Paris is"), chat("c")]
    found = captures(engine, asked, recipe(), {asked[2].id: Reference("given")})
    assert found[asked[0].id].reference.text == found[asked[0].id].outputs.greedy.text.rstrip("\ufffd")
    assert found[asked[1].id].reference == Reference("Paris is", end=True)
    assert found[asked[2].id].reference == Reference("given")


def test_long_short_and_empty_references_in_one_batch(engine: TransformersEngine) -> None:
    asked = [chat(c) for c in "abcd"]
    texts = [Reference("the quick brown fox " * 8, end=True), Reference("fox"), Reference("", end=True), Reference("")]
    given = dict(zip((p.id for p in asked), texts, strict=True))
    together = captures(engine, asked, recipe(), given)
    for probe in asked:
        alone = numbers(captures(engine, [probe], recipe(), given)[probe.id])
        mine = numbers(together[probe.id])
        assert all(np.array_equal(mine[name], alone[name]) for name in alone)
    found = [numbers(together[p.id]) for p in asked]
    assert found[0]["lengths"][0] > 32 and found[2]["lengths"][0] == 1 and found[3]["lengths"][0] == 0
    assert np.array_equal(found[3]["layer.02/reference"], found[3]["layer.02/prompt"])
    assert not np.array_equal(found[2]["layer.02/reference"], found[2]["layer.02/prompt"])


def test_a_vocabulary_below_64_tokens_with_rows_beyond_the_tokenizer(tmp_path: Path) -> None:
    how = recipe()
    with opened(tiny_model(tmp_path / "small", vocab_size=40, pad_vocab=5), how) as engine:
        found = captures(engine, probes(), how)
        table, texts = engine.bucket_table(), engine.token_texts([0, 5, 31, 500, -1])
        size = len(engine._loaded.tokenizer)
        assert len(table) == size + 5 and (table[size:] == 0).all()
        assert texts[0] == "<|endoftext|>" and len(texts[1]) == 1 and texts[2:] == ["", "", ""]
        for capture in found.values():
            block = capture.evidence.logprob
            assert block is not None and block.top_ids.shape[1] == 64 and (block.residual == 0).all()


def test_without_hookpoints_there_are_log_probs_only(folder: Path) -> None:
    how = recipe(hookpoints=())
    with opened(folder, how) as engine:
        assert engine.capability is Capability.LOGPROBS
        capture = captures(engine, [chat("Hi")], how)[chat("Hi").id]
        assert capture.evidence.activation is None and capture.evidence.logprob is not None


def test_a_probe_beyond_the_context_is_named(folder: Path) -> None:
    how = recipe()
    with opened(folder, how) as engine:
        with pytest.raises(EngineError, match=r"probe 'long' \(.*context of 256"):
            engine.plan([ProbeRequest(chat("hi")), ProbeRequest(chat("fox " * 300, name="long"))], how)
        (batch,) = engine.plan([ProbeRequest(chat("hi", name="far"), Reference("fox " * 300))], how)
        with pytest.raises(EngineError, match=r"probe 'far' .* a reference of"):
            engine.run(batch)


def test_numbers_that_are_not_finite_are_an_error_naming_the_probe(engine: TransformersEngine) -> None:
    with torch.no_grad():
        engine._loaded.core.model.layers[2].mlp.down_proj.weight[0, 0] = float("nan")
    (batch,) = engine.plan([ProbeRequest(Probe(prompt="fox", name="broken"))], recipe())
    with pytest.raises(EngineError, match=r"not finite .* probe 'broken'"):
        engine.run(batch)
