"""The N0 noise floor of a snapshot, from the probes that were captured under two layouts. Loads numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bvc.compare.diff import noise_bands
from bvc.compare.logprob import Table
from bvc.compare.pairing import NoisePairs, ProbeSide, Side
from bvc.records import Capability
from bvc.repository.manifest import BLOCK, blocks
from bvc.repository.pairs import PairedBlock
from bvc.repository.snapshot_writer import Source
from bvc.repository.tiles import concatenate

Sources = Mapping[str, Source]


def summarize(sources: Sources, recaptures: Sources, capability: Capability, table: Table | None) -> dict[str, Any]:
    """`{channel: band}` of the distances between the two layouts, as `bvc.compare.noise.Band.to_json` gives them."""
    probes = {p: ProbeSide(sources[p].outputs(p), sources[p].reference(p)) for p in recaptures}
    pairs = NoisePairs(
        texts={p: (sources[p].outputs(p), recaptures[p].outputs(p)) for p in recaptures},
        blocks=source_blocks(sources, recaptures, list(recaptures)),
    )
    side = Side(None, capability, None, probes, table, pairs)
    return {channel: band.to_json() for channel, band in noise_bands(side).items()}


def source_blocks(a: Sources, b: Sources, probes: Sequence[str]) -> Iterator[PairedBlock]:
    """The evidence of `probes` from two sets of sources, block by block."""
    for block in blocks(probes, BLOCK):
        yield PairedBlock(
            tuple(block), concatenate([a[p].evidence(p) for p in block]), concatenate([b[p].evidence(p) for p in block])
        )
