"""Commits in summary, from the index; what the index lacks is read from Git and remembered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from bvc.errors import BvcError, DamagedObject
from bvc.records import FORMAT_VERSION, CommitInfo, Snapshot
from bvc.store import graph
from bvc.store.attached import SNAPSHOT_FILE, Read, attached_trees, snapshot_json
from bvc.store.environment import Row
from bvc.store.gitobjects import GitCommit, parse_commit, trailers_of
from bvc.store.index import Index, Node, capture_key, commit_rows
from bvc.store.objects import Objects

_BATCH = 500


class History:
    """The commit graph and the summaries of one store's commits."""

    def __init__(self, objects: Objects, index: Index) -> None:
        self._objects = objects
        self._index = index
        self._nodes: dict[str, Node] = {}

    def info(self, oid: str) -> CommitInfo:
        """One commit with its snapshot (None for a commit that plain Git made).

        Raises DamagedObject when it is missing, damaged or no commit, BvcError when a newer bvc wrote its snapshot.
        """
        row = self._index.commit_row(oid)
        if row is None:
            self._learn([oid])
            row = self._index.commit_row(oid) or summary_row(*self._read(oid))
        return info_of(oid, json.loads(row))

    def walk(self, starts: Iterable[str], limit: int | None = None) -> Iterator[CommitInfo]:
        """Ancestors of `starts` and themselves, newest first, children before their parents; at most `limit`."""
        for number, oid in enumerate(graph.walk(starts, self.node)):
            if limit is not None and number >= limit:
                return
            yield self.info(oid)

    def merge_bases(self, a: str, b: str) -> list[str]:
        """The best common ancestors of two commits, sorted by id; several after criss-cross merges, none without."""
        return graph.merge_bases(a, b, self.node)

    def is_ancestor(self, a: str, b: str) -> bool:
        """Whether commit `a` is `b` or one of its ancestors."""
        return graph.is_ancestor(a, b, self.node)

    def node(self, oid: str) -> Node:
        """A commit's place in the graph. Raises DamagedObject when it or an ancestor cannot be read."""
        found = self._nodes.get(oid) or self._index.node(oid)
        if found is None:
            self._learn([oid])
            found = self._nodes[oid]
        self._nodes[oid] = found
        return found

    def rows(self, oid: str, commit: GitCommit, snapshot: Any) -> list[Row]:
        """What the index stores of a commit whose parents are known; `snapshot` is parsed `snapshot.json` or None."""
        generation = 1 + max((self.node(parent).generation for parent in commit.parents), default=-1)
        node = Node(generation, commit.date, commit.parents)
        self._nodes[oid] = node
        return list(commit_rows(oid, node, summary_row(commit, snapshot)))

    def _learn(self, starts: Iterable[str]) -> None:
        """Reads commits from Git, ancestors first, until all of `starts` are in the index."""
        rows: list[Row] = []
        captures: list[tuple[bytes, str]] = []
        attached: set[tuple[str, str]] = set()
        stack = list(starts)
        waiting: dict[str, tuple[GitCommit, Any]] = {}
        while stack:
            oid = stack[-1]
            if oid in self._nodes and self._index.commit_row(oid) is not None:
                stack.pop()
                continue
            commit, snapshot = waiting.get(oid) or self._read(oid)
            missing = [p for p in commit.parents if p not in self._nodes and not self._has(p)]
            if missing:
                waiting[oid] = commit, snapshot
                stack += missing
                continue
            stack.pop()
            waiting.pop(oid, None)
            rows += self.rows(oid, commit, snapshot)
            captures += self._captures(oid, commit, snapshot, attached)
            if len(rows) >= _BATCH:
                self._remember(rows, captures)
                rows, captures = [], []
        self._remember(rows, captures)

    def _remember(self, rows: list[Row], captures: list[tuple[bytes, str]]) -> None:
        """In one transaction, since a commit that is known is not looked at again."""
        self._index.environment.remember([*rows, *self._index.capture_rows(captures)])

    def _has(self, oid: str) -> bool:
        node = self._index.node(oid)
        if node is None:
            return False
        self._nodes[oid] = node
        return True

    def _read(self, oid: str) -> tuple[GitCommit, Any]:
        kind, data = self._objects.read(oid)
        if kind != "commit":
            raise DamagedObject(f"{oid} is a {kind}, not a commit", hint="give the id of a commit")
        commit = parse_commit(oid, data)
        return commit, snapshot_json(commit.tree, self._objects.read)

    def _captures(
        self, oid: str, commit: GitCommit, snapshot: Any, seen: set[tuple[str, str]]
    ) -> list[tuple[bytes, str]]:
        """What the capture cache learns of a commit; of damaged attached captures nothing."""
        if snapshot is not None:
            return [(key, oid) for key in capture_keys(snapshot)]
        try:
            return attached_captures(commit.tree, self._objects.read, seen)
        except DamagedObject:
            return []


def summary_row(commit: GitCommit, snapshot: Any) -> bytes:
    """A commit as the index stores it."""
    row = [commit.tree, commit.parents, commit.author, commit.date, commit.timezone, commit.message, snapshot]
    return json.dumps(row, sort_keys=True, separators=(",", ":")).encode()


def info_of(oid: str, row: list[Any]) -> CommitInfo:
    """The commit of an index row. Raises DamagedObject and BvcError as `History.info` does."""
    tree, parents, author, date, timezone, message, snapshot = row
    return CommitInfo(
        id=oid,
        tree=tree,
        parents=tuple(parents),
        author=author,
        date=date,
        timezone=timezone,
        message=message,
        trailers=trailers_of(message),
        snapshot=None if snapshot is None else snapshot_of(oid, snapshot),
    )


def snapshot_of(oid: str, data: Any) -> Snapshot:
    """The record of a parsed `snapshot.json` that belongs to commit `oid`. Raises as `History.info` does."""
    try:
        if data["version"] > FORMAT_VERSION:
            raise BvcError(
                f"commit {oid} was recorded in format version {data['version']}; this bvc reads up to {FORMAT_VERSION}",
                hint="update bvc to read it",
            )
        return Snapshot.from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedObject(f"{SNAPSHOT_FILE} of commit {oid} is malformed", hint="run `bvc fsck`") from error


def capture_keys(snapshot: Any) -> list[bytes]:
    """The capture cache's keys of a parsed `snapshot.json`: none when nothing was captured."""
    try:
        found = Snapshot.from_json(snapshot)
    except (KeyError, TypeError, ValueError, AttributeError):
        return []
    if found.recipe is None or found.capability is None:
        return []
    return [capture_key(found.model.fingerprint, found.model.tokenizer or "", found.recipe.digest)]


def attached_captures(tree: str, read: Read, seen: set[tuple[str, str]]) -> list[tuple[bytes, str]]:
    """(capture cache's key, commit) of the captures that a notes commit's tree attaches, but for those in `seen`,
    which is filled: most of a notes commit is as in the one before. Raises DamagedObject."""
    fresh = [item for item in attached_trees(tree, read).items() if item not in seen]
    seen.update(fresh)
    return [(key, commit) for commit, found in fresh for key in capture_keys(snapshot_json(found, read))]
