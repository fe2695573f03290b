"""What the engine reads is what transformers gives for one unpadded prompt, and for right-padded ones.

The reference here is written without the engine's parts: forwards of the whole sequence, no cache, no left padding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bvc.capture.engine import ProbeCapture
from bvc.records import Probe
from tests.engines import captures, numbers, opened, probes, recipe
from tests.tiny_models import tiny_model

KINDS = ("llama", "gemma3", "gpt2", "qwen2", "phi", "opt")
FINAL_NORM = {"llama": "model.norm", "gemma3": "model.norm", "qwen2": "model.norm", "gpt2": "transformer.ln_f"}
FINAL_NORM |= {"phi": "model.final_layernorm", "opt": "model.decoder.final_layer_norm"}
Arrays = dict[str, npt.NDArray[np.float32]]


class Plain:
    """Reads a probe and its reference in one right-padded forward pass."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.norm = self.model.get_submodule(FINAL_NORM[kind])

    def ids(self, probe: Probe, capture: ProbeCapture) -> tuple[list[int], list[int]]:
        if probe.messages is None:
            prompt = self.tokenizer(probe.prompt)["input_ids"]
        else:
            turns = [m.to_json() for m in probe.messages]
            prompt = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
        answer = self.tokenizer(capture.reference.text, add_special_tokens=False)["input_ids"]
        return prompt, answer + ([self.tokenizer.eos_token_id] if capture.reference.end else [])

    def read(self, rows: list[tuple[list[int], list[int]]], *, offset: int = 0, extra: int = 0) -> list[Arrays]:
        """Evidence of each (prompt, reference), right-padded together, `extra` tokens wider than needed.

        `offset` reads every position that many tokens later: the misread that a test must notice.
        """
        width = max(len(p) + len(r) for p, r in rows) + extra
        ids, mask = torch.zeros((len(rows), width), dtype=torch.long), torch.zeros((len(rows), width), dtype=torch.long)
        for i, (prompt, reference) in enumerate(rows):
            ids[i, : len(prompt) + len(reference)] = torch.tensor(prompt + reference)
            mask[i, : len(prompt) + len(reference)] = 1
        with torch.inference_mode():
            out = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False)
        return [self._evidence(out, i, len(p) + offset, r) for i, (p, r) in enumerate(rows)]

    def _evidence(self, out: Any, row: int, start: int, reference: list[int]) -> Arrays:
        span = slice(start - 1, start - 1 + len(reference))
        logprobs = torch.log_softmax(out.logits[row, span].float(), -1)
        found = {"target": logprobs[torch.arange(len(reference)), reference].numpy()}
        for layer in (1, 2, 3, 4):
            stream = out.hidden_states[layer][row]
            text = len(reference) - (reference[-1:] == [self.tokenizer.eos_token_id] and len(reference) > 1)
            found[f"layer.{layer:02d}/prompt"] = stream[start - 1].numpy()
            found[f"layer.{layer:02d}/reference"] = stream[start : start + text].mean(0).numpy()
        return found

    def normalized(self, vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            return self.norm(torch.from_numpy(vector)).numpy()  # type: ignore[no-any-return]


def assert_agree(plain: Plain, capture: ProbeCapture, expected: Arrays, tolerance: float = 2e-4) -> None:
    """The engine's numbers against the plain ones.

    transformers' last hidden state is after the final norm, ours before; a mean of normalized vectors is not the
    normalized mean, so the last layer is compared at the prompt only.
    """
    got = numbers(capture)
    for name, value in expected.items():
        if name == "layer.04/reference":
            continue
        mine = plain.normalized(got[name][0]) if name == "layer.04/prompt" else got[name].reshape(value.shape)
        assert np.abs(mine - value).max() < tolerance * max(1.0, float(np.abs(value).max())), name


@pytest.fixture(scope="module", params=KINDS)
def setting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    kind = str(request.param)
    folder = tiny_model(tmp_path_factory.mktemp("models") / kind, kind=kind)
    how = recipe(draws=0)
    with opened(folder, how) as engine:
        found = captures(engine, probes(), how)
    plain = Plain(folder, kind)
    return plain, found, [plain.ids(p, found[p.id]) for p in probes()]


def test_unbatched_transformers_gives_the_same(setting: Any) -> None:
    plain, found, rows = setting
    for probe, row in zip(probes(), rows, strict=True):
        assert_agree(plain, found[probe.id], plain.read([row])[0])


def test_right_padding_gives_the_same(setting: Any) -> None:
    plain, found, rows = setting
    for probe, expected in zip(probes(), plain.read(rows, extra=3), strict=True):
        assert_agree(plain, found[probe.id], expected)


@pytest.mark.parametrize("offset", [-1, 1])
def test_a_misread_position_is_noticed(setting: Any, offset: int) -> None:
    plain, found, rows = setting
    for probe, misread in zip(probes(), plain.read(rows, offset=offset, extra=3), strict=True):
        with pytest.raises(AssertionError):
            assert_agree(plain, found[probe.id], misread)


def test_greedy_text_is_that_of_generate(setting: Any) -> None:
    plain, found, rows = setting
    for probe, (prompt, _) in zip(probes(), rows, strict=True):
        out = plain.model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=12, pad_token_id=0)
        answer = [t for t in out[0, len(prompt) :].tolist() if t != plain.tokenizer.eos_token_id]
        assert found[probe.id].outputs.greedy.text == plain.tokenizer.decode(answer)
        assert found[probe.id].outputs.greedy.tokens == len(answer)
