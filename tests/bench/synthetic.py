"""Synthetic histories for benchmarks: text and arrays of known size, made without any model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import bvc
from bvc.api.commit_records import suite_entries
from bvc.evidence import ActivationBlock, Evidence, LogprobBlock
from bvc.ids import digest
from bvc.records import Capability, Generation, ModelIdentity, Outputs, Probe, Recipe, Reference, Snapshot, Suite
from bvc.repository.repository import Repository
from bvc.repository.snapshot_writer import Fresh, SnapshotDraft, write_snapshot
from bvc.store.transaction import CommitDraft

VOCABULARY, WIDTH, LAYERS = 49152, 576, (8, 15, 22, 30)
START = 1_700_000_000
TEXT = "the model answers with a short clear sentence about this topic and then stops here today"
WORDS = np.array(TEXT.split(" "))
DRAW = 1 << 32
"""Between the seeds of an answer's draws."""


@dataclass(frozen=True)
class Captured:
    """One probe's synthetic capture."""

    outputs: Outputs
    reference: Reference | None
    evidence: Evidence


def make_suite(probes: int) -> Suite:
    """`probes` distinct probes."""
    return Suite(
        "bench", tuple(Probe(prompt=f"Question {i}: what comes after {i}?", tags=("bench",)) for i in range(probes))
    )


def text(seed: int) -> str:
    """A 40-word answer that depends on `seed` only."""
    return " ".join(np.random.default_rng(seed).choice(WORDS, 40))


def evidence(seed: int, positions: int, probe: int = 0) -> Evidence:
    """Numeric evidence of one probe with a realistic size: `positions` sketches and eight vectors.

    As between two fine-tunes, captures of one probe run along the same tokens and share six in seven of the tokens on
    top; all the numbers differ.
    """
    rng = np.random.default_rng(seed)
    weights = rng.random((positions, 64), dtype=np.float32) ** 8
    residual = np.full(positions, 0.05, np.float32)
    logprobs = np.log(weights / weights.sum(1, keepdims=True) * 0.95 + 1e-12).astype(np.float32)
    buckets = rng.random((positions, 256), dtype=np.float32)
    block = LogprobBlock(
        lengths=np.array([positions]),
        token_ids=np.arange(positions, dtype=np.uint32),
        characters=np.full(positions, 4, np.uint16),
        target=logprobs[:, 0].copy(),
        entropy=rng.random(positions, dtype=np.float32),
        top_ids=_top_ids(rng, positions, probe),
        top_logprobs=logprobs,
        residual=residual,
        buckets=(buckets / buckets.sum(1, keepdims=True)).astype(np.float16),
    )
    sites = [f"layer.{layer:02d}/{place}" for layer in LAYERS for place in ("prompt", "reference")]
    vectors = {site: rng.standard_normal((1, WIDTH)).astype(np.float32) for site in sites}
    return Evidence(block, ActivationBlock(vectors))


def _top_ids(rng: np.random.Generator, positions: int, probe: int) -> npt.NDArray[np.uint32]:
    """[positions, 64] distinct rising token ids: the probe's own, one in seven replaced."""
    step = VOCABULARY // 64
    own = np.random.default_rng(probe).integers(0, step, (positions, 64), dtype=np.uint32)
    other = rng.integers(0, step, (positions, 64), dtype=np.uint32)
    chosen: npt.NDArray[np.uint32] = np.where(rng.random((positions, 64)) < 1 / 7, other, own)
    return chosen + np.arange(0, VOCABULARY, step, dtype=np.uint32)


class History:
    """A repository that grows by synthetic commits; `positions` 0 leaves the arrays out (text-only commits)."""

    def __init__(self, folder: Path, probes: int, positions: int, draws: int = 0) -> None:
        bvc.init(folder)
        self.repository = Repository.open(folder)
        self.suite = make_suite(probes)
        self.positions, self.draws = positions, draws
        self.seeds = dict(enumerate(range(probes)))
        self.count = 0

    def commit(self, changed: Mapping[int, int]) -> str:
        """Commits with the answers of the probes in `changed` (index to seed) replaced."""
        self.seeds.update(changed)
        index = {probe.id: i for i, probe in enumerate(self.suite.probes)}
        source = Fresh(lambda probe: self.captured(index[probe]))
        store = self.repository.store
        snapshot = self._snapshot()
        table = np.arange(VOCABULARY).astype(np.uint8) if self.positions else None
        with store.begin() as transaction:
            draft = SnapshotDraft(snapshot, (self.suite,), dict.fromkeys(index, source), bucket_table=table)
            tip = store.refs.head().commit
            new = transaction.commit(
                CommitDraft(
                    tree=write_snapshot(transaction, draft),
                    parents=() if tip is None else (tip,),
                    message=f"Step {self.count}\n\nBvc-Model: step-{self.count} sha256:{snapshot.model.fingerprint}\n",
                    author="Bench <bench@localhost>",
                    date=START + self.count,
                    timezone=0,
                    snapshot=snapshot,
                ),
                ref="refs/heads/main",
                expected=tip,
                reparent=False,
            )
        self.count += 1
        return new

    def captured(self, index: int) -> Captured:
        """The present capture of the probe with this index."""
        seed = self.seeds[index]
        drawn = (Generation(text(seed + DRAW * (k + 1)), "stop", 40) for k in range(self.draws))
        outputs = Outputs(Generation(text(seed), "stop", 40), tuple(drawn))
        if not self.positions:
            return Captured(outputs, None, Evidence())
        return Captured(outputs, Reference(text(index), end=True), evidence(seed, self.positions, index))

    def _snapshot(self) -> Snapshot:
        fingerprint = digest("bench/1", str(self.count).encode())
        return Snapshot(
            model=ModelIdentity(f"step-{self.count}", fingerprint, "hf", architecture="LlamaForCausalLM"),
            recipe=Recipe("transformers", draws=self.draws, environment={"torch": "2", "transformers": "5"}),
            suites=suite_entries((self.suite,)),
            capability=Capability.ACTIVATIONS if self.positions else Capability.TEXT,
            counts={"probes": len(self.suite.probes)},
        )
