"""The recorded part of a lineage, as blame looks at it: commits that hold answers, and what changed between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bvc.api.search_changes import ChangeHistory, Counts, Edge, change_history
from bvc.errors import NotComparable
from bvc.repository.repository import Repository

if TYPE_CHECKING:
    from bvc.results import Progress

Report = Callable[["Progress"], None]


@dataclass(frozen=True)
class Recorded:
    """The commits with answers among those that `head` reaches, as indices with parents before children.

    `parents[i]` are the nearest recorded ancestors of commit i on each way, but none that another of them descends
    from; `edges[i]` says what changed from each. `total` counts all commits.
    """

    repository: Repository
    head: str
    commits: tuple[str, ...]
    parents: tuple[tuple[int, ...], ...]
    edges: tuple[tuple[Edge, ...], ...]
    total: int

    @cached_property
    def place(self) -> Mapping[str, int]:
        """The index of each commit."""
        return {commit: i for i, commit in enumerate(self.commits)}

    @cached_property
    def newest(self) -> int:
        """The recorded commit where blame begins: the head, or else the nearest one before it, first parents first."""
        ways, seen = [self.head], {self.head}
        while ways:
            commit = ways.pop()
            if commit in self.place:
                return self.place[commit]
            fresh = [p for p in self.repository.store.history.node(commit).parents if p not in seen]
            seen.update(fresh)
            ways += reversed(fresh)
        return len(self.commits) - 1

    def between(self, commit: int) -> tuple[str, ...]:
        """The commits without answers on the way to a recorded one from those before it, nearest first."""
        node = self.repository.store.history.node
        ways, found = list(node(self.commits[commit]).parents), dict[str, None]()
        while ways:
            oid = ways.pop(0)
            if oid not in self.place and oid not in found:
                found[oid] = None
                ways += node(oid).parents
        return tuple(found)


def recorded_lineage(
    repository: Repository, head: str, progress: Report | None = None, counts: Counts | None = None
) -> Recorded:
    """What is recorded of all that commit `head` (full id) reaches; commits for which `counts` says no count as not
    recorded. Raises NotComparable where nothing is."""
    return recorded_of(repository, head, change_history(repository, [head], progress, counts))


def recorded_of(repository: Repository, head: str, history: ChangeHistory) -> Recorded:
    """What is recorded of the commits of a history that ends at `head`. Raises NotComparable where nothing is."""
    commits = tuple(commit for commit in reversed(history.order) if commit in history.edges)
    if not commits:
        raise NotComparable(
            f"no commit that {head[:10]} reaches holds answers", hint=f"`bvc capture {head[:10]}` captures it now"
        )
    place = {commit: i for i, commit in enumerate(commits)}
    edges = tuple(_nearest(repository, history.edges[commit]) for commit in commits)
    parents = tuple(tuple(place[edge.base] for edge in each if edge.base is not None) for each in edges)
    return Recorded(repository, head, commits, parents, edges, len(history.order))


def _nearest(repository: Repository, edges: tuple[Edge, ...]) -> tuple[Edge, ...]:
    """The edges without those whose base is an ancestor of another's; the way from nothing only where it is the only
    one."""
    bases = [edge.base for edge in edges if edge.base is not None]
    if len(edges) < 2:
        return edges
    is_ancestor = repository.store.history.is_ancestor
    kept = [b for b in bases if not any(b != other and is_ancestor(b, other) for other in bases)]
    return tuple(edge for edge in edges if edge.base in kept)
