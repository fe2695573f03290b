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


def walk(starts: Iterable[str], node: NodeOf) -> Iterator[str]:
    """All ancestors of `starts` and themselves, once each: children before parents, else the newest first.

    A commit is given out when every commit of a greater generation that is reachable has been seen (`waiting` counts
    its children that are not yet given out), so a walk that is cut short has read little more than it gave.
    """
    seen = set(starts)
    unexplored = [(-node(oid).generation, oid) for oid in seen]
    heapq.heapify(unexplored)
    waiting = dict.fromkeys(seen, 0)
    ready: list[tuple[int, int, str]] = []
    tips = set(seen)

    def explore(generation: int) -> None:
        """Counts the children of every commit down to `generation`."""
        while unexplored and -unexplored[0][0] > generation:
            for parent in node(heapq.heappop(unexplored)[1]).parents:
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
        for parent in dict.fromkeys(node(oid).parents):
            waiting[parent] -= node(oid).parents.count(parent)
            offer(parent)


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
