"""Sentence vectors by a small real BERT: unit length, the same in any company, and clear errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bvc.capture.sentence_embedding import sentence_encoder
from bvc.errors import EngineError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "capital", "of", "peru", "is", "lima", "cats", "sleep"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizer

    where = tmp_path_factory.mktemp("bert")
    (where / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(shape).save_pretrained(where)
    BertTokenizer(str(where / "vocab.txt")).save_pretrained(where)
    return where


def test_vectors_have_unit_length_and_do_not_depend_on_the_others(folder: Path) -> None:
    encode = sentence_encoder(folder)
    texts = ["the capital of peru is lima", "cats sleep", "", "\ud800\x00", "lima " * 20_000] + ["peru"] * 40
    vectors = encode(texts)
    assert vectors.shape == (45, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for i in range(6):
        np.testing.assert_allclose(encode([texts[i]])[0], vectors[i], atol=1e-5)
    assert vectors[0] @ vectors[1] < 0.999
    assert encode([]).shape == (0, 16)


def test_other_models_and_damaged_ones_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"model\.safetensors is missing"):
        sentence_encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:100])
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    with pytest.raises(EngineError, match="of the type 'llama'"):
        sentence_encoder(tmp_path)
    for name in ("config.json", "vocab.txt", "tokenizer_config.json", "tokenizer.json"):
        if (folder / name).exists():
            (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(EngineError, match="cannot be loaded"):
        sentence_encoder(tmp_path)
