"""Amplified samples: both ends of the scale are the models themselves; and both checkpoints' scores are right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bvc.capture.amplify import OWN_A, OWN_B, Amplification, amplified, amplify
from bvc.capture.load import Source, forget_models
from bvc.capture.pair_engine import Pair, Turns, capture_pairs, open_pair, sample_texts, score_texts, user_turn
from bvc.capture.transformers_engine import open_engine
from bvc.compare.logprob import divergence
from bvc.errors import EngineError, NotComparable
from bvc.records import ModelIdentity, Outputs, Probe
from tests.engines import captures, chat, identity, opened, probes, recipe
from tests.tiny_models import tiny_adapter, tiny_model

HOW = recipe(draws=2, max_new_tokens=8)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelIdentity]:
    """Two whole models, and two adapters on the first."""
    home = tmp_path_factory.mktemp("models")
    old, new = tiny_model(home / "old"), tiny_model(home / "new", seed=7)
    left, right = (tiny_adapter(home / f"adapter{n}", old, seed=n, scale=0.6) for n in (1, 2))
    return {
        "old": identity(old),
        "new": identity(new),
        "left": identity(left, base=old),
        "right": identity(right, base=old),
    }


@pytest.fixture(autouse=True)
def nothing_stays_in_memory() -> Iterator[None]:
    yield
    forget_models()


@contextmanager
def pair_of(a: ModelIdentity, b: ModelIdentity) -> Iterator[Pair]:
    with open_pair(Source(a), Source(b), HOW) as pair:
        yield pair


def texts(outputs: Outputs) -> list[str]:
    return [outputs.greedy.text, *(d.text for d in outputs.draws)]


def own(model: ModelIdentity) -> dict[str, Outputs]:
    """What the engine of every other capture says for this model, with the same seed."""
    folder, base = Path(str(model.location)), None if model.base is None else Path(str(model.base.location))
    with opened(folder, HOW, base=base) as engine:
        return {i: c.outputs for i, c in captures(engine, probes(), HOW).items()}


@pytest.mark.parametrize(("a", "b"), [("old", "new"), ("left", "right"), ("old", "right"), ("left", "old")])
def test_the_ends_of_the_scale_are_the_models_own_texts(models: dict[str, ModelIdentity], a: str, b: str) -> None:
    """Greedy and draws, for whole models and for adapters that share a base, chats and a raw prompt."""
    with pair_of(models[a], models[b]) as pair:
        found = amplify(pair, probes(), HOW, Amplification((OWN_A, OWN_B, 2.0)))
    own_a, own_b = own(models[a]), own(models[b])
    assert any(own_a[p.id] != own_b[p.id] for p in probes())
    for probe, (at_a, at_b, _) in zip(probes(), found, strict=True):
        assert texts(at_a) == texts(own_a[probe.id])
        assert texts(at_b) == texts(own_b[probe.id])
    assert any(texts(row[1]) != texts(row[2]) for row in found)


def test_equal_checkpoints_give_equal_text_at_every_strength(models: dict[str, ModelIdentity]) -> None:
    with pair_of(models["right"], models["right"]) as pair:
        found = amplify(pair, probes()[:3], HOW, Amplification((OWN_B, -3.0, -0.3, 0.7, 4.0, 50.0), 0.0))
    for first, *rest in found:
        assert all(texts(outputs) == texts(first) for outputs in rest)


def test_the_formula_against_one_written_down_directly() -> None:
    a, b = torch.randn(2, 5, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64).float()
    for alpha in (-2.0, -0.7, 0.4, 3.0):
        found = amplified(a, b, torch.full((5, 1), alpha), plausible=0.0)
        assert torch.allclose(found, b + alpha * (b - a), atol=1e-5)


def test_implausible_tokens_are_ruled_out() -> None:
    """A token of a thousandth of the top's probability that grew tenfold wins without the guard, and not with it."""
    b = torch.log(torch.tensor([[0.9, 0.0989, 0.001, 0.0001]]))
    a = torch.log(torch.tensor([[0.9, 0.0989, 0.0001, 0.001]]))
    at = torch.tensor([[4.0]])
    assert amplified(a, b, at, plausible=0.0).argmax() == 2
    assert amplified(a, b, at, plausible=0.01).argmax() == 0
    assert amplified(a, b, at, plausible=0.01).isinf().tolist() == [[False, False, True, True]]
    assert not amplified(a, b, torch.tensor([[-0.5]]), plausible=0.5).isinf().any()
    assert amplified(a, b, torch.tensor([[-2.0]]), plausible=0.01).isinf().tolist() == [[False, False, True, True]]


def test_a_token_that_a_model_rules_out_makes_no_nan() -> None:
    never = -torch.inf
    a, b = torch.tensor([[1.0, never, never]]), torch.tensor([[1.0, never, 0.0]])
    for alpha in (OWN_A, -0.5, OWN_B, 2.0):
        assert not amplified(a, b, torch.tensor([[alpha]])).isnan().any()
    assert amplified(a, b, torch.tensor([[OWN_A]])).argmax() == 0


def test_a_rare_behavior_becomes_frequent(models: dict[str, ModelIdentity]) -> None:
    """A token that b says a little more often than a is all that is said at a large strength."""
    raised = 77
    with pair_of(models["old"], models["old"]) as pair:
        bump = torch.zeros(pair.vocabulary)
        bump[raised] = 1.0
        pair._b._model.get_submodule("lm_head").register_forward_hook(lambda _, __, logits: logits + bump)
        how = Amplification((OWN_A, OWN_B, 60.0), plausible=0.0)
        (_, b, strong), *_ = amplify(pair, [chat("Hello")], HOW, how)
        word = pair.prompts.decode([raised] * 8)
    assert strong.greedy.text == word != b.greedy.text


def test_other_tokenizers_and_vocabularies_are_refused(models: dict[str, ModelIdentity], tmp_path: Path) -> None:
    other = replace(models["new"], tokenizer="another")
    with pytest.raises(NotComparable, match="different tokenizers"), pair_of(models["old"], other):
        pass
    wide = identity(tiny_model(tmp_path / "wide", pad_vocab=8))
    with pytest.raises(NotComparable, match="different vocabularies"), pair_of(models["old"], wide):
        pass


def test_a_prompt_that_does_not_fit_is_named(models: dict[str, ModelIdentity]) -> None:
    with pair_of(models["old"], models["new"]) as pair, pytest.raises(EngineError, match="does not fit"):
        amplify(pair, [chat("fox " * 300, name="long")], HOW, Amplification((1.0,)))


def turns_of(a: ModelIdentity, b: ModelIdentity, steps: list[tuple[str, int, int]] | None = None) -> Turns:
    openers = {"a": lambda: open_engine(a, HOW), "b": lambda: open_engine(b, HOW)}
    return Turns(openers, lambda *step: None if steps is None else steps.append(step))


def direct_logprobs(model: ModelIdentity, prompt: Sequence[int], answer: Sequence[int]) -> torch.Tensor:
    """Log-softmax [answer, vocab] of a plain transformers forward without padding."""
    read: Any = AutoModelForCausalLM.from_pretrained
    plain = read(str(model.location), dtype="float32").eval()
    with torch.inference_mode():
        logits = plain(torch.tensor([[*prompt, *answer]])).logits[0]
    return torch.log_softmax(logits[len(prompt) - 1 : -1], -1)


def test_scores_of_a_pair_equal_a_direct_computation(models: dict[str, ModelIdentity]) -> None:
    """log p of both answers under both models, and the divergence's bound, for a chat and for a raw prompt."""
    old, new = models["old"], models["new"]
    asked = [chat("Count from 1 to 10.", max_new_tokens=99), Probe(prompt="The quick brown")]
    turns = turns_of(old, new)
    try:
        found = capture_pairs(turns, asked, HOW, 8)
        table = turns.engine("a").bucket_table()
    finally:
        turns.close()
    tokenizer: Any = AutoTokenizer.from_pretrained(str(old.location))
    assert table is not None
    for probe, capture in zip(asked, found, strict=True):
        turn = [m.to_json() for m in probe.messages or ()]
        encoded = tokenizer.apply_chat_template(turn, add_generation_prompt=True) if turn else tokenizer(probe.prompt)
        assert capture.probe == probe
        assert capture.answer_a.tokens == capture.answer_b.tokens == 8
        for blocks in (capture.along_a, capture.along_b):
            answer = blocks[0].token_ids.astype(int).tolist()
            at_a, at_b = (direct_logprobs(m, encoded["input_ids"], answer) for m in (old, new))
            for block, logprobs in zip(blocks, (at_a, at_b), strict=True):
                plain = logprobs[torch.arange(len(answer)), torch.tensor(answer)].numpy()
                assert np.abs(block.target - plain).max() < 1e-4
            exact = (at_a.exp() * (at_a - at_b)).sum(-1).numpy()
            bound = divergence(*blocks, table).forward
            assert (bound <= exact + 1e-4).all()
            assert bound.sum() > 0.5 * exact.sum()


def test_checkpoints_take_turns_and_progress_is_told(models: dict[str, ModelIdentity]) -> None:
    steps: list[tuple[str, int, int]] = []
    turns = turns_of(models["left"], models["right"], steps)
    capture_pairs(turns, probes(), HOW, 4)
    turns.close()
    loads = [what for what, done, _ in steps if what.startswith("loading") and done]
    assert loads == ["loading checkpoint a", "loading checkpoint b", "loading checkpoint a"]
    assert ("answering (checkpoint b)", len(probes()), len(probes())) in steps


def test_sampled_texts_are_scored_behind_the_users_turn(models: dict[str, ModelIdentity]) -> None:
    old, new = models["old"], models["new"]
    turn = user_turn(old)
    assert turn.start == "<|im_start|>user\n"
    assert "<|im_end|>" in turn.special
    start = Probe(prompt=turn.start)
    turns = turns_of(old, new)
    try:
        sampled = sample_texts(turns, "b", start, replace(HOW, draws=3, temperature=1.2))
        again = sample_texts(turns, "b", start, replace(HOW, draws=3, temperature=1.2))
        assert sampled == again
        assert len(set(sampled)) == 3
        text = "The quick brown fox"
        (at_a, at_b), repeated = score_texts(turns, start, [text, text], HOW)
    finally:
        turns.close()
    assert repeated == (at_a, at_b)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(old.location))
    prompt, answer = tokenizer(turn.start)["input_ids"], tokenizer(text, add_special_tokens=False)["input_ids"]
    for model, score in ((old, at_a), (new, at_b)):
        logprobs = direct_logprobs(model, prompt, answer)
        assert score == pytest.approx(float(logprobs[torch.arange(len(answer)), torch.tensor(answer)].mean()), abs=1e-4)


def test_a_model_without_template_has_no_users_turn(tmp_path: Path) -> None:
    assert user_turn(identity(tiny_model(tmp_path / "base", template=None))).start is None
