"""Ranking brings a narrow change to the top of a broad drift, and calls few probes outstanding where none is."""

from __future__ import annotations

import numpy as np
import pytest

from bvc.compare.standing import FIRST, KL, MOVED, PHRASES, WORDING, Standing, Standings, by_numbers, ranked_kinds
from bvc.compare.standing import stand_out as all_standings

Statistics = dict[str, dict[str, float]]


def world(rng: np.random.Generator, n: int, moved: int = 0, by: float = 0.0, heavy: bool = False) -> Statistics:
    """A drift that all n probes share, its statistics correlated and unlike in scale; the first `moved` probes lie `by`
    standard deviations above the bulk in each."""
    common = rng.normal(size=n)

    def table(scale: float, center: float) -> dict[str, float]:
        own = rng.standard_t(7, size=n) if heavy else rng.normal(size=n)
        values = 0.7 * common + 0.7 * own
        values[:moved] += by
        return dict(zip(names(n), np.exp(center + scale * values).tolist(), strict=True))

    return {
        KL: table(0.6, -1.5),
        FIRST: table(1.2, -1.5),
        MOVED: table(0.3, -1.0),
        WORDING: table(0.1, -0.3),
        PHRASES: table(0.3, -2.0),
    }


def stand_out(ids: list[str], statistics: Statistics, benign: tuple[Statistics, ...] = ()) -> dict[str, Standing]:
    return dict(all_standings(ids, statistics, benign).of)


def names(n: int) -> list[str]:
    return [f"p{i}" for i in range(n)]


def area_under_curve(standings: dict[str, Standing], moved: int) -> float:
    scores = np.array([s.score for s in standings.values()])
    return float((scores[:moved, None] > scores[None, moved:]).mean())


def test_a_narrow_change_inside_a_broad_drift_comes_first() -> None:
    rng = np.random.default_rng(0)
    areas = [area_under_curve(stand_out(names(60), world(rng, 60, 6, 2.0)), 6) for _ in range(40)]
    assert np.mean(areas) > 0.93


@pytest.mark.parametrize("kind", [KL, FIRST, MOVED])
def test_strong_evidence_of_one_kind_is_enough(kind: str) -> None:
    rng = np.random.default_rng(1)
    plain, moved = world(rng, 60), world(rng, 60, 4, 12.0)
    plain[kind] = moved[kind]
    assert area_under_curve(stand_out(names(60), plain), 4) > 0.9


def test_the_size_of_the_drift_does_not_matter() -> None:
    small = world(np.random.default_rng(2), 50, 5, 2.0)
    large = {KL: {p: 3 * v for p, v in small[KL].items()}}
    one, other = stand_out(names(50), {KL: small[KL]}), stand_out(names(50), large)
    assert [s.score for s in one.values()] == pytest.approx([s.score for s in other.values()], abs=0.02)


@pytest.mark.parametrize("n", [20, 60, 200])
@pytest.mark.parametrize("heavy", [False, True])
def test_few_worlds_without_a_change_have_an_outstanding_probe(n: int, heavy: bool) -> None:
    """300 worlds a case: q ≤ .05 anywhere in at most 5 % of them, give or take 3.5 standard errors."""
    rng = np.random.default_rng(n)
    worlds = 300
    found = 0
    for _ in range(worlds):
        standings = stand_out(names(n), world(rng, n, heavy=heavy))
        found += any(s.q_value is not None and s.q_value <= 0.05 for s in standings.values())
    assert found / worlds <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / worlds)


def test_strong_changes_have_small_q_values() -> None:
    standings = stand_out(names(100), world(np.random.default_rng(4), 100, 5, 6.0))
    small = {p for p, s in standings.items() if s.q_value is not None and s.q_value <= 0.05}
    assert small >= set(names(5))
    assert len(small) <= 7


def test_one_changed_answer_among_identical_ones_stands_out() -> None:
    still = dict.fromkeys(names(50), 0.0)
    standings = stand_out(names(50), {WORDING: still | {"p7": 0.5}, PHRASES: still})
    assert standings["p7"].score > 10
    assert standings["p7"].q_value is not None
    assert standings["p7"].q_value < 0.01
    assert {s.score for p, s in standings.items() if p != "p7"} == {0.0}


def test_probes_that_lack_a_statistic_are_placed_by_the_others() -> None:
    statistics = world(np.random.default_rng(5), 40, 3, 6.0)
    del statistics[KL]["p0"], statistics[FIRST]["p0"], statistics[KL]["p30"]
    standings = stand_out(names(40), statistics)
    assert standings["p0"].score > 2
    assert all(np.isfinite(s.score) for s in standings.values())


def test_nothing_to_rank_by_and_few_probes() -> None:
    assert all_standings([], {}) == Standings({}, None)
    assert stand_out(["a", "b"], {}) == {"a": Standing(0.0, None), "b": Standing(0.0, None)}
    assert stand_out(["a"], {KL: {"a": 1.0}}) == {"a": Standing(0.0, None)}


def test_the_upper_half_does_not_place_the_bulk() -> None:
    plain = {KL: dict(zip(names(5), (1.0, 2.0, 3.0, 4.0, 5.0), strict=True))}
    stretched = {KL: plain[KL] | {"p3": 40.0, "p4": 500.0}}
    lower = [
        [found[p].score for p in names(3)] for found in (stand_out(names(5), plain), stand_out(names(5), stretched))
    ]
    assert lower[0] == pytest.approx(lower[1])


def test_what_stands_out_of_next_to_nothing_is_no_outlier_where_benign_updates_do_more() -> None:
    rng = np.random.default_rng(11)
    benign = tuple(world(rng, 60) for _ in range(3))
    tiny = {kind: {p: value / 100 for p, value in table.items()} for kind, table in world(rng, 60, 5, 6.0).items()}
    assert min(s.q_value or 0.0 for s in stand_out(names(60), tiny, benign).values()) > 0.9
    assert min(s.q_value or 0.0 for s in stand_out(names(60), tiny).values()) <= 0.05


@pytest.mark.parametrize("n", [60, 200])
@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("pairs", [2, 6])
def test_benign_pairs_hold_the_level(n: int, heavy: bool, pairs: int) -> None:
    """150 worlds a case whose null is learned from other worlds of the same kind."""
    rng = np.random.default_rng([n, heavy, pairs])
    worlds, found = 150, 0
    for _ in range(worlds):
        benign = tuple(world(rng, n, heavy=heavy) for _ in range(pairs))
        standings = stand_out(names(n), world(rng, n, heavy=heavy), benign)
        found += any(s.q_value is not None and s.q_value <= 0.05 for s in standings.values())
    assert found / worlds <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / worlds)


def test_benign_pairs_show_what_the_bulk_alone_cannot() -> None:
    rng = np.random.default_rng(6)
    benign = tuple(world(rng, 100) for _ in range(6))
    moved = world(rng, 100, 5, 3.0)
    alone, learned = stand_out(names(100), moved), stand_out(names(100), moved, benign)
    found = [sum(s.q_value is not None and s.q_value <= 0.05 for s in of.values()) for of in (alone, learned)]
    assert found[1] >= 4
    assert found[1] > found[0]


def test_a_benign_step_that_was_not_benign_hides_nothing() -> None:
    rng = np.random.default_rng(7)
    clean = tuple(world(rng, 100) for _ in range(5))
    moved = world(rng, 100, 5, 4.0)
    spoiled = (*clean, world(rng, 100, 20, 6.0))
    standings = stand_out(names(100), moved, spoiled)
    assert sum(s.q_value is not None and s.q_value <= 0.05 for s in standings.values()) >= 4


def test_the_smallest_change_of_one_probe_is_one_that_is_found() -> None:
    rng = np.random.default_rng(8)
    benign = tuple(world(rng, 100) for _ in range(4))
    plain = world(rng, 100)
    factor = all_standings(names(100), plain, benign).factor
    assert factor is not None
    for times, seen in ((1.3 * factor, True), (factor / 3, False)):
        one = {kind: dict(table) for kind, table in plain.items()}
        for table in one.values():
            table["p50"] = float(np.median(list(table.values()))) * times
        q_value = stand_out(names(100), one, benign)["p50"].q_value
        assert q_value is not None
        assert (q_value <= 0.05) is seen


def test_numbers_alone_rank_without_the_words() -> None:
    statistics = world(np.random.default_rng(9), 40, 3, 6.0)
    words_only = {kind: statistics[kind] for kind in (WORDING, PHRASES)}
    found = by_numbers(names(40), statistics)
    assert {p for p, _ in sorted(found.items(), key=lambda item: -item[1])[:3]} == set(names(3))
    assert by_numbers(names(40), statistics | {WORDING: {}}) == found
    assert by_numbers(names(40), words_only) == {}


def test_words_rank_only_where_there_are_no_numbers() -> None:
    statistics = world(np.random.default_rng(12), 30)
    assert ranked_kinds(statistics) == [KL, FIRST, MOVED]
    assert ranked_kinds({WORDING: statistics[WORDING], PHRASES: statistics[PHRASES], KL: {}}) == [WORDING, PHRASES]
