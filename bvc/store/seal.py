"""A checksum of the index's whole file, beside it, so that LMDB never opens a damaged one.

LMDB trusts its pages: one flipped bit in a page can make it end the process. So the last writer leaves the file's
XXH3-64 in `check`, and who opens the index compares first, a millisecond for 10 MB. A difference is no proof of damage
(a writer may have been killed between the two files); then the pages are walked by a verifier that LMDB has no part in.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import xxhash

from bvc.store.files import read_optional, remove_quietly

LARGEST = 1 << 28
"""Bytes up to which the file is read whole at each opening; beyond, the checksums of its values have to do."""

_BLOCK = 1 << 16


def seal(folder: Path) -> None:
    """Leaves the checksum of the file as it is now, under the write lock; without it, the next opening looks closer."""
    path = folder / "check"
    try:
        path.write_bytes(_checksum(folder))
    except OSError:
        remove_quietly(path)


def is_sealed(folder: Path) -> bool:
    """Whether the file is as its last writer left it, is empty, or too large to tell."""
    with suppress(OSError):
        size = (folder / "data.mdb").stat().st_size
        return size == 0 or size > LARGEST or read_optional(folder / "check") == _checksum(folder)
    return True


def page_faults(folder: Path) -> list[str]:
    """What is wrong with the file's pages, in words; reads it without LMDB."""
    import lmdb.verify

    path = folder / "data.mdb"
    try:
        if path.stat().st_size == 0:
            return []
        found: list[str] = lmdb.verify.verify(str(path))  # type: ignore[no-untyped-call]
    except FileNotFoundError:
        return []
    except (lmdb.verify.VerifyError, OSError) as error:
        return [str(error)]
    return found


def _checksum(folder: Path) -> bytes:
    state = xxhash.xxh3_64()
    # A buffer that stays in the processor's cache is read and hashed twice as fast as the whole file at once.
    buffer = memoryview(bytearray(_BLOCK))
    with (folder / "data.mdb").open("rb", buffering=0) as file:
        while length := file.readinto(buffer):
            state.update(buffer[:length])
    return state.digest()
