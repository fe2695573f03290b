"""Commits whose latents are made up: a lineage on one suite, with features of one dictionary or another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import bvc
from bvc.api.commit_records import suite_entries
from bvc.api.handle import Repo
from bvc.dictionaries import DictionaryCard, DictionarySpec, LatentCard
from bvc.evidence import AnswerFeatures, Evidence, FeatureBlock, LogprobBlock
from bvc.ids import digest
from bvc.records import Capability, Generation, ModelIdentity, Outputs, Probe, Recipe, Reference, Snapshot, Suite
from bvc.repository.dictionaries import put_dictionary
from bvc.repository.snapshot_writer import Fresh, SnapshotDraft, write_snapshot
from bvc.store.transaction import CommitDraft
from tests.compare.feature_worlds import POSITIONS, Table, World, block
from tests.compare.worlds import bucket_table, sketch

WIDTH = 4
_TEXT = "abcdefgh" * 4
_TABLE = bucket_table(70)


def dictionary(latents: int, seed: int = 0) -> tuple[DictionarySpec, dict[str, np.ndarray]]:  # type: ignore[type-arg]
    """A dictionary of random weights."""
    rng = np.random.default_rng(seed)
    spec = DictionarySpec("batchtopk", "layer.03", "f" * 64, WIDTH, latents, 8.0, 1.0, digest("w", bytes([seed])))
    return spec, {name: rng.normal(size=shape).astype(np.float32) for name, shape in spec.shapes.items()}


@dataclass(frozen=True)
class _Captured:
    outputs: Outputs
    reference: Reference
    evidence: Evidence


class FeatureHistory:
    """A project whose commits hold the latents of `world`, as told."""

    def __init__(self, folder: Path, world: World) -> None:
        bvc.init(folder)
        self.repo = Repo(bvc.open(folder).repository)
        self.world = world
        self.probes = tuple(
            Probe(prompt=f"Question {i}?", name=f"q{i}", cluster=f"c{c}") for i, c in enumerate(world.cluster.tolist())
        )
        self.count = 0
        self.spec, self.weights = dictionary(world.latents)

    def store_dictionary(self, cards: Sequence[LatentCard] = ()) -> None:
        """Puts the dictionary into the repository, as "lineage"."""
        card = DictionaryCard("lineage", 0.8, 8.0, 0, 1000)
        put_dictionary(self.repo.repository, "lineage", self.spec, card, cards, self.weights, "A <a@localhost>")

    def commit(
        self,
        fired: Table | None,
        total: Table | None = None,
        *,
        again: tuple[Table, Table] | None = None,
        answers: tuple[Table, Table] | None = None,
        answers_again: tuple[Table, Table] | None = None,
        spec: DictionarySpec | None = None,
        other_references: int = 0,
    ) -> str:
        """Commits counts [n, m] and sums of strengths; None has no features. `again`: both for the first probes, as
        they were captured a second time; `answers`: both along the answers, `answers_again` those of the second time.
        The first `other_references` probes have another reference than usual."""
        captured = {
            probe.id: _Captured(
                Outputs(Generation(f"answer {self.count} to {probe.name}", "stop")),
                Reference(_TEXT if i >= other_references else _TEXT.upper()),
                self._evidence(i, fired, total, answers),
            )
            for i, probe in enumerate(self.probes)
        }
        twice = (
            {
                probe.id: replace(captured[probe.id], evidence=self._evidence(i, *again, answers_again))
                for i, probe in enumerate(self.probes[: len(again[0])])
            }
            if again
            else {}
        )
        suites = (Suite("s", self.probes),)
        model = ModelIdentity(f"m{self.count}", digest("test", str(self.count).encode()), "hf", tokenizer="t" * 64)
        snapshot = Snapshot(
            model, Recipe("test"), suite_entries(suites), Capability.LOGPROBS, counts={"probes": len(self.probes)}
        )
        draft = SnapshotDraft(
            snapshot,
            suites,
            dict.fromkeys(captured, Fresh(lambda probe: captured[probe])),
            dict.fromkeys(twice, Fresh(lambda probe: twice[probe])),
            bucket_table=_TABLE,
            dictionary=None if fired is None else spec or self.spec,
        )
        return self._write(draft)

    def _evidence(
        self, probe: int, fired: Table | None, total: Table | None, answers: tuple[Table, Table] | None = None
    ) -> Evidence:
        along = None if fired is None else _feature(fired, total, probe)
        own = None if answers is None else _answered(_feature(*answers, probe), self.count)
        return Evidence(_logprobs(), feature=along, answer_feature=own)

    def _write(self, draft: SnapshotDraft) -> str:
        store = self.repo.repository.store
        head = store.refs.head().commit
        with store.begin() as transaction:
            new = transaction.commit(
                CommitDraft(
                    tree=write_snapshot(transaction, draft),
                    parents=() if head is None else (head,),
                    message=f"Step {self.count}\n",
                    author="A <a@localhost>",
                    date=1_700_000_000 + self.count,
                    timezone=0,
                    snapshot=draft.snapshot,
                ),
                ref="refs/heads/main",
                expected=head,
                reparent=False,
            )
        self.count += 1
        return new


def _feature(fired: Table, total: Table | None, probe: int) -> FeatureBlock:
    row = slice(probe, probe + 1)
    return block(fired[row], (fired if total is None else total)[row])


def _answered(found: FeatureBlock, longer: int) -> AnswerFeatures:
    """The same latents along an answer that is `longer` by so many positions, strongest after six characters."""
    reached = np.full(len(found.latent), 6, np.uint32)
    return AnswerFeatures(**{**vars(found), "positions": found.positions + np.uint32(longer)}, reached=reached)


def _logprobs() -> LogprobBlock:
    rng = np.random.default_rng(0)
    made = sketch(rng.normal(size=(POSITIONS, 70)), _TABLE, rng.integers(0, 70, POSITIONS), [POSITIONS])
    return replace(made, characters=np.array([1] * (POSITIONS - 1) + [0], np.uint16))
