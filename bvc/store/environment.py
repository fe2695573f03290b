"""One LMDB environment of checked values that may be lost at any time.

Whatever is in it can be derived again from Git and the packs, so every doubt is settled by forgetting: a value whose
checksum fails is a miss, and an environment that LMDB cannot read, that was truncated or has another version is
replaced by an empty one. LMDB itself notices no flipped bit, hence the checks.

LMDB's own rules, each found the hard way: synced commits; no writemap (a full disk would kill the process); a large
sparse map fixed at open; dead readers swept at open; short transactions; values copied out; never opened twice in a
process, never used across a fork.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import lmdb
import xxhash

from bvc.errors import Locked
from bvc.store.files import unfinished
from bvc.store.layout import Layout
from bvc.store.locks import TIMEOUT, FileLock
from bvc.store.seal import is_sealed, page_faults, seal

MAP_SIZE = 1 << 36
"""Bytes of address space; the file grows as it is filled."""
MAX_DATABASES = 8
"""The same for every opener, as LMDB asks; the one unnamed database holds everything so far."""

_HEADER = 12
_TABLE_OF_VERSION = b"v"
_VERSION = b"1"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)
_T = TypeVar("_T")

Row = tuple[bytes, bytes]


class _Opened:
    """An environment that is open in this process, shared by every store on it."""

    def __init__(self, environment: Any, inode: int, cannot_write: int = 0) -> None:
        """`environment` is None where nothing can be read either; `cannot_write` is the error number that says why."""
        self.environment = environment
        self.inode = inode
        self.cannot_write = cannot_write
        self.users = 0

    def close(self) -> None:
        if self.environment is not None:
            self.environment.close()


_GATE = threading.RLock()
_opened: dict[Path, _Opened] = {}


def _close_all() -> None:
    """Runs before a fork: neither side may go on with an environment that was open then."""
    _GATE.acquire()
    for shared in _opened.values():
        shared.close()
    _opened.clear()


os.register_at_fork(before=_close_all, after_in_parent=_GATE.release, after_in_child=_GATE.release)


class Environment:
    """Keys to checked values; `get` is None for what is not there, or no longer right."""

    def __init__(self, layout: Layout, timeout: float = TIMEOUT) -> None:
        # One name for one folder, however it was reached: LMDB must not open it twice.
        self._folder = layout.index.resolve()
        self._tmp = layout.tmp
        self._lock_path = layout.index_lock
        self._timeout = timeout
        self._held: _Opened | None = None

    def get(self, key: bytes) -> bytes | None:
        """A copy of the value of `key`."""
        return self._read(lambda transaction: _checked(key, transaction.get(key)), None)

    def get_many(self, keys: Iterable[bytes]) -> list[bytes | None]:
        """The values of several keys, in their order, from one moment."""
        wanted = list(keys)
        missing: list[bytes | None] = [None] * len(wanted)
        return self._read(lambda transaction: [_checked(k, transaction.get(k)) for k in wanted], missing)

    def scan(self, prefix: bytes) -> list[Row]:
        """All pairs whose key begins with `prefix`, in key order."""
        return self._read(lambda transaction: [(k, v) for k, v in _pairs(transaction, prefix) if v is not None], [])

    def entries(self) -> list[tuple[bytes, bytes | None]]:
        """Every key with its value, None for a damaged one."""
        return self._read(lambda transaction: list(_pairs(transaction, b"")), [])

    def put(self, rows: Iterable[Row], gone: Iterable[bytes] = ()) -> None:
        """Stores pairs, and takes the keys in `gone` out, in one synced transaction. Raises OSError when the disk is
        full or fails."""
        pairs = [(key, _wrapped(key, value)) for key, value in rows]
        dropped = list(gone)
        if pairs or dropped:
            self._write(lambda transaction: _put_all(transaction, pairs, dropped))

    def update(self, key: bytes, change: Callable[[bytes | None], bytes]) -> None:
        """Replaces a value by what `change` makes of it, seen by no other writer in between."""

        def apply(transaction: Any) -> None:
            transaction.put(key, _wrapped(key, change(_checked(key, transaction.get(key)))))

        self._write(apply)

    @property
    def writable(self) -> bool:
        """Whether what is put will be found again."""
        return not self._opened().cannot_write

    def remember(self, rows: Iterable[Row], gone: Iterable[bytes] = ()) -> None:
        """`put` for what was only read: where the index cannot be written, nothing is remembered."""
        if not self.writable:
            return
        try:
            self.put(rows, gone)
        except OSError:
            return

    def exclusive(self) -> FileLock:
        """Keeps every other process from writing, for a look at the file itself."""
        return FileLock(self._lock_path, "the index", timeout=self._timeout)

    def close(self) -> None:
        """Lets go; the last user in the process closes the environment."""
        with _GATE:
            held, self._held = self._held, None
            if held is None or _opened.get(self._folder) is not held:
                return
            held.users -= 1
            if held.users == 0:
                held.close()
                del _opened[self._folder]

    def replace(self) -> None:
        """Begins anew with an empty environment."""
        with _GATE, self.exclusive():
            self._discard(self._held.inode if self._held else None, sure=True)

    def _read(self, work: Callable[[Any], _T], lost: _T) -> _T:
        with _GATE:
            for _ in range(2):
                shared = self._opened()
                if shared.environment is None:
                    return lost
                try:
                    with shared.environment.begin(buffers=True) as transaction:
                        return work(transaction)
                except lmdb.ReadersFullError:
                    shared.environment.reader_check()
                except lmdb.Error:
                    if shared.cannot_write:
                        return lost
                    self._recover(shared)
            return lost

    def _write(self, work: Callable[[Any], None]) -> None:
        with _GATE:
            for attempt in range(2):
                shared = self._opened()
                try:
                    with self.exclusive():
                        if self._inode() != shared.inode:
                            self._forget(shared)
                            shared = self._opened(locked=True)
                        if shared.cannot_write:
                            raise OSError(shared.cannot_write, os.strerror(shared.cannot_write))
                        with shared.environment.begin(write=True, buffers=True) as transaction:
                            work(transaction)
                        seal(self._folder)
                    return
                except lmdb.Error as error:
                    self._after_failure(shared, error, last=attempt == 1)

    def _after_failure(self, shared: _Opened, error: lmdb.Error, *, last: bool) -> None:
        """A disk that is full or fails is the caller's to report; anything else is damage, and forgotten."""
        number = _disk_error(error)
        if number or last:
            self._forget(shared)
            raise OSError(number or errno.EIO, f"{os.strerror(number or errno.EIO)} ({error})") from error
        self._recover(shared)

    def _recover(self, shared: _Opened) -> None:
        with self.exclusive():
            self._discard(shared.inode)

    def _opened(self, *, locked: bool = False) -> _Opened:
        """The environment, opened if need be; `locked` when this process holds the write lock already."""
        with _GATE:
            held = self._held
            if held is not None and _opened.get(self._folder) is held:
                return held
            shared = _opened.get(self._folder)
            if shared is None:
                shared = self._open(locked)
                _opened[self._folder] = shared
            shared.users += 1
            self._held = shared
            return shared

    def _open(self, locked: bool) -> _Opened:
        if not os.access(self._folder.parent, os.W_OK):
            return self._open_read_only()
        if locked or is_sealed(self._folder):
            return self._open_sound(locked)
        try:
            with FileLock(self._lock_path, "the index", timeout=0.0):
                if not is_sealed(self._folder):
                    self._look_closer()
                return self._open_sound(locked=True)
        except Locked:
            # Another process is writing, and has looked itself.
            return self._open_sound(locked)
        except OSError as error:
            return _Opened(None, -1, error.errno or errno.EIO)

    def _look_closer(self) -> None:
        if page_faults(self._folder):
            self._discard(None)
        else:
            seal(self._folder)

    def _open_sound(self, locked: bool) -> _Opened:
        try:
            return self._open_checked()
        except (lmdb.Error, OSError) as error:
            if number := _not_its_fault(error):
                return _Opened(None, -1, number)
        with nullcontext() if locked else self.exclusive():
            self._discard(None)
            return self._open_checked()

    def _open_checked(self) -> _Opened:
        """Opens and checks length and version. Raises lmdb.Error for what cannot be used."""
        self._folder.mkdir(exist_ok=True)
        environment = lmdb.open(str(self._folder), map_size=MAP_SIZE, max_dbs=MAX_DATABASES, mode=0o644)
        try:
            environment.reader_check()
            _check_length(environment, self._folder)
            if not _has_version(environment):
                _set_version(environment)
                seal(self._folder)
        except BaseException:
            environment.close()
            raise
        return _Opened(environment, self._inode())

    def _open_read_only(self) -> _Opened:
        options: dict[str, Any] = {"readonly": True, "lock": False, "create": False}
        environment: Any = None
        if not is_sealed(self._folder) and page_faults(self._folder):
            return _Opened(None, -1, errno.EROFS)
        try:
            environment = lmdb.open(str(self._folder), map_size=MAP_SIZE, max_dbs=MAX_DATABASES, **options)
            _check_length(environment, self._folder)
            if not _has_version(environment):
                environment.close()
                environment = None
        except (lmdb.Error, OSError):
            environment = None
        return _Opened(environment, -1, errno.EROFS)

    def _inode(self) -> int:
        try:
            return (self._folder / "data.mdb").stat().st_ino
        except FileNotFoundError:
            return -1

    def _forget(self, shared: _Opened) -> None:
        """Closes an environment for every user in this process; each opens it again at its next use."""
        if _opened.get(self._folder) is shared:
            shared.close()
            del _opened[self._folder]

    def _discard(self, inode: int | None, *, sure: bool = False) -> None:
        """Moves a damaged environment away, unless another process has replaced it already (the write lock is held)."""
        shared = _opened.get(self._folder)
        if shared is not None:
            self._forget(shared)
        if inode is not None and not sure and self._inode() != inode:
            return
        import shutil

        aside = unfinished(self._tmp, "old-index")
        if self._folder.exists():
            self._folder.rename(aside)
        self._folder.mkdir(exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)


def _check_length(environment: Any, folder: Path) -> None:
    """A page beyond the end of a truncated file would kill the process when touched."""
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if (folder / "data.mdb").stat().st_size < needed:
        raise lmdb.CorruptedError("truncated")


def _has_version(environment: Any) -> bool:
    """False for an empty environment. Raises lmdb.Error when another version wrote it."""
    key = _TABLE_OF_VERSION
    with environment.begin(buffers=True) as transaction:
        if _checked(key, transaction.get(key)) == _VERSION:
            return True
        if transaction.stat()["entries"]:
            raise lmdb.VersionMismatchError("another version")
    return False


def _set_version(environment: Any) -> None:
    key = _TABLE_OF_VERSION
    with environment.begin(write=True) as transaction:
        transaction.put(key, _wrapped(key, _VERSION))


def _not_its_fault(error: Exception) -> int:
    """The error number when opening failed for a reason other than damage: then the environment stays as it is."""
    if type(error) is lmdb.Error and "already open" in str(error):
        return errno.EBUSY
    return _disk_error(error)


def _disk_error(error: Exception) -> int:
    """The error number when the disk is full, read-only or broken; 0 when the fault is in the environment."""
    number = getattr(error, "code", 0) if isinstance(error, lmdb.Error) else getattr(error, "errno", 0)
    return number if number in _DISK_ERRORS else 0


def _wrapped(key: bytes, payload: bytes) -> bytes:
    check = xxhash.xxh3_64_digest(key + payload)
    return (_HEADER + len(payload)).to_bytes(4, "little") + check + payload


def _checked(key: bytes, value: Any) -> bytes | None:
    """The payload of a stored value, copied; None when it is absent or damaged.

    The length is compared before anything is touched: one flipped bit in a page can make it point past the file.
    """
    if value is None or len(value) < _HEADER or int.from_bytes(value[:4], "little") != len(value):
        return None
    payload = bytes(value[_HEADER:])
    return payload if xxhash.xxh3_64_digest(key + payload) == bytes(value[4:_HEADER]) else None


def _pairs(transaction: Any, prefix: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    with transaction.cursor() as cursor:
        found = cursor.set_range(prefix) if prefix else cursor.first()
        while found:
            key = bytes(cursor.key())
            if not key.startswith(prefix):
                return
            yield key, _checked(key, cursor.value())
            found = cursor.next()


def _put_all(transaction: Any, pairs: list[Row], gone: list[bytes]) -> None:
    for key, value in pairs:
        transaction.put(key, value)
    for key in gone:
        transaction.delete(key)
