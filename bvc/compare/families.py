"""Which tags and suites the outliers of a diff come from, more often than their size explains. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import comb

from bvc.compare.significance import benjamini_hochberg
from bvc.results import FamilyDiff

FALSE_DISCOVERIES = 0.05
_FEWEST = 2
"""Outliers that a family needs: one probe is no pattern."""

Group = tuple[str, str]
"""A kind ("tag" or "suite") and a name."""


def over_represented(groups: Mapping[str, Collection[Group]], outliers: Collection[str]) -> tuple[FamilyDiff, ...]:
    """The families that hold more of the `outliers` (probe ids) than chance puts there, surest first.

    `groups` maps each probe to the families that it belongs to. The null: which probes are outliers has nothing to do
    with their family, so that a family's count is hypergeometric (Fisher's exact test, one-sided); false discoveries
    are controlled at .05 over all families (Benjamini and Hochberg 1995). Families that hold every probe say nothing,
    and of several with the same probes the first in order of kind and name stands for all.
    """
    chosen = set(outliers) & groups.keys()
    members = dict(distinct_families(groups))
    counts = {group: len(chosen & probes) for group, probes in members.items()}
    p_values = {g: enrichment_p(counts[g], len(chosen), len(members[g]), len(groups)) for g in members}
    names = {"\0".join(group): group for group in members}
    q_values = benjamini_hochberg({name: p_values[group] for name, group in names.items()})
    found = [
        FamilyDiff(
            *group, counts[group], len(chosen), len(members[group]), len(groups), p_values[group], q_values[name]
        )
        for name, group in names.items()
        if q_values[name] <= FALSE_DISCOVERIES and counts[group] >= _FEWEST
    ]
    return tuple(sorted(found, key=lambda f: (f.p_value, -f.outliers, f.kind, f.name)))


def distinct_families(groups: Mapping[str, Collection[Group]]) -> Iterator[tuple[Group, frozenset[str]]]:
    """Each family with its probes, without those that hold all probes or repeat another."""
    members: dict[Group, set[str]] = {}
    for probe, names in groups.items():
        for name in names:
            members.setdefault(name, set()).add(probe)
    seen: set[frozenset[str]] = set()
    for name in sorted(members):
        probes = frozenset(members[name])
        if len(probes) < len(groups) and probes not in seen:
            seen.add(probes)
            yield name, probes


def enrichment_p(hits: int, drawn: int, size: int, total: int) -> float:
    """P(X ≥ `hits`) where `drawn` of `total` probes are taken at random and X of them lie in a family of `size`.

    Exact: sums of integer binomials, divided once.
    """
    low, high = max(0, drawn + size - total), min(drawn, size)
    weights = list(_weights(low, high, drawn, size, total))
    return sum(weights[max(0, hits - low) :]) / sum(weights)


def _weights(low: int, high: int, drawn: int, size: int, total: int) -> Iterator[int]:
    """Numbers proportional to P(X = low), …, P(X = high): exact, each from the one before."""
    weight = comb(size, low) * comb(total - size, drawn - low)
    for hits in range(low, high + 1):
        yield weight
        weight = weight * (size - hits) * (drawn - hits) // ((hits + 1) * (total - size - drawn + hits + 1))
