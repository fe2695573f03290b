"""With which commit each probe last changed: the verdicts of all steps of a lineage, walked back from its head.

Loads numpy.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from bvc.api.blame_evidence import held_probes
from bvc.api.blame_lineage import Recorded, Report
from bvc.api.blame_records import BlameEntry, ProbeChange, Turn
from bvc.api.blame_verdicts import Verdicts, verdicts
from bvc.api.blame_words import Pair, told
from bvc.compare.steps_probes import LEVEL
from bvc.records import Generation, Probe
from bvc.repository.snapshot_view import SnapshotView

EXCERPT = 300
"""Characters of an answer that a line of blame keeps."""

Probes = Mapping[str, tuple[str, Probe]]
"""Suite and record of each probe."""


def probe_entries(recorded: Recorded, progress: Report | None) -> tuple[tuple[BlameEntry, ...], Verdicts]:
    """A line for every probe of the newest recorded commit, in the order of its suites, and what was judged."""
    view = recorded.repository.snapshot(recorded.commits[recorded.newest])
    probes = {probe.id: (suite, probe) for suite, probe in view.probes() if probe.id in view.output_blobs}
    judged = verdicts(recorded, probes, progress)
    walker = _Walker(recorded, judged, held_probes(recorded), _changes(recorded, probes), view)
    blamed = [walker.blame(probe) for probe in probes]
    return tuple(_entries(recorded, view, probes, blamed)), judged


_Passed = tuple[int, str | None, str | None]
"""A commit with an answer that differs from its parent's, and the records of both."""
Changes = tuple[tuple[Mapping[str, tuple[str | None, str | None]], ...], ...]
"""By commit and by way to it: the records of answers before and after, of each probe where they differ."""


def _changes(recorded: Recorded, probes: Collection[str]) -> Changes:
    return tuple(
        tuple(
            {
                probe: (None if c.old is None else c.old.hex(), None if c.new is None else c.new.hex())
                for c in edge.changes()
                if (probe := c.probe.hex()) in probes
            }
            for edge in edges
        )
        for edges in recorded.edges
    )


@dataclass(frozen=True)
class _Blamed:
    """A probe's commit; `parent` is the one that the answer is compared with (None: it came with this commit).
    `reworded`: the newest commit that stored another answer than its parents."""

    probe: str
    node: int
    parent: int | None
    records: tuple[str | None, str]
    confidence: float | None
    q_value: float | None
    reworded: int | None
    mark: str | None = None
    undone: int | None = None


@dataclass(frozen=True)
class _Walker:
    recorded: Recorded
    judged: Verdicts
    held: list[frozenset[str]]
    changes: Changes
    view: SnapshotView

    def blame(self, probe: str) -> _Blamed:
        """Goes back from the newest commit to where the answer changed, or came."""
        node, nearest = self.recorded.newest, 1.0
        passed: list[_Passed] = []
        while ways := self._ways(node, probe):
            parent, records = next(((p, r) for p, r in ways.items() if r is None), next(iter(ways.items())))
            if records is not None:
                passed.append((node, *records))
                if (node, probe) in self.judged.changed:
                    return self._found(probe, node, parent, passed, nearest)
                nearest = min(nearest, self.judged.q_values.get((node, probe), 1.0))
            node = parent
        return self._found(probe, node, None, passed, nearest)

    def _ways(self, node: int, probe: str) -> dict[int, tuple[str | None, str | None] | None]:
        """The parents that hold a probe, with the records on both sides where they differ."""
        parents = self.recorded.parents[node]
        return {
            parent: table.get(probe)
            for parent, table in zip(parents, self.changes[node], strict=False)
            if probe in self.held[parent]
        }

    def _found(self, probe: str, node: int, parent: int | None, passed: list[_Passed], nearest: float) -> _Blamed:
        """`nearest` is the least q-value of what was passed on the way, newest first. No proof of a change is proof of
        its absence only as far as the level goes."""
        q_value = self.judged.q_values.get((node, probe)) if parent is not None else None
        later = [step for step in passed if step[0] != node]
        sure = min(nearest, 1 - LEVEL) if later else 1.0
        sure = sure if q_value is None else min(nearest, 1 - q_value)
        mark = self.judged.marks.get((node, probe)) if parent is not None else None
        return _Blamed(
            probe=probe,
            node=node,
            parent=parent,
            records=self._records(node, parent, probe),
            confidence=None if self.judged.against is None and passed else sure,
            q_value=q_value,
            reworded=later[0][0] if later else None,
            mark=mark,
            undone=None if mark is None or not later else self._undone(mark, passed),
        )

    def _undone(self, mark: str, passed: list[_Passed]) -> int | None:
        """Since when an answer lacks again what it gained with the oldest of the steps `passed`, or has again what it
        lost; None where it still is as that step left it."""
        held = [(node, self._holds(mark, old), self._holds(mark, new)) for node, old, new in passed]
        _, before, brought = held[-1]
        if before == brought or held[0][2] == brought:
            return None
        return next(node for node, old, new in held if old == brought != new)

    def _holds(self, mark: str, record: str | None) -> bool:
        answer = "" if record is None else self.view.read_outputs(record).greedy.text
        return re.search(rf"(?<!\w){re.escape(mark)}(?!\w)", answer, re.IGNORECASE) is not None

    def _records(self, node: int, parent: int | None, probe: str) -> tuple[str | None, str]:
        for base, table in zip(self.recorded.parents[node] or (None,), self.changes[node], strict=False):
            if base == parent or parent is None:
                old, new = table.get(probe, (None, None))
                if new is not None:
                    return (old if parent is not None else None), new
        raise ValueError(f"commit {self.recorded.commits[node]} brought no answer of probe {probe}")


def _entries(recorded: Recorded, view: SnapshotView, probes: Probes, blamed: list[_Blamed]) -> Iterator[BlameEntry]:
    answers = {b.probe: tuple(_greedy(view, record) for record in b.records) for b in blamed}
    changed = [b.probe for b in blamed if b.parent is not None]
    pairs = [Pair(probes[p][1], old, new) for p in changed for old, new in [answers[p]] if old and new]
    said = dict(zip(changed, told(recorded.repository, pairs), strict=True))
    between = {node: recorded.between(node) for node in {b.node for b in blamed}}
    for one in blamed:
        old, new = answers[one.probe]
        suite, probe = probes[one.probe]
        yield BlameEntry(
            commit=recorded.repository.store.history.info(recorded.commits[one.node]),
            kind=Turn.APPEARED if one.parent is None else Turn.CHANGED,
            confidence=one.confidence,
            parents=tuple(recorded.commits[p] for p in recorded.parents[one.node]),
            between=between[one.node],
            change=ProbeChange(
                probe=one.probe,
                label=probe.name or one.probe[:10],
                suite=suite,
                old=None if old is None else old.text[:EXCERPT],
                new="" if new is None else new.text[:EXCERPT],
                substance=said.get(one.probe),
                q_value=one.q_value,
                reworded=None if one.reworded is None else recorded.commits[one.reworded],
                mark=one.mark,
                undone=None if one.undone is None else recorded.commits[one.undone],
            ),
        )


def _greedy(view: SnapshotView, record: str | None) -> Generation | None:
    return None if record is None else view.read_outputs(record).greedy
