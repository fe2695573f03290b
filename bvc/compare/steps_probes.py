"""With which steps of a lineage single probes moved farther than its drift explains, over all probes and all steps.

A step is judged as `diff` judges it: by how far a probe stands out of what all probes do, where the bulk, and how far
it reaches by itself, is that of the steps around it; by phrases that answers gained or lost together; and by families
of probes that moved. Beyond that, a probe that is always restless has to move farther than it usually does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bvc.compare.families import Group
from bvc.compare.family_shift import FEWEST_FAMILIES, moved_families
from bvc.compare.new_phrases import KINDS
from bvc.compare.significance import Column
from bvc.compare.standing import (
    FEWEST,
    Logs,
    Places,
    Statistics,
    Tail,
    logs,
    measured_probes,
    places,
    ranked_kinds,
    scored,
)
from bvc.compare.tolerance import FEWEST_STEPS

AROUND = 16
"""Steps, the nearest ones, that a step is held against."""
LEVEL = 0.05
"""False discovery rate over all probes and steps."""

Found = Mapping[tuple[int, str], float]
"""By commit and probe."""
Groups = Mapping[str, Collection[Group]]
"""The families of each probe."""


@dataclass(frozen=True)
class Moves:
    """How far each of `ids` moved between two commits, as logarithms, and how far it stands out of the others,
    [ids]; `bulk`
    says where most lie."""

    ids: tuple[str, ...]
    values: Logs
    bulk: Places
    scores: Column

    @classmethod
    def of(cls, statistics: Statistics) -> Moves:
        """The moves of all probes that any statistic has."""
        ids = tuple(measured_probes(statistics))
        values = logs(ids, statistics, ranked_kinds(statistics))
        return cls(ids, values, places(values), scored(values, len(ids))[0])


@dataclass(frozen=True)
class StepMoves:
    """One step, to commit `node` from one of its parents: how far each probe moved, the probes whose stored answers
    differ (of others nothing is asked), and those that share a new phrase, with its p-value over the step's phrases."""

    node: int
    moves: Moves
    touched: Collection[str]
    phrases: Mapping[str, float] = field(default_factory=dict)


def moved_probes(
    steps: Sequence[StepMoves], trusted: Sequence[Moves] = (), groups: Groups | None = None
) -> Found | None:
    """The false discovery rate at which each probe that a step touched moved farther than the drift, by commit and
    probe. None where too little is known of drift: three steps or fewer and no trusted pair, or fewer than 20 probes.

    `trusted` are pairs between which nothing but a benign update lies. The three kinds of evidence share the level
    (Bonferroni). Distances: Benjamini and Hochberg (1995) over all probes of all steps. Phrases and families, whose
    p-values hold for all of a step: the steps that have any are found so, and of these each p-value counts as often as
    there are steps for one that was found (Benjamini and Bogomolov 2014). Of a merge, which is held against each of its
    parents, the largest p-value counts: what it inherits is not new.
    """
    if (not trusted and len(steps) <= FEWEST_STEPS) or max((len(s.moves.ids) for s in steps), default=0) < FEWEST:
        return None
    usual = _usual([step.moves for step in steps])
    distances, families = [], []
    for number, step in enumerate(steps):
        others = _like(step.moves, [*trusted, *(steps[i].moves for i in _around(number, len(steps)))])
        scores = _scores(step.moves, others)
        distances.append(_p_values(step, scores, others, usual))
        families.append(_families(step.moves, scores, others, groups or {}))
    nodes = [step.node for step in steps]
    found = [
        _discovered(_by_node(nodes, distances), _tests(steps)),
        _selected(_by_node(nodes, [step.phrases for step in steps])),
        _selected(_by_node(nodes, families)),
    ]
    touched = {(step.node, probe) for step in steps for probe in step.touched}
    return {key: min(1.0, KINDS * min(part.get(key, 1.0) for part in found)) for key in touched}


def _around(number: int, count: int) -> list[int]:
    """The nearest other steps, those before first."""
    near = range(max(0, number - AROUND), min(count, number + AROUND + 1))
    return sorted(near, key=lambda i: abs(i - number))[1 : AROUND + 1]


def _like(moves: Moves, others: Iterable[Moves]) -> list[Moves]:
    """Those that were measured in the same way, over enough probes."""
    return [other for other in others if other.values.keys() == moves.values.keys() and len(other.ids) >= FEWEST]


def _scores(moves: Moves, others: Sequence[Moves]) -> Column:
    return scored(moves.values, len(moves.ids), [other.bulk for other in others])[0]


def _p_values(step: StepMoves, scores: Column, others: Sequence[Moves], usual: Mapping[str, float]) -> dict[str, float]:
    """Of each touched probe that it belongs to the bulk; empty where this is not known."""
    asked = [i for i, probe in enumerate(step.moves.ids) if probe in step.touched]
    if len(step.moves.ids) < FEWEST or not others or not asked:
        return {}
    beyond = scores[asked] - [usual[step.moves.ids[i]] for i in asked]
    found = Tail.of([other.scores for other in others], len(step.moves.ids)).p_values(beyond)
    return {step.moves.ids[i]: p for i, p in zip(asked, found, strict=True)}


def _usual(moves: Sequence[Moves]) -> dict[str, float]:
    """How far each probe stands out in most steps: the median, never below 0, of which one more with 0 is supposed."""
    gathered: dict[str, list[float]] = {}
    for one in moves:
        for probe, score in zip(one.ids, one.scores.tolist(), strict=True):
            gathered.setdefault(probe, []).append(score)
    return {
        probe: max(0.0, float(np.median(scores))) * len(scores) / (len(scores) + 1)
        if len(scores) > FEWEST_STEPS
        else 0.0
        for probe, scores in gathered.items()
    }


def _families(moves: Moves, scores: Column, others: Sequence[Moves], groups: Groups) -> Mapping[str, float]:
    """The probes of families that moved, with their adjusted p-values."""
    known = {probe: groups[probe] for probe in moves.ids if probe in groups}
    if len({group for names in known.values() for group in names}) < FEWEST_FAMILIES:
        return {}
    benign = [dict(zip(other.ids, other.scores.tolist(), strict=True)) for other in others]
    return moved_families(known, dict(zip(moves.ids, scores.tolist(), strict=True)), benign)


ByNode = Mapping[int, Mapping[str, float]]


def _by_node(nodes: Sequence[int], tables: Sequence[Mapping[str, float]]) -> ByNode:
    """Per commit: of a probe that the steps from all its parents have, the largest p-value."""
    out: dict[int, dict[str, float]] = {}
    for node, table in zip(nodes, tables, strict=True):
        if node in out:
            out[node] = {p: max(value, table[p]) for p, value in out[node].items() if p in table}
        else:
            out[node] = dict(table)
    return out


def _tests(steps: Sequence[StepMoves]) -> int:
    """Probes of all commits."""
    sizes: dict[int, int] = {}
    for step in steps:
        sizes[step.node] = max(sizes.get(step.node, 0), len(step.moves.ids))
    return sum(sizes.values())


def _discovered(tables: ByNode, tests: int) -> dict[tuple[int, str], float]:
    """q-values of some of `tests` hypotheses, the others of which have a p-value of 1."""
    keys = [(node, probe) for node, table in tables.items() for probe in table]
    values = np.array([tables[node][probe] for node, probe in keys])
    order = np.argsort(values)
    steps = values[order] * max(tests, len(keys)) / np.arange(1, len(keys) + 1)
    adjusted = np.empty(len(keys))
    adjusted[order] = np.minimum.accumulate(steps[::-1])[::-1]
    return dict(zip(keys, adjusted.tolist(), strict=True))


def _selected(tables: ByNode) -> dict[tuple[int, str], float]:
    """p-values that hold within each commit, for those of all commits."""
    least = sorted(min(table.values(), default=1.0) for table in tables.values())
    count = len(least)
    found = max([rank for rank, p in enumerate(least, 1) if p * KINDS * count <= LEVEL * rank], default=1)
    return {(node, probe): p * count / found for node, table in tables.items() for probe, p in table.items()}
