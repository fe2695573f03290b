"""The N0 band: how far captures of the same weights lie apart when only the batch layout differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np

from bvc.compare.pairing import ACTIVATION, LOGPROB, TEXT

EXCEEDED = 0.01
"""Share of same-weights distances that a band may leave out once enough were measured to say so."""
FLOOR = {TEXT: 0.0, LOGPROB: 1e-6, ACTIVATION: 1e-5}
"""Least band of a channel, in its unit: what single-precision arithmetic alone moves. A divergence of 1e-6 nats a token
needs a million tokens to be seen, and hidden states carry seven digits, of which sums over a layer cost two."""


@dataclass(frozen=True)
class Band:
    """Distances of `n` re-captured probes in one channel. `band` is the distance that a further same-weights pair stays
    within with probability `coverage`; below 99 pairs it is the largest one seen, which covers n in n + 1."""

    n: int
    median: float
    q95: float
    max: float
    band: float
    coverage: float

    def to_json(self) -> dict[str, Any]:
        """As stored in a snapshot and written to JSON."""
        return asdict(self)


def band(distances: Iterable[float], floor: float = 0.0) -> Band | None:
    """The band of some same-weights distances; None for none.

    The r-th smallest of n exchangeable distances is not exceeded by a further one with probability r / (n + 1) (as in
    split conformal prediction, Vovk et al. 2005); r = ⌈(n + 1) .99⌉, at most n.
    """
    values = np.sort(np.fromiter(distances, float))
    n = len(values)
    if n == 0:
        return None
    rank = min(ceil((n + 1) * (1 - EXCEEDED)), n)
    return Band(
        n=n,
        median=float(np.median(values)),
        q95=float(np.quantile(values, 0.95, method="higher")),
        max=float(values[-1]),
        band=max(float(values[rank - 1]), floor),
        coverage=rank / (n + 1),
    )


def bands(tables: Iterable[Mapping[str, Mapping[str, float]]]) -> dict[str, Band]:
    """Bands per channel from the distances of several sets of re-captures pooled, `{channel: {probe: distance}}`."""
    pooled: dict[str, list[float]] = {}
    for table in tables:
        for channel, values in table.items():
            pooled.setdefault(channel, []).extend(values.values())
    found = {channel: band(values, FLOOR.get(channel, FLOOR[ACTIVATION])) for channel, values in pooled.items()}
    return {channel: b for channel, b in found.items() if b is not None}
