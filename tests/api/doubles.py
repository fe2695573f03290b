"""A small deterministic engine, checkpoints that cost nothing, and projects to commit them to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import bvc
from bvc.api.commit_records import EngineChoice
from bvc.api.handle import Repo
from bvc.capture.engine import Batch, EngineOutOfMemory, ProbeCapture, ProbeRequest
from bvc.capture.prompts import given_reference, own_reference
from bvc.evidence import MASS_BUCKETS, TOP_TOKENS, ActivationBlock, Evidence, LogprobBlock
from bvc.records import Capability, Generation, ModelIdentity, Outputs, Probe, Recipe

VOCABULARY = 300
WIDTH = 6


def checkpoint(folder: Path, weights: str = "w", *, step: int | None = None) -> Path:
    """A model folder that `identify` accepts: one tensor whose bytes are `weights`. Nothing could load it."""
    folder.mkdir(parents=True, exist_ok=True)
    data = hashlib.sha256(weights.encode()).digest()
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    (folder / "config.json").write_text('{"architectures": ["Small"], "model_type": "small"}')
    (folder / "tokenizer.json").write_text('{"model": {"type": "BPE"}}')
    if step is not None:
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return folder


def evidence(text: str, positions: int, layout: int = 0) -> Evidence:
    """Numbers that follow from `text`, and a little from the batch layout."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    rng = np.random.default_rng(seed)
    top = np.stack([np.sort(rng.permutation(VOCABULARY)[:TOP_TOKENS]) for _ in range(positions)]).astype(np.uint32)
    mass = rng.random((positions, TOP_TOKENS))
    logprobs = np.log(0.9 * mass / mass.sum(1, keepdims=True)) - layout * 1e-6
    block = LogprobBlock(
        lengths=np.array([positions]),
        token_ids=np.arange(positions, dtype=np.uint32),
        characters=np.ones(positions, np.uint16),
        target=logprobs[:, 0].astype(np.float32),
        entropy=rng.random(positions, dtype=np.float32),
        top_ids=top,
        top_logprobs=logprobs.astype(np.float32),
        residual=np.full(positions, 0.1, np.float32),
        buckets=np.full((positions, MASS_BUCKETS), 1 / MASS_BUCKETS, np.float16),
    )
    vectors = {f"layer.0{n}/{place}": rng.random((1, WIDTH), dtype=np.float32) for n in (1, 2) for place in _PLACES}
    return Evidence(block, ActivationBlock({site: v + np.float32(layout * 1e-6) for site, v in vectors.items()}))


_PLACES = ("prompt", "reference")


@dataclass
class SmallEngine:
    """Answers follow from the probe, for the probes named in the script's `moved` from the weights too."""

    identity: ModelIdentity
    recipe: Recipe
    script: Script

    @property
    def capability(self) -> Capability:
        return self.script.capability

    def plan(self, requests: Sequence[ProbeRequest], recipe: Recipe) -> list[Batch]:
        rows = recipe.batch_rows
        groups = [tuple(requests[i : i + rows]) for i in range(0, len(requests), rows)]
        return [Batch(group, recipe, rows, recipe.prompt_buckets[0]) for group in groups]

    def run(self, batch: Batch) -> list[ProbeCapture]:
        if batch.rows > self.script.rows_that_fit:
            raise EngineOutOfMemory("out of memory")
        if len(self.script.batches) >= self.script.stop_after:
            raise KeyboardInterrupt
        self.script.batches.append(batch)
        return [self._capture(request, batch.recipe) for request in batch.requests]

    def _capture(self, request: ProbeRequest, recipe: Recipe) -> ProbeCapture:
        probe = request.probe
        greedy = self.script.say(self.identity, probe)
        draws = tuple(Generation(f"{greedy} {recipe.seed}/{k}", "stop", 3) for k in range(recipe.draws))
        reference = given_reference(request) or own_reference(greedy, finished=True)
        numbers = evidence(f"{greedy} {reference.text}", 1 + len(reference.text) % 5, recipe.batch_rows)
        if self.capability is Capability.LOGPROBS:
            numbers = Evidence(numbers.logprob)
        return ProbeCapture(probe.id, Outputs(Generation(greedy, "stop", 3), draws), reference, numbers)

    def bucket_table(self) -> npt.NDArray[np.uint8]:
        return np.arange(VOCABULARY).astype(np.uint8)

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        return [chr(i) for i in ids]

    def close(self) -> None:
        self.script.closed += 1


@dataclass
class Script:
    """How the engines of a test behave, and what they were made to do."""

    rows_that_fit: int = 1000
    stop_after: int = 1_000_000
    moved: frozenset[str] = frozenset()
    capability: Capability = Capability.ACTIVATIONS
    opened: int = 0
    closed: int = 0
    batches: list[Batch] = field(default_factory=list)

    def say(self, identity: ModelIdentity, probe: Probe) -> str:
        own = f", says {identity.fingerprint[:8]}" if probe.text in self.moved else ""
        return f"An answer to {probe.text}{own}"

    @property
    def choice(self) -> EngineChoice:
        """The engine as an option of commit."""
        return EngineChoice("small", self._open)

    def _open(self, identity: ModelIdentity, recipe: Recipe) -> SmallEngine:
        self.opened += 1
        return SmallEngine(identity, recipe, self)

    def ran(self) -> list[str]:
        """The prompts run in the layout of the recipe, in order, and forgets them."""
        main = [r.probe.text for b in self.batches if b.prompt_tokens == 32 for r in b.requests]
        self.batches.clear()
        return main


class Project:
    """A project in a folder of its own, with suites of raw prompts."""

    def __init__(self, folder: Path, probes: int = 6) -> None:
        bvc.init(folder)
        (folder / "probes" / "starter.jsonl").unlink()
        self.folder = folder
        self.script = Script()
        self.suite("sums", [f"probe {n}" for n in range(probes)])
        self.repo: Repo = bvc.open(folder)

    def suite(self, name: str, prompts: Sequence[str], **fields: Any) -> None:
        rows = [json.dumps({"id": f"label {p}", "prompt": p, **fields}) for p in prompts]
        (self.folder / "probes" / f"{name}.jsonl").write_text("".join(f"{row}\n" for row in rows))

    def checkpoint(self, name: str, weights: str | None = None) -> Path:
        return checkpoint(self.folder.parent / "models" / name, weights or name)

    def commit(self, name: str, **options: Any) -> Any:
        """Commits the checkpoint `name`, made where there is none."""
        return self.repo.commit(self.checkpoint(name), engine=self.script.choice, **options)


Make = Callable[..., Project]
