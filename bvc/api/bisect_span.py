"""The commits among which a bisect looks: those that the new end reaches and no old one does, as Git has them.

Loads neither numpy nor torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from bvc.bisection import Span
from bvc.errors import UsageError
from bvc.repository.repository import Repository
from bvc.store import graph


@dataclass(frozen=True)
class Lineage:
    """`commits[i]` is the commit of index i of `span`: the old ends, then the others with parents before children, the
    new end last. `bases` are those old ends that nobody named: merge bases of the new end with an old commit on another
    branch (`beside`), which have to be tested."""

    commits: tuple[str, ...]
    span: Span
    bases: frozenset[str] = frozenset()
    beside: tuple[str, ...] = ()

    @cached_property
    def index(self) -> dict[str, int]:
        """`{commit: index}`."""
        return {commit: i for i, commit in enumerate(self.commits)}

    @property
    def bad(self) -> str:
        """The commit that shows what is looked for."""
        return self.commits[-1]

    @property
    def good(self) -> tuple[str, ...]:
        """The old ends."""
        return tuple(self.commits[i] for i in self.span.good)


def lineage(repository: Repository, bad: str, goods: Sequence[str], terms: tuple[str, str]) -> Lineage:
    """What lies between commits `goods` and `bad` (full ids).

    Where an old commit is no ancestor of the new one, their merge bases take its place. Raises UsageError where nothing
    lies between them.
    """
    history = repository.store.history
    ends: dict[str, bool] = {}
    beside = []
    for good in goods:
        bases = history.merge_bases(good, bad)
        _check_ends(good, bad, bases, terms)
        beside += [good] if bases != [good] else []
        for base in bases:
            ends[base] = ends.get(base, False) or base in goods
    inside = list(graph.walk([bad], history.node, ends))[::-1]
    used = _used(repository, inside, ends)
    commits = (*used, *inside)
    index = {commit: i for i, commit in enumerate(commits)}
    parents = tuple(
        () if commit in ends else tuple(index[p] for p in dict.fromkeys(history.node(commit).parents) if p in index)
        for commit in commits
    )
    unnamed = frozenset(commit for commit in used if not ends[commit])
    return Lineage(commits, Span(parents, tuple(range(len(used)))), unnamed, tuple(beside))


def _check_ends(good: str, bad: str, bases: Sequence[str], terms: tuple[str, str]) -> None:
    old, new = terms
    if good == bad:
        raise UsageError(f"commit {bad[:10]} is given as {old} and as {new}")
    if not bases:
        raise UsageError(f"{good[:10]} and {bad[:10]} have no common ancestor: there is nothing to look through")
    if bases == [bad]:
        raise UsageError(
            f"the {new} commit {bad[:10]} is an ancestor of the {old} commit {good[:10]}",
            hint=f"exchange them; to find where something went away, give the older commit as {old} and choose the "
            "words with --term-old and --term-new",
        )


def _used(repository: Repository, inside: Iterable[str], ends: Iterable[str]) -> list[str]:
    """The old ends that a commit of the span has as parent; the others say nothing more."""
    parents = {p for commit in inside for p in repository.store.history.node(commit).parents}
    return [end for end in ends if end in parents]
