"""Walks over the commit graph: pure, given a function from a commit to its node.

Generations (a commit's is greater than its parents') let every walk stop early and still be exact, whatever the clocks
said when the commits were made.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from bvc.store.index import Node

NodeOf = Callable[[str], Node]

_LEFT, _RIGHT, _STALE = 1, 2, 4


def walk(starts: Iterable[str], node: NodeOf, hidden: Iterable[str] = ()) -> Iterator[str]:
    """All ancestors of `starts` and themselves, once each, but for those of `hidden` and these: children before
    parents, else the newest first. It is `git rev-list STARTS --not HIDDEN`.

    A commit is given out when every commit of a greater generation that is reachable has been seen (`waiting` counts
    its children that are not yet given out), so a walk that is cut short has read little more than it gave.
    """
    below = _Below(hidden, node)
    seen = set(below.leaves(starts))
    unexplored = [(-node(oid).generation, oid) for oid in seen]
    heapq.heapify(unexplored)
    waiting = dict.fromkeys(seen, 0)
    ready: list[tuple[int, int, str]] = []
    tips = set(seen)

    def explore(generation: int) -> None:
        """Counts the children of every commit down to `generation`."""
        while unexplored and -unexplored[0][0] > generation:
            for parent in below.leaves(node(heapq.heappop(unexplored)[1]).parents):
                waiting[parent] = waiting.get(parent, 0) + 1
                if parent not in seen:
                    seen.add(parent)
                    heapq.heappush(unexplored, (-node(parent).generation, parent))

    def offer(oid: str) -> None:
        found = node(oid)
        explore(found.generation)
        if waiting[oid] == 0:
            heapq.heappush(ready, (-found.date, -found.generation, oid))

    for tip in sorted(tips, key=lambda oid: node(oid).generation, reverse=True):
        offer(tip)
    while ready:
        oid = heapq.heappop(ready)[2]
        yield oid
        explore(node(oid).generation - 1)
        parents = below.leaves(node(oid).parents)
        for parent in dict.fromkeys(parents):
            waiting[parent] -= parents.count(parent)
            offer(parent)


class _Below:
    """Some commits and all their ancestors, found as far down as is asked."""

    def __init__(self, tips: Iterable[str], node: NodeOf) -> None:
        self._node = node
        self._found = set(tips)
        self._open = [(-node(oid).generation, oid) for oid in self._found]
        heapq.heapify(self._open)

    def leaves(self, oids: Iterable[str]) -> list[str]:
        """Those of `oids` that are not among them."""
        return [oid for oid in oids if not self._holds(oid)]

    def _holds(self, oid: str) -> bool:
        generation = self._node(oid).generation if self._open else 0
        while self._open and -self._open[0][0] > generation:
            fresh = set(self._node(heapq.heappop(self._open)[1]).parents) - self._found
            self._found |= fresh
            for parent in fresh:
                heapq.heappush(self._open, (-self._node(parent).generation, parent))
        return oid in self._found


def merge_bases(a: str, b: str, node: NodeOf) -> list[str]:
    """The common ancestors of `a` and `b` that no other common ancestor descends from, sorted by id.

    Colors run down from both sides in the order of generations, so a commit has all its colors when its turn comes.
    """
    colors = {a: _LEFT}
    colors[b] = colors.get(b, 0) | _RIGHT
    queue = [(-node(oid).generation, oid) for oid in colors]
    heapq.heapify(queue)
    fresh = len(queue)
    bases = []
    while queue and fresh:
        oid = heapq.heappop(queue)[1]
        color = colors[oid]
        fresh -= not color & _STALE
        if color == _LEFT | _RIGHT:
            bases.append(oid)
            color |= _STALE
        for parent in set(node(oid).parents):
            before = colors.get(parent)
            colors[parent] = (before or 0) | color
            if before is None:
                heapq.heappush(queue, (-node(parent).generation, parent))
                fresh += not color & _STALE
            else:
                fresh -= bool(color & _STALE) and not before & _STALE
    return sorted(bases)


def is_ancestor(a: str, b: str, node: NodeOf) -> bool:
    """Whether `a` is `b` or one of its ancestors."""
    lowest = node(a).generation
    stack, seen = [b], {b}
    while stack:
        oid = stack.pop()
        if oid == a:
            return True
        if node(oid).generation > lowest:
            fresh = set(node(oid).parents) - seen
            seen |= fresh
            stack += fresh
    return False
