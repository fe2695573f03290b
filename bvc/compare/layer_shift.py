"""Where in the model a change sits: how far each layer moved, and at which layers the probes of interest moved beyond
the shift that all probes share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from bvc.compare.activation import Movement
from bvc.compare.noise import Band
from bvc.compare.phrase_test import ALPHA, Column, step_up
from bvc.compare.significance import standard_ranks
from bvc.results import LayerDistance

_RELABELINGS = 999
_SEED = 20_250_103

ByProbe = Mapping[str, float]


@dataclass(frozen=True)
class LayerShifts:
    """`layers` in the order of their sites. `seat` is the site at which the probes of interest moved most beyond the
    others, with `p_value` for "they moved no further than others at any site"; both None where that cannot be said
    (no probes of interest, or p > .05)."""

    layers: tuple[LayerDistance, ...]
    seat: str | None = None
    p_value: float | None = None


def layer_shifts(
    movement: Movement,
    unmoved: Sequence[str] = (),
    noise: Mapping[str, Band] | None = None,
    outliers: Collection[str] = (),
) -> LayerShifts:
    """How far every site of `movement` moved (median over probes, `unmoved` ones with 0), with its N0 band from
    `noise`.

    `outliers` are the probes of interest: those that stand out by their answers or log-probs, and not by their
    activations. A fine-tune shifts all hidden states alike, which says nothing about one behavior, so the shift that
    all share is taken off first. Then a site's rank sum of the outliers is tested by relabeling probes (max-T over the
    sites), and the seat is the site where it is greatest. At each site with p ≤ .05 the `probes` are those outliers
    that lie beyond the other probes, by conformal p-values, which assume no tail (Bates et al. 2023), at a false
    discovery rate of .05.
    """
    left = {site: movement.beyond_shift(site, unmoved) for site in sorted(movement.ids)}
    sums, p_values = _rank_sums(left, outliers)
    layers = []
    for site, p_value in zip(left, p_values.tolist(), strict=True):
        distances = movement.raw(site) | dict.fromkeys(unmoved, 0.0)
        band = noise[site].band if noise and site in noise else None
        behind = _beyond_others(left[site], outliers) if p_value <= ALPHA else ()
        layers.append(LayerDistance(site, median(distances.values()), band, behind))
    if not layers or p_values.min() > ALPHA:
        return LayerShifts(tuple(layers))
    best = int(np.argmax(sums))
    return LayerShifts(tuple(layers), layers[best].hookpoint, float(p_values[best]))


def _rank_sums(left: Mapping[str, ByProbe], outliers: Collection[str]) -> tuple[Column, Column]:
    """The outliers' standardized rank sum at each site, over the probes that every site has, and its p-value against
    the greatest of all sites under relabeling, both [sites]."""
    probes = sorted(set.intersection(*(set(table) for table in left.values()))) if left else []
    chosen = np.array([probe in outliers for probe in probes], bool)
    if not chosen.any() or chosen.all():
        return np.zeros(len(left)), np.ones(len(left))
    ranks = np.stack([standard_ranks(np.array([table[p] for p in probes])) for table in left.values()])
    sums: Column = ranks[:, chosen].sum(1)
    generator = np.random.default_rng(_SEED)
    places = np.argsort(generator.random((_RELABELINGS, len(probes))), axis=1)[:, : int(chosen.sum())]
    greatest = np.max([row[places].sum(1) for row in ranks], axis=0)
    reached = (greatest[:, None] >= sums - 1e-9).sum(0)
    return sums, (1 + reached) / (_RELABELINGS + 1)


def _beyond_others(table: ByProbe, outliers: Collection[str]) -> tuple[str, ...]:
    """The outliers that moved further than the other probes of one site, most first. Their p-values are (1 + how many
    others moved as far) / (1 + others)."""
    others = np.sort([value for probe, value in table.items() if probe not in outliers])
    own = sorted((p for p in table if p in outliers), key=lambda p: (-table[p], p))
    as_far = len(others) - np.searchsorted(others, np.array([table[p] for p in own]), side="left")
    q_values = step_up((1 + as_far) / (1 + len(others)))
    return tuple(p for p, q in zip(own, q_values.tolist(), strict=True) if q <= ALPHA)
