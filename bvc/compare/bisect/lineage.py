"""Who descends from whom in a span, and the lines that lead through it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from bvc.bisection import Span
from bvc.errors import UsageError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_KEPT = 8


@dataclass(frozen=True)
class Lineage:
    """A span of n commits with its ancestor sets.

    `packed` [n, ceil(n / 8)] has bit c of row i set where c is i or an ancestor of i: where the behavior that c brought
    is present.
    """

    span: Span
    packed: npt.NDArray[np.uint8]

    @property
    def size(self) -> int:
        """Commits of the span, the good ones included."""
        return len(self.span.parents)

    @cached_property
    def ancestors(self) -> npt.NDArray[np.float32]:
        """`packed` as numbers, [n, n]: row i has a 1 for i and each ancestor of i."""
        bits = np.unpackbits(self.packed, axis=1, count=self.size, bitorder="little")
        return bits.astype(np.float32)

    @cached_property
    def suspects(self) -> Mask:
        """[n], commits that may have brought the change: those that the bad end has and that are not good."""
        out = self.has(self.span.bad)
        for good in self.span.good:
            out &= ~self.has(good)
        return out

    @cached_property
    def depth(self) -> Floats:
        """[n], how many commits each one has as ancestors, itself included."""
        out: Floats = self.ancestors.sum(1).astype(float)
        return out

    def has(self, node: int) -> Mask:
        """[n], the commit itself and its ancestors."""
        return np.unpackbits(self.packed[node], count=self.size, bitorder="little").astype(bool)

    def parents(self, node: int) -> tuple[int, ...]:
        """Parents inside the span."""
        return self.span.parents[node]

    def heaviest_line(self, weights: Floats) -> Ints:
        """The line from a commit without parents to the bad end along which `weights` [n] sum to most; of several
        equally heavy ones the longest, then the one along first parents."""
        best = np.zeros(self.size)
        before = np.full(self.size, -1)
        gain = weights + 1e-6
        for node, parents in enumerate(self.span.parents):
            top = 0.0
            for parent in parents:
                if best[parent] > top * (1 + 1e-12):
                    top, before[node] = float(best[parent]), parent
            best[node] = top + gain[node]
        line = [self.span.bad]
        while before[line[-1]] >= 0:
            line.append(int(before[line[-1]]))
        return np.array(line[::-1])


@lru_cache(maxsize=_KEPT)
def lineage_of(span: Span) -> Lineage:
    """Ancestor sets of a span. Raises UsageError where it is empty or its parents do not come before children."""
    n = len(span.parents)
    if n == 0 or span.bad in span.good:
        raise UsageError("there is nothing between the good and the bad commit")
    packed = np.zeros((n, (n + 7) // 8), np.uint8)
    for node, parents in enumerate(span.parents):
        for parent in parents:
            if not 0 <= parent < node:
                raise UsageError(f"commit {node} of the span comes before its parent {parent}")
            packed[node] |= packed[parent]
        packed[node, node // 8] |= 1 << (node % 8)
    packed.setflags(write=False)
    return Lineage(span, packed)
