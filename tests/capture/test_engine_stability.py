"""A probe's numbers are its own: the same bits alone, in the suite, in any order, beside full or padded rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from bvc.capture.batching import padded_length
from bvc.capture.engine import ProbeRequest
from bvc.capture.forward import Forward
from bvc.records import Probe
from tests.engines import captures, differences, opened, probes, recipe
from tests.tiny_models import tiny_model

KINDS = ("llama", "gemma3", "gpt2", "qwen2", "phi", "opt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_alone_in_the_suite_and_after_others_were_added(folder: Path, kind: str, dtype: str) -> None:
    how = recipe(dtype=dtype)
    asked = probes()
    with opened(tiny_model(folder / kind, kind=kind), how) as engine:
        suite = captures(engine, asked, how)
        added = captures(engine, [Probe(prompt="a new one"), *reversed(asked), Probe(prompt="and another")], how)
        for probe in asked:
            alone = captures(engine, [probe], how)[probe.id]
            assert differences(alone, suite[probe.id]) == []
            assert differences(added[probe.id], suite[probe.id]) == []


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_prompts_as_long_as_a_bucket_decode_to_the_same_bits_beside_any_neighbor(folder: Path, kind: str) -> None:
    """Where no row of a batch has padding, attention leaves its mask out and takes another kernel, with other bits."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model(folder / kind, kind=kind)).eval()
    forward = Forward(model, accepts=model, fill=0, vocabulary=model.config.vocab_size)
    prompt, other, length = list(range(5, 13)), list(range(20, 28)), padded_length(8, (8, 24))
    with torch.inference_mode():
        steps = []
        for rows in ([prompt], [prompt, other]):
            logits, context = forward.prefill(rows, 2, length)
            steps.append([logits[0], *(forward.extend(context, np.array([[7], [9]]))[0] for _ in range(3))])
    for alone, beside in zip(*steps, strict=True):
        assert torch.equal(alone, beside)


def test_the_same_probe_twice_in_one_batch(folder: Path) -> None:
    how = recipe()
    probe = probes()[0]
    with opened(tiny_model(folder / "llama"), how) as engine:
        (batch,) = engine.plan([ProbeRequest(probe)] * 3, how)
        first, second, third = engine.run(batch)
        assert differences(first, second) == differences(first, third) == []


def test_evidence_does_not_depend_on_the_number_of_draws(folder: Path) -> None:
    asked = probes()
    with opened(tiny_model(folder / "llama"), recipe()) as engine:
        none, few, more = (captures(engine, asked, recipe(draws=k)) for k in (0, 2, 3))
        for probe in asked:
            a, b, c = none[probe.id], few[probe.id], more[probe.id]
            assert a.outputs.greedy == b.outputs.greedy == c.outputs.greedy
            assert b.outputs.draws == c.outputs.draws[:2]
            assert set(differences(a, b)) <= {"outputs"}
            assert set(differences(b, c)) <= {"outputs"}


def test_another_layout_is_near_but_need_not_be_equal(folder: Path) -> None:
    how = recipe()
    other = how.other_layout()
    with opened(tiny_model(folder / "llama"), how) as engine:
        main = captures(engine, probes(), how)
        again = captures(engine, probes(), other, {i: c.reference for i, c in main.items()})
        for probe_id, capture in main.items():
            block, twin = capture.evidence.logprob, again[probe_id].evidence.logprob
            assert block is not None and twin is not None
            assert (block.token_ids == twin.token_ids).all()
            assert abs(block.target - twin.target).max() < 1e-4
