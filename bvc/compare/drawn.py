"""What the sampled answers of two commits say: of the whole suite, of each probe, and how many more would decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, comb
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from bvc.compare.draw_evidence import DrawEvidence, draw_evidence
from bvc.compare.global_test import GlobalTest, detectable_shift, global_test, shift_p_value
from bvc.compare.intervals import smallest_detectable
from bvc.compare.localize import LEVEL, Localization, localize, q_values
from bvc.compare.looks import ANYTIME, GROWING, Looks, looks
from bvc.compare.sequential import SequentialEvidence, sequential_evidence
from bvc.compare.tolerance import N0
from bvc.compare.verdict import SHIFT_LEVEL
from bvc.records import Outputs

MOST_DRAWS = 1000
"""More draws a side than that are never asked for."""
_POWER = 0.8
_NORMAL = NormalDist()

Scores = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Scores (0 to 1) of the draws of both sides, by probe."""
Shifts = Mapping[str, Sequence[Mapping[str, float]]]
"""By null: for each pair of captures that it stands for, b's mean score less a's by probe."""
NEVER_ADDED = (None, None)


@dataclass(frozen=True)
class Drawn:
    """`test` is that of the whole suite, of the most draws whose number was fixed beforehand; None without draws on
    both sides. `p_value` is that of "one model", `beyond` by null that of "the mean score shifted no further than pairs
    of that null do" (`replicates` counts them); both hold however often draws were added and looked at, and `tests` are
    parts of the former in that case. By probe the `q_values` of a change, and how many further draws a
    side would decide those that are open (`more`). `any_look` is a p-value of "one model" that needs no
    fixed numbers of draws."""

    test: GlobalTest | None = None
    p_value: float | None = None
    beyond: Mapping[str, float] = field(default_factory=dict)
    replicates: Mapping[str, int] = field(default_factory=dict)
    tests: Mapping[str, float] = field(default_factory=dict)
    q_values: Mapping[str, float] = field(default_factory=dict)
    more: Mapping[str, int] = field(default_factory=dict)
    smallest: float | None = None
    smallest_beyond: Mapping[str, float] = field(default_factory=dict)
    any_look: float | None = None


def rate_shifts(scores: Scores) -> dict[str, float]:
    """b's mean score less a's of each probe that has some on both sides: an element of `Shifts`."""
    return {p: sum(b) / len(b) - sum(a) / len(a) for p, (a, b) in scores.items() if a and b}


def draw_tests(
    texts: Mapping[str, tuple[Outputs, Outputs]],
    *,
    scores: Scores | None = None,
    clusters: Mapping[str, str] | None = None,
    shifts: Shifts | None = None,
    first: tuple[int | None, int | None] = NEVER_ADDED,
) -> Drawn:
    """The tests of all draws that both sides have.

    `shifts` are those between captures of one model (N0), which an offset of a capture is held against, and between
    benign pairs. `first`: how many draws each side had when it was first looked at (`looks`). `smallest` is the least
    shift of the mean score over the suite that would have been found with probability .8 (None without scores),
    `smallest_beyond` by null that which `beyond` would have found at SHIFT_LEVEL.
    """
    given = _Given.of(texts, scores, clusters)
    if not given.ids:
        return Drawn()
    plan = looks(given.pairs, first)
    every = given.evidence(None)
    staged = [every if stage.draws is None else given.evidence(stage.draws) for stage in plan.stages]
    anytime = sequential_evidence(every)
    of_shifts = {null: given.overall(tables) for null, tables in (shifts or {}).items()}
    tests = _suite_tests(plan, staged, of_shifts.get(N0, []))
    probes = _probe_tests(plan, staged, anytime, every)
    wholes = [test.p_value for test in tests]
    return Drawn(
        test=tests[-1] if tests else None,
        p_value=plan.joined(wholes, anytime.p_value),
        beyond={null: _beyond(plan, staged, known) for null, known in of_shifts.items() if null != N0 and known},
        replicates={null: len(known) for null, known in of_shifts.items() if known},
        tests={f"draws, the first {s.draws}": p for s, p in zip(plan.stages, wholes, strict=True) if s.draws},
        q_values=dict(zip(given.ids, probes[1].tolist(), strict=True)),
        more=_more(given, plan, *probes),
        smallest=smallest_detectable(len(given.ids), given.least) if given.scores else None,
        smallest_beyond=_smallest_beyond(plan, staged, of_shifts),
        any_look=anytime.p_value,
    )


@dataclass(frozen=True)
class _Given:
    """The probes with draws on both sides, their draws, scores and clusters."""

    ids: list[str]
    pairs: list[tuple[list[str], list[str]]]
    scores: list[tuple[Sequence[float], Sequence[float]]] | None
    clusters: list[str | None]

    @classmethod
    def of(
        cls,
        texts: Mapping[str, tuple[Outputs, Outputs]],
        scores: Scores | None,
        clusters: Mapping[str, str] | None,
    ) -> _Given:
        ids = [p for p, (a, b) in texts.items() if a.draws and b.draws]
        pairs = [([d.text for d in texts[p][0].draws], [d.text for d in texts[p][1].draws]) for p in ids]
        scored = [scores.get(p, ((), ())) for p in ids] if scores else None
        return cls(ids, pairs, scored, [(clusters or {}).get(p) for p in ids])

    @property
    def least(self) -> int:
        """Draws that every probe has on both sides."""
        return min(min(len(a), len(b)) for a, b in self.pairs)

    def evidence(self, most: int | None) -> DrawEvidence:
        """Of the first `most` draws of each side (None: of all)."""
        pairs = [(a[:most], b[:most]) for a, b in self.pairs]
        scores = None if self.scores is None else [(a[:most], b[:most]) for a, b in self.scores]
        return draw_evidence(pairs, scores=scores, clusters=self.clusters)

    def overall(self, tables: Sequence[Mapping[str, float]]) -> list[float]:
        """The shift of each pair over the probes that are scored here too, as far as it has any of them."""
        scored = [p for p, (a, b) in zip(self.ids, self.scores or [], strict=bool(self.scores)) if a and b]
        known = [[table[p] for p in scored if p in table] for table in tables]
        return [sum(values) / len(values) for values in known if values]


def _suite_tests(plan: Looks, staged: Sequence[DrawEvidence], replicates: Sequence[float]) -> list[GlobalTest]:
    found = (
        global_test(evidence, permutations=stage.permutations, replicate_shifts=replicates)
        for stage, evidence in zip(plan.stages, staged, strict=True)
    )
    return [test for test in found if test is not None]


def _beyond(plan: Looks, staged: Sequence[DrawEvidence], replicates: Sequence[float]) -> float:
    return plan.joined([shift_p_value(evidence, replicates) for evidence in staged])


def _smallest_beyond(
    plan: Looks, staged: Sequence[DrawEvidence], of_shifts: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """At the stage that has most of the level."""
    if not staged:
        return {}
    level = SHIFT_LEVEL * plan.stages[0].share
    found = {null: detectable_shift(staged[0], known, level) for null, known in of_shifts.items() if null != N0}
    return {null: least for null, least in found.items() if least is not None}


Values = npt.NDArray[np.float64]


def _probe_tests(
    plan: Looks, staged: Sequence[DrawEvidence], anytime: SequentialEvidence, every: DrawEvidence
) -> tuple[Values, Values]:
    """p-values and q-values of the probes, [total] each. With draws added, q-values are over the probes that could have
    been found at some stage, and those with draws beyond the first that are not all equal."""
    local = [localize(evidence) for evidence in staged]
    if plan.first is None:
        return local[0].p_values, local[0].q_values
    parts = [found.p_values / stage.share for stage, found in zip(plan.stages, local, strict=True)]
    p_values = np.minimum(1.0, np.min([*parts, np.exp(-np.maximum(anytime.probes, 0)) / plan.anytime], axis=0))
    able = _able_after(plan.first, local, every)
    return p_values, q_values(p_values, np.where(able, 0.0, 1.0))[0]


def _able_after(first: int, local: Sequence[Localization], every: DrawEvidence) -> npt.NDArray[np.bool_]:
    able = np.zeros(every.total, bool)
    for found in local:
        able |= found.able
    for block in every.blocks:
        if min(block.first, block.second) > first:
            able[block.probes[(block.texts != block.texts[:, :1]).any(1)]] = True
    return able


def _more(given: _Given, plan: Looks, p_values: Values, q: Values) -> dict[str, int]:
    """For the probes that differ and are not found; the first count is that of now where none were added."""
    first = given.least if plan.first is None else plan.first
    return {
        probe: more_draws(float(p_values[i]), min(map(len, given.pairs[i])), len(given.ids), first)
        for i, probe in enumerate(given.ids)
        if q[i] > LEVEL and p_values[i] < 1
    }


def more_draws(p_value: float, draws: int, probes: int, first: int) -> int:
    """How many further draws a side would find the change of one probe among `probes` with probability .8, if it is as
    large as it looks: standard scores grow with the square root of the draws. As many as it takes to the next multiple
    of the `first` that is tested, where that is enough. No fewer than it takes for the exact test to be able to find
    anything; at most MOST_DRAWS."""
    for times, share, _ in GROWING[1:]:
        if draws < times * first and _needed(p_value, draws, share * LEVEL / probes) <= times * first:
            return times * first - draws
    needed = _needed(p_value, draws, ANYTIME * LEVEL / probes)
    return max(1, min(needed, MOST_DRAWS) - draws)


def _needed(p_value: float, draws: int, level: float) -> int:
    target = _NORMAL.inv_cdf(1 - level / 2) + _NORMAL.inv_cdf(_POWER)
    seen = max(_NORMAL.inv_cdf(1 - max(p_value, 1e-12) / 2), 0.5)
    return max(ceil(draws * (target / seen) ** 2), _able(level))


def _able(level: float) -> int:
    """Draws a side from which an exact test of two sides can reach `level`."""
    draws = 2
    while 2 / comb(2 * draws, draws) > level:
        draws += 1
    return draws
