"""Families that moved: found as a whole where no member stands out, and rarely where families differ by chance."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from bvc.compare.families import Group
from bvc.compare.family_shift import moved_families
from bvc.compare.new_phrases import LEVEL

FAMILIES, SIZE = 12, 8


def groups(families: int = FAMILIES) -> dict[str, list[Group]]:
    return {f"f{f}-{i}": [("tag", f"f{f}"), ("suite", "s")] for f in range(families) for i in range(SIZE)}


def world(rng: np.random.Generator, typical: np.ndarray, icc: float = 0.5, shift: float = 0.0) -> dict[str, float]:
    """Scores whose families have means of their own: `typical` [families], the same in every update, and chance."""
    own = typical + rng.normal(size=len(typical)) * sqrt(icc)
    own[0] += shift
    values = own[:, None] + rng.normal(size=(len(typical), SIZE)) * sqrt(1 - icc)
    return {f"f{f}-{i}": float(values[f, i]) for f in range(len(typical)) for i in range(SIZE)}


@pytest.mark.parametrize("pairs", [0, 2, 6])
@pytest.mark.parametrize("icc", [0.0, 0.7])
def test_families_that_differ_by_chance_are_rarely_found(pairs: int, icc: float) -> None:
    """400 worlds a case, no family moved; they are as unlike as their correlation makes them."""
    rng = np.random.default_rng([pairs, int(10 * icc)])
    worlds, found = 400, 0
    for _ in range(worlds):
        typical = rng.normal(size=FAMILIES) if pairs else np.zeros(FAMILIES)
        benign = [world(rng, typical, icc) for _ in range(pairs)]
        p_values = moved_families(groups(), world(rng, typical, icc), benign)
        found += min(p_values.values(), default=1.0) <= LEVEL
    assert found / worlds <= LEVEL + 3.5 * sqrt(LEVEL * (1 - LEVEL) / worlds)


def test_a_family_that_moved_is_found_though_no_probe_stands_out() -> None:
    rng = np.random.default_rng(1)
    typical = np.zeros(FAMILIES)
    found = [
        moved_families(groups(), world(rng, typical, 0.05, 3.0), [world(rng, typical, 0.05) for _ in range(3)])
        for _ in range(40)
    ]
    hits = [{p for p, value in one.items() if value <= LEVEL} for one in found]
    assert sum(bool(hit) for hit in hits) >= 36
    assert all(p.startswith("f0-") for hit in hits for p in hit)


def test_a_family_that_always_moves_most_is_no_finding() -> None:
    rng = np.random.default_rng(2)
    typical = np.zeros(FAMILIES)
    typical[0] = 4.0
    scores, benign = world(rng, typical, 0.05), [world(rng, typical, 0.05) for _ in range(8)]
    assert min(moved_families(groups(), scores).values()) <= LEVEL
    assert min(moved_families(groups(), scores, benign).values()) > LEVEL


def test_too_few_families_say_nothing() -> None:
    rng = np.random.default_rng(3)
    assert moved_families(groups(5), world(rng, np.zeros(5), shift=9.0)) == {}
    assert moved_families({}, {}) == {}
