"""The steps of a behavior along a lineage: scores of stored answers, and the change points in them. Loads numpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.api.behavior_scores import ProbeScores, Scorekeeper
from bvc.api.blame_lineage import Recorded, Report
from bvc.api.blame_records import BehaviorStep, BlameEntry, Suspicion, Turn
from bvc.api.score_history import Row, score_rows
from bvc.behaviors.rate import rate_interval
from bvc.behaviors.records import Behavior
from bvc.compare.steps import Step, Steps, find_steps
from bvc.results import Rate

_TURN = 0.25
"""A behavior appears where its rate was at most this share of what it is then, and vanishes the other way round."""
_MOVED = 0.5
"""A probe gained or lost a behavior where its score moved by so much."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Series:
    """The scores of a behavior along a lineage, [commits, probes], NaN where a commit has none; `probes` and their
    `clusters` and labels by column."""

    scores: Floats
    probes: tuple[str, ...]
    clusters: tuple[str, ...]
    labels: tuple[str, ...]

    def rate(self, commits: Iterable[int]) -> Rate | None:
        """The rate over some commits: the mean over probes of their mean score; None where nothing was scored."""
        rows = self.scores[list(commits)]
        known = ~np.isnan(rows)
        held = np.flatnonzero(known.any(0))
        if not held.size:
            return None
        means = (np.where(known, rows, 0).sum(0)[held] / known.sum(0)[held]).tolist()
        rate, ci = rate_interval(means, [self.clusters[i] for i in held.tolist()])
        return Rate(rate, len(means), ci)


def score_series(recorded: Recorded, keeper: Scorekeeper, behavior: Behavior, progress: Report | None) -> Series:
    """The scores of a behavior at every recorded commit, as one table."""
    known: dict[str, ProbeScores] = {}
    column: dict[str, int] = {}
    rows: list[Floats] = []
    last: Row | None = None
    for _, row in score_rows(recorded, keeper, behavior, progress):
        if row is not last:
            known |= row
            column |= {probe: len(column) + i for i, probe in enumerate(p for p in row if p not in column)}
            rows.append(_numbers(row, column))
        else:
            rows.append(rows[-1])
        last = row
    scores = np.full((len(rows), len(column)), np.nan, np.float32)
    for number, values in enumerate(rows):
        scores[number, : len(values)] = values
    labels = tuple(known[probe].probe.name or probe[:10] for probe in column)
    return Series(scores, tuple(column), tuple(known[probe].cluster for probe in column), labels)


def _numbers(row: Row, column: Mapping[str, int]) -> Floats:
    """The scores of one commit in their columns."""
    out = np.full(len(column), np.nan, np.float32)
    means = {column[probe]: mean for probe, found in row.items() if (mean := found.mean) is not None}
    out[list(means)] = list(means.values())
    return out


def behavior_entries(
    recorded: Recorded, series: Series, band: float, level: float
) -> tuple[tuple[BlameEntry, ...], Steps]:
    """The steps as lines of blame, newest first, with all that was found."""
    found = find_steps(recorded.parents, series.scores, series.clusters, level=level, band=band)
    return tuple(_entry(recorded, series, step) for step in reversed(found.found)), found


def _entry(recorded: Recorded, series: Series, step: Step) -> BlameEntry:
    history = recorded.repository.store.history
    before, after = series.rate(step.before), series.rate(step.after)
    if before is None or after is None:
        raise ValueError("a step of nothing")
    names = [Suspicion(recorded.commits[n], history.info(recorded.commits[n]).subject, p) for n, p in step.candidates]
    return BlameEntry(
        commit=history.info(recorded.commits[step.node]),
        kind=turn(before.rate, after.rate),
        confidence=step.confidence,
        parents=tuple(recorded.commits[p] for p in recorded.parents[step.node]),
        between=recorded.between(step.node),
        step=BehaviorStep(
            difference=step.difference,
            ci=step.ci,
            p_value=step.p_value,
            before=before,
            after=after,
            commits=(len(step.before), len(step.after)),
            candidates=tuple(names),
            gained=_movers(series, step.moved),
            lost=_movers(series, -step.moved),
        ),
    )


def turn(before: float, after: float) -> Turn:
    """What a change of rates is called."""
    if before <= _TURN * after:
        return Turn.APPEARED
    return Turn.VANISHED if after <= _TURN * before else Turn.CHANGED


def _movers(series: Series, moved: Floats) -> tuple[tuple[str, str], ...]:
    """(id, label) of the probes that moved up, most first."""
    places: Sequence[int] = np.flatnonzero(np.nan_to_num(moved) >= _MOVED).tolist()
    order = sorted(places, key=lambda i: (-float(moved[i]), series.labels[i]))
    return tuple((series.probes[i], series.labels[i]) for i in order)
