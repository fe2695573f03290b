"""A shuffled stream of activations in bounded memory.

Vectors that come from one text are alike; a fit needs batches of vectors from many. The buffer holds a fixed number of
them, serves them in random order and takes in new ones whenever half of what it holds has been served.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from bvc.errors import BadInput


@dataclass(frozen=True)
class ActivationBatch:
    """Activations of real tokens (no padding) of whole texts: `vectors` [n, d] float32, of `texts` texts."""

    vectors: torch.Tensor
    texts: int


class ActivationSource(Protocol):
    """Activations of one hookpoint over the texts of a corpus, always in the same order."""

    width: int

    def batches(self, skip_texts: int) -> Iterator[ActivationBatch]:
        """The batches after the first `skip_texts` texts, a number at which an earlier pass ended a batch: bit for bit
        the rest of that pass."""
        ...


@dataclass(frozen=True)
class BufferState:
    """All that a buffer needs to go on, on the CPU: its `arrays`, which may be its own (write them before the next
    `take`), and `counts`."""

    arrays: Mapping[str, torch.Tensor]
    counts: Mapping[str, int]


class ShuffleBuffer:
    """Holds up to `capacity` vectors of a source and serves each of them once per pass, in random order.

    The first `skip_texts` texts are left out of every pass. Vectors longer than `longest`, or not finite, are dropped
    and counted: a few tokens of a language model have norms a hundred times the others', and would be all that a fit
    sees. The memory is capacity x d float32, and what one batch of the source takes. The same seed gives the same
    order.
    """

    def __init__(
        self,
        source: ActivationSource,
        capacity: int,
        *,
        seed: int = 0,
        longest: float = math.inf,
        skip_texts: int = 0,
        passes: int | None = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        """`passes` None: begin again for as long as vectors are asked for."""
        if capacity < 2:
            raise ValueError(f"a buffer of {capacity} vectors")
        self._source = source
        self._longest = longest
        self._skip_texts = skip_texts
        self._passes = passes
        self._generator = torch.Generator().manual_seed(seed)
        self._store = torch.zeros((capacity, source.width), device=device)
        self._order = torch.empty(0, dtype=torch.int64)  # slots that hold vectors, in the order of serving
        self._free = torch.arange(capacity)
        self._waiting = self._store[:0]  # what the last batch of the source had beyond the free slots
        self._stream: Iterator[ActivationBatch] | None = None
        self._counts = {"texts": skip_texts, "passes": 0, "of_pass": 0, "served": 0, "dropped": 0}

    @property
    def served(self) -> int:
        """Vectors served so far."""
        return self._counts["served"]

    @property
    def dropped(self) -> int:
        """Vectors left out so far for their length."""
        return self._counts["dropped"]

    def take(self, count: int) -> torch.Tensor:
        """The next `count` vectors [count, d], a copy; fewer where the source ends, none after it.

        Raises BadInput for a source without a single usable vector.
        """
        parts = [self._store[:0]]
        while count > 0 and len(slots := self._next_slots(count)):
            parts.append(self._store[slots.to(self._store.device)])
            count -= len(slots)
        taken = torch.cat(parts)
        self._counts["served"] += len(taken)
        return taken

    def ahead(self, count: int) -> torch.Tensor:
        """Up to `count` of the vectors that it will serve next, without serving them."""
        if not len(self._order):
            self._refill()
        return self._store[self._order[:count].to(self._store.device)]

    def state(self) -> BufferState:
        """Where it stands."""
        arrays = {
            "store": self._store.cpu(),
            "order": self._order,
            "free": self._free,
            "waiting": self._waiting.cpu(),
            "generator": self._generator.get_state(),
        }
        return BufferState(arrays, dict(self._counts))

    def restore(self, state: BufferState) -> None:
        """Go on from `state`, of a buffer made with the same arguments: it serves what that one would have served."""
        self._store.copy_(state.arrays["store"])
        self._order, self._free = state.arrays["order"].clone(), state.arrays["free"].clone()
        self._waiting = state.arrays["waiting"].to(self._store.device)
        self._generator.set_state(state.arrays["generator"])
        self._counts = dict(state.counts)
        self._stream = None

    def _next_slots(self, count: int) -> torch.Tensor:
        """Up to `count` slots to serve next, which are free from then on; none when all is served."""
        reserve = len(self._store) // 2
        if len(self._order) <= reserve and not self._refill():
            reserve = 0
        count = min(count, len(self._order) - reserve)
        slots, self._order = self._order[:count], self._order[count:]
        self._free = torch.cat([self._free, slots])
        return slots

    def _refill(self) -> bool:
        """Fills the free slots and shuffles all that is held; False when the source has no more."""
        filled = [self._order]
        while len(self._free) and (vectors := self._pull()) is not None:
            count = min(len(self._free), len(vectors))
            slots, self._free = self._free[:count], self._free[count:]
            self._store[slots.to(self._store.device)] = vectors[:count]
            self._waiting = vectors[count:].clone()
            filled.append(slots)
        order = torch.cat(filled)
        grown = len(order) > len(self._order)
        if grown:
            self._order = order[torch.randperm(len(order), generator=self._generator)]
        return grown and len(self._order) > len(self._store) // 2

    def _pull(self) -> torch.Tensor | None:
        """The next vectors that have not been held yet, at least one; None after the last pass."""
        if len(self._waiting):
            return self._waiting
        while self._passes is None or self._counts["passes"] < self._passes:
            self._stream = self._stream or self._source.batches(self._counts["texts"])
            batch = next(self._stream, None)
            if batch is None:
                self._begin_again()
            elif len(vectors := self._usable(batch)):
                return vectors
        return None

    def _begin_again(self) -> None:
        if not self._counts["of_pass"]:
            raise BadInput("the texts give no activation that could be used", hint="give more or longer texts")
        self._counts.update({"passes": self._counts["passes"] + 1, "of_pass": 0, "texts": self._skip_texts})
        self._stream = None

    def _usable(self, batch: ActivationBatch) -> torch.Tensor:
        vectors = batch.vectors.to(self._store.device, torch.float32)
        kept = vectors[_lengths_within(vectors, self._longest)]
        self._counts["texts"] += batch.texts
        self._counts["of_pass"] += len(kept)
        self._counts["dropped"] += len(vectors) - len(kept)
        return kept


def _lengths_within(vectors: torch.Tensor, longest: float) -> torch.Tensor:
    """Which rows are finite and no longer than `longest`, [n] bool."""
    lengths = vectors.norm(dim=1)
    within: torch.Tensor = lengths.isfinite() & (lengths <= longest)
    return within
