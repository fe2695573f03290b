"""What runs a checkpoint: the engine protocol and the values that go in and out. Loads neither numpy nor torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bvc.errors import EngineError
from bvc.records import Capability, Generation, ModelIdentity, Outputs, Probe, Recipe, Reference

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from bvc.evidence import Evidence, FeatureBlock, Features


class EngineOutOfMemory(EngineError):
    """A batch did not fit into memory; the same batch with fewer rows may."""


@dataclass(frozen=True)
class ProbeRequest:
    """A probe to capture. `reference` None: the probe's own `reference`, else the model's own greedy text. `answer` is
    the greedy one of a capture at hand, which features are added to."""

    probe: Probe
    reference: Reference | None = None
    answer: Generation | None = None


@dataclass(frozen=True)
class ProbeCapture:
    """What one probe's run recorded; the blocks of `evidence` hold exactly this probe.

    `reference` is the continuation that was scored. Where it was the model's own greedy text, the caller freezes it.
    """

    probe_id: str
    outputs: Outputs
    reference: Reference
    evidence: Evidence


@dataclass(frozen=True)
class Batch:
    """Probes that share forward passes of one fixed shape.

    `rows` prompts of `prompt_tokens` tokens after padding; missing rows are filled with dummies. A probe's numbers
    depend on the shape and the recipe, never on the other requests.
    """

    requests: tuple[ProbeRequest, ...]
    recipe: Recipe
    rows: int
    prompt_tokens: int


class FeatureEncoder(Protocol):
    """A dictionary that reads the stream while a model runs; the engine reads `layer` ("layer.15") for it."""

    layer: str
    digest: str

    def encode(self, stream: torch.Tensor, held: torch.Tensor) -> FeatureBlock:
        """The latents of n probes from the stream [n, positions, d] at its layer; `held` [n, positions] bool says
        which positions count (the others are padding)."""
        ...


class Engine(Protocol):
    """A loaded checkpoint. Not safe for use by several threads at once."""

    identity: ModelIdentity
    recipe: Recipe
    capability: Capability

    def plan(self, requests: Sequence[ProbeRequest], recipe: Recipe) -> list[Batch]:
        """All requests in batches of fixed shapes, short prompts first. `recipe` may differ from the engine's own in
        its batch layout and decoding, as `Recipe.other_layout` does, but not in dtype and device.

        Raises EngineError for a probe that does not fit into the model's context, naming the probe.
        """
        ...

    def run(self, batch: Batch) -> list[ProbeCapture]:
        """The captures of a batch, in the order of its requests.

        Raises EngineOutOfMemory when the batch does not fit into memory and EngineError when the model fails.
        """
        ...

    def bucket_table(self) -> npt.NDArray[np.uint8] | None:
        """Bucket of each token id, [vocabulary] uint8, by which residual mass is kept; None without log-probs."""
        ...

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """The text of each token, for display; "" for ids that the tokenizer does not know."""
        ...

    def close(self) -> None:
        """Lets go of the model. The engine cannot be used afterwards."""
        ...


@runtime_checkable
class DrawingEngine(Engine, Protocol):
    """An engine that adds draws to earlier captures without running the rest again; another runs it, and only the
    draws are taken."""

    def draw(self, batch: Batch, first: int) -> list[tuple[Generation, ...]]:
        """The draws number `first` up to the recipe's count of each request of a batch: those that `run` would give.

        Raises as `run` does.
        """
        ...


@runtime_checkable
class EncodingEngine(Engine, Protocol):
    """An engine that adds features to earlier captures without running the rest again; another runs it, and only the
    features are taken."""

    def encode(self, batch: Batch) -> list[Features]:
        """The features of each request of a batch along its reference (which is given, or the probe's own) and along
        its answer: those that `run` would give.

        Raises as `run` does, and EngineError for an engine that was opened without a dictionary.
        """
        ...
