"""Shapes of batches, hookpoints and token bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from bvc.capture.batching import padded_length, plan_batches
from bvc.capture.engine import ProbeRequest
from bvc.capture.hookpoints import Hookpoints, blocks_passed, find_blocks, layer_name
from bvc.capture.tokens import bucket_table, token_bytes
from bvc.records import Probe
from tests.engines import recipe
from tests.tiny_models import tiny_tokenizer

BUCKETS = (32, 48, 64)


@pytest.mark.parametrize(
    "tokens,length", [(1, 32), (31, 32), (32, 48), (47, 48), (63, 64), (64, 128), (127, 128), (128, 192)]
)
def test_prompts_are_padded_by_at_least_one_token(tokens: int, length: int) -> None:
    assert padded_length(tokens, BUCKETS) == length


def test_without_buckets_lengths_are_multiples_of_32() -> None:
    assert [padded_length(n, ()) for n in (1, 31, 32, 100)] == [32, 32, 64, 128]


@given(st.lists(st.tuples(st.integers(1, 200), st.sampled_from([None, 4, 64])), max_size=40), st.integers(1, 9))
def test_every_request_once_in_a_shape_of_its_own(sizes: list[tuple[int, int | None]], rows: int) -> None:
    requests = [ProbeRequest(Probe(prompt=str(i), max_new_tokens=limit)) for i, (_, limit) in enumerate(sizes)]
    how = recipe(batch_rows=rows, prompt_buckets=BUCKETS)
    batches = plan_batches(((r, n) for r, (n, _) in zip(requests, sizes, strict=True)), how)
    planned = [r.probe.prompt for b in batches for r in b.requests]
    assert sorted(planned, key=lambda p: int(p or 0)) == [r.probe.prompt for r in requests]
    assert [b.prompt_tokens for b in batches] == sorted(b.prompt_tokens for b in batches)
    for batch in batches:
        assert batch.rows == rows and 0 < len(batch.requests) <= rows
        for request in batch.requests:
            tokens = sizes[int(request.probe.prompt or 0)][0]
            assert batch.prompt_tokens == padded_length(tokens, BUCKETS)


@pytest.mark.parametrize(
    "fraction,depth,passed",
    [
        (0.25, 30, 8),
        (0.5, 30, 15),
        (0.75, 30, 23),
        (1.0, 30, 30),
        (0.1, 4, 1),
        (0.3, 10, 3),
        (0.01, 1, 1),
        (0.34, 3, 2),
    ],
)
def test_hookpoints_are_rounded_up_to_whole_blocks(fraction: float, depth: int, passed: int) -> None:
    assert blocks_passed(fraction, depth) == passed


class Stack(torch.nn.Module):
    """Three blocks that add one, the second one giving a tuple as some models do; beside them a list of two."""

    class Block(torch.nn.Module):
        def __init__(self, *, wrapped: bool) -> None:
            super().__init__()
            self.wrapped = wrapped

        def forward(self, x: torch.Tensor) -> object:
            return (x + 1, None) if self.wrapped else x + 1

    def __init__(self) -> None:
        super().__init__()
        self.others = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
        self.layers = torch.nn.ModuleList([self.Block(wrapped=i == 1) for i in range(3)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.layers:
            out = block(x)
            x = out[0] if isinstance(out, tuple) else out
        return x


def test_streams_are_read_after_blocks_and_only_while_recording() -> None:
    model = Stack()
    blocks = find_blocks(model, 3)
    assert blocks == list(model.layers) and find_blocks(model, 7) is None
    points = Hookpoints(blocks or [], (1.0, 0.5, 0.6))
    assert points.layers == ("layer.02", "layer.03") and layer_name(112) == "layer.112"
    with points.recording() as streams:
        model(torch.zeros(1, 1, 2))
    model(torch.full((1, 1, 2), 9.0))
    assert {name: float(s[0, 0, 0]) for name, s in streams.items()} == {"layer.02": 2.0, "layer.03": 3.0}


def test_byte_level_tokens_spell_their_bytes(tmp_path: Path) -> None:
    tiny_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    spellings = token_bytes(tokenizer, len(tokenizer) + 3)
    for text in ("naïve café 今天\n", " the dog", "<|im_start|>user"):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert b"".join(spellings[i] for i in ids) == text.encode()
    assert spellings[-3:] == [b"", b"", b""]


def test_sentence_piece_tokens_spell_their_bytes(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<unk>": 0, "<0x0A>": 1, "\u2581dog": 2, "s": 3, "<0xC3>": 4}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    assert token_bytes(fast, 5) == [b"<unk>", b"\n", b" dog", b"s", b"\xc3"]


def test_buckets_are_spread_and_depend_on_the_bytes_alone() -> None:
    spellings = [str(i).encode() for i in range(20_000)]
    table = bucket_table(spellings)
    counts = np.bincount(table, minlength=256)
    assert table.dtype == np.uint8 and counts.min() > 40 and counts.max() < 130
    assert (bucket_table(spellings[::-1]) == table[::-1]).all()
    assert bucket_table([b"", b""]).tolist() == [0, 0]
