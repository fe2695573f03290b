"""Small made-up captures: exact next-token distributions, their sketches, and sides of a diff."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bvc.compare import diff
from bvc.compare.pairing import NoisePairs, PairedBlock, ProbeSide, Side
from bvc.evidence import MASS_BUCKETS, TOP_TOKENS, ActivationBlock, Evidence, LogprobBlock
from bvc.records import Capability, Generation, Outputs, Probe, Recipe, Reference

Logits = npt.NDArray[np.float64]
RECIPE = Recipe("test")


@dataclass(frozen=True)
class Block:
    """A paired block as callers of compare build them."""

    ids: Sequence[str]
    a: Evidence
    b: Evidence
    identical: bool = False


def log_softmax(logits: Logits) -> Logits:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def exact_kl(a: Logits, b: Logits) -> Logits:
    """KL(a‖b) per row, in double precision."""
    log_p, log_q = log_softmax(a), log_softmax(b)
    return np.asarray((np.exp(log_p) * (log_p - log_q)).sum(1))


def bucket_table(vocabulary: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, MASS_BUCKETS, vocabulary).astype(np.uint8)


def sketch(logits: Logits, table: npt.NDArray[np.uint8], tokens: Any, lengths: Sequence[int]) -> LogprobBlock:
    """The sketch of exact distributions, written from the description of LogprobBlock alone."""
    log_p = log_softmax(logits)
    p = np.exp(log_p)
    top = np.sort(np.argsort(-log_p, axis=1)[:, :TOP_TOKENS], axis=1)
    rest = p.copy()
    np.put_along_axis(rest, top, 0, axis=1)
    mass = np.stack([np.bincount(table, row, MASS_BUCKETS) for row in rest])
    residual = mass.sum(1, keepdims=True)
    tokens = np.asarray(tokens)
    return LogprobBlock(
        lengths=np.asarray(lengths, np.int64),
        token_ids=tokens.astype(np.uint32),
        characters=np.full(len(tokens), 4, np.uint16),
        target=np.take_along_axis(log_p, tokens[:, None], 1)[:, 0].astype(np.float32),
        entropy=-(p * log_p).sum(1).astype(np.float32),
        top_ids=top.astype(np.uint32),
        top_logprobs=np.take_along_axis(log_p, top, 1).astype(np.float32),
        residual=residual[:, 0].astype(np.float32),
        buckets=np.divide(mass, residual, out=np.zeros_like(mass), where=residual > 0).astype(np.float16),
    )


@dataclass(frozen=True)
class Model:
    """A made-up model over n probes: `logits` [n, length, vocab], `hidden` {site: [n, d]}, texts and draws."""

    logits: npt.NDArray[np.float64]
    hidden: Mapping[str, npt.NDArray[np.float32]]
    texts: tuple[str, ...]
    draws: tuple[tuple[str, ...], ...] = ()

    def evidence(self, table: npt.NDArray[np.uint8]) -> Evidence:
        n, length, vocabulary = self.logits.shape
        tokens = np.random.default_rng(1).integers(0, vocabulary, n * length)
        block = sketch(self.logits.reshape(n * length, vocabulary), table, tokens, [length] * n)
        return Evidence(block, ActivationBlock(self.hidden))

    def outputs(self, i: int) -> Outputs:
        return outputs(self.texts[i], self.draws[i] if self.draws else ())


def outputs(text: str, draws: Sequence[str] = ()) -> Outputs:
    return Outputs(Generation(text, "stop"), tuple(Generation(d, "stop") for d in draws))


def names(n: int) -> tuple[str, ...]:
    return tuple(f"{i:04x}" for i in range(n))


def base_model(n: int = 24, seed: int = 0, length: int = 4, vocabulary: int = 200) -> Model:
    rng = np.random.default_rng(seed)
    hidden = {f"layer.{k:02d}/{at}": rng.normal(size=(n, 32)).astype(np.float32) for k in (1, 2) for at in SITES}
    texts = tuple(f"answer number {i} of the base model" for i in range(n))
    return Model(rng.normal(size=(n, length, vocabulary)) * 3, hidden, texts)


SITES = ("prompt", "reference")


def moved(
    model: Model, amount: float | npt.NDArray[np.float64], seed: int, texts: Sequence[str] | None = None
) -> Model:
    """`model` with every distribution and hidden state moved by about `amount` (a number, or one per probe)."""
    rng = np.random.default_rng(seed)
    per_probe = np.broadcast_to(np.asarray(amount, float), len(model.texts))
    logits = model.logits + rng.normal(size=model.logits.shape) * per_probe[:, None, None]
    hidden = {
        site: (h + rng.normal(size=h.shape) * per_probe[:, None]).astype(np.float32) for site, h in model.hidden.items()
    }
    return replace(model, logits=logits, hidden=hidden, texts=tuple(texts or model.texts))


def side(model: Model, table: npt.NDArray[np.uint8], noise: NoisePairs | None = None, **fields: Any) -> Side:
    probes = {
        p: ProbeSide(model.outputs(i), Reference(f"reference {p}")) for i, p in enumerate(names(len(model.texts)))
    }
    given = {"recipe": RECIPE, "capability": Capability.ACTIVATIONS, "tokenizer": "t", **fields}
    return Side(probes=probes, table=table, noise=noise, **given)


def blocks(a: Model, b: Model, table: npt.NDArray[np.uint8], size: int = 7) -> list[Block]:
    """Paired blocks of `size` probes."""
    ids, left, right = names(len(a.texts)), a.evidence(table), b.evidence(table)
    out = []
    for start in range(0, len(ids), size):
        stop = min(start + size, len(ids))
        out.append(Block(ids[start:stop], _rows(left, start, stop), _rows(right, start, stop)))
    return out


def _rows(evidence: Evidence, start: int, stop: int) -> Evidence:
    assert evidence.logprob is not None
    assert evidence.activation is not None
    return Evidence(evidence.logprob.rows(start, stop), evidence.activation.rows(start, stop))


def recaptured(model: Model, table: npt.NDArray[np.uint8], amount: float, count: int = 20, seed: int = 9) -> NoisePairs:
    """Re-captures of the first `count` probes, each moved by `amount`."""
    again = moved(model, amount, seed)
    chosen = names(len(model.texts))[:count]
    pairs = {p: (model.outputs(i), again.outputs(i)) for i, p in enumerate(chosen)}
    return NoisePairs(pairs, [b for b in blocks(model, again, table, size=1) if b.ids[0] in pairs])


def compare(a: Side, b: Side, given: Iterable[PairedBlock], **options: Any) -> diff.Comparison:
    """`diff.compare` of sides whose probes are known by their names alone."""
    probes = {p: ("suite", Probe(prompt=p, name=p)) for p in (*a.probes, *b.probes)}
    known = replace(options.pop("background", diff.Background()), probes=probes)
    return diff.compare(a, b, given, background=known, **options)
