"""The scores of a behavior at every recorded commit of a lineage: an answer that did not change is looked at once.

Loads neither numpy nor a library of a scorer that has nothing to score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bvc.api.behavior_scores import ProbeScores, Scorekeeper, probe_records
from bvc.api.blame_lineage import Recorded, Report
from bvc.behaviors.records import Behavior
from bvc.repository.snapshot_view import SnapshotView
from bvc.results import Progress

Row = dict[str, ProbeScores]
"""The scores of one commit, by probe."""
Records = Mapping[str, tuple[str, str]]
"""(suite, blob id of the record) by probe."""


def score_rows(
    recorded: Recorded,
    keeper: Scorekeeper,
    behavior: Behavior,
    progress: Report | None = None,
    probes: Records | None = None,
) -> Iterator[tuple[SnapshotView, Row]]:
    """The scores of each recorded commit, parents first. A row that is equal to its parent's is the same object.

    `probes` replaces the commits' own records, as in `Scorekeeper.scores`.
    """
    reader = _Reader(recorded, keeper, behavior, probes)
    for number in range(len(recorded.commits)):
        yield reader.read(number)
        if progress is not None and number % 20 == 0:
            progress(Progress("scored commits", number, len(recorded.commits)))
    keeper.flush()


@dataclass
class _Reader:
    recorded: Recorded
    keeper: Scorekeeper
    behavior: Behavior
    probes: Records | None
    _rows: dict[int, tuple[str | None, Row]] = field(default_factory=dict)
    """By commit the folder of its probes and its scores, as long as a commit is left that continues them."""
    _records: dict[str | None, Records] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._attached = self.recorded.repository.attached
        self._last = {parents[0]: number for number, parents in enumerate(self.recorded.parents) if parents}

    def read(self, number: int) -> tuple[SnapshotView, Row]:
        """Scores one commit: where its probes are those of its first parent and scores follow answers, only the
        answers that changed."""
        repository = self.recorded.repository
        view = repository.view(repository.info(self.recorded.commits[number]), self._attached)
        folder = None if self.probes is not None else view.folder("probes")
        if folder not in self._records:
            self._records[folder] = probe_records(view) if self.probes is None else self.probes
        parent = next(iter(self.recorded.parents[number]), None)
        before = None if parent is None else self._rows[parent]
        if before is not None and before[0] == folder and self.keeper.follows_answers(self.behavior):
            row = self._changed(view, number, before[1], self._records[folder])
        else:
            row = self.keeper.scores(view, self.behavior, self._records[folder])
            row = before[1] if before is not None and before[1] == row else row
        self._rows[number] = folder, row
        if parent is not None and self._last[parent] == number:
            del self._rows[parent]
        return view, row

    def _changed(self, view: SnapshotView, number: int, before: Row, records: Records) -> Row:
        changes = {c.probe.hex(): c.new for c in self.recorded.edges[number][0].changes()}
        if not changes:
            return before
        answers = {p: (*records[p], new.hex()) for p, new in changes.items() if new is not None and p in records}
        scores = self.keeper.scored(view, self.behavior, answers)
        if all(scores.get(probe) == before.get(probe) for probe in changes):
            return before
        return {p: row for p, row in before.items() if p not in changes} | scores
