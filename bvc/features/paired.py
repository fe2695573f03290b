"""Activations of several models on the same tokens, as streams: what two-sided coders are fitted on and judged by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

import torch
from torch import Tensor

from bvc.errors import UsageError

ROWS_MEASURED = 16384
"""Rows that medians and means are taken over before a fit."""


@dataclass(frozen=True)
class PairedBatch:
    """Rows of every side, aligned: `sides[s]` is [n, width of s]; `texts` [n] int64 says which text each row is from.

    Pad tokens and special tokens must not be among the rows.
    """

    sides: tuple[Tensor, ...]
    texts: Tensor


class PairedSource(Protocol):
    """Batches that can be had again and again."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each side."""
        ...

    def batches(self, seed: int | None) -> Iterator[PairedBatch]:
        """One pass over all rows: shuffled by `seed`, or with None in an order that is always the same."""
        ...


@dataclass(frozen=True)
class PairedActivations:
    """A source of tensors at hand: `sides[s]` [n, width of s], all of the same rows and on one device.

    `texts` [n] says which text each row is from (None: each row is a text of its own, which makes every interval too
    narrow where rows are tokens of longer texts). `rows` are the places of those that count (None: all), `device` is
    where batches go (None: they stay where the tensors are).
    """

    sides: tuple[Tensor, ...]
    texts: Tensor | None = None
    batch: int = 2048
    rows: Tensor | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        lengths = {len(side) for side in self.sides} | (set() if self.texts is None else {len(self.texts)})
        if len(lengths) != 1 or any(side.ndim != 2 for side in self.sides):
            raise UsageError("paired activations need as many rows on every side, and a text for each where given")

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each side."""
        return tuple(side.shape[1] for side in self.sides)

    def batches(self, seed: int | None) -> Iterator[PairedBatch]:
        """One pass in batches of `batch` rows, the last one perhaps shorter."""
        count, device = len(self.sides[0]), self.sides[0].device
        texts = torch.arange(count, device=device) if self.texts is None else self.texts
        order = torch.arange(count) if self.rows is None else self.rows
        if seed is not None:
            order = order[torch.randperm(len(order), generator=torch.Generator().manual_seed(seed))]
        for part in torch.split(order.to(device), self.batch):
            to = device if self.device is None else self.device
            yield PairedBatch(tuple(side[part].to(to) for side in self.sides), texts[part].to(to))


def usual_rows(sides: Sequence[Tensor], limit: float = 2.0) -> Tensor:
    """Places of the rows whose norm is within `limit` medians on every side [n, width], and finite.

    Some tokens carry a norm many times that of all others whatever they are (2402.17762): few rows that would decide
    every regression.
    """
    norms = [torch.cat([part.float().norm(dim=-1) for part in torch.split(side, ROWS_MEASURED)]) for side in sides]
    within = [n <= limit * n[n.isfinite()].median() if n.isfinite().any() else n < 0 for n in norms]
    return torch.stack(within).all(dim=0).nonzero().flatten()


@dataclass(frozen=True)
class ChangedSource:
    """A source whose sides are computed from another's, batch by batch: `change` takes its sides to `widths` ones."""

    source: PairedSource
    widths: tuple[int, ...]
    change: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]

    def batches(self, seed: int | None) -> Iterator[PairedBatch]:
        """The batches of the other source, changed."""
        for batch in self.source.batches(seed):
            yield PairedBatch(self.change(batch.sides), batch.texts)


@dataclass(frozen=True)
class Norms:
    """How sides are made comparable: the median norm of each side's rows, its mean [d] over the rows kept, the common
    median that all are scaled to, the limit (in multiples of the median) above which rows are left out, and the
    `variance`: the mean squared distance of a kept row, all sides together at the common median, from the mean."""

    medians: tuple[float, ...]
    means: tuple[Tensor, ...]
    common: float
    limit: float
    variance: float

    @property
    def scales(self) -> tuple[float, ...]:
        """What each side is multiplied by."""
        return tuple(self.common / median for median in self.medians)

    def kept(self, sides: tuple[Tensor, ...]) -> Tensor:
        """Which rows [n] are within the limit on every side; rows with values that are not finite are not."""
        within = [side.norm(dim=-1) <= self.limit * median for side, median in zip(sides, self.medians, strict=True)]
        return torch.stack(within).all(dim=0)

    def scaled(self, sides: tuple[Tensor, ...]) -> Tensor:
        """The kept rows of all sides beside each other [n kept, sum of widths], float32, at the common median."""
        kept = self.kept(sides)
        return torch.cat([s[kept].float() * scale for s, scale in zip(sides, self.scales, strict=True)], dim=-1)


def measure_norms(source: PairedSource, limit: float = 2.0, rows: int = ROWS_MEASURED) -> Norms:
    """Medians and means over the first `rows` rows of a shuffled pass.

    Where no row is left out (`limit` infinite) the root of the mean square stands in for the median, which may be next
    to nothing where few rows have anything in them. The common median is the square root of the mean width, so that
    the settings of a fit mean the same for all models.
    Raises UsageError where a side is zero or not finite, or has no rows.
    """
    gathered, seen = [], 0
    for batch in source.batches(0):
        gathered.append(batch.sides)
        seen += len(batch.texts)
        if seen >= rows:
            break
    if not seen:
        raise UsageError("there are no activations to fit on")
    sides = tuple(torch.cat(parts).float() for parts in zip(*gathered, strict=True))
    medians = tuple(_typical(side.norm(dim=-1), limit) for side in sides)
    if not all(0 < median < inf for median in medians):
        raise UsageError("activations of one side are zero or not finite in most rows")
    common = (sum(source.widths) / len(source.widths)) ** 0.5
    norms = Norms(medians, (), common, limit, 0.0)
    kept, rows_kept = norms.kept(sides), norms.scaled(sides)
    variance = float((rows_kept - rows_kept.mean(dim=0)).square().sum(dim=-1).mean())
    return replace(norms, means=tuple(side[kept].mean(dim=0) for side in sides), variance=variance)


def _typical(norms: Tensor, limit: float) -> float:
    finite = norms[norms.isfinite()]
    if not len(finite):
        return 0.0
    return float(finite.square().mean().sqrt() if limit == inf else finite.median())
