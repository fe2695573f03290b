"""`<name>.lock` files as Git makes them, with a record of which are bvc's own.

The record names each lock's device, inode and time of writing before the lock exists, and stays. A killed bvc leaves
the lock; the next one removes exactly the files that the record describes. Any other lock is another program's, and is
waited for. As in Git, what a lock protects is read and replaced only while it is held.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bvc.errors import Locked
from bvc.store.files import read_optional, remove_quietly, sync_folder, unfinished, write_durable, write_synced
from bvc.store.layout import Layout
from bvc.store.locks import Waiting


class OwnLocks:
    """The lock files of one store. Every method is called under bvc's own flock, so one process at a time."""

    def __init__(self, layout: Layout, timeout: float) -> None:
        self._layout = layout
        self._timeout = timeout
        self._held: dict[Path, str] = {}

    def recover(self) -> None:
        """Removes what a killed bvc left behind."""
        record = read_optional(self._layout.own_lock) or b""
        for line in record.decode("utf-8", "surrogateescape").splitlines():
            name, _, identity = line.rpartition("\t")
            lock = self._layout.root / name
            if identity and ".." not in lock.parts and name.endswith(".lock") and _identity(lock) == identity:
                lock.unlink()
                sync_folder(lock.parent)

    @contextmanager
    def holding(self, path: Path) -> Iterator[None]:
        """Keeps `<path>.lock` in place during the body. Raises Locked when another program's stays there."""
        lock = lock_of(path)
        self._take(path, lock)
        try:
            yield
        finally:
            del self._held[lock]
            remove_quietly(lock)

    def _take(self, path: Path, lock: Path) -> None:
        aside = unfinished(self._layout.tmp, "lock")
        waiting = Waiting(self._timeout)
        try:
            write_synced(aside, b"")
            self._held[lock] = _identity(aside)
            self._record()
            while not _link(aside, lock):
                if not waiting.pause():
                    raise self._foreign(path)
        except BaseException:
            self._held.pop(lock, None)
            raise
        finally:
            remove_quietly(aside)

    def _record(self) -> None:
        root = self._layout.root
        lines = [f"{lock.relative_to(root).as_posix()}\t{identity}\n" for lock, identity in self._held.items()]
        write_durable(self._layout.own_lock, "".join(lines).encode("utf-8", "surrogateescape"), self._layout.tmp)

    def _foreign(self, path: Path) -> Locked:
        age = ""
        with suppress(OSError):
            age = f" since {max(0, int(time.time() - lock_of(path).stat().st_mtime))} s"
        name = path.relative_to(self._layout.root).as_posix()
        return Locked(
            f"{name} is locked by another program, such as git{age}: {lock_of(path)}",
            hint="wait for it to end; if none is running, that file is a leftover and may be removed",
        )


def lock_of(path: Path) -> Path:
    """The name under which Git locks `path`."""
    return path.with_name(path.name + ".lock")


def _identity(path: Path) -> str:
    """What tells a file from every other, past and present: an inode may be used again, but not with the same time."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_dev} {found.st_ino} {found.st_mtime_ns}"


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    return True
