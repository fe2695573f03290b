"""Probes along a lineage: drift alone blames hardly any, planted changes are found, restless probes are not."""

from __future__ import annotations

import numpy as np
import pytest

from bvc.compare.standing import FIRST, KL, MOVED, SUBSTANCE, WORDING, Statistics
from bvc.compare.steps_probes import LEVEL, Found, Moves, StepMoves, moved_probes

PROBES = 60


def names(count: int = PROBES) -> list[str]:
    return [f"p{i:02d}" for i in range(count)]


def drift(
    rng: np.random.Generator, size: float = 1.0, moved: range = range(0), by: float = 0.0, count: int = PROBES
) -> dict[str, dict[str, float]]:
    """How far every probe moved in one step; those in `moved` by so many standard deviations more."""
    common = rng.normal(size=count)

    def table(scale: float, center: float) -> dict[str, float]:
        values = 0.7 * common + 0.7 * rng.standard_t(7, size=count)
        values[list(moved)] += by
        return dict(zip(names(count), (size * np.exp(center + scale * values)).tolist(), strict=True))

    return {KL: table(0.6, -1.5), FIRST: table(1.2, -1.5), MOVED: table(0.3, -1.0), SUBSTANCE: table(0.3, -1.0)}


def step(node: int, statistics: Statistics, phrases: dict[str, float] | None = None, count: int = PROBES) -> StepMoves:
    return StepMoves(node, Moves.of(statistics), frozenset(names(count)), phrases or {})


def called(found: Found | None) -> set[tuple[int, str]]:
    assert found is not None
    return {key for key, q_value in found.items() if q_value <= LEVEL}


@pytest.mark.parametrize("steps", [5, 20])
def test_drift_alone_hardly_ever_blames_a_probe(steps: int) -> None:
    rng = np.random.default_rng(steps)
    worlds = 80
    false = sum(
        bool(called(moved_probes([step(n + 1, drift(rng, rng.lognormal(0, 0.5))) for n in range(steps)])))
        for _ in range(worlds)
    )
    assert false / worlds <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / worlds)


def test_planted_changes_are_found_at_their_step() -> None:
    rng = np.random.default_rng(1)
    hits = false = 0
    for _ in range(30):
        moves = [step(n + 1, drift(rng, 1.0, range(5) if n == 6 else range(0), 7.0)) for n in range(12)]
        found = called(moved_probes(moves))
        planted = {(7, name) for name in names()[:5]}
        hits += len(found & planted)
        false += len(found - planted)
    assert hits >= 0.9 * 150
    assert false <= 0.1 * (hits + false)


def test_a_change_and_its_return_are_both_found() -> None:
    rng = np.random.default_rng(2)
    planted = {3: range(4), 8: range(4)}
    moves = [step(n, drift(rng, 1.0, planted.get(n, range(0)), 9.0)) for n in range(1, 12)]
    assert called(moved_probes(moves)) >= {(n, name) for n in (3, 8) for name in names()[:4]}


def test_a_probe_that_is_always_restless_has_to_move_farther() -> None:
    rng = np.random.default_rng(3)
    count, by = 200, 10.0
    restless = [step(n, drift(rng, 1.0, range(1), by, count), None, count) for n in range(1, 14)]
    once = [step(n, drift(rng, 1.0, range(1) if n == 5 else range(0), by, count), None, count) for n in range(1, 14)]
    assert {node for node, name in called(moved_probes(once)) if name == names(count)[0]} == {5}
    assert {node for node, name in called(moved_probes(restless)) if name == names(count)[0]} == set()


def test_phrases_count_as_often_as_there_are_steps() -> None:
    rng = np.random.default_rng(4)
    calm = [drift(rng) for _ in range(10)]
    shared = dict.fromkeys(names()[:4], 0.001)
    moves = [step(n + 1, each, shared if n == 5 else None) for n, each in enumerate(calm)]
    found = moved_probes(moves)
    assert found is not None
    assert found[6, "p00"] == pytest.approx(3 * 0.001 * 10)
    twice = [step(n + 1, each, shared if n in (5, 7) else None) for n, each in enumerate(calm)]
    again = moved_probes(twice)
    assert again is not None
    assert again[6, "p00"] == pytest.approx(3 * 0.001 * 10 / 2), "of two steps that are found, half each"


def test_a_family_that_moves_is_found() -> None:
    rng = np.random.default_rng(5)
    groups = {name: [("tag", f"t{i // 6}")] for i, name in enumerate(names())}
    moves = [step(n, drift(rng, 1.0, range(6) if n == 4 else range(0), 3.0)) for n in range(1, 9)]
    with_families, without = (called(moved_probes(moves, (), each)) for each in (groups, {}))
    assert len({key for key in with_families if key[0] == 4}) > len({key for key in without if key[0] == 4})


def test_a_merge_must_differ_from_every_parent() -> None:
    rng = np.random.default_rng(6)
    before = [step(n, drift(rng)) for n in range(1, 8)]
    far, near = drift(rng, 1.0, range(4), 9.0), drift(rng)
    inherited = called(moved_probes([*before, step(8, far), step(8, near)]))
    new = called(moved_probes([*before, step(8, far), step(8, drift(rng, 1.0, range(4), 9.0))]))
    assert {key for key in inherited if key[0] == 8} == set()
    assert new >= {(8, name) for name in names()[:4]}


def test_only_answers_that_differ_are_asked_about() -> None:
    rng = np.random.default_rng(7)
    moves = [step(n, drift(rng, 1.0, range(4) if n == 4 else range(0), 9.0)) for n in range(1, 9)]
    some = [StepMoves(s.node, s.moves, frozenset(["p01", "p30"])) for s in moves]
    found = moved_probes(some)
    assert found is not None
    assert {name for _, name in found} == {"p01", "p30"}
    assert found[4, "p01"] <= LEVEL < found[4, "p30"]


def test_one_changed_answer_where_all_others_stay_word_for_word() -> None:
    still = dict.fromkeys(names(), 0.0)
    moves = [step(n, {WORDING: still, SUBSTANCE: still}) for n in range(1, 8)]
    moves[3] = step(4, {WORDING: still | {"p05": 0.8}, SUBSTANCE: still | {"p05": 0.9}})
    assert called(moved_probes(moves)) == {(4, "p05")}


def test_answers_that_change_now_and_then_everywhere_do_not_stand_out() -> None:
    """Recorded texts of which 3 % change in every step: one more is what such a lineage does."""
    rng = np.random.default_rng(8)
    moves = []
    for node in range(1, 40):
        chosen = rng.choice(PROBES, 2, replace=False)
        table = dict.fromkeys(names(), 0.0) | {names()[i]: float(rng.uniform(0.3, 0.9)) for i in chosen}
        moves.append(step(node, {WORDING: table, SUBSTANCE: table}))
    assert len(called(moved_probes(moves))) <= 2


def test_too_little_is_known() -> None:
    rng = np.random.default_rng(9)
    assert moved_probes([]) is None
    assert moved_probes([step(n, drift(rng)) for n in range(1, 4)]) is None
    assert moved_probes([step(n, drift(rng, count=12), count=12) for n in range(1, 9)]) is None
    trusted = [Moves.of(drift(rng)), Moves.of(drift(rng))]
    found = moved_probes([step(1, drift(rng, 1.0, range(3), 9.0))], trusted)
    assert called(found) >= {(1, name) for name in names()[:3]}
