"""How far hidden states moved, per site and probe: raw, and beyond the shift that all probes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bvc.evidence import ActivationBlock, Floats

_SKETCH = 256
"""Width to which a shift is folded where vectors are wider; its length is kept within some 4 % (standard deviation)."""


@dataclass(frozen=True)
class Shift:
    """Movement of n probes at one site. `distance` [n]: length of b - a over the mean length of a and b (0 to 2);
    `folded` [n, w] float32: b - a over the same length, folded to at most 256 numbers."""

    distance: Floats
    folded: Floats

    def rows(self, kept: npt.NDArray[np.bool_]) -> Shift:
        """Only the probes in `kept` [n]."""
        return self if kept.all() else Shift(self.distance[kept], self.folded[kept])


def shifts(a: ActivationBlock, b: ActivationBlock) -> dict[str, Shift]:
    """Movement at every site that both blocks have in equal width; not finite where a vector is not."""
    with np.errstate(over="ignore", invalid="ignore"):
        return {site: _shift(a.vectors[site], b.vectors[site]) for site in common_sites(a, b)}


def common_sites(a: ActivationBlock, b: ActivationBlock) -> list[str]:
    """Sites of equal width on both sides, in order."""
    return [s for s in sorted(a.vectors) if s in b.vectors and a.vectors[s].shape == b.vectors[s].shape]


def _shift(a: Floats, b: Floats) -> Shift:
    difference: Floats = b - a
    scale: Floats = np.maximum((_length(a) + _length(b)) / np.float32(2), np.float32(1e-30))
    return Shift(_length(difference) / scale, _fold(difference / scale[:, None]))


def _length(rows: Floats) -> Floats:
    out: Floats = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return out


def _fold(rows: Floats) -> Floats:
    """A count sketch (Charikar et al. 2002): coordinates get fixed random signs and are added up 256 apart."""
    width = rows.shape[1]
    if width <= _SKETCH:
        return rows
    signed = rows * _signs(width)
    out: Floats = signed[:, :_SKETCH].copy()
    for start in range(_SKETCH, width, _SKETCH):
        part = signed[:, start : start + _SKETCH]
        out[:, : part.shape[1]] += part
    return out


@lru_cache(maxsize=8)
def _signs(width: int) -> Floats:
    """[width] of -1 and 1, always the same."""
    return np.random.default_rng(width).choice(np.array([-1, 1], np.float32), width)


@dataclass
class Movement:
    """Shifts of a whole suite, gathered block by block; memory is at most 257 numbers a probe and site."""

    ids: dict[str, list[str]] = field(default_factory=dict)
    distances: dict[str, list[Floats]] = field(default_factory=dict)
    folded: dict[str, list[Floats]] = field(default_factory=dict)

    def add(self, site: str, ids: list[str], shift: Shift) -> None:
        """The probes `ids` at `site`."""
        if not ids:
            return
        self.ids.setdefault(site, []).extend(ids)
        self.distances.setdefault(site, []).append(shift.distance)
        self.folded.setdefault(site, []).append(shift.folded)

    def raw(self, site: str) -> dict[str, float]:
        """Relative distance of each probe."""
        values = np.concatenate(self.distances[site])
        return dict(zip(self.ids[site], values.tolist(), strict=True))

    def beyond_shift(self, site: str, unmoved: Sequence[str] = ()) -> dict[str, float]:
        """Relative distance of each probe after the shift that the probes share is taken off: the coordinate-wise
        median, which a minority of probes that moved elsewhere cannot drag along. `unmoved` probes, which were not
        added since both sides are equal there, count with a shift of 0."""
        folded = np.concatenate(self.folded[site])
        folded = np.concatenate([folded, np.zeros((len(unmoved), folded.shape[1]), np.float32)])
        lengths = _length(folded - np.median(folded, axis=0).astype(np.float32))
        return dict(zip([*self.ids[site], *unmoved], lengths.tolist(), strict=True))
