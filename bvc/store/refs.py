"""Branches, tags and HEAD, read and written as plain Git does, without loading dulwich.

A ref changes in one step: under bvc's own flock and the `<ref>.lock` that Git respects, its value is read once, and the
new one written aside, synced and renamed. The lock's inode is recorded as bvc's own before it exists, so that a
leftover of a killed bvc is recognised and removed, while a lock of Git's is waited for.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bvc.errors import BvcError, DamagedObject, Locked, UsageError
from bvc.store.files import disk_errors, make_folder, read_optional, sync_folder, write_durable
from bvc.store.layout import Layout
from bvc.store.locks import FileLock
from bvc.store.objects import Objects
from bvc.store.reflocks import OwnLocks
from bvc.store.reflog import LogNote, append_line, last_value, log_line, read_log
from bvc.store.space import free_reserve

if TYPE_CHECKING:
    from bvc.results import ReflogEntry

HEAD = "HEAD"
BRANCHES = "refs/heads/"
_LOGGED = (BRANCHES, "refs/remotes/", "refs/notes/", "refs/bvc/")
"""Refs below these have a reflog."""

_VALUE = re.compile(rb"[0-9a-f]{40}\n?")
_SYMBOLIC = re.compile(rb"ref: (refs/[^\n\0]+)\n?")
_PACKED = re.compile(rb"([0-9a-f]{40}) (refs/[^\n]+)")
_BAD_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)|[/.]$", re.ASCII)
_DEEPEST = 5
"""Symbolic refs that lead to each other are followed this far, as in Git."""


class ConcurrentUpdate(Locked):
    """The ref moved since it was looked at."""


class Head(NamedTuple):
    """Where HEAD stands: on `branch` (None when detached), at `commit` (None when the branch has none yet)."""

    branch: str | None
    commit: str | None


class Refs:
    """The refs of one store; names are full (`refs/heads/main`), values hex ids."""

    def __init__(self, layout: Layout, objects: Objects, timeout: float) -> None:
        self._layout = layout
        self._objects = objects
        self._timeout = timeout
        self._locks = OwnLocks(layout, timeout)

    # Reading

    def head(self) -> Head:
        """Raises DamagedObject when HEAD cannot be read, or names no branch although commits were made."""
        target = self.head_target()
        if not target.startswith(BRANCHES):
            return Head(None, target)
        commit = self.get(target)
        if commit is None and (last := last_value(self._log_path(HEAD))) is not None:
            raise DamagedObject(
                f"HEAD names the branch {target.removeprefix(BRANCHES)}, which has no commit, but was last at {last}",
                hint="`bvc switch BRANCH` sets HEAD right; `bvc branch` lists the branches",
            )
        return Head(target.removeprefix(BRANCHES), commit)

    def head_target(self) -> str:
        """What HEAD holds: the full name of a branch, or a commit id. Raises DamagedObject."""
        data = read_optional(self._layout.head) or b""
        if symbolic := _SYMBOLIC.fullmatch(data):
            return os.fsdecode(symbolic[1])
        if _VALUE.fullmatch(data):
            return data.strip().decode()
        raise DamagedObject(f"{self._layout.head} is damaged", hint="its right content is like 'ref: refs/heads/main'")

    def get(self, name: str) -> str | None:
        """The value of a ref, symbolic ones followed; None when it does not exist. Raises DamagedObject."""
        for _ in range(_DEEPEST):
            data = read_optional(self._path(name))
            if data is None:
                found = self.packed().get(name)
                return None if found is None else found[0]
            if _VALUE.fullmatch(data):
                return data.strip().decode()
            symbolic = _SYMBOLIC.fullmatch(data)
            if symbolic is None:
                raise DamagedObject(f"the ref {name} is damaged", hint="`bvc reflog` shows where it was")
            name = os.fsdecode(symbolic[1])
        raise DamagedObject(f"the ref {name} leads in a circle", hint="`git symbolic-ref` shows where it leads")

    def all(self, prefix: str = "refs/") -> dict[str, str]:
        """`{name: value}` of every ref below `prefix`; an annotated tag's value is the tag object (`peel`)."""
        loose = self.loose_names(prefix)
        found = {name: value for name, (value, _) in self.packed().items() if name.startswith(prefix)}
        for name in loose:
            if (value := self.get(name)) is not None:
                found[name] = value
        return dict(sorted(found.items()))

    def peel(self, name: str) -> str | None:
        """The commit that a ref leads to, through annotated tags; None when it does not exist."""
        value, peeled = self.get(name), self.packed().get(name, ("", None))
        if value is None or (peeled[0] == value and peeled[1] is not None):
            return value if value is None else peeled[1]
        while name.startswith("refs/tags/") and value is not None:
            kind, data = self._objects.read(value)
            if kind != "tag":
                break
            value = data[7:47].decode("ascii", "replace")
        return value

    def reflog(self, name: str) -> list[ReflogEntry]:
        """Where a ref has been, newest first. Raises DamagedObject."""
        return read_log(self._log_path(name))

    # Writing

    def update(
        self, name: str, new: str, old: str | None, message: str, author: str, date: int, timezone: int = 0
    ) -> None:
        """Sets a ref that still has the value `old` (None: does not exist).

        Raises ConcurrentUpdate when it moved, Locked when another process keeps it locked, UsageError for a name that
        Git refuses.
        """

        def choose(current: str | None) -> str:
            if current != old:
                raise moved(name)
            return new

        self.advance(name, choose, LogNote(message, author, date, timezone))

    def advance(self, name: str, choose: Callable[[str | None], str], note: LogNote) -> str:
        """Sets a ref to what `choose` makes of its value, which is read once, under the lock; returns the new value."""
        with disk_errors(f"write {name}"), self._locked():
            target = self._resolved(name)
            path = self._path(target)
            self._make_room(target, path)
            with self._locks.holding(path):
                old = self.head_target() if target == HEAD else self.get(target)
                new = choose(old)
                self._check_conflicts(target, old)
                write_durable(path, f"{new}\n".encode(), self._layout.tmp)
            self._log(target, old, new, note)
        return new

    def delete(self, name: str, old: str) -> None:
        """Removes a ref that still has the value `old`, and its reflog. Raises ConcurrentUpdate, Locked."""
        with disk_errors(f"delete {name}"), self._locked():
            path = self._path(name)
            make_folder(path.parent)
            with self._locks.holding(path):
                if self.get(name) != old:
                    raise moved(name)
                # A ref without reflog is fine; a reflog without ref looks like a lost branch.
                _unlink_synced(self._log_path(name))
                self._drop_packed(name)
                _unlink_synced(path)

    def set_head_branch(self, branch: str, note: LogNote | None = None) -> None:
        """Puts HEAD on a branch, which need not exist yet."""
        self._move_head(f"ref: {check_name(BRANCHES + branch)}\n", note, self.get(BRANCHES + branch))

    def detach_head(self, commit: str, note: LogNote | None = None) -> None:
        """Puts HEAD on a commit."""
        self._move_head(f"{commit}\n", note, commit)

    def _move_head(self, text: str, note: LogNote | None, new: str | None) -> None:
        with disk_errors("move HEAD"), self._locked():
            old = None
            with suppress(DamagedObject):
                old = self.head().commit
            with self._locks.holding(self._layout.head):
                write_durable(self._layout.head, text.encode(), self._layout.tmp)
            where = text.strip().removeprefix(f"ref: {BRANCHES}")
            reason = note or LogNote(f"checkout: moving to {where}", "", int(time.time()))
            append_line(self._log_path(HEAD), log_line(old, new, reason))

    # Below: the steps of a change, all under the flock

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with FileLock(self._layout.lock, "the repository", timeout=self._timeout):
            self._locks.recover()
            yield

    def _resolved(self, name: str) -> str:
        """The ref that `name` stands for: HEAD itself only when it is detached."""
        if name != HEAD:
            return check_name(name)
        target = self.head_target()
        return target if target.startswith("refs/") else HEAD

    def _make_room(self, name: str, path: Path) -> None:
        """Creates the folder of a ref, and removes empty folders of deleted ones that stand in its place."""
        if name != HEAD:
            _remove_empty_folders(path)
            _remove_empty_folders(self._log_path(name))
        if not path.parent.is_dir():
            self._check_conflicts(name, None)
            make_folder(path.parent)

    def _check_conflicts(self, name: str, old: str | None) -> None:
        if name == HEAD or old is not None:
            return
        for other in self.all():
            if other.startswith(f"{name}/") or name.startswith(f"{other}/"):
                raise UsageError(f"{name} cannot be created: {other} exists", hint="choose another name")

    def _log(self, name: str, old: str | None, new: str, note: LogNote) -> None:
        """The ref has moved: from here on, failing to write history must not hide that."""
        line = log_line(old, new, note)
        with_head = name.startswith(BRANCHES) and self.head_target() == name
        names = ([name] if name.startswith(_LOGGED) else []) + [HEAD] * with_head
        for log in names if name != HEAD else [HEAD]:
            path = self._log_path(log)
            try:
                append_line(path, line)
            except OSError:
                free_reserve(self._layout)
                self._log_again(path, line, name, new)

    def _log_again(self, path: Path, line: bytes, name: str, new: str) -> None:
        try:
            append_line(path, line)
        except OSError as error:
            raise BvcError(
                f"{name} is now {new}, but its reflog could not be written: {error.strerror}",
                hint="nothing is lost; free some space before going on",
            ) from error

    def _drop_packed(self, name: str) -> None:
        if name not in self.packed():
            return
        path = self._layout.packed_refs
        with self._locks.holding(path):
            write_durable(path, _without(path.read_bytes(), os.fsencode(name)), self._layout.tmp)

    def packed(self) -> dict[str, tuple[str, str | None]]:
        """`{name: (value, peeled value)}` of `packed-refs`. Raises DamagedObject."""
        found: dict[str, tuple[str, str | None]] = {}
        data = read_optional(self._layout.packed_refs)
        last = None
        for line in (data or b"").split(b"\n"):
            if match := _PACKED.fullmatch(line):
                last = os.fsdecode(match[2])
                found[last] = (match[1].decode(), None)
            elif line.startswith(b"^") and _VALUE.fullmatch(line[1:]) and last is not None:
                found[last] = (found[last][0], line[1:].decode())
            elif line and not line.startswith(b"#"):
                raise DamagedObject("packed-refs is damaged", hint="run `bvc fsck`; `bvc reflog` shows where refs were")
        return found

    def loose_names(self, prefix: str) -> list[str]:
        """Names of loose refs below `prefix`; lock files and other names that Git refuses are passed over."""
        top = self._layout.root / "refs"
        names = []
        for folder, _, files in os.walk(top):
            for file in files:
                name = (Path(folder) / file).relative_to(self._layout.root).as_posix()
                if name.startswith(prefix) and not _BAD_NAME.search(name):
                    names.append(name)
        return names

    def _path(self, name: str) -> Path:
        return self._layout.root / (name if name == HEAD else check_name(name))

    def _log_path(self, name: str) -> Path:
        return self._layout.root / "logs" / (name if name == HEAD else check_name(name))


def check_name(name: str) -> str:
    """`name` itself. Raises UsageError unless it is a full ref name that Git accepts (so it stays below `refs/`)."""
    if not name.startswith("refs/") or _BAD_NAME.search(name) or len(name) > 1000:
        raise UsageError(f"not a valid ref name: {name!r}")
    return name


def moved(name: str) -> ConcurrentUpdate:
    """The error for a ref that another process moved in the meantime."""
    return ConcurrentUpdate(
        f"{name} was moved by another process in the meantime", hint="look at `bvc log`, then run it again"
    )


def _remove_empty_folders(top: Path) -> None:
    for folder, _, _ in sorted(os.walk(top), reverse=True) if top.is_dir() else ():
        with suppress(OSError):
            Path(folder).rmdir()


def _unlink_synced(path: Path) -> None:
    if path.exists():
        path.unlink()
        sync_folder(path.parent)


def _without(packed: bytes, name: bytes) -> bytes:
    """`packed-refs` without one ref and its peeled line."""
    kept: list[bytes] = []
    dropping = False
    for line in packed.split(b"\n"):
        dropping = line[41:] == name if not line.startswith(b"^") else dropping
        if not dropping:
            kept.append(line)
    return b"\n".join(kept)
