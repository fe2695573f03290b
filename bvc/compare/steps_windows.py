"""What lies before and after every commit of a lineage, at many scales: means of paired scores over runs of commits.

A run goes back from a commit's parent, and on from the commit itself, along single parents and single children; at a
merge, and where branches part, it ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lineage:
    """Commits as indices, parents before children: `parents[i]` are those of commit i."""

    parents: tuple[tuple[int, ...], ...]

    @property
    def back(self) -> Ints:
        """The only parent of each commit, [n]; -1 for a root and a merge."""
        return np.array([p[0] if len(p) == 1 else -1 for p in self.parents], np.int64)

    @property
    def ahead(self) -> Ints:
        """The only child of each commit where that is no merge, [n]; else -1."""
        children: list[list[int]] = [[] for _ in self.parents]
        for child, parents in enumerate(self.parents):
            for parent in parents:
                children[parent].append(child)
        only = [c[0] if len(c) == 1 and len(self.parents[c[0]]) == 1 else -1 for c in children]
        return np.array(only, np.int64)


@dataclass(frozen=True)
class Window:
    """The step to commit `node`, seen over up to `width` commits on each side: `before` has a run for each parent, the
    nearest commit first, `after` the run that begins with the node."""

    node: int
    width: int
    before: tuple[tuple[int, ...], ...]
    after: tuple[int, ...]

    @property
    def steps(self) -> frozenset[int]:
        """The commits with which something may have changed inside the window."""
        inside = {commit for run in self.before for commit in run[:-1]}
        return frozenset(inside | {*self.after})


@dataclass(frozen=True)
class Scale:
    """All windows of one `width`: their nodes [h], and how far the scores of each unit (a cluster of probes, summed)
    moved there, [h, units]."""

    width: int
    nodes: Ints
    moved: Floats


def window(lineage: Lineage, node: int, width: int) -> Window:
    """The window of this width around the step to `node`."""
    before = tuple(_run(lineage.back, parent, width) for parent in lineage.parents[node])
    return Window(node, width, before, _run(lineage.ahead, node, width))


def _run(following: Ints, start: int, width: int) -> tuple[int, ...]:
    out = [start]
    while len(out) < width and following[out[-1]] >= 0:
        out.append(int(following[out[-1]]))
    return tuple(out)


@dataclass
class _Runs:
    """Sums of scores over the run of each commit, [n, probes], how many were known, and its length [n]; `following` is
    the commit behind its end, or -1."""

    sums: Floats
    known: Floats
    length: Ints
    following: Ints

    def doubled(self) -> _Runs:
        """Each run with the one behind it."""
        go = self.following
        there = go >= 0
        shown = there[:, None]
        return _Runs(
            self.sums + np.where(shown, self.sums[go], 0),
            self.known + np.where(shown, self.known[go], 0),
            self.length + np.where(there, self.length[go], 0),
            np.where(there, go[go], -1),
        )

    def means(self, nodes: Ints) -> Floats:
        """The mean score of each probe over the runs of `nodes`, NaN where none is known, [nodes, probes]."""
        known = self.known[nodes]
        out: Floats = np.where(known > 0, self.sums[nodes] / np.maximum(known, 1), np.nan).astype(np.float32)
        return out


def scales(lineage: Lineage, scores: Floats, units: Ints) -> Iterator[Scale]:
    """The windows of width 1, 2, 4, … of every commit with parents.

    `scores` is [n, probes], NaN where a commit lacks a probe; `units` [probes] numbers the clusters of probes. Of a
    merge only what lies outside the range of its parents moved, by so much: the rest it inherited. Both sides hold the
    same number of commits, since where nothing changes a difference of like means only is symmetric: one rare answer
    weighs more in the shorter mean.
    """
    known = ~np.isnan(scores)
    values, counts = np.where(known, scores, 0).astype(np.float32), known.astype(np.float32)
    ones = np.ones(len(scores), np.int64)
    before, after = _Runs(values, counts, ones, lineage.back), _Runs(values, counts, ones, lineage.ahead)
    nodes = np.array([i for i, parents in enumerate(lineage.parents) if parents], np.int64)
    width = 1
    while True:
        back = np.array([min(before.length[p] for p in lineage.parents[i]) for i in nodes], np.int64)
        full = nodes[(back == width) & (after.length[nodes] == width)]
        if not full.size:
            return
        yield Scale(width, full, _summed(_moved(lineage, before, after, full), units))
        before, after, width = before.doubled(), after.doubled(), 2 * width


def _moved(lineage: Lineage, before: _Runs, after: _Runs, nodes: Ints) -> Floats:
    """How far each probe's mean moved, [nodes, probes]; 0 where it is not known on both sides."""
    first = np.array([lineage.parents[i][0] for i in nodes], np.int64)
    moved = after.means(nodes) - before.means(first)
    for row, node in enumerate(nodes.tolist()):
        if len(lineage.parents[node]) > 1:
            moved[row] = _beyond_parents(after.means(nodes[row : row + 1])[0], before, lineage.parents[node])
    out: Floats = np.nan_to_num(moved, nan=0.0)
    return out


def _beyond_parents(here: Floats, before: _Runs, parents: Sequence[int]) -> Floats:
    there = before.means(np.array(parents, np.int64))
    low, high = np.fmin.reduce(there, axis=0), np.fmax.reduce(there, axis=0)
    out: Floats = here - np.clip(here, low, high)
    return out


def _summed(moved: Floats, units: Ints) -> Floats:
    """The sum over each unit's probes, [nodes, units]."""
    count = int(units.max()) + 1 if units.size else 0
    if count == moved.shape[1]:
        return moved[:, np.argsort(units)]
    out = np.zeros((len(moved), count), np.float32)
    np.add.at(out.T, units, moved.T)
    return out
