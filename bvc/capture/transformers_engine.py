"""The engine on Hugging Face transformers: text, draws, log-prob sketches and activations from one prefill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bvc.capture.batching import plan_batches
from bvc.capture.decode import Answer, Asked, Decoder, Decoding, not_finite
from bvc.capture.engine import Batch, Engine, FeatureEncoder, ProbeCapture, ProbeRequest
from bvc.capture.follow import Followed, Follower, Streams, read_streams
from bvc.capture.forward import Context, Forward
from bvc.capture.gumbel import CoupledSampler
from bvc.capture.hookpoints import Hookpoints, find_blocks, passed_of
from bvc.capture.load import Loaded, Source, failures, load
from bvc.capture.prompts import Path, Prompts, describe, given_reference, own_reference
from bvc.capture.sketch import Sketcher
from bvc.capture.tokens import bucket_table, token_bytes
from bvc.errors import EngineError
from bvc.evidence import ActivationBlock, AnswerFeatures, Evidence, FeatureBlock, Features
from bvc.records import Capability, Generation, ModelIdentity, Outputs, Probe, Recipe, Reference

NAME = "transformers"
"""The engine's name in recipes."""


def open_engine(
    identity: ModelIdentity,
    recipe: Recipe,
    *,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
    encoder: FeatureEncoder | None = None,
) -> Engine:
    """Loads the model found at `identity.location` (an adapter's base at its own) to capture under `recipe`, with the
    features of a dictionary where `encoder` reads them.

    Raises EngineError when it cannot be loaded or lacks the encoder's layer, EngineOutOfMemory when it does not fit
    into memory, BadInput for weights that are missing, or pickled without `allow_pickle`.
    """
    loaded = load(Source(identity, allow_pickle, trust_remote_code), recipe)
    with failures(f"cannot use {identity.name}"):
        return TransformersEngine(loaded, identity, recipe, encoder)


class TransformersEngine:
    """A causal language model of transformers. Batches have fixed shapes, so that a probe's numbers are its own."""

    def __init__(
        self, loaded: Loaded, identity: ModelIdentity, recipe: Recipe, encoder: FeatureEncoder | None = None
    ) -> None:
        self.identity = identity
        self.recipe = recipe
        self._loaded = loaded
        config = loaded.core.config.get_text_config()
        self._room = room_of(loaded)
        self._vocabulary = int(config.vocab_size)
        self._prompts = prompts_of(loaded)
        self._forward = forward_of(loaded)
        self._blocks = find_blocks(loaded.core, int(config.num_hidden_layers))
        watched = bool(recipe.hookpoints) and self._blocks is not None
        self._encoder = encoder
        self._encoded = () if encoder is None else (_layer_of(encoder, identity, len(self._blocks or ())),)
        self.capability = Capability.ACTIVATIONS if watched else Capability.LOGPROBS

    def plan(self, requests: Sequence[ProbeRequest], recipe: Recipe) -> list[Batch]:
        """See `Engine.plan`."""
        if (recipe.dtype, recipe.device) != (self.recipe.dtype, self.recipe.device):
            raise EngineError(f"the model was loaded as {self.recipe.dtype} on {self.recipe.device}")
        return plan_batches(((r, self._measure(r, recipe)) for r in requests), recipe)

    def run(self, batch: Batch) -> list[ProbeCapture]:
        """See `Engine.run`."""
        first = describe(batch.requests[0].probe)
        with failures(f"the model failed on the batch of probe {first}"), torch.inference_mode():
            return self._run(batch)

    def draw(self, batch: Batch, first: int) -> list[tuple[Generation, ...]]:
        """See `DrawingEngine.draw`."""
        where = describe(batch.requests[0].probe)
        with failures(f"the model failed on the batch of probe {where}"), torch.inference_mode():
            prompts = [self._prompts.encode(r.probe) for r in batch.requests]
            logits, context = self._forward.prefill(prompts, batch.rows, batch.prompt_tokens)
            answers = self._decoder(batch.recipe).draw(context, logits, _asked(batch), first)
        return [tuple(self._generation(answer) for answer in draws) for draws in answers]

    def encode(self, batch: Batch) -> list[Features]:
        """See `EncodingEngine.encode`."""
        where = describe(batch.requests[0].probe)
        if self._encoder is None:
            raise EngineError("the model was opened without a dictionary")
        with failures(f"the model failed on the batch of probe {where}"), torch.inference_mode():
            return self._encode(batch, self._encoder)

    def bucket_table(self) -> npt.NDArray[np.uint8]:
        """See `Engine.bucket_table`."""
        return self._buckets

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """See `Engine.token_texts`."""
        return [self._spellings[i].decode("utf-8", "replace") if 0 <= i < self._vocabulary else "" for i in ids]

    def close(self) -> None:
        """See `Engine.close`."""
        self._loaded.release()
        del self._loaded, self._forward, self._blocks

    @cached_property
    def _spellings(self) -> list[bytes]:
        return token_bytes(self._loaded.tokenizer, self._vocabulary)

    @cached_property
    def _buckets(self) -> npt.NDArray[np.uint8]:
        return bucket_table(self._spellings)

    @cached_property
    def _sketcher(self) -> Sketcher:
        return Sketcher(self._buckets, self._forward.device)

    def _measure(self, request: ProbeRequest, recipe: Recipe) -> int:
        """Tokens of a request's prompt. Raises EngineError when prompt and answer do not fit the model's context."""
        probe = request.probe
        prompt = len(self._prompts.encode(probe))
        self._check_room(probe, prompt, probe.max_new_tokens or recipe.max_new_tokens, "an answer")
        return prompt

    def _check_room(self, probe: Probe, prompt: int, more: int, what: str) -> None:
        if self._room is not None and prompt + more > self._room:
            raise EngineError(
                f"probe {describe(probe)} does not fit: {prompt} tokens and {what} of {more} are more than the model's "
                f"context of {self._room}",
                hint="shorten the probe or lower its max_new_tokens",
            )

    def _run(self, batch: Batch) -> list[ProbeCapture]:
        probes = [r.probe for r in batch.requests]
        prompts = [self._prompts.encode(p) for p in probes]
        hookpoints = self._hookpoints(batch.recipe, self._encoded)
        with hookpoints.recording() as streams:
            logits, context = self._forward.prefill(prompts, batch.rows, batch.prompt_tokens)
        layers = self._hookpoints(batch.recipe).layers
        start = {layer: streams[layer][:, -1].float() for layer in layers}  # [rows, d]
        kept = None if self._encoder is None else _streams(self._encoder, streams)
        answers = self._decoder(batch.recipe).answer(context, logits, _asked(batch))
        outputs = [self._outputs(ways) for ways in answers]
        references = [_reference(r, o.greedy) for r, o in zip(batch.requests, outputs, strict=True)]
        paths = [self._path(p, len(ids), ref) for p, ids, ref in zip(probes, prompts, references, strict=True)]
        said = None if kept is None else self._said(probes, [o.greedy for o in outputs], context.fork(1), kept)
        followed = Follower(self._forward, self._sketcher, hookpoints).follow(context, logits, paths, start, kept)
        found = [None] * len(probes) if kept is None or said is None else self._features(probes, kept, paths, said)
        return [
            ProbeCapture(p.id, outputs[i], references[i], _evidence(p, followed[i], start, i, found[i]))
            for i, p in enumerate(probes)
        ]

    def _said(self, probes: Sequence[Probe], answers: Sequence[Generation], context: Context, kept: Streams) -> _Said:
        """Reads greedy answers from where `context` (used up) stands, as references are read: in the passes that make
        them, of one token, a row's last bits depend on its place in the batch."""
        texts = [own_reference(answer.text, finished=answer.finish == "stop") for answer in answers]
        pairs = zip(probes, texts, strict=True)
        paths = [self._prompts.encode_reference(text, chat=probe.messages is not None) for probe, text in pairs]
        streams = Streams(kept.layer, kept.prompt)
        read_streams(self._forward, Hookpoints(self._blocks or (), (), self._encoded), context, paths, streams)
        return _Said(paths, streams)

    def _encode(self, batch: Batch, encoder: FeatureEncoder) -> list[Features]:
        hookpoints = Hookpoints(self._blocks or (), (), self._encoded)
        probes = [r.probe for r in batch.requests]
        prompts = [self._prompts.encode(p) for p in probes]
        references = [_given(r) for r in batch.requests]
        paths = [self._path(p, len(ids), ref) for p, ids, ref in zip(probes, prompts, references, strict=True)]
        with hookpoints.recording() as streams:
            _, context = self._forward.prefill(prompts, batch.rows, batch.prompt_tokens)
        kept = _streams(encoder, streams)
        said = self._said(probes, [_answer(r) for r in batch.requests], context.fork(1), kept)
        read_streams(self._forward, hookpoints, context, paths, kept)
        return self._features(probes, kept, paths, said)

    def _features(self, probes: Sequence[Probe], kept: Streams, paths: Sequence[Path], said: _Said) -> list[Features]:
        """The features of each probe, one at a time: what the encoder is given has the shape of that probe's own path,
        so that no other probe can change its numbers."""
        found = []
        for row, (probe, along, own) in enumerate(zip(probes, paths, said.paths, strict=True)):
            name = describe(probe)
            answer = self._latents(said.streams.along(row, own), name)
            reached = np.array([*accumulate(own.characters, initial=0)], np.uint32)[answer.peak]
            reference = self._latents(kept.along(row, along), name)
            found.append(Features(reference, AnswerFeatures(**vars(answer), reached=reached)))
        return found

    def _latents(self, stream: torch.Tensor, name: str) -> FeatureBlock:
        """Of the stream [1, positions, d] of the probe named."""
        if self._encoder is None:
            raise EngineError("the model was opened without a dictionary")
        block = self._encoder.encode(stream, stream.new_ones(stream.shape[:2], dtype=torch.bool))
        if not all(np.isfinite(n).all() for n in (block.energy, block.missed, block.strongest, block.total)):
            raise not_finite(name)
        return block

    def _hookpoints(self, recipe: Recipe, also: Sequence[int] = ()) -> Hookpoints:
        return Hookpoints(self._blocks or (), recipe.hookpoints if self._blocks else (), also)

    def _decoder(self, recipe: Recipe) -> Decoder:
        sampler = CoupledSampler(self._vocabulary, recipe.temperature, self._forward.device)
        return Decoder(self._forward, sampler, Decoding(recipe.draws, recipe.seed, self._prompts.ends.stops))

    def _outputs(self, answers: Sequence[Answer]) -> Outputs:
        greedy, *draws = [self._generation(answer) for answer in answers]
        return Outputs(greedy, tuple(draws))

    def _generation(self, answer: Answer) -> Generation:
        text = self._prompts.decode(answer.tokens)
        return Generation(text, "stop" if answer.finished else "length", len(answer.tokens))

    def _path(self, probe: Probe, prompt: int, reference: Reference) -> Path:
        path = self._prompts.encode_reference(reference, chat=probe.messages is not None)
        self._check_room(probe, prompt, len(path.read), "a reference")
        return path


@dataclass(frozen=True)
class _Said:
    """The greedy answers of a batch as tokens, and the streams of the encoder's layer along them."""

    paths: Sequence[Path]
    streams: Streams


def prompts_of(loaded: Loaded) -> Prompts:
    """How probes become the tokens of a loaded model."""
    return Prompts(loaded.tokenizer, _stops(loaded.core))


def room_of(loaded: Loaded) -> int | None:
    """The most tokens that a loaded model reads, None where it does not say."""
    return getattr(loaded.core.config.get_text_config(), "max_position_embeddings", None)


def forward_of(loaded: Loaded) -> Forward:
    """The calls of a loaded model."""
    config = loaded.core.config.get_text_config()
    vocabulary = int(config.vocab_size)
    tokenizer = loaded.tokenizer
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id, getattr(config, "pad_token_id", None))
    fill = next((int(t) for t in known if t is not None and 0 <= int(t) < vocabulary), 0)
    return Forward(loaded.model, accepts=loaded.core, fill=fill, vocabulary=vocabulary)


def _reference(request: ProbeRequest, greedy: Generation) -> Reference:
    given = given_reference(request)
    return own_reference(greedy.text, finished=greedy.finish == "stop") if given is None else given


def _given(request: ProbeRequest) -> Reference:
    """The reference along which earlier captures of a probe run."""
    given = given_reference(request)
    if given is None:
        raise EngineError(f"features of probe {describe(request.probe)} are asked for without its reference")
    return given


def _answer(request: ProbeRequest) -> Generation:
    """What a capture at hand holds as the greedy answer."""
    if request.answer is None:
        raise EngineError(f"features of probe {describe(request.probe)} are asked for without its answer")
    return request.answer


def _streams(encoder: FeatureEncoder, streams: dict[str, torch.Tensor]) -> Streams:
    """What was read of the encoder's layer so far: the prompts."""
    return Streams(encoder.layer, streams[encoder.layer][:, -1].clone())


def _layer_of(encoder: FeatureEncoder, identity: ModelIdentity, depth: int) -> int:
    """The number of blocks passed at the layer that an encoder reads. Raises EngineError where the model lacks it."""
    passed = passed_of(encoder.layer)
    if passed is None or passed > depth:
        raise EngineError(
            f"{identity.name} has no {encoder.layer}, which the dictionary {encoder.digest[:10]} reads",
            hint="choose another dictionary: `bvc config features.dictionary NAME` (none: no features)",
        )
    return passed


def _asked(batch: Batch) -> list[Asked]:
    default = batch.recipe.max_new_tokens
    return [Asked(r.probe.id, describe(r.probe), r.probe.max_new_tokens or default) for r in batch.requests]


def _stops(model: Any) -> list[int]:
    """The tokens at which the model's own generation settings stop."""
    settings = getattr(model, "generation_config", None)
    stops = getattr(settings, "eos_token_id", None)
    return [int(s) for s in stops] if isinstance(stops, list | tuple) else [] if stops is None else [int(stops)]


def _evidence(
    probe: Probe, followed: Followed, start: dict[str, torch.Tensor], row: int, features: Features | None
) -> Evidence:
    vectors = {}
    for layer, mean in followed.means.items():
        vectors[f"{layer}/prompt"] = start[layer][row : row + 1].cpu().numpy()
        vectors[f"{layer}/reference"] = mean[None]
    numbers = (followed.logprob.target, followed.logprob.entropy, *vectors.values())
    if not all(np.isfinite(n).all() for n in numbers):
        raise not_finite(describe(probe))
    activation = ActivationBlock(vectors) if vectors else None
    along, answer = (None, None) if features is None else (features.reference, features.answer)
    return Evidence(followed.logprob, activation, along, answer)
