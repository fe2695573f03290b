"""Replacing a user's file so that a crash leaves the old content or the new, never a part."""

from __future__ import annotations

import os
from pathlib import Path

from bvc.errors import BvcError


def write_atomic(path: Path, content: bytes) -> None:
    """Replace the file at `path` (or make it) with `content`, durably and in one step.

    The permissions of a replaced file are kept; a symbolic link at `path` is replaced, not followed. Raises BvcError
    when the folder does not exist or cannot be written; the old file is then as it was.
    """
    try:
        _replace(path, content)
    except OSError as error:
        raise BvcError(f"cannot write {path}: {error.strerror}") from error


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            if path.is_file() and not path.is_symlink():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
