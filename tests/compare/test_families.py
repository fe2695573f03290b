"""Families among the outliers: the exact test, its calibration, and what counts as a family."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import combinations

import pytest

from bvc.compare.families import enrichment_p, over_represented


def counted(hits: int, drawn: int, size: int, total: int) -> float:
    """The same probability by listing every possible draw; the family is 0, 1, …, size - 1."""
    draws = list(combinations(range(total), drawn))
    return float(Fraction(sum(sum(i < size for i in draw) >= hits for draw in draws), len(draws)))


@pytest.mark.parametrize("total", [5, 8])
def test_p_values_are_exact(total: int) -> None:
    for drawn in range(total + 1):
        for size in range(total + 1):
            for hits in range(min(drawn, size) + 1):
                assert enrichment_p(hits, drawn, size, total) == pytest.approx(counted(hits, drawn, size, total))


def test_large_suites_neither_overflow_nor_lose_the_tail() -> None:
    all_in = math.prod((1000 - i) / (20_000 - i) for i in range(50))
    assert enrichment_p(50, 50, 1000, 20_000) == pytest.approx(all_in, rel=1e-9, abs=0)
    assert enrichment_p(0, 50, 1000, 20_000) == 1.0


def tagged(count: int, weather: int) -> dict[str, list[tuple[str, str]]]:
    """Probes p0, p1, …, the first `weather` of them with that tag; all in one suite."""
    return {f"p{i}": [("suite", "starter"), ("tag", "weather" if i < weather else "other")] for i in range(count)}


def test_a_family_that_holds_the_outliers_is_found() -> None:
    found = over_represented(tagged(60, 14), [f"p{i}" for i in range(8)] + ["p40", "p41"])
    assert [(f.kind, f.name, f.outliers, f.all_outliers, f.probes, f.all_probes) for f in found] == [
        ("tag", "weather", 8, 10, 14, 60)
    ]
    assert found[0].p_value < found[0].q_value < 0.001


def test_what_says_nothing_is_left_out() -> None:
    assert over_represented({}, []) == ()
    assert over_represented(tagged(60, 14), []) == ()
    assert over_represented(tagged(60, 60), ["p1", "p2"]) == ()
    assert over_represented({f"p{i}": [("tag", f"t{i}")] for i in range(60)}, ["p1"]) == ()
    assert over_represented(tagged(60, 14), ["p1", "gone"]) == ()


def test_families_with_the_same_probes_are_named_once() -> None:
    twice = {p: [*names, ("tag", f"{names[1][1]}-again")] for p, names in tagged(60, 14).items()}
    assert [f.name for f in over_represented(twice, [f"p{i}" for i in range(8)])] == ["weather"]


def test_false_discoveries_are_rare_where_tags_mean_nothing() -> None:
    """1,000 suites of 60 probes and 10 random tags: a family is named in at most 5 % of them."""
    rng = random.Random(7)
    wrong = 0
    for _ in range(1000):
        groups = {f"p{i}": [("tag", f"t{rng.randrange(10)}")] for i in range(60)}
        wrong += bool(over_represented(groups, rng.sample(list(groups), 12)))
    assert wrong <= 64  # 5 % and two standard errors
