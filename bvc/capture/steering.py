"""Generation while a vector is added to the residual stream behind one block: what a direction of the stream causes.

The model itself is not changed: the vector is added to a block's output while a pass runs, and the hook that does it
is gone when the pass ends, also by an error. Answers come from the decoder of every other capture with the same noise
and the same shapes, so that without a vector they are those of a capture to the bit, and texts of two vectors differ by
the vectors alone.

What steering breaks is measured beside what it moves, since a model that is pushed too far says anything: how likely
the pushed model finds its own unsteered answer, how much an answer repeats itself, and how likely the unsteered model
finds it. Unsteered answers with their tokens in random order ("salad") show how unlikely words without order are.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bvc.capture.batching import plan_batches
from bvc.capture.decode import Answer, Asked, Decoder, Decoding, Reader
from bvc.capture.engine import Batch, ProbeRequest
from bvc.capture.follow import chunk_width
from bvc.capture.forward import Context, Forward
from bvc.capture.gumbel import CoupledSampler
from bvc.capture.hookpoints import find_blocks, layer_name
from bvc.capture.load import Loaded, Source, failures, load
from bvc.capture.prompts import describe
from bvc.capture.transformers_engine import forward_of, prompts_of, room_of
from bvc.errors import EngineError, NotComparable
from bvc.records import Generation, Outputs, Probe, Recipe

_GRAM = 4
"""Tokens of a phrase whose return counts as repetition."""

Floats = npt.NDArray[np.float32]


@contextmanager
def adding(block: torch.nn.Module, vector: torch.Tensor, *, last_only: bool = False) -> Iterator[None]:
    """While this is open, `vector` [d] is added to what `block` puts out, at every position or at the last one alone.

    The sum is taken in float32 and keeps the stream's dtype.
    """

    def hook(module: torch.nn.Module, inputs: Any, output: Any) -> Any:  # noqa: ARG001 (torch's signature)
        stream = output[0] if isinstance(output, tuple) else output  # [rows, positions, d]
        moved = (stream.float() + vector.to(stream.device, torch.float32)).to(stream.dtype)
        if last_only:
            moved = torch.cat([stream[:, :-1], moved[:, -1:]], dim=1)
        return (moved, *output[1:]) if isinstance(output, tuple) else moved

    handle = block.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


class Steered:
    """A model's calls while a vector is added behind one block: `bvc.capture.forward.Forward` otherwise.

    With `everywhere` it is added at every position of prompt and answer, else at those that predict the answer: the
    last of the prompt and all of the answer.
    """

    def __init__(self, forward: Forward, block: torch.nn.Module, vector: torch.Tensor, *, everywhere: bool) -> None:
        self._forward = forward
        self._block = block
        self._vector = vector
        self._everywhere = everywhere

    def prefill(self, prompts: Sequence[Sequence[int]], rows: int, length: int) -> tuple[torch.Tensor, Context]:
        """See `Forward.prefill`: prompts are padded on the left, so the last position is each prompt's own."""
        with adding(self._block, self._vector, last_only=not self._everywhere):
            return self._forward.prefill(prompts, rows, length)

    def extend(self, context: Context, ids: npt.NDArray[np.int64]) -> torch.Tensor:
        """See `Forward.extend`."""
        with adding(self._block, self._vector):
            return self._forward.extend(context, ids)


@dataclass(frozen=True)
class SteeredProbe:
    """One probe under one vector, answers in the order greedy, draws.

    `repetition` [answers] is the share of an answer's phrases of 4 tokens that it said before; `likely` [answers] the
    mean log-probability (nats per token) that the unsteered model gives it (NaN for an empty one). `own` is that which
    the steered model gives the model's own unsteered greedy answer.
    """

    outputs: Outputs
    repetition: tuple[float, ...]
    likely: tuple[float, ...]
    own: float


@dataclass(frozen=True)
class SteeredRun:
    """What all vectors did, probe by probe: `unsteered` [probes], `steered` [vectors][probes]; `salad` are the mean
    log-probabilities of unsteered answers whose tokens were put in random order."""

    unsteered: tuple[SteeredProbe, ...]
    steered: tuple[tuple[SteeredProbe, ...], ...]
    salad: tuple[float, ...]


class Steerer:
    """A loaded checkpoint that answers while it is steered behind one layer. To be closed."""

    def __init__(self, loaded: Loaded, recipe: Recipe, layer: str) -> None:
        """Raises NotComparable where the model has no such layer."""
        config = loaded.core.config.get_text_config()
        self._recipe = recipe
        self._loaded = loaded
        self._prompts = prompts_of(loaded)
        self._forward = forward_of(loaded)
        self._room = room_of(loaded)
        self._block = _block_of(find_blocks(loaded.core, int(config.num_hidden_layers)), layer)
        self.width = int(config.hidden_size)
        sampler = CoupledSampler(self._forward.vocabulary, recipe.temperature, self._forward.device)
        self._how = Decoding(recipe.draws, recipe.seed, self._prompts.ends.stops)
        self._sampler = sampler

    def close(self) -> None:
        """Lets go of the model."""
        self._loaded.release()
        del self._loaded, self._forward, self._block

    def stream_norm(self, probes: Sequence[Probe]) -> float:
        """The mean length of the residual stream there, over the probes' last prompt tokens."""
        norms: list[float] = []
        for batch in self._plan(probes):
            with _failing(batch), torch.inference_mode(), _reading(self._block) as streams:
                self._forward.prefill(self._encoded(batch), batch.rows, batch.prompt_tokens)
            last = streams[-1][: len(batch.requests), -1].float()
            norms += last.norm(dim=-1).cpu().tolist()
        return math.fsum(norms) / len(norms)

    def run(
        self,
        probes: Sequence[Probe],
        vectors: Sequence[Floats],
        *,
        everywhere: bool = True,
        done: Callable[[int, int], None] = lambda *_: None,
    ) -> SteeredRun:
        """Answers to `probes` without a vector and with each of `vectors` [d].

        `done` is called with how many answers to probes there are, and how many there will be. Raises EngineError where
        the model fails, NotComparable for vectors of another width.
        """
        if any(len(vector) != self.width for vector in vectors):
            raise NotComparable(f"the direction is not {self.width} wide, as the model's residual stream is")
        pushes = [torch.from_numpy(np.asarray(v, np.float32)).to(self._forward.device) for v in vectors]
        found: dict[str, list[SteeredProbe]] = {}
        salad: list[float] = []
        total = len(probes) * (1 + len(pushes))
        for batch in self._plan(probes):
            with _failing(batch), torch.inference_mode():
                runs = _Batch(self, batch, everywhere)
                ways = [runs.unsteered()]
                salad += runs.salad()
                before = sum(map(len, found.values()))
                done(before + len(batch.requests), total)
                for push in pushes:
                    ways.append(runs.steered(push))
                    done(before + len(ways) * len(batch.requests), total)
            found |= {r.probe.id: list(row) for r, row in zip(batch.requests, zip(*ways, strict=True), strict=True)}
        columns = [tuple(found[p.id][i] for p in probes) for i in range(1 + len(pushes))]
        return SteeredRun(columns[0], tuple(columns[1:]), tuple(salad))

    def _plan(self, probes: Sequence[Probe]) -> list[Batch]:
        """The batches of a capture of these probes."""
        return plan_batches(((ProbeRequest(p), self._measure(p)) for p in probes), self._recipe)

    def _measure(self, probe: Probe) -> int:
        tokens, limit = len(self._prompts.encode(probe)), probe.max_new_tokens or self._recipe.max_new_tokens
        if self._room is not None and tokens + limit > self._room:
            raise EngineError(
                f"probe {describe(probe)} does not fit: {tokens} tokens and an answer of {limit} are more than the "
                f"model's context of {self._room}",
                hint="leave it out, or lower its max_new_tokens",
            )
        return tokens

    def _encoded(self, batch: Batch) -> list[list[int]]:
        return [self._prompts.encode(r.probe) for r in batch.requests]

    def _generation(self, answer: Answer) -> Generation:
        text = self._prompts.decode(answer.tokens)
        return Generation(text, "stop" if answer.finished else "length", len(answer.tokens))


class _Batch:
    """The work on one batch: what it holds of the unsteered model serves every vector."""

    def __init__(self, steerer: Steerer, batch: Batch, everywhere: bool) -> None:
        self._steerer = steerer
        self._batch = batch
        self._everywhere = everywhere
        self._prompts = steerer._encoded(batch)
        default = batch.recipe.max_new_tokens
        self._asked = [Asked(r.probe.id, describe(r.probe), r.probe.max_new_tokens or default) for r in batch.requests]
        self._logits, self._context = steerer._forward.prefill(self._prompts, batch.rows, batch.prompt_tokens)
        self._own = self._answers(steerer._forward, self._logits, self._context)

    def unsteered(self) -> list[SteeredProbe]:
        """What the model says by itself."""
        likely = self._likely(self._own)
        return [self._probe(ways, row, row[0]) for ways, row in zip(self._own, likely, strict=True)]

    def salad(self) -> list[float]:
        """How likely the unsteered model finds its answers with their tokens in random order."""
        mixed = [
            [Answer(_shuffled(a.tokens, f"{asked.probe_id}/{k}"), a.finished) for k, a in enumerate(ways)]
            for asked, ways in zip(self._asked, self._own, strict=True)
        ]
        return [value for row in self._likely(mixed) for value in row if not math.isnan(value)]

    def steered(self, vector: torch.Tensor) -> list[SteeredProbe]:
        """What the model says with `vector` added."""
        forward = Steered(self._steerer._forward, self._steerer._block, vector, everywhere=self._everywhere)
        logits, context = forward.prefill(self._prompts, self._batch.rows, self._batch.prompt_tokens)
        answers = self._answers(forward, logits, context)
        own = mean_logprobs(forward, context, logits, [[ways[0].tokens] for ways in self._own])
        likely = self._likely(answers)
        return [self._probe(ways, row, o[0]) for ways, row, o in zip(answers, likely, own, strict=True)]

    def _answers(self, forward: Reader, logits: torch.Tensor, context: Context) -> list[list[Answer]]:
        return Decoder(forward, self._steerer._sampler, self._steerer._how).answer(context, logits, self._asked)

    def _likely(self, answers: Sequence[Sequence[Answer]]) -> list[list[float]]:
        tokens = [[answer.tokens for answer in ways] for ways in answers]
        return mean_logprobs(self._steerer._forward, self._context, self._logits, tokens)

    def _probe(self, ways: Sequence[Answer], likely: Sequence[float], own: float) -> SteeredProbe:
        greedy, *draws = [self._steerer._generation(answer) for answer in ways]
        repeats = tuple(repetition(answer.tokens) for answer in ways)
        return SteeredProbe(Outputs(greedy, tuple(draws)), repeats, tuple(likely), own)


@contextmanager
def open_steerer(source: Source, recipe: Recipe, layer: str) -> Iterator[Steerer]:
    """The checkpoint in memory, to be steered behind `layer` ("layer.07": behind the first 7 blocks).

    Raises EngineError when it cannot be loaded, EngineOutOfMemory when it does not fit into memory, NotComparable where
    it has no such layer.
    """
    loaded = load(source, recipe)
    with failures(f"cannot use {source.identity.name}"):
        steerer = Steerer(loaded, recipe, layer)
    try:
        yield steerer
    finally:
        steerer.close()


def mean_logprobs(
    forward: Reader, context: Context, logits: torch.Tensor, answers: Sequence[Sequence[Sequence[int]]]
) -> list[list[float]]:
    """The mean log-probability (nats per token) of answers after the prompts in `context`, which stays as it is.

    logits [rows, v] follow the prompts; answers [probes][ways] are tokens, probes at most rows -> [probes][ways], NaN
    for an answer without tokens.
    """
    rows, ways = len(logits), len(answers[0])
    flat = [list(tokens) for row in answers for tokens in row]
    longest = max(1, *map(len, flat))
    ids = np.zeros((rows * ways, longest), np.int64)
    real = np.zeros(ids.shape, np.bool_)
    for place, tokens in enumerate(flat):
        ids[place, : len(tokens)], real[place, : len(tokens)] = tokens, True
    branch, scores = context.fork(ways), logits.repeat_interleave(ways, dim=0)[:, None]
    pieces = [_chosen(scores, ids[:, :1])]
    width = chunk_width(len(ids), logits.shape[-1])
    for begin in range(0, longest - 1, width):
        stop = min(begin + width, longest - 1)
        pieces.append(_chosen(forward.extend(branch, ids[:, begin:stop]), ids[:, begin + 1 : stop + 1]))
    found = np.where(real, np.concatenate(pieces, axis=1), 0.0).sum(1)
    counts = real.sum(1)
    means = np.where(counts > 0, found / np.maximum(counts, 1), np.nan)[: len(flat)]
    return [list(row) for row in means.reshape(len(answers), ways).tolist()]


def _chosen(scores: torch.Tensor, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """log p of `ids` [n, c] under scores [n, c, v]."""
    picked = torch.from_numpy(ids).to(scores.device)[:, :, None]
    return np.asarray(torch.log_softmax(scores.float(), -1).gather(-1, picked)[:, :, 0].cpu().numpy(), np.float64)


def repetition(tokens: Sequence[int]) -> float:
    """The share of the phrases of 4 tokens that repeat an earlier one (seq-rep-4 of Welleck et al., 1908.04319); 0 for
    fewer than 5 tokens."""
    phrases = [tuple(tokens[i : i + _GRAM]) for i in range(len(tokens) - _GRAM + 1)]
    return 1 - len(set(phrases)) / len(phrases) if len(phrases) > 1 else 0.0


def _shuffled(tokens: Sequence[int], key: str) -> list[int]:
    """`tokens` in an order that follows from `key` alone."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    order = np.random.default_rng(seed).permutation(len(tokens))
    return [tokens[i] for i in order]


def _block_of(blocks: Sequence[torch.nn.Module] | None, layer: str) -> torch.nn.Module:
    if blocks is None:
        raise NotComparable("the model's blocks cannot be found, so its residual stream cannot be steered")
    names = [layer_name(passed) for passed in range(1, len(blocks) + 1)]
    if layer not in names:
        raise NotComparable(f"the model has no {layer}: its layers are {names[0]} to {names[-1]}")
    return blocks[names.index(layer)]


@contextmanager
def _reading(block: torch.nn.Module) -> Iterator[list[torch.Tensor]]:
    """What `block` puts out, pass by pass."""
    streams: list[torch.Tensor] = []

    def hook(module: torch.nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001 (torch's signature)
        streams.append(output[0] if isinstance(output, tuple) else output)

    handle = block.register_forward_hook(hook)
    try:
        yield streams
    finally:
        handle.remove()


@contextmanager
def _failing(batch: Batch) -> Iterator[None]:
    """Whatever goes wrong, named after the batch."""
    with failures(f"the model failed on the batch of probe {describe(batch.requests[0].probe)}"):
        yield
