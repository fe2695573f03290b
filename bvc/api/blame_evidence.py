"""What blame knows of each step of a lineage: how far every probe moved, and new phrases. Loads numpy.

Distances of captured arrays come from the index, as those of a diff's background. Of recorded texts only the answers
that differ are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bvc.api.bands import pair_distances
from bvc.api.blame_lineage import Recorded, Report
from bvc.api.search_changes import Edge
from bvc.compare.diff import statistics
from bvc.compare.grams import FEWEST
from bvc.compare.measure import measure
from bvc.compare.new_phrases import new_phrases
from bvc.compare.pairing import ProbeSide, Side
from bvc.compare.standing import SUBSTANCE, WORDING, Statistics, by_numbers
from bvc.compare.steps_probes import Moves, StepMoves
from bvc.compare.terms import settle_terms
from bvc.errors import BvcError
from bvc.records import Capability, Outputs
from bvc.repository.snapshot_view import SnapshotView
from bvc.results import Progress
from bvc.store.index import score_key

MEASURED = "blame-step/3"
"""Changes whenever the same two snapshots give another row than before."""
_FEW = 0.5
"""Share of probes with another answer up to which the other probes' texts are not read at first."""
_FLUSH = 50
"""Steps that are written to the index at once."""
_KEPT = 20_000
"""Records of answers that are kept in memory."""

Row = dict[str, Any]


@dataclass
class StepReader:
    """Reads the steps of a lineage, in its order; `failed` are sentences about steps that cannot be compared, `marks`
    the phrases that answers gained or lost, by commit and probe."""

    recorded: Recorded
    progress: Report | None = None
    failed: list[str] = field(default_factory=list)
    marks: dict[tuple[int, str], str] = field(default_factory=dict)
    _records: dict[str, Outputs] = field(default_factory=dict)
    _clusters: dict[str | None, dict[str, str]] = field(default_factory=dict)
    _waiting: list[tuple[bytes, bytes]] = field(default_factory=list)

    def steps(self) -> Iterator[StepMoves]:
        """Every step in which an answer changed."""
        held = held_probes(self.recorded)
        edges = [
            (node, edge) for node, each in enumerate(self.recorded.edges) for edge in each if edge.base is not None
        ]
        for number, (node, edge) in enumerate(edges):
            touched = {c.probe.hex(): (c.old.hex(), c.new.hex()) for c in edge.changes() if c.old and c.new}
            if touched:
                common = held[self.recorded.place[edge.base or ""]] & held[node]
                with suppress(_Skipped):
                    yield self._step(node, edge, _Common(common, touched))
            if number % _FLUSH == 0:
                self._flush()
            if self.progress is not None and number % 10 == 0:
                self.progress(Progress("measured steps", number, len(edges)))
        self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self.recorded.repository.store.index.environment.remember(waiting)

    def _step(self, node: int, edge: Edge, common: _Common) -> StepMoves:
        repository = self.recorded.repository
        right = repository.snapshot(self.recorded.commits[node])
        try:
            found, phrases = self._evidence(repository.snapshot(edge.base or ""), right, common)
        except BvcError as error:
            self.failed.append(f"the step to {right.info.id[:10]} cannot be compared: {error}")
            raise _Skipped from error
        self.marks |= {(node, probe): text for probe, (_, text) in phrases.items()}
        return StepMoves(
            node, Moves.of(found), frozenset(common.touched), {p: value for p, (value, _) in phrases.items()}
        )

    def _evidence(self, left: SnapshotView, right: SnapshotView, common: _Common) -> tuple[Statistics, Marks]:
        """The statistics of all common probes, and the phrases by probe."""
        environment = self.recorded.repository.store.index.environment
        key = score_key(MEASURED, left.tree, right.tree)
        stored = environment.get(key)
        row: Row = {} if stored is None else json.loads(stored)
        if min(_level(left), _level(right)) <= Capability.TEXT.level:
            if not row:
                row["words"] = self._worded(left, right, common.touched)
            found: Statistics = {kind: dict.fromkeys(common.probes, 0.0) | t for kind, t in row["words"].items()}
        else:
            found = statistics(pair_distances(self.recorded.repository, left.info.id, right.info.id))
        if "phrases" not in row:
            row["phrases"] = self._phrases(left, right, common, found)
            self._waiting.append((key, json.dumps(row, separators=(",", ":")).encode()))
        return found, {probe: (p_value, text) for probe, (p_value, text) in row["phrases"].items()}

    def _worded(self, left: SnapshotView, right: SnapshotView, touched: Records) -> dict[str, dict[str, float]]:
        """How far the answers that differ are apart, in words and in meaning."""
        pairs = {probe: (self._read(left, old), self._read(right, new)) for probe, (old, new) in touched.items()}
        a, b = (
            Side(view.snapshot.recipe, Capability.TEXT, None, {p: ProbeSide(pair[at]) for p, pair in pairs.items()})
            for at, view in enumerate((left, right))
        )
        found = statistics(measure(pairs, (), settle_terms(a, b)))
        return {kind: dict(found[kind]) for kind in (WORDING, SUBSTANCE) if kind in found}

    def _phrases(self, left: SnapshotView, right: SnapshotView, common: _Common, found: Statistics) -> Marks:
        """The surest of the phrases that each probe gained or lost. Where few answers differ, phrases are first
        looked for among these alone, and only if there are any among all."""
        few = len(common.touched) <= _FEW * len(common.probes)
        if len(common.touched) < FEWEST or (few and not self._shared(left, right, common.touched, found)):
            return {}
        records = {p: (left.output_blobs[p], right.output_blobs[p]) for p in right.output_blobs if p in common.probes}
        return self._shared(left, right, records, found)

    def _shared(self, left: SnapshotView, right: SnapshotView, records: Records, found: Statistics) -> Marks:
        recipes = left.snapshot.recipe, right.snapshot.recipe
        drawn = None not in recipes and len({recipe.temperature for recipe in recipes if recipe is not None}) == 1
        said = {
            probe: (_said(self._read(left, old), drawn), _said(self._read(right, new), drawn))
            for probe, (old, new) in records.items()
        }
        surest: dict[str, tuple[float, str]] = {}
        for phrase in new_phrases(said, by_numbers(list(said), found), clusters=self._clusters_of(right) or None):
            for probe in phrase.probes:
                surest[probe] = min(surest.get(probe, (1.0, "")), (phrase.q_value, phrase.text))
        return surest

    def _clusters_of(self, view: SnapshotView) -> dict[str, str]:
        folder = view.folder("probes")
        if folder not in self._clusters:
            records = {oid for found in view.probe_blobs.values() for oid in found.values()}
            probes = [view.read_probe(oid) for oid in records]
            self._clusters[folder] = {probe.id: probe.cluster for probe in probes if probe.cluster is not None}
        return self._clusters[folder]

    def _read(self, view: SnapshotView, record: str) -> Outputs:
        if record not in self._records:
            if len(self._records) >= _KEPT:
                self._records.clear()
            self._records[record] = view.read_outputs(record)
        return self._records[record]


Marks = Mapping[str, tuple[float, str]]
"""The surest phrase that each probe gained or lost, with its p-value over all of the step."""
Records = Mapping[str, tuple[str, str]]
"""The records of answers on both sides, by probe."""


@dataclass(frozen=True)
class _Common:
    """The probes of two commits, and the records of those whose answers differ."""

    probes: frozenset[str]
    touched: Records


def held_probes(recorded: Recorded) -> list[frozenset[str]]:
    """The probes that each recorded commit answers."""
    held: list[frozenset[str]] = []
    for edges in recorded.edges:
        before = frozenset[str]() if edges[0].base is None else held[recorded.place[edges[0].base]]
        changes = list(edges[0].changes())
        new = {c.probe.hex() for c in changes if c.old is None}
        gone = {c.probe.hex() for c in changes if c.new is None}
        held.append((before | new) - gone if new or gone else before)
    return held


class _Skipped(Exception):
    """A step that cannot be compared."""


def _level(view: SnapshotView) -> int:
    capability = view.snapshot.capability
    return -1 if capability is None else capability.level


def _said(outputs: Outputs, drawn: bool) -> list[str]:
    return [outputs.greedy.text, *(draw.text for draw in outputs.draws if drawn)]
