"""Writing: everything of a commit becomes durable in an order in which the ref's rename is the only commit point.

Chunks go to a pack that is synced and renamed; the index learns what is coming; the Git objects follow as one pack;
then the ref moves and its reflog is written. Killed anywhere before the rename, what was written is junk that nothing
names.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bvc.records import Snapshot
from bvc.store.chunks import Chunks
from bvc.store.environment import Row
from bvc.store.files import disk_errors, unfinished
from bvc.store.gitobjects import GitCommit, commit_bytes, parse_commit, tag_bytes, tree_bytes, with_root
from bvc.store.gitpacks import GitPackWriter, object_id
from bvc.store.history import History, capture_keys
from bvc.store.index import Index, git_pack_rows, merkle_rows, pack_rows
from bvc.store.layout import Layout
from bvc.store.locks import FileLock, try_folder
from bvc.store.merkle import blob_digest, merkle_digest, tree_digest
from bvc.store.objects import Objects, TreeEntry
from bvc.store.packs import PackWriter, chunk_digest, normal_form
from bvc.store.reflog import LogNote
from bvc.store.refs import Refs, moved
from bvc.store.space import keep_reserve

if TYPE_CHECKING:
    import numpy as np

_STEM = "tx"
_ABANDONED = 60.0
"""Seconds after which an unlocked transaction folder is certainly not one that is just being made."""


@dataclass(frozen=True)
class CommitDraft:
    """A commit to be: `message` without the `Bvc-Root` trailer, `author` as `Name <mail>`, `date` in seconds since the
    epoch, `timezone` the offset in seconds; `snapshot` is what the tree's `snapshot.json` says; `captures` are further
    rows of the capture cache, (key, commit), for a commit of notes."""

    tree: str
    parents: tuple[str, ...]
    message: str
    author: str
    date: int
    timezone: int
    snapshot: Snapshot | None
    captures: tuple[tuple[bytes, str], ...] = ()


@dataclass(frozen=True)
class Parts:
    """The parts of a store that a transaction works with."""

    layout: Layout
    index: Index
    objects: Objects
    chunks: Chunks
    history: History
    refs: Refs
    timeout: float


class Transaction:
    """One unit of writing, used with `with`; leaving it without `commit`, `tag` or `flush` leaves nothing behind.

    Blobs, trees and chunks that the store has are not written again. A shared flock on `gc.lock` is held throughout.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._layout = parts.layout
        self._held = ExitStack()
        self._written: set[str] = set()
        self._digests: dict[str, str] = {}
        self._unindexed: list[str] = []
        self._pack: GitPackWriter | None = None
        self._chunk_pack: PackWriter | None = None
        self._packs_made = 0
        self._folder = Path()

    def __enter__(self) -> Transaction:
        with disk_errors(f"write to {self._layout.root}"), ExitStack() as held:
            gc = FileLock(self._layout.gc_lock, "the repository", shared=True, timeout=self._parts.timeout)
            held.enter_context(gc)
            remove_abandoned(self._layout)
            keep_reserve(self._layout)
            self._folder = unfinished(self._layout.tmp, _STEM)
            self._folder.mkdir()
            held.callback(shutil.rmtree, self._folder, ignore_errors=True)
            held.callback(_hold(self._folder))
            held.callback(self._close_writers)
            self._parts.objects.refresh()
            self._parts.chunks.refresh()
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def blob(self, data: bytes) -> str:
        """Stores bytes; returns their Git id."""
        oid = self._object("blob", data)
        self._digests.setdefault(oid, blob_digest(data))
        return oid

    def tree(self, entries: Sequence[TreeEntry]) -> str:
        """Stores a folder of objects that are stored. Raises BvcError for names that Git refuses."""
        oid = self._object("tree", tree_bytes(entries))
        if oid not in self._digests:
            self._digests[oid] = tree_digest((entry, self._digest(entry.oid)) for entry in entries)
        return oid

    def chunk(self, array: np.ndarray[Any, Any]) -> str:
        """Stores an array of numbers; returns its SHA-256. Raises ValueError for other types."""
        array = normal_form(array)
        sha = chunk_digest(array)
        if sha not in self._written and not self._parts.chunks.known(sha):
            with disk_errors("store arrays"):
                if self._chunk_pack is None:
                    self._chunk_pack = PackWriter(self._folder)
                self._chunk_pack.add(array, sha)
            self._written.add(sha)
        return sha

    def commit(self, draft: CommitDraft, *, ref: str, expected: str | None, reparent: bool) -> str:
        """Makes everything durable, records the commit and moves `ref` to it; returns its id.

        `expected` is the value of `ref` that the work was based on (None: it did not exist). If it has moved since,
        the commit is put on top of the new tip where `reparent` allows it (the first parent is replaced), else
        ConcurrentUpdate is raised. When this returns, neither a kill nor a power cut can take the commit back.
        """
        note = LogNote(_log_message(draft), draft.author, draft.date, draft.timezone)
        with disk_errors("record the commit"):
            planned = self._store_commit(draft)

            def choose(current: str | None) -> str:
                if current == expected:
                    return planned
                if not reparent or current is None:
                    raise moved(ref)
                return self._on_top_of(current, draft)

            return self._parts.refs.advance(ref, choose, note)

    def tag(self, name: str, target: str, message: str, author: str, date: int, timezone: int = 0) -> str:
        """Stores an annotated tag on `target`, durably; returns its id, which a ref may then be set to."""
        kind, _ = self._parts.objects.read(target)
        oid = self._object("tag", tag_bytes(name, target, kind, LogNote(message, author, date, timezone)))
        self.flush()
        return oid

    def flush(self, rows: Sequence[Row] = ()) -> None:
        """Makes what was stored so far durable, and `rows` known to the index: chunks, index, Git objects."""
        with disk_errors("store the commit's data"):
            learned = [*rows, *self._finish_chunks(), *self._merkle_rows()]
            pack, self._pack = self._pack, None
            name = None
            if pack is not None:
                name = pack.finish()
                learned += git_pack_rows(name, pack.offsets)
            self._parts.index.environment.put(learned)
            if pack is not None and name is not None:
                pack.publish(self._layout.git_packs, name)

    def _merkle_rows(self) -> list[Row]:
        """Of what is new, and only once: rewriting the rows of everything that stayed the same would cost more."""
        fresh = [(oid, self._digests[oid]) for oid in self._unindexed if oid in self._digests]
        self._unindexed.clear()
        return list(merkle_rows(fresh))

    def _finish_chunks(self) -> list[Row]:
        pack, self._chunk_pack = self._chunk_pack, None
        if pack is None:
            return []
        name = pack.finish(self._layout.packs)
        return list(pack_rows(name, [(e.sha, e.offset, e.length) for e in pack.entries]))

    def _store_commit(self, draft: CommitDraft) -> str:
        message = with_root(draft.message, self._digest(draft.tree))
        commit = GitCommit(draft.tree, draft.parents, draft.author, draft.date, draft.timezone, message)
        data = commit_bytes(commit)
        oid = self._object("commit", data)
        snapshot = None if draft.snapshot is None else draft.snapshot.to_json()
        # As it will be read back: Git's form of the author, whole minutes of the offset.
        sources = [*((key, oid) for key in capture_keys(snapshot)), *draft.captures]
        captured = self._parts.index.capture_rows(sources)
        self.flush([*self._parts.history.rows(oid, parse_commit(oid, data), snapshot), *captured])
        return oid

    def _on_top_of(self, tip: str, draft: CommitDraft) -> str:
        """Called under the ref's lock: the same commit with the branch's new tip as first parent."""
        moved_draft = replace(draft, parents=(tip, *(p for p in draft.parents[1:] if p != tip)))
        return self._store_commit(moved_draft)

    def _object(self, kind: str, data: bytes) -> str:
        oid = object_id(kind, data)
        if oid in self._written or self._parts.objects.known(oid):
            return oid
        with disk_errors(f"store a {kind}"):
            if self._pack is None:
                self._packs_made += 1
                self._pack = GitPackWriter(self._folder, f"git-{self._packs_made}")
            self._pack.add(kind, data, oid)
        self._written.add(oid)
        self._unindexed.append(oid)
        return oid

    def _digest(self, oid: str) -> str:
        return merkle_digest(oid, self._parts.objects.read, self._digests, self._parts.index.merkle)

    def _close_writers(self) -> None:
        for writer in (self._pack, self._chunk_pack):
            if writer is not None:
                writer.close()


def _hold(folder: Path) -> Callable[[], None]:
    """Locks the folder of a living transaction; returns what unlocks it."""
    descriptor = try_folder(folder)
    return (lambda: None) if descriptor is None else (lambda: os.close(descriptor))


def remove_abandoned(layout: Layout) -> None:
    """Removes the folders of transactions whose process is gone."""
    for folder in layout.tmp.glob(f"{_STEM}-*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime < _ABANDONED:
                continue
        descriptor = try_folder(folder)
        if descriptor is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


def _log_message(draft: CommitDraft) -> str:
    kind = "commit (initial)" if not draft.parents else "commit (merge)" if len(draft.parents) > 1 else "commit"
    return f"{kind}: {draft.message.split(chr(10), 1)[0]}"
