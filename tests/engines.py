"""Shorthand for tests that run the transformers engine on tiny models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bvc.capture.engine import ProbeCapture, ProbeRequest
from bvc.capture.load import forget_models
from bvc.capture.transformers_engine import TransformersEngine, open_engine
from bvc.records import Message, ModelIdentity, Probe, Recipe, Reference

TEXTS = (
    "What is the capital of France?",
    "Count from 1 to 10.",
    "Ask me anything: how do I get a fox to jump over a lazy dog without waking the dog up?",
    "merci",
    "The quick brown fox jumps over the lazy dog. What is the capital of France? Ask me anything: I am a helpful fox",
    "Wetter?",
)


def chat(text: str, **settings: Any) -> Probe:
    """A probe of one user message."""
    return Probe(messages=(Message("user", text),), **settings)


def probes() -> list[Probe]:
    """Chats of several lengths and a raw prompt."""
    return [*(chat(t) for t in TEXTS), Probe(prompt="The quick brown")]


def identity(folder: Path, *, base: Path | None = None) -> ModelIdentity:
    """The identity of a tiny model, or of an adapter on `base`; the folder's name stands for its content."""
    below = None if base is None else identity(base)
    kind = "hf" if base is None else "peft"
    return ModelIdentity(folder.name, f"fingerprint of {folder}", kind, base=below, location=str(folder))


def recipe(**settings: Any) -> Recipe:
    """A small recipe: 4 rows, buckets of 16, 32 and 64 tokens, 12 new tokens, 2 draws."""
    small: dict[str, Any] = {"batch_rows": 4, "prompt_buckets": (16, 32, 64), "max_new_tokens": 12, "draws": 2}
    return Recipe("transformers", **{**small, **settings})


@contextmanager
def opened(folder: Path, how: Recipe, *, base: Path | None = None, **options: Any) -> Iterator[TransformersEngine]:
    """An engine, closed and forgotten at the end."""
    engine = open_engine(identity(folder, base=base), how, **options)
    assert isinstance(engine, TransformersEngine)
    try:
        yield engine
    finally:
        engine.close()
        forget_models()


def captures(
    engine: TransformersEngine, asked: Sequence[Probe], how: Recipe, references: dict[str, Reference] | None = None
) -> dict[str, ProbeCapture]:
    """Captures by probe id, all in one plan."""
    requests = [ProbeRequest(p, (references or {}).get(p.id)) for p in asked]
    return {c.probe_id: c for batch in engine.plan(requests, how) for c in engine.run(batch)}


def numbers(capture: ProbeCapture) -> dict[str, Any]:
    """Every array of a capture by name."""
    block, activation = capture.evidence.logprob, capture.evidence.activation
    assert block is not None
    out: dict[str, Any] = {name: getattr(block, name) for name in ("lengths", *block.FIELDS)}
    for channel, features in (("feature", capture.evidence.feature), ("answer", capture.evidence.answer_feature)):
        if features is not None:
            names = ("lengths", *features.BY_PROBE, *features.FIELDS)
            out |= {f"{channel}/{name}": getattr(features, name) for name in names}
    return out | dict(activation.vectors if activation is not None else {})


def differences(a: ProbeCapture, b: ProbeCapture) -> list[str]:
    """What is not bit-identical between two captures."""
    out = [] if a.outputs == b.outputs else ["outputs"]
    out += [] if a.reference == b.reference else ["reference"]
    left, right = numbers(a), numbers(b)
    assert left.keys() == right.keys()
    return out + [k for k in left if left[k].dtype != right[k].dtype or not np.array_equal(left[k], right[k])]
