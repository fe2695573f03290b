"""Locks between processes: flocks, which vanish with the process that holds them."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from bvc.errors import Locked
from bvc.store.files import read_optional

TIMEOUT = 30.0
"""Seconds to wait for another writer: its critical section takes milliseconds, on a loaded disk a second."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.1


class Waiting:
    """Pauses between attempts, a little longer each time, until `timeout` seconds are over."""

    def __init__(self, timeout: float) -> None:
        self._end = time.monotonic() + timeout
        self._pause = _FIRST_PAUSE

    def pause(self) -> bool:
        """Waits a moment; False when the time is over."""
        left = self._end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(self._pause, left))
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return True


class FileLock:
    """A flock on `path`, taken by `with`: exclusive, or `shared` among processes. `what` names it in errors."""

    def __init__(self, path: Path, what: str, *, shared: bool = False, timeout: float = TIMEOUT) -> None:
        self._path = path
        self._what = what
        self._kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._timeout = timeout
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock. Raises Locked, naming the holder, when it stays taken."""
        descriptor = _open(self._path)
        waiting = Waiting(self._timeout)
        try:
            while not _try_lock(descriptor, self._kind):
                if not waiting.pause():
                    raise self._locked()
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Gives the lock back, in forked children too."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _locked(self) -> Locked:
        process = holder(self._path)
        who = "another process" if process is None else f"process {process}"
        return Locked(f"{self._what} is locked by {who}", hint="wait for it to end, or look at what it does")

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def try_folder(folder: Path) -> int | None:
    """Takes an exclusive flock on `folder` itself without waiting; its descriptor, or None when it is taken or gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    if _try_lock(descriptor, fcntl.LOCK_EX):
        return descriptor
    os.close(descriptor)
    return None


def _open(path: Path) -> int:
    """The lock file, made where there is none. A disk that cannot be written has readers that lock, as fsck does."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, os.O_RDONLY)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def holder(path: Path) -> str | None:
    """Who holds a flock on `path`, as `1234 (python)`, where the system tells (Linux)."""
    table = read_optional(Path("/proc/locks"))
    if table is None:
        return None
    inode = f":{path.stat().st_ino}"
    for line in table.decode("ascii", "replace").splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[1] == "FLOCK" and fields[5].endswith(inode) and int(fields[4]) > 0:
            name = read_optional(Path("/proc") / fields[4] / "comm") or b"?"
            return f"{fields[4]} ({name.decode('utf-8', 'replace').strip()})"
    return None
