"""The latents of two captures side by side, gathered block by block: what fires where, as sparse rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.phrase_test import Column, sums, units_of
from bvc.errors import NotComparable
from bvc.evidence import AnswerFeatures, FeatureBlock

_ID_BITS = 32

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Pairs = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FeaturePair:
    """Two captures of n probes by one dictionary of `latents` latents: along the same references, or along the answers
    of each side.

    By probe: `ids`; `units` [n], the number of its cluster (a probe without one is its own), of `unit_count`;
    `positions` [n, 2]; `energy` and `missed` [n, 2] as in `FeatureBlock`, side a, then side b. By latent and probe
    where the latent fires on a side at least, rising by latent, then probe: `latent` and `probe` [T]; `fired`
    (positions), `total` (sum of strengths) and `peak` (position of the largest; along answers how many characters have
    been read there) [T, 2]. `apart` probes were left out because their references differ, `broken` because they hold
    numbers that cannot be.
    """

    latents: int
    ids: tuple[str, ...]
    units: Ints
    positions: Column
    energy: Pairs
    missed: Pairs
    latent: Ints
    probe: Ints
    fired: Pairs
    total: Pairs
    peak: Pairs
    apart: int = 0
    broken: int = 0

    @property
    def unit_count(self) -> int:
        """Number of clusters."""
        return int(self.units.max(initial=-1)) + 1

    def shares(self, rows: slice = slice(None)) -> Column:
        """[rows, 2] share of the probe's positions at which the latent fires."""
        out: Column = self.fired[rows] / self.positions[self.probe[rows]]
        return out

    def activity(self, rows: slice = slice(None)) -> Column:
        """[rows, 2] mean strength over all positions of the probe, 0 where the latent does not fire."""
        out: Column = self.total[rows] / self.positions[self.probe[rows]]
        return out

    def by_latent(self, rows: Pairs | Column) -> Column:
        """[latents, 2] sum of `rows` [T, 2] over probes."""
        return np.stack([sums(self.latent, rows[:, side].astype(float), self.latents) for side in (0, 1)], axis=1)

    def rows_of(self, latent: int) -> slice:
        """The rows of one latent."""
        first, last = np.searchsorted(self.latent, [latent, latent + 1])
        return slice(int(first), int(last))


class FeatureGather:
    """Gathers a pair block by block, of one channel; memory is some 40 bytes for each latent of each probe."""

    def __init__(self, latents: int) -> None:
        self._latents = latents
        self._ids: list[str] = []
        self._probes: list[tuple[Pairs, Pairs, Pairs]] = []
        self._rows: list[tuple[Ints, Ints, Pairs, Pairs, Pairs]] = []
        self._broken = 0
        self._apart = 0

    def leave_out(self, probes: int) -> None:
        """Counts probes whose references differ."""
        self._apart += probes

    def add(self, ids: Sequence[str], a: FeatureBlock, b: FeatureBlock) -> None:
        """The probes `ids`, row by row on both sides. Raises NotComparable for latents that the dictionary lacks."""
        _check(a, self._latents)
        _check(b, self._latents)
        sound = _finite(a) & _finite(b)
        kept = sound & (a.positions > 0) & (b.positions > 0)
        if not isinstance(a, AnswerFeatures):  # two sides may answer at unlike length
            kept &= a.positions == b.positions
        self._broken += int((~sound).sum())
        self._apart += int((sound & ~kept).sum())
        place = np.cumsum(kept) - 1 + len(self._ids)
        probe, latent, *values = _joined(_rows(a, kept), _rows(b, kept))
        self._rows.append((latent, place[probe], values[0], values[1], values[2]))
        positions, energy, missed = (
            np.stack([getattr(x, name)[kept] for x in (a, b)], axis=1).astype(np.float32) for name in a.BY_PROBE
        )
        self._probes.append((positions, energy, missed))
        self._ids += [p for p, k in zip(ids, kept, strict=True) if k]

    def finish(self, clusters: Mapping[str, str] | None = None) -> FeaturePair:
        """All that was gathered. `clusters` are those of probes, by id. Raises NotComparable where no probe is left."""
        if not self._ids:
            raise NotComparable("no probe has features along the same reference on both sides")
        latent, probe, fired, total, peak = (np.concatenate(parts) for parts in zip(*self._rows, strict=True))
        positions, energy, missed = (np.concatenate(parts) for parts in zip(*self._probes, strict=True))
        order = np.lexsort((probe, latent))
        return FeaturePair(
            latents=self._latents,
            ids=tuple(self._ids),
            units=units_of(self._ids, clusters),
            positions=positions.astype(float),
            energy=energy,
            missed=missed,
            latent=latent[order],
            probe=probe[order],
            fired=fired[order],
            total=total[order],
            peak=peak[order],
            apart=self._apart,
            broken=self._broken,
        )


def _check(block: FeatureBlock, latents: int) -> None:
    if len(block.latent) and int(block.latent.max()) >= latents:
        raise NotComparable(f"a capture holds latent {int(block.latent.max())} of a dictionary of {latents}")


def _finite(block: FeatureBlock) -> Mask:
    """[n] whether a probe's numbers can be what they are said to be."""
    sound: Mask = np.isfinite(block.energy) & np.isfinite(block.missed) & (block.energy >= 0) & (block.missed >= 0)
    owner = np.repeat(np.arange(len(block)), block.lengths)
    odd = ~(np.isfinite(block.total) & (block.total >= 0)) | (block.fired > block.positions[owner])
    sound[np.unique(owner[odd])] = False
    return sound


def _rows(block: FeatureBlock, kept: Mask) -> tuple[Ints, Pairs]:
    """Keys of probe and latent, ascending, and fired, total and place of the peak [T, 3] of the probes in `kept`."""
    owner = np.repeat(np.arange(len(block)), block.lengths)
    key = owner << _ID_BITS | block.latent.astype(np.int64)
    place = block.reached if isinstance(block, AnswerFeatures) else block.peak
    values = np.stack([block.fired, block.total, place], axis=1).astype(np.float32)
    rows = kept[owner] & (block.fired > 0)
    order = np.argsort(key[rows], kind="stable")
    return key[rows][order], values[rows][order]


def _joined(a: tuple[Ints, Pairs], b: tuple[Ints, Pairs]) -> tuple[Ints, Ints, Pairs, Pairs, Pairs]:
    """Probe, latent, and fired, total and peak [T, 2] of what fires on a side at least."""
    keys = np.union1d(a[0], b[0])
    values = np.zeros((3, len(keys), 2), np.float32)
    for side, (own, numbers) in enumerate((a, b)):
        values[:, np.searchsorted(keys, own), side] = numbers.T
    return keys >> _ID_BITS, keys & ((1 << _ID_BITS) - 1), values[0], values[1], values[2]
