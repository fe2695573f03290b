"""The verdict on every probe at every step of a lineage: did its answer change by more than noise? Loads numpy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from bvc.api.bands import benign_pairs, pair_distances
from bvc.api.blame_evidence import StepReader
from bvc.api.blame_lineage import Recorded, Report
from bvc.compare.diff import statistics
from bvc.compare.standing import PHRASES, Statistics
from bvc.compare.steps_probes import LEVEL, Groups, Moves, moved_probes
from bvc.compare.tolerance import N0
from bvc.errors import BvcError
from bvc.records import Probe

STEPS = "steps"
"""Judged against the drift of the lineage's own steps."""

Key = tuple[int, str]
"""A commit and a probe."""


@dataclass(frozen=True)
class Verdicts:
    """`changed`: where an answer changed by more than `against` explains; `q_values` of every answer that differs from
    the parents' (empty where nothing is known of noise: then `against` is None, and all that differs counts); `marks`:
    the phrase that some of them gained or lost together with others."""

    against: str | None
    changed: frozenset[Key]
    q_values: Mapping[Key, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    marks: Mapping[Key, str] = field(default_factory=dict)


def verdicts(recorded: Recorded, probes: Mapping[str, tuple[str, Probe]], progress: Report | None) -> Verdicts:
    """The verdicts on all steps.

    Judged against benign change where enough of it is known: learned pairs, and the steps of the lineage themselves.
    Else against re-captures of the same weights. Where there are none either, every other answer counts as changed.
    """
    reader = StepReader(recorded, progress)
    steps = list(reader.steps())
    trusted, level = _trusted(recorded)
    groups: Groups = {p: [("suite", suite), *(("tag", t) for t in probe.tags)] for p, (suite, probe) in probes.items()}
    found = moved_probes(steps, trusted, groups)
    notes = tuple(reader.failed)
    if found is not None:
        changed = frozenset(key for key, q in found.items() if q <= LEVEL)
        return Verdicts(level or STEPS, changed, found, notes, reader.marks)
    touched = {
        (node, change.probe.hex())
        for node, edges in enumerate(recorded.edges)
        for edge in edges
        for change in edge.changes()
        if change.old is not None and change.new is not None
    }
    return _same_weights(recorded, touched, notes) or Verdicts(None, frozenset(touched), {}, notes)


def _trusted(recorded: Recorded) -> tuple[list[Moves], str | None]:
    """What the user's benign pairs moved, and the widest level among them."""
    newest = recorded.commits[recorded.newest]
    parents = recorded.parents[recorded.newest]
    other = recorded.commits[parents[0]] if parents else newest
    moves, levels = [], []
    for level, a, b in benign_pairs(recorded.repository, other, newest, most=0).learned:
        with suppress(BvcError):
            moves.append(Moves.of(_ranked(statistics(pair_distances(recorded.repository, a, b)))))
            levels.append(level)
    return moves, max(levels, default=None)


def _ranked(found: Statistics) -> Statistics:
    """Without what is not measured for steps of recorded texts."""
    return {kind: table for kind, table in found.items() if kind != PHRASES}


def _same_weights(recorded: Recorded, touched: Collection[Key], notes: tuple[str, ...]) -> Verdicts | None:
    """By the noise that both commits measured; None where no two commits measured any. Of a merge an answer has to lie
    beyond the noise of each parent."""
    beyond: dict[Key, list[float]] = {}
    measured = False
    for node, parents in enumerate(recorded.parents):
        for parent in parents:
            limits = _limits(recorded, parent, node)
            if limits is not None:
                measured = True
                for probe in _outside(recorded, parent, node, limits):
                    beyond.setdefault((node, probe), []).append(1 - limits.coverage)
    if not measured:
        return None
    changed = frozenset(key for key in touched if len(beyond.get(key, ())) == len(recorded.parents[key[0]]))
    return Verdicts(N0, changed, {key: max(beyond[key]) if key in changed else 1.0 for key in touched}, notes)


@dataclass(frozen=True)
class _Limits:
    """What re-captures of two commits explain: a band per channel, which a further pair stays within with probability
    `coverage`."""

    bands: Mapping[str, float]
    coverage: float


def _limits(recorded: Recorded, a: int, b: int) -> _Limits | None:
    """None where the recipes differ, or a commit was not captured again."""
    left, right = (recorded.repository.snapshot(recorded.commits[commit]).snapshot for commit in (a, b))
    if left.recipe is None or right.recipe is None or left.recipe.digest != right.recipe.digest:
        return None
    bands: dict[str, float] = {}
    coverage = 1.0
    try:
        for channel, band in (*left.noise.items(), *right.noise.items()):
            bands[channel] = max(bands.get(channel, 0.0), float(band["band"]))
            coverage = min(coverage, float(band["coverage"]))
    except (LookupError, TypeError, ValueError):
        return None
    return _Limits(bands, coverage) if bands else None


def _outside(recorded: Recorded, a: int, b: int, limits: _Limits) -> set[str]:
    """The probes that lie beyond the band of a channel; none where the two cannot be compared."""
    try:
        found = pair_distances(recorded.repository, recorded.commits[a], recorded.commits[b])
    except BvcError:
        return set()
    return {
        probe
        for channel, table in found.channels.items()
        if channel in limits.bands
        for probe, distance in table.items()
        if distance > limits.bands[channel]
    }
