"""Which answers change at which commit: read from trees once, then from the index. Loads neither numpy nor torch.

A commit that holds no answers (registered without capture) is passed over: the commit after it is compared with the
nearest one before it that does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bvc.repository.repository import Repository
from bvc.store import graph
from bvc.store.changes import Change, changes_key, held_key, pack_changes, unpack_changes
from bvc.store.environment import Row

if TYPE_CHECKING:
    from bvc.repository.snapshot_view import SnapshotView
    from bvc.results import Progress

Report = Callable[["Progress"], None]

_YES, _NO = b"\1", b"\0"
_FLUSH = 200
"""Rows that are written to the index at once."""
_KEPT = 64
"""Commits whose folders are kept while their neighbors are read."""


@dataclass(frozen=True)
class Edge:
    """What changed from `base` (None: from nothing) to a commit."""

    base: str | None
    row: bytes

    def changes(self) -> Iterator[Change]:
        """The changes, by probe."""
        return unpack_changes(self.row)


@dataclass(frozen=True)
class ChangeHistory:
    """The changes of every commit that `starts` reach.

    `order` is the history's, newest first; `edges` has for each commit with answers the changes from each of its
    parents, the first parent's first.
    """

    order: tuple[str, ...]
    edges: Mapping[str, tuple[Edge, ...]]

    def records(self, probes: Collection[bytes] | None = None) -> set[bytes]:
        """The ids of all records of answers that stand anywhere; with `probes` only of these."""
        changes = (change for edges in self.edges.values() for change in edges[0].changes())
        return {c.new for c in changes if c.new is not None and (probes is None or c.probe in probes)}

    def probes(self) -> set[bytes]:
        """The ids of all probes that were answered anywhere."""
        return {c.probe for edges in self.edges.values() for c in edges[0].changes() if c.old is None}


def change_history(repository: Repository, starts: Iterable[str], progress: Report | None = None) -> ChangeHistory:
    """The changes of all commits that `starts` (full ids) reach; what the index lacks is read, and remembered."""
    return _Reader(repository, progress).read(tuple(graph.walk(starts, repository.store.history.node)))


@dataclass
class _Reader:
    repository: Repository
    progress: Report | None
    _sides: dict[str, str] = field(default_factory=dict)
    _folders: dict[str, _Folders] = field(default_factory=dict)
    _waiting: list[Row] = field(default_factory=list)

    def read(self, order: tuple[str, ...]) -> ChangeHistory:
        self._sides = self._all_sides(order)
        held = self._held(order)
        bases = self._bases(order, held)
        pairs = [(base, commit) for commit in reversed(order) if commit in held for base in bases[commit]]
        keys = [changes_key(self._side(base), self._sides[commit]) for base, commit in pairs]
        edges: dict[str, list[Edge]] = {}
        known = self.repository.store.index.environment.get_many(keys)
        left = sum(1 for row in known if row is None)
        done = 0
        for (base, commit), key, row in zip(pairs, keys, known, strict=True):
            if row is None:
                row = pack_changes(self._compare(base, commit))
                self._remember(key, row)
                done += 1
                self._tell("changes", done, left)
            edges.setdefault(commit, []).append(Edge(base, row))
        self._flush()
        return ChangeHistory(order, {commit: tuple(found) for commit, found in edges.items()})

    def _all_sides(self, order: tuple[str, ...]) -> dict[str, str]:
        """What names the content of each commit: its id, or the tree attached to it."""
        attached = self.repository.attached
        info = self.repository.store.history.info
        return {
            commit: (attached.tree_of(info(commit)) or commit) if commit in attached.trees else commit
            for commit in order
        }

    def _side(self, commit: str | None) -> str | None:
        return None if commit is None else self._sides[commit]

    def _held(self, order: tuple[str, ...]) -> set[str]:
        """The commits that hold answers."""
        keys = [held_key(self._sides[commit]) for commit in order]
        rows = self.repository.store.index.environment.get_many(keys)
        held = set()
        for commit, key, row in zip(order, keys, rows, strict=True):
            if row is None:
                row = _YES if self._has_answers(commit) else _NO
                self._remember(key, row)
            if row == _YES:
                held.add(commit)
        return held

    def _has_answers(self, commit: str) -> bool:
        view = self.repository.snapshot(commit)
        return view.info.snapshot is not None and view.folder("outputs") is not None

    def _bases(self, order: tuple[str, ...], held: set[str]) -> dict[str, tuple[str | None, ...]]:
        """For each commit the commits with answers that it is compared with."""
        nearest: dict[str, str | None] = {}
        bases: dict[str, tuple[str | None, ...]] = {}
        for commit in reversed(order):
            parents = self.repository.store.history.node(commit).parents
            bases[commit] = tuple(dict.fromkeys(nearest[parent] for parent in parents)) or (None,)
            nearest[commit] = commit if commit in held else bases[commit][0]
        return bases

    def _compare(self, base: str | None, commit: str) -> Iterator[Change]:
        old = _Folders.empty() if base is None else self._folders_of(base)
        new = self._folders_of(commit)
        for probe in sorted(_touched(old, new)):
            before, after = old.record(probe), new.record(probe)
            if before != after:
                yield Change(bytes.fromhex(probe), _id(before), _id(after))

    def _folders_of(self, commit: str) -> _Folders:
        found = self._folders.pop(commit, None) or _Folders.of(self.repository.snapshot(commit))
        self._folders[commit] = found
        if len(self._folders) > _KEPT:
            del self._folders[next(iter(self._folders))]
        return found

    def _remember(self, key: bytes, row: bytes) -> None:
        self._waiting.append((key, row))
        if len(self._waiting) >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        self.repository.store.index.environment.remember(self._waiting)
        self._waiting = []

    def _tell(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            from bvc.results import Progress

            self.progress(Progress(what, done, total))


@dataclass
class _Folders:
    """The folders of one commit's answers: per suite `{shard: tree}`, each tree read when it is asked for."""

    suites: Mapping[str, Mapping[str, str]]
    listing: Callable[[str], Mapping[str, str]]
    _read: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> _Folders:
        return cls({}, lambda tree: {})  # noqa: ARG005 - nothing to list

    @classmethod
    def of(cls, view: SnapshotView) -> _Folders:
        suites = {entry.name: view.below(f"outputs/{entry.name}") for entry in view.snapshot.suites}
        return cls(suites, view.records_in)

    def shard(self, tree: str) -> Mapping[str, str]:
        """`{probe: record}` of one shard."""
        if tree not in self._read:
            self._read[tree] = self.listing(tree)
        return self._read[tree]

    def record(self, probe: str) -> str | None:
        """The record of a probe's answers; of one that several suites hold, in the last of them, as in a view."""
        for shards in reversed(list(self.suites.values())):
            tree = shards.get(probe[:2])
            found = None if tree is None else self.shard(tree).get(probe)
            if found is not None:
                return found
        return None


def _touched(old: _Folders, new: _Folders) -> set[str]:
    """Probes whose record may differ: those in shards that differ."""
    touched: set[str] = set()
    for suite in old.suites.keys() | new.suites.keys():
        before, after = old.suites.get(suite, {}), new.suites.get(suite, {})
        for name in before.keys() | after.keys():
            if before.get(name) != after.get(name):
                for side, shards in ((old, before), (new, after)):
                    touched.update(side.shard(shards[name]) if name in shards else ())
    return touched


def _id(record: str | None) -> bytes | None:
    return None if record is None else bytes.fromhex(record)
