"""What changes in a commit's answers, as the index keeps it: rows that follow from the two commits alone.

A row's key names both sides by content, so it is right for ever, whoever wrote it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import xxhash

CHANGES = b"e"
"""The table: `h` + a side (whether it holds answers), `c` + two sides (what changed)."""

_HELD, _CHANGED = CHANGES + b"h", CHANGES + b"c"
_ROW = struct.Struct("<32s20s20s")
_NOTHING = bytes(20)


class Change(NamedTuple):
    """One probe whose record of answers changed: the probe's id (32 bytes) and both records' ids (20 bytes), None where
    there is none."""

    probe: bytes
    old: bytes | None
    new: bytes | None


def held_key(side: str) -> bytes:
    """The row that says whether a side holds answers. A side is a commit, or the tree attached to it."""
    return _HELD + bytes.fromhex(side)


def changes_key(old: str | None, new: str) -> bytes:
    """The row of what changed from one side to another; None is a side without any answer."""
    return _CHANGED + xxhash.xxh3_128_digest(bytes.fromhex((old or "") + new))


def pack_changes(changes: Iterable[Change]) -> bytes:
    """A row of changes."""
    return b"".join(_ROW.pack(c.probe, c.old or _NOTHING, c.new or _NOTHING) for c in changes)


def unpack_changes(row: bytes) -> Iterator[Change]:
    """The changes of a row."""
    for probe, old, new in _ROW.iter_unpack(row):
        yield Change(probe, None if old == _NOTHING else old, None if new == _NOTHING else new)
