"""Named axes in activation space: the difference of means between two groups of probes of one model, and how far
another model moved along it.

Such a direction separates two kinds of prompts where a model tells them apart (difference of means, as in 2310.01405).
Whether it does is said by probes that did not make the axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.activation import common_sites
from bvc.compare.phrase_test import row_units
from bvc.compare.tails import t_quantile
from bvc.evidence import ActivationBlock

FEWEST = 4
"""Probes of each group below which there is no axis."""
LEVEL = 0.95
_FOLDS = 4

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Axis:
    """One site's axis: `direction` [d] of length 1 points from the second group's mean to the first's, which lie `gap`
    apart. `separation`: how often a probe of the first group lies further along an axis made without either than one of
    the second does (0.5: by chance; 1: always)."""

    site: str
    direction: Values
    gap: float
    separation: float


@dataclass(frozen=True)
class Movement:
    """How far probes moved along an axis, as a share of its gap: `mean` over `probes` with its 95 % interval `ci`; None
    where there are fewer than two units."""

    site: str
    mean: float
    probes: int
    ci: tuple[float, float] | None


def axes(block: ActivationBlock, first: Sequence[bool], second: Sequence[bool]) -> dict[str, Axis]:
    """The axis at every site of `block`, from the probes of `second` to those of `first` ([probes] each).

    A site whose vectors are not all finite, or where both means are equal, has none. Raises ValueError where a group
    has fewer than 4 probes, a probe is in both, or lengths differ.
    """
    in_first, in_second = np.asarray(first, bool), np.asarray(second, bool)
    if len(in_first) != len(block) or len(in_second) != len(block) or (in_first & in_second).any():
        raise ValueError("each probe is in one group, in the other, or in none")
    if min(in_first.sum(), in_second.sum()) < FEWEST:
        raise ValueError(f"an axis needs at least {FEWEST} probes in each group")
    out = {}
    for site, vectors in block.vectors.items():
        rows = vectors.astype(np.float64)
        if np.isfinite(rows[in_first | in_second]).all():
            apart = rows[in_first].mean(0) - rows[in_second].mean(0)
            gap = float(np.linalg.norm(apart))
            if gap > 0:
                out[site] = Axis(site, apart / gap, gap, _separation(rows, in_first, in_second))
    return out


def _separation(rows: Values, first: Mask, second: Mask) -> float:
    """Share of pairs in order (the area under the curve), each fold of probes along the axis that the others make."""
    fold = np.zeros(len(rows), int)
    for group in (first, second):
        fold[group] = np.arange(group.sum()) % _FOLDS
    shares = []
    for part in range(_FOLDS):
        made = [group & (fold != part) for group in (first, second)]
        left = [group & (fold == part) for group in (first, second)]
        along = rows @ (rows[made[0]].mean(0) - rows[made[1]].mean(0))
        above = along[left[0]][:, None] - along[left[1]][None, :]
        shares.append(float(((above > 0) + 0.5 * (above == 0)).mean()))
    return sum(shares) / len(shares)


def movements(
    axis: Mapping[str, Axis], a: ActivationBlock, b: ActivationBlock, clusters: Sequence[str | None] | None = None
) -> dict[str, Movement]:
    """How far the probes moved from `a` to `b` (the same probes in the same order) along each axis whose site both
    have. Probes of a cluster count as one unit; probes whose vectors are not finite are left out.

    Intervals are Student's t on units' sums. Raises ValueError where the numbers of probes differ.
    """
    if len(a) != len(b) or (clusters is not None and len(clusters) != len(a)):
        raise ValueError(f"{len(a)} probes against {len(b)}, with {len(clusters or ())} clusters")
    units = row_units(len(a), clusters)
    out = {}
    for site in common_sites(a, b):
        if site not in axis or a.vectors[site].shape[1] != len(axis[site].direction):
            continue
        difference = b.vectors[site].astype(np.float64) - a.vectors[site].astype(np.float64)
        kept = np.isfinite(difference).all(1)
        if kept.any():
            along = difference[kept] @ axis[site].direction / axis[site].gap
            out[site] = _movement(site, along, units[kept])
    return out


def _movement(site: str, along: Values, labels: npt.NDArray[np.int64]) -> Movement:
    _, place = np.unique(labels, return_inverse=True)
    sums, sizes = np.bincount(place, along), np.bincount(place)
    units, mean = len(sizes), float(along.mean())
    if units < 2:
        return Movement(site, mean, len(along), None)
    error = float(np.sqrt(((sums - sizes * mean) ** 2).sum() * units / (units - 1))) / len(along)
    half = error * t_quantile((1 + LEVEL) / 2, units - 1)
    return Movement(site, mean, len(along), (mean - half, mean + half))
