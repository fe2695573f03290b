"""Files that survive a kill and a power cut: written aside, synced, renamed, and the folder synced.

Neither Git nor dulwich syncs folders, which loses renamed files in a power cut; here every rename is followed by it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bvc.errors import BvcError

READ_ONLY = 0o444
"""Mode of files that are never changed again."""

_HINTS = {
    errno.ENOSPC: "free some space and run it again; nothing that was recorded is lost",
    errno.EDQUOT: "your quota is used up; free some space and run it again",
    errno.EROFS: "the disk is mounted read-only",
    errno.EACCES: "check who owns the `.bvc` folder and its permissions",
    errno.EPERM: "check who owns the `.bvc` folder and its permissions",
    errno.EIO: "the disk reports errors: copy the repository elsewhere, then run `bvc fsck` there",
}


@contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Turns an OSError of the body into a BvcError that says what was being done and what may help."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise BvcError(f"cannot {doing}: {reason}", hint=_HINTS.get(error.errno or 0)) from error


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Creates `folder` and its missing parents durably; an existing one is left alone."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def read_optional(path: Path) -> bytes | None:
    """The bytes of `path`, or None where there is no such file."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def unfinished(folder: Path, stem: str) -> Path:
    """A name in `folder` that no other process uses."""
    return folder / f"{stem}-{os.getpid()}-{os.urandom(6).hex()}"


def write_synced(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Creates `path` with `data` and syncs its content (not its name). Raises FileExistsError when it exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Writes all of `data`, however often the system stops short."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def publish(source: Path, target: Path) -> None:
    """Renames a synced file to its final name and makes the name durable."""
    source.rename(target)
    sync_folder(target.parent)


def write_durable(path: Path, data: bytes, tmp: Path) -> None:
    """Replaces `path` by `data` in one step that a reader sees whole or not at all."""
    aside = unfinished(tmp, "file")
    try:
        write_synced(aside, data)
        publish(aside, path)
    except OSError:
        remove_quietly(aside)
        raise


def remove_quietly(path: Path) -> None:
    """Removes a file whose presence does no harm."""
    with suppress(OSError):
        path.unlink()
