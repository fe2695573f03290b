"""Histories of answers of any shape, made without an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import bvc
from bvc.api.commit_records import suite_entries
from bvc.api.handle import Repo
from bvc.evidence import Evidence
from bvc.ids import digest
from bvc.records import Capability, Generation, ModelIdentity, Outputs, Probe, Recipe, Reference, Snapshot, Suite
from bvc.repository.snapshot_writer import Fresh, SnapshotDraft, write_snapshot
from bvc.store.store import Store
from bvc.store.transaction import CommitDraft, Transaction

Texts = tuple[str, ...]
"""The greedy answer and the draws."""


@dataclass(frozen=True)
class _Captured:
    outputs: Outputs
    reference: Reference | None = None
    evidence: Evidence = Evidence()  # noqa: RUF009 - holds nothing


class History:
    """A project whose commits answer the probes p0, p1, … as told."""

    def __init__(self, folder: Path) -> None:
        bvc.init(folder)
        self.repo = Repo(bvc.open(folder).repository)
        self.count = 0

    def probe(self, number: int) -> Probe:
        return Probe(prompt=f"Question {number}?", name=f"p{number}", tags=("even" if number % 2 == 0 else "odd",))

    def commit(
        self, answers: Mapping[int, Texts] | None, parents: Sequence[str] = (), suites: Sequence[str] = ("s",)
    ) -> str:
        """Commits these answers by probe number in every suite; None registers a model without capture."""
        probes = tuple(self.probe(number) for number in answers or ())
        given = {self.probe(n).id: _Captured(_outputs(texts)) for n, texts in (answers or {}).items()}
        made = tuple(Suite(name, probes) for name in suites)
        snapshot = Snapshot(
            model=ModelIdentity(f"m{self.count}", digest("test", str(self.count).encode()), "recorded"),
            recipe=None if answers is None else Recipe("recorded"),
            suites=() if answers is None else suite_entries(made),
            capability=None if answers is None else Capability.TEXT,
            counts={"probes": len(probes)},
        )
        draft = SnapshotDraft(
            snapshot, () if answers is None else made, dict.fromkeys(given, Fresh(lambda probe: given[probe]))
        )
        return self._write(draft, tuple(parents))

    def with_outputs_of(self, suite: str, donor: str, parent: str) -> str:
        """Commits the parent's tree with another commit's answers in one suite, which bvc itself would never write."""
        view, other = (self.repo.repository.snapshot(commit) for commit in (parent, donor))
        snapshot = view.snapshot
        return self._write(
            SnapshotDraft(snapshot, (), {}), (parent,), (view.tree, suite, other.below("outputs")[suite])
        )

    def _write(self, draft: SnapshotDraft, parents: tuple[str, ...], other: tuple[str, str, str] | None = None) -> str:
        store = self.repo.repository.store
        with store.begin() as transaction:
            new = transaction.commit(
                CommitDraft(
                    tree=write_snapshot(transaction, draft)
                    if other is None
                    else _exchanged(transaction, store, *other),
                    parents=parents,
                    message=f"Step {self.count}\n",
                    author="A <a@localhost>",
                    date=1_700_000_000 + self.count,
                    timezone=0,
                    snapshot=draft.snapshot,
                ),
                ref="refs/heads/main",
                expected=store.refs.head().commit,
                reparent=False,
            )
        self.count += 1
        return new


def _exchanged(transaction: Transaction, store: Store, tree: str, suite: str, outputs: str) -> str:
    """A snapshot's tree with other answers in one suite."""
    top = {entry.name: entry for entry in store.objects.tree(tree)}
    folder = {entry.name: entry for entry in store.objects.tree(top["outputs"].oid)}
    folder[suite] = folder[suite]._replace(oid=outputs)
    top["outputs"] = top["outputs"]._replace(oid=transaction.tree(list(folder.values())))
    return transaction.tree(list(top.values()))


def _outputs(texts: Texts) -> Outputs:
    greedy, *draws = texts
    return Outputs(Generation(greedy, "stop"), tuple(Generation(draw, "stop") for draw in draws))


def texts_at(repo: Repo, commit: str) -> dict[str, Texts]:
    """What a commit answers, by probe id: read from its tree, without the index of answers."""
    view = repo.repository.snapshot(commit)
    if view.folder("outputs") is None:
        return {}
    found = {probe: view.outputs(probe) for probe in view.output_blobs}
    return {probe: (o.greedy.text, *(draw.text for draw in o.draws)) for probe, o in found.items()}
