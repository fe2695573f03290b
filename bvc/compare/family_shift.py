"""Families (tags, suites) whose probes moved more than those of the others: a change that no single probe shows.

The unit is the family. Probes of one topic move together even in a benign update, so a family is held against the other
families, and against what it does itself in benign updates, never against single probes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from bvc.compare.families import Group, distinct_families
from bvc.compare.holm import holm
from bvc.compare.significance import Column, student_tail

FEWEST_FAMILIES = 6
"""Families below which their spread is not known."""
_SMALLEST = 3
_LEAST_SPREAD = 0.2
"""Least spread of the families' means, in spreads of single probes."""
_BULK = 0.75
"""A member of a family that moved counts as moved itself beyond this quantile of the probes outside."""

Scores = Mapping[str, float]


def moved_families(
    groups: Mapping[str, Collection[Group]], scores: Scores, benign: Sequence[Scores] = ()
) -> dict[str, float]:
    """The probes of families that moved more than others, each with the least adjusted p-value of its families.

    `scores` say how far each probe stands out, `benign` the same for benign pairs: their mean, shrunk by their number,
    is taken off first. Null: a family's mean lies among those of the other families, whose spread is estimated from
    their median absolute deviation (Student's t with their number less two, at most 8, degrees of freedom). p-values by
    Holm (1979) over the families of three probes to half of all.
    """
    left = _beyond_benign(scores, benign)
    known = {p: names for p, names in groups.items() if p in left}
    families = [m for _, m in distinct_families(known) if _SMALLEST <= len(m) <= len(known) / 2]
    if len(families) < FEWEST_FAMILIES:
        return {}
    means = np.array([np.mean([left[p] for p in members]) for members in families])
    adjusted = holm(student_tail(_studentized(means), len(families) - 2))
    found: dict[str, float] = {}
    for members, p_value in zip(families, adjusted.tolist(), strict=True):
        limit = np.quantile([value for p, value in left.items() if p not in members], _BULK)
        for probe in members:
            if left[probe] > limit:
                found[probe] = min(found.get(probe, 1.0), p_value)
    return found


def _studentized(means: Column) -> Column:
    """Each mean less that of the others, over the spread of the others."""
    count = len(means)
    others = (means.sum() - means) / (count - 1)
    squares = ((means**2).sum() - means**2) / (count - 1) - others**2
    spread = np.sqrt(np.maximum(squares * (count - 1) / (count - 2), _LEAST_SPREAD**2) * (1 + 1 / (count - 1)))
    out: Column = (means - others) / spread
    return out


def _beyond_benign(scores: Scores, benign: Sequence[Scores]) -> dict[str, float]:
    """Scores less the probes' own mean in benign pairs, of which one more with mean 0 is supposed."""
    share = 1 / (len(benign) + 1)
    return {p: value - share * sum(pair.get(p, 0.0) for pair in benign) for p, value in scores.items()}
