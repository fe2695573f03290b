"""Which answers change at which commit: read from trees once, then from the index. Loads neither numpy nor torch.

A commit that holds no answers (registered without capture) is passed over: the commit after it is compared with the
nearest one before it that does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import records_in
from bvc.store import graph
from bvc.store.changes import Change, changes_key, held_key, pack_changes, unpack_changes
from bvc.store.environment import Row

if TYPE_CHECKING:
    from bvc.repository.snapshot_view import SnapshotView
    from bvc.results import Progress

Report = Callable[["Progress"], None]
Counts = Callable[[str], bool]
"""Whether a commit (full id) that holds answers is looked at."""

_YES, _NO = b"\1", b"\0"
_FLUSH = 1 << 22
"""Bytes of rows that are written to the index at once."""
_KEPT = 64
"""Commits whose folders are kept while their neighbors are read."""
_LISTED = 100_000
"""Records of answers in listings that are kept, since most stand in many commits, before all are forgotten."""


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


def change_history(
    repository: Repository, starts: Iterable[str], progress: Report | None = None, counts: Counts | None = None
) -> ChangeHistory:
    """The changes of all commits that `starts` (full ids) reach; what the index lacks is read, and remembered. Commits
    with answers for which `counts` says no are passed over as those without."""
    return changes_among(repository, tuple(graph.walk(starts, repository.store.history.node)), progress, counts)


def changes_among(
    repository: Repository, order: tuple[str, ...], progress: Report | None = None, counts: Counts | None = None
) -> ChangeHistory:
    """The changes of some commits (full ids, children before their parents), as if before them were nothing."""
    return _Reader(repository, progress, counts).read(order)


@dataclass
class _Reader:
    repository: Repository
    progress: Report | None
    counts: Counts | None = None
    _sides: dict[str, str] = field(default_factory=dict)
    _suites: dict[str, _Suites] = field(default_factory=dict)
    _folders: dict[str, _Folders] = field(default_factory=dict)
    _listings: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _listed: int = 0
    _waiting: list[Row] = field(default_factory=list)
    _bytes: int = 0

    def __post_init__(self) -> None:
        self._attached = self.repository.attached

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
        tree_of, info = self._attached.tree_of, self.repository.info
        return {
            commit: (tree_of(info(commit)) or commit) if commit in self._attached.trees else commit for commit in order
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
            if row == _YES and (self.counts is None or self.counts(commit)):
                held.add(commit)
        return held

    def _has_answers(self, commit: str) -> bool:
        view = self._view(commit)
        outputs = None if view.info.snapshot is None else view.folder("outputs")
        if outputs is not None:
            self._suites[commit] = _suites_of(view, outputs)
        return outputs is not None

    def _view(self, commit: str) -> SnapshotView:
        return self.repository.view(self.repository.info(commit), self._attached)

    def _bases(self, order: tuple[str, ...], held: set[str]) -> dict[str, tuple[str | None, ...]]:
        """For each commit the commits with answers that it is compared with."""
        nearest: dict[str, str | None] = {}
        bases: dict[str, tuple[str | None, ...]] = {}
        for commit in reversed(order):
            parents = self.repository.store.history.node(commit).parents
            bases[commit] = tuple(dict.fromkeys(nearest.get(parent) for parent in parents)) or (None,)
            nearest[commit] = commit if commit in held else bases[commit][0]
        return bases

    def _compare(self, base: str | None, commit: str) -> Iterator[Change]:
        old = _Folders({}, self._shard) if base is None else self._folders_of(base)
        new = self._folders_of(commit)
        for probe in sorted(_touched(old, new)):
            before, after = old.record(probe), new.record(probe)
            if before != after:
                yield Change(bytes.fromhex(probe), _id(before), _id(after))

    def _folders_of(self, commit: str) -> _Folders:
        found = self._folders.pop(commit, None) or self._read_folders(commit)
        self._folders[commit] = found
        if len(self._folders) > _KEPT:
            del self._folders[next(iter(self._folders))]
        return found

    def _read_folders(self, commit: str) -> _Folders:
        suites = self._suites.pop(commit, None)
        if suites is None:
            view = self._view(commit)
            suites = _suites_of(view, view.folder("outputs") or "")
        tree = self.repository.store.objects.raw_tree
        return _Folders({suite: {name: oid for _, name, oid in tree(folder)} for suite, folder in suites}, self._shard)

    def _shard(self, folder: bytes) -> Mapping[str, str]:
        """`{probe: record}` of one folder of answers."""
        tree = folder.hex()
        if tree not in self._listings:
            if self._listed > _LISTED:
                self._listings, self._listed = {}, 0
            self._listings[tree] = found = records_in(self.repository.store, tree)
            self._listed += len(found)
        return self._listings[tree]

    def _remember(self, key: bytes, row: bytes) -> None:
        self._waiting.append((key, row))
        self._bytes += len(key) + len(row)
        if self._bytes >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        self.repository.store.index.environment.remember(self._waiting)
        self._waiting, self._bytes = [], 0

    def _tell(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            from bvc.results import Progress

            self.progress(Progress(what, done, total))


_Suites = tuple[tuple[str, str], ...]
"""The suites of a snapshot, in its order, with the folder (tree id) of the answers to each."""


def _suites_of(view: SnapshotView, outputs: str) -> _Suites:
    folders = {entry.name: entry.oid for entry in view.store.objects.tree(outputs)}
    return tuple((entry.name, folders[entry.name]) for entry in view.snapshot.suites if entry.name in folders)


@dataclass(frozen=True)
class _Folders:
    """The folders of one commit's answers: per suite `{shard: tree}`, as Git has them; each is read when asked for."""

    suites: Mapping[str, Mapping[bytes, bytes]]
    shard: Callable[[bytes], Mapping[str, str]]

    def record(self, probe: str) -> str | None:
        """The record of a probe's answers; of one that several suites hold, in the last of them, as in a view."""
        for shards in reversed(list(self.suites.values())):
            tree = shards.get(probe[:2].encode())
            found = None if tree is None else self.shard(tree).get(probe)
            if found is not None:
                return found
        return None


def _touched(old: _Folders, new: _Folders) -> set[str]:
    """Probes whose record may differ: those in shards that differ."""
    touched: set[str] = set()
    for suite in old.suites.keys() | new.suites.keys():
        before, after = old.suites.get(suite, {}), new.suites.get(suite, {})
        for _, tree in before.items() ^ after.items():
            touched.update(new.shard(tree))
    return touched


def _id(record: str | None) -> bytes | None:
    return None if record is None else bytes.fromhex(record)
