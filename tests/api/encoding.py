"""The small engine with a dictionary: features follow from answer, reference, batch layout and dictionary."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np

from bvc.api.commit_records import EngineChoice
from bvc.capture.engine import Batch, EngineOutOfMemory, FeatureEncoder, ProbeCapture, ProbeRequest
from bvc.capture.prompts import given_reference
from bvc.evidence import AnswerFeatures, FeatureBlock, Features
from bvc.records import ModelIdentity, Recipe
from tests.api.doubles import Script, SmallEngine

LATENTS = 64


def block(key: str) -> FeatureBlock:
    """The features of one probe, as random as the hash of `key`."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little"))
    latent = np.flatnonzero(rng.random(LATENTS) < 0.1).astype(np.uint32)
    strongest = rng.random(len(latent), np.float32) + np.float32(0.5)
    positions = 1 + int(rng.integers(5))
    return FeatureBlock(
        lengths=np.array([len(latent)], np.int64),
        positions=np.array([positions], np.uint32),
        energy=rng.random(1, np.float32) + np.float32(1),
        missed=rng.random(1, np.float32),
        latent=latent,
        fired=np.ones(len(latent), np.uint16),
        strongest=strongest,
        total=strongest,
        peak=rng.integers(positions, size=len(latent)).astype(np.uint16),
    )


def answer_block(key: str) -> AnswerFeatures:
    """The features of one probe along its answer, as random as the hash of `key`: two characters a position."""
    found = block(key)
    return AnswerFeatures(**vars(found), reached=found.peak.astype(np.uint32) * 2)


@dataclass
class EncodingScript(Script):
    """Opens engines that read a dictionary, and remembers which probes they encoded alone."""

    encoded: list[tuple[str, int]] = field(default_factory=list)
    encode_until: int = 1_000_000
    rows_that_encode: int = 1000
    older: bool = False
    """Captures have features along references alone, as those of older versions."""

    @property
    def choice(self) -> EngineChoice:
        return EngineChoice("small", self._open, self._open_encoding)

    def _open_encoding(self, identity: ModelIdentity, recipe: Recipe, encoder: FeatureEncoder) -> Encoding:
        self.opened += 1
        return Encoding(identity, recipe, self, encoder)

    def encoded_then(self) -> list[str]:
        """The prompts encoded alone in the layout of the recipe, in order; forgets them."""
        main = [text for text, tokens in self.encoded if tokens == 32]
        self.encoded.clear()
        return main


@dataclass
class Encoding(SmallEngine):
    """The small engine with a dictionary."""

    script: EncodingScript
    encoder: FeatureEncoder

    def encode(self, batch: Batch) -> list[Features]:
        if len(self.script.encoded) >= self.script.encode_until:
            raise KeyboardInterrupt
        if batch.rows > self.script.rows_that_encode:
            raise EngineOutOfMemory("out of memory")
        self.script.encoded += [(r.probe.text, batch.prompt_tokens) for r in batch.requests]
        return [self._features(request, batch.recipe) for request in batch.requests]

    def _capture(self, request: ProbeRequest, recipe: Recipe) -> ProbeCapture:
        found = super()._capture(request, recipe)
        read = self._features(ProbeRequest(request.probe, found.reference, found.outputs.greedy), recipe)
        answer = None if self.script.older else read.answer
        evidence = replace(found.evidence, feature=read.reference, answer_feature=answer)
        return replace(found, evidence=evidence)

    def _features(self, request: ProbeRequest, recipe: Recipe) -> Features:
        reference, answer = given_reference(request), request.answer
        assert reference is not None and answer is not None
        key = f"{self.identity.fingerprint} {request.probe.text} {recipe.batch_rows} {self.encoder.digest}"
        return Features(block(f"{key} {reference.text}"), answer_block(f"{key} says {answer.text}"))
