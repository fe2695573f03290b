"""Steering: nothing changes without a vector, a planted direction moves what it should, and no hook is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bvc.capture.forward import Forward
from bvc.capture.load import Source, forget_models
from bvc.capture.steering import SteeredProbe, Steerer, adding, mean_logprobs, open_steerer, repetition
from bvc.errors import EngineError, NotComparable
from bvc.records import ModelIdentity, Outputs, Probe, Recipe
from tests.engines import captures, chat, identity, opened, probes, recipe
from tests.tiny_models import tiny_adapter, tiny_model

HOW = recipe(draws=3, max_new_tokens=8)
LAST = "layer.04"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelIdentity]:
    home = tmp_path_factory.mktemp("models")
    whole = tiny_model(home / "whole")
    return {
        "whole": identity(whole),
        "adapter": identity(tiny_adapter(home / "adapter", whole, scale=0.6), base=whole),
        "gemma3": identity(tiny_model(home / "gemma3", kind="gemma3")),
        "gpt2": identity(tiny_model(home / "gpt2", kind="gpt2")),
    }


@pytest.fixture(autouse=True)
def nothing_stays_in_memory() -> Iterator[None]:
    yield
    forget_models()


@contextmanager
def steerer_of(model: ModelIdentity, layer: str = "layer.02", how: Recipe = HOW) -> Iterator[Steerer]:
    with open_steerer(Source(model), how, layer) as steerer:
        yield steerer


def own(model: ModelIdentity, how: Recipe = HOW) -> dict[str, Outputs]:
    """What the engine of every other capture says."""
    folder, base = Path(str(model.location)), None if model.base is None else Path(str(model.base.location))
    with opened(folder, how, base=base) as engine:
        return {i: c.outputs for i, c in captures(engine, probes(), how).items()}


def hooks(model: torch.nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def vector(seed: int = 0, length: float = 5.0) -> Any:
    drawn = np.random.default_rng(seed).normal(size=32)
    return np.asarray(drawn * length / np.linalg.norm(drawn), np.float32)


def unembedding(steerer: Steerer, token: int) -> Any:
    """The direction that raises a token's logit at the last layer."""
    row: Any = steerer._loaded.core.get_submodule("lm_head").weight[token].float()
    return (row / row.norm()).numpy()


def row_of(found: tuple[SteeredProbe, ...], asked: list[Probe], wanted: Probe) -> SteeredProbe:
    return found[[p.id for p in asked].index(wanted.id)]


@pytest.mark.parametrize("name", ["whole", "adapter", "gemma3", "gpt2"])
@pytest.mark.parametrize("everywhere", [True, False])
def test_without_a_vector_answers_are_those_of_a_capture(
    models: dict[str, ModelIdentity], name: str, everywhere: bool
) -> None:
    """To the bit: greedy and draws, of a pass without a hook and of one that adds zeros."""
    recorded = own(models[name])
    with steerer_of(models[name]) as steerer:
        run = steerer.run(probes(), [np.zeros(32, np.float32), vector()], everywhere=everywhere)
    for row in (run.unsteered, run.steered[0]):
        assert [p.outputs for p in row] == [recorded[p.id] for p in probes()]
    assert run.steered[0] == run.unsteered
    assert any(p.outputs != recorded[q.id] for p, q in zip(run.steered[1], probes(), strict=True))


@pytest.mark.parametrize("name", ["whole", "adapter", "gpt2"])
def test_a_planted_direction_makes_the_model_say_its_token(models: dict[str, ModelIdentity], name: str) -> None:
    """The unembedding row of a token at the last layer raises that token; random directions as long do not."""
    token = 301
    with steerer_of(models[name], LAST) as steerer:
        norm = steerer.stream_norm(probes())
        planted = unembedding(steerer, token) * norm * 2
        around = [vector(seed, norm * 2) for seed in (1, 2, 3)]
        run = steerer.run(probes(), [planted, *around])
        word = steerer._prompts.decode([token])
    shares = [
        np.mean([word in a.text for p in row for a in (p.outputs.greedy, *p.outputs.draws)])
        for row in (run.unsteered, *run.steered)
    ]
    assert shares[1] > 0.7
    assert max(shares[0], *shares[2:]) < 0.3


def test_the_vector_is_added_to_the_stream(models: dict[str, ModelIdentity]) -> None:
    """Against a plain forward without padding whose hidden states are changed by hand, at the last layer."""
    planted = vector(4)
    read: Any = AutoModelForCausalLM.from_pretrained
    plain = read(str(models["whole"].location)).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(str(models["whole"].location))
    prompt = tokenizer("The quick brown")["input_ids"]
    with torch.inference_mode():
        inner = plain.model
        states: list[Any] = []
        handle = inner.layers[-1].register_forward_hook(lambda _, __, out: states.append(out))
        inner(torch.tensor([prompt]))
        handle.remove()
        by_hand = plain.lm_head(inner.norm(states[0] + torch.from_numpy(planted)))[0, -1]
        with steerer_of(models["whole"], LAST) as steerer:
            with adding(steerer._block, torch.from_numpy(planted)):
                logits, _ = steerer._forward.prefill([prompt], 4, 16)
            assert torch.allclose(logits[0], by_hand, atol=1e-4)


def test_a_probe_does_not_depend_on_the_others(models: dict[str, ModelIdentity]) -> None:
    """Alone and among others: padding and dummy rows are pushed too, which changes no answer."""
    with steerer_of(models["whole"]) as steerer:
        together = steerer.run(probes(), [vector()])
        for probe in probes()[:3]:
            alone = steerer.run([probe], [vector()])
            assert alone.steered[0][0] == row_of(together.steered[0], probes(), probe)
            assert alone.unsteered[0] == row_of(together.unsteered, probes(), probe)


def test_positions_of_the_answer_alone_leave_the_prompt_as_it_is(models: dict[str, ModelIdentity]) -> None:
    """At the last layer both ways of steering say the same; below it, what the prompt became differs."""
    for layer, same in ((LAST, True), ("layer.01", False)):
        with steerer_of(models["whole"], layer) as steerer:
            runs = [steerer.run(probes(), [vector(2, 20.0)], everywhere=e).steered[0] for e in (True, False)]
        equal = [a.outputs == b.outputs for a, b in zip(*runs, strict=True)]
        assert all(equal) if same else not all(equal)


def test_a_hook_is_gone_afterwards_also_after_an_error(models: dict[str, ModelIdentity]) -> None:
    with steerer_of(models["whole"]) as steerer:
        core = steerer._loaded.core
        before = hooks(core)
        steerer.run(probes()[:1], [vector()])
        assert hooks(core) == before
        with pytest.raises(EngineError, match="not finite"):
            steerer.run(probes()[:1], [vector() * np.float32(np.nan)])
        assert hooks(core) == before
        with pytest.raises(KeyboardInterrupt):
            steerer.run(probes()[:1], [vector()], done=interrupt)
        assert hooks(core) == before
        with pytest.raises(ZeroDivisionError), adding(steerer._block, torch.ones(32)):
            assert hooks(core) == before + 1
            raise ZeroDivisionError
        assert hooks(core) == before
        again = steerer.run(probes(), [])
    assert [p.outputs for p in again.unsteered] == [own(models["whole"])[p.id] for p in probes()]


def interrupt(done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_dtype_and_tuples_are_kept() -> None:
    class Block(torch.nn.Module):
        def forward(self, x: torch.Tensor, *, whole: bool) -> Any:
            return (x, "attention") if whole else x

    block, stream = Block(), torch.randn(2, 3, 4, dtype=torch.bfloat16)
    with adding(block, torch.ones(4)):
        moved, extra = block(stream, whole=True)
        assert (moved.dtype, extra) == (torch.bfloat16, "attention")
        assert torch.equal(moved, (stream.float() + 1).to(torch.bfloat16))
        assert torch.equal(block(stream, whole=False), moved)
    with adding(block, torch.ones(4), last_only=True):
        moved = block(stream, whole=False)
    assert torch.equal(moved[:, :-1], stream[:, :-1])
    assert not torch.equal(moved[:, -1], stream[:, -1])
    assert block(stream, whole=False) is stream


def direct(model: ModelIdentity, prompt: list[int], answer: list[int]) -> float:
    read: Any = AutoModelForCausalLM.from_pretrained
    plain = read(str(model.location), dtype="float32").eval()
    with torch.inference_mode():
        logprobs = torch.log_softmax(plain(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1], -1)
    return float(logprobs[torch.arange(len(answer)), torch.tensor(answer)].mean())


def test_likelihoods_equal_a_direct_computation(models: dict[str, ModelIdentity]) -> None:
    """Of answers of several lengths (longer than one chunk, one token, none), several a prompt."""
    prompts = [[5, 6, 7], [9, 10]]
    answers = [[list(range(20, 60)), [30]], [[], [40, 41, 42]]]
    with steerer_of(models["whole"]) as steerer, torch.inference_mode():
        forward: Forward = steerer._forward
        logits, context = forward.prefill(prompts, 4, 16)
        found = mean_logprobs(forward, context, logits, answers)
        again = mean_logprobs(forward, context, logits, answers)
    assert np.array_equal(found, again, equal_nan=True)
    assert np.isnan(found[1][0])
    for row, prompt in enumerate(prompts):
        for way, answer in enumerate(answers[row]):
            if answer:
                assert found[row][way] == pytest.approx(direct(models["whole"], prompt, answer), abs=1e-4)


def test_damage_is_seen(models: dict[str, ModelIdentity]) -> None:
    """The further the push, the less likely the model finds what it would say by itself; salad is less likely too."""
    with steerer_of(models["whole"]) as steerer:
        run = steerer.run(probes(), [vector() * np.float32(size) for size in (0.2, 1.0, 10.0)])
    own = [np.mean([p.own for p in row]) for row in (run.unsteered, *run.steered)]
    assert own == sorted(own, reverse=True)
    assert own[0] - own[3] > 1
    greedy = [p.likely[0] for p in run.unsteered]
    assert greedy == [p.own for p in run.unsteered]
    assert np.mean(run.salad) < np.mean([value for p in run.unsteered for value in p.likely])


def test_repetition_counts_phrases_of_four_tokens() -> None:
    assert repetition([]) == repetition([1, 1, 1, 1]) == repetition(list(range(50))) == 0.0
    assert repetition([7] * 13) == pytest.approx(0.9)
    assert repetition([1, 2, 3, 4] * 3) == pytest.approx(5 / 9)


def test_progress_is_told(models: dict[str, ModelIdentity]) -> None:
    steps: list[tuple[int, int]] = []
    with steerer_of(models["whole"]) as steerer:
        steerer.run(probes(), [vector(), vector(1)], done=lambda *step: steps.append(step))
    total = 3 * len(probes())
    assert steps[-1] == (total, total)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_what_cannot_be_steered_is_refused(models: dict[str, ModelIdentity]) -> None:
    missing = r"no layer\.09: its layers are layer\.01 to layer\.04"
    with pytest.raises(NotComparable, match=missing), steerer_of(models["whole"], "layer.09"):
        pass
    with steerer_of(models["whole"]) as steerer:
        with pytest.raises(NotComparable, match="32 wide"):
            steerer.run(probes(), [np.ones(31, np.float32)])
        with pytest.raises(EngineError, match=r"'long'.*does not fit"):
            steerer.run([chat("fox " * 300, name="long")], [])
