"""The promises of a capture on a real model: stable bits in fp32 and bf16, agreement with plain transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bvc.capture.forward import Forward
from bvc.records import Probe
from tests.engines import captures, chat, differences, numbers, opened, recipe
from tests.real_model import real_model

pytestmark = pytest.mark.real
ASKED = [
    chat("What is the capital of France?"),
    chat("Name three fruits, and say in one short sentence why you like each of them. Be brief, please."),
    Probe(prompt="The largest planet is"),
]
BUCKETS = (32, 64)


@pytest.fixture(scope="module")
def folder() -> Path:
    return real_model()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_alone_in_the_suite_and_after_others_were_added(folder: Path, dtype: str) -> None:
    how = recipe(dtype=dtype, prompt_buckets=BUCKETS, max_new_tokens=6, draws=1)
    with opened(folder, how) as engine:
        suite = captures(engine, ASKED, how)
        added = captures(engine, [chat("Hello!"), *reversed(ASKED)], how)
        for probe in ASKED[:2]:
            alone = captures(engine, [probe], how)[probe.id]
            assert differences(alone, suite[probe.id]) == []
            assert differences(added[probe.id], suite[probe.id]) == []


def test_unpadded_transformers_and_another_layout_agree(folder: Path) -> None:
    """Greedy text, log-probs and residual streams of one right-aligned forward without any padding."""
    how = recipe(prompt_buckets=BUCKETS, max_new_tokens=8, draws=0)
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(folder, dtype="float32"),
        AutoTokenizer.from_pretrained(folder),
    )
    with opened(folder, how) as engine:
        found = captures(engine, ASKED, how)
        again = captures(engine, ASKED, how.other_layout(), {i: c.reference for i, c in found.items()})
    for probe in ASKED:
        got, twin = numbers(found[probe.id]), numbers(again[probe.id])
        turns = [m.to_json() for m in probe.messages or ()]
        prompt = (
            tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
            if turns
            else tokenizer(probe.prompt)["input_ids"]
        )
        tokens = got["token_ids"].astype(np.int64).tolist()
        with torch.inference_mode():
            out = model(torch.tensor([prompt + tokens]), output_hidden_states=True)
        start, count = len(prompt), len(tokens)
        logprobs = torch.log_softmax(out.logits[0, start - 1 : start - 1 + count], -1)
        assert logprobs.argmax(-1).tolist() == tokens
        plain = logprobs[torch.arange(count), tokens].numpy()
        noise = float(np.abs(got["target"] - twin["target"]).max())
        assert np.abs(got["target"] - plain).max() < max(10 * noise, 1e-4)
        text = count - bool(found[probe.id].reference.end)
        for layer, name in ((8, "layer.08"), (15, "layer.15"), (23, "layer.23")):
            stream = out.hidden_states[layer][0]
            assert np.allclose(got[f"{name}/prompt"][0], stream[start - 1], rtol=1e-3, atol=2e-3)
            assert np.allclose(got[f"{name}/reference"][0], stream[start : start + text].mean(0), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_full_rows_decode_like_rows_beside_padding(folder: Path, dtype: torch.dtype) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    forward = Forward(model, accepts=model, fill=0, vocabulary=model.config.vocab_size)
    prompt, other = list(range(1000, 1015)), list(range(2000, 2015))
    results = []
    for rows in ([prompt], [prompt, other]):
        with torch.inference_mode():
            logits, context = forward.prefill(rows, 2, 16)
            results.append(torch.stack([logits[0], forward.extend(context, np.array([[7], [9]]))[0, 0]]))
    assert torch.equal(*results)
