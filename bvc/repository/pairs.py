"""Two snapshots' arrays side by side, block by block: what comparison streams over. Layer 2, numpy."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bvc.evidence import Evidence
from bvc.repository.manifest import BLOCK, FEATURES, blocks
from bvc.repository.snapshot_view import Signatures
from bvc.repository.tiles import concatenate, rows

_CACHED_BLOCKS = 8
_LARGE_BLOCK = 1 << 24


@dataclass(frozen=True)
class PairedBlock:
    """The evidence of the same probes on both sides. Where all stored bytes are equal, `identical` is set and
    nothing was read (both sides are empty)."""

    ids: tuple[str, ...]
    a: Evidence
    b: Evidence
    identical: bool = False


class RowReader:
    """Rows of one tile grid by probe id; keeps the last few blocks, so that orders that differ a little stay cheap."""

    def __init__(self, signatures: Signatures, channels: Collection[str] | None = None) -> None:
        """`channels` are those that are read; default all."""
        self._signatures = signatures
        self._channels = channels
        self._blocks: dict[int, Evidence] = {}

    def row(self, probe: str) -> Evidence:
        """One probe's evidence as a block of one."""
        index, row = self._signatures.place(probe)
        return rows(self.block(index), row, row + 1)

    def block(self, index: int) -> Evidence:
        """A whole block, from memory or from the packs."""
        if index not in self._blocks:
            while len(self._blocks) >= _CACHED_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[index] = self._signatures.block(index, self._channels)
        return self._blocks[index]

    def gather(self, probes: Sequence[str]) -> Evidence:
        """The evidence of `probes` in that order."""
        return concatenate([self.row(probe) for probe in probes])


def paired_blocks(a: Signatures, b: Signatures, ids: Sequence[str]) -> Iterator[PairedBlock]:
    """All of `ids`, which both grids hold, block by block in the order of `b`."""
    # The C library gives arrays of a tile's size back to the system each time, which costs more than many a sum over
    # them, until it has seen a larger one (this one, which is never touched) come and go.
    np.empty(_LARGE_BLOCK, np.uint8)
    wanted = set(ids)
    left, right = RowReader(a), RowReader(b)
    channels = _shared_channels(a, b)
    for index, block in enumerate(blocks(b.order, BLOCK)):
        common = tuple(probe for probe in block if probe in wanted)
        aligned = common == tuple(block) == tuple(a.order[index * BLOCK : (index + 1) * BLOCK])
        if aligned and _tiles(a, channels, index) == _tiles(b, channels, index):
            yield PairedBlock(common, Evidence(), Evidence(), identical=True)
        elif aligned:
            yield PairedBlock(common, left.block(index), right.block(index))
        elif common:
            yield PairedBlock(common, left.gather(common), right.gather(common))


def _shared_channels(a: Signatures, b: Signatures) -> frozenset[str]:
    """The channels in which two grids can be told apart: features only where both are of one dictionary."""
    channels = a.manifests.keys() | b.manifests.keys()
    return frozenset(c for c in channels if c not in FEATURES or _dictionary(a, c) == _dictionary(b, c))


def _dictionary(signatures: Signatures, channel: str) -> str | None:
    """The dictionary whose latents a feature channel has."""
    manifest = signatures.manifests.get(channel)
    return None if manifest is None else manifest.dictionary


def _tiles(signatures: Signatures, channels: frozenset[str], index: int) -> dict[str, tuple[str, ...]]:
    manifests = signatures.manifests
    return {channel: manifests[channel].tile_row(index) for channel in channels & manifests.keys()}
