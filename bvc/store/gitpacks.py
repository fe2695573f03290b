"""Git packs: written one per transaction, and read object by object.

Packs that bvc wrote hold whole objects, so a read is one seek, one inflate and one SHA-1. Packs made by Git hold deltas
too; those are read through dulwich.
"""

from __future__ import annotations

import os
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bvc.errors import DamagedObject
from bvc.store.files import READ_ONLY, sync_folder, write_all

KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
NUMBERS = {kind: number for number, kind in KINDS.items()}
LARGEST = 1 << 31
"""Bytes of one object; what claims more is refused."""

_OPEN_FILES = 64
_OPEN_DELTA_PACKS = 16
_FIRST_READ = 4096
_NEXT_READ = 1 << 16
_BUFFER = 1 << 18
_TICK = 100_000_000
_HEX = frozenset("0123456789abcdef")


def object_id(kind: str, data: bytes) -> str:
    """The SHA-1 name (hex) that Git gives an object."""
    import hashlib  # see bvc.ids.digest

    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


class GitPackWriter:
    """Collects objects in an unfinished pack in `folder`, then publishes it."""

    def __init__(self, folder: Path, stem: str) -> None:
        from dulwich.object_format import DEFAULT_OBJECT_FORMAT

        self._format = DEFAULT_OBJECT_FORMAT
        self._pack = folder / f"{stem}.pack"
        self._index = folder / f"{stem}.idx"
        self._descriptor = os.open(self._pack, os.O_RDWR | os.O_CREAT | os.O_EXCL, READ_ONLY)
        self._size = 0
        self._buffer = bytearray()
        self._entries: list[tuple[bytes, int, int]] = []
        self._append(_pack_header(0))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def offsets(self) -> list[tuple[bytes, int]]:
        """Each object (20 bytes) with its place in the file."""
        return [(oid, offset) for oid, offset, _ in self._entries]

    def add(self, kind: str, data: bytes, oid: str) -> None:
        """Appends one whole object. Raises OSError when the disk is full."""
        from dulwich.pack import write_pack_object

        offset = self._size
        check = write_pack_object(self._append, NUMBERS[kind], [data], object_format=self._format)
        self._entries.append((bytes.fromhex(oid), offset, check))

    def finish(self) -> str:
        """Completes and syncs pack and index where they are; returns the pack's checksum (hex), which names it."""
        self._drain()
        os.pwrite(self._descriptor, _pack_header(len(self._entries)), 0)
        checksum = _sha1_of(self._descriptor)
        write_all(self._descriptor, checksum)
        os.fsync(self._descriptor)
        self._write_index(checksum)
        self.close()
        return checksum.hex()

    def publish(self, folder: Path, name: str) -> None:
        """Moves the finished files to `folder`; the pack before the index, since Git looks for indexes."""
        self._pack.rename(folder / f"pack-{name}.pack")
        self._index.rename(folder / f"pack-{name}.idx")
        sync_folder(folder)

    def close(self) -> None:
        """Closes the file as it is."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write_index(self, checksum: bytes) -> None:
        from dulwich.pack import write_pack_index

        descriptor = os.open(self._index, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READ_ONLY)
        with os.fdopen(descriptor, "wb") as file:
            write_pack_index(file, sorted(self._entries), checksum, version=2)
            file.flush()
            os.fsync(descriptor)

    def _append(self, data: bytes) -> int:
        self._size += len(data)
        self._buffer += data
        if len(self._buffer) > _BUFFER:
            self._drain()
        return len(data)

    def _drain(self) -> None:
        write_all(self._descriptor, bytes(self._buffer))
        self._buffer.clear()


def _pack_header(count: int) -> bytes:
    return b"PACK" + (2).to_bytes(4, "big") + count.to_bytes(4, "big")


def _sha1_of(descriptor: int) -> bytes:
    import hashlib

    state = hashlib.sha1(usedforsecurity=False)
    offset = 0
    while block := os.pread(descriptor, 1 << 20, offset):
        state.update(block)
        offset += len(block)
    return state.digest()


class GitPackReader:
    """Reads objects out of the packs in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: OrderedDict[str, int] = OrderedDict()
        self._delta_packs: OrderedDict[str, Any] = OrderedDict()
        self._listing: tuple[int, frozenset[str]] = (-1, frozenset())

    def names(self) -> frozenset[str]:
        """Names (hex) of all packs that have both their files."""
        try:
            changed = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return frozenset()
        # Times of change come in ticks: a folder that changed just now may change again within the same one.
        if self._listing[0] != changed or time.time_ns() - changed < _TICK:
            files = {path.name for path in self._folder.iterdir()}
            stems = (file[5:-4] for file in files if file.startswith("pack-") and file.endswith(".idx"))
            found = {s for s in stems if len(s) == 40 and not set(s) - _HEX and f"pack-{s}.pack" in files}
            self._listing = (changed, frozenset(found))
        return self._listing[1]

    def has(self, pack: str) -> bool:
        """Whether the pack is still there."""
        return (self._folder / f"pack-{pack}.idx").exists()

    def read_at(self, pack: str, offset: int, oid: str) -> tuple[str, bytes] | None:
        """The object `oid` at a place in a pack; None when it is not there or damaged."""
        try:
            found = _inflate(self._file(pack), offset)
        except (OSError, zlib.error):
            return None
        if found is None:
            return self.read(pack, oid)
        return found if object_id(*found) == oid else None

    def read(self, pack: str, oid: str) -> tuple[str, bytes] | None:
        """The object `oid`, looked up in a pack's own index and put together from deltas; None as above."""
        try:
            kind, data = self._delta_pack(pack).get_raw(bytes.fromhex(oid))
        except Exception:
            # dulwich meets damaged packs with errors of many kinds.
            return None
        found = (KINDS.get(kind, "?"), data)
        return found if object_id(*found) == oid else None

    def contents(self, pack: str) -> Iterator[tuple[bytes, int]]:
        """Every object (20 bytes) that a pack's index names, with its offset. Raises DamagedObject."""
        try:
            index = self._delta_pack(pack).index
            for oid, offset, _ in index.iterentries():
                yield bytes(oid), int(offset)
        except Exception as error:
            raise DamagedObject(f"Git pack {pack} cannot be read: {error}", hint="run `bvc fsck`") from error

    def holds(self, pack: str, oid: str) -> bool:
        """Whether a pack's own index names `oid`."""
        try:
            return bool(self._delta_pack(pack).index.object_offset(bytes.fromhex(oid)) >= 0)
        except Exception:
            return False

    def close(self) -> None:
        """Closes open files."""
        while self._files:
            os.close(self._files.popitem()[1])
        while self._delta_packs:
            _close_pack(self._delta_packs.popitem()[1])

    def _file(self, pack: str) -> int:
        descriptor = self._files.get(pack)
        if descriptor is None:
            descriptor = os.open(self._folder / f"pack-{pack}.pack", os.O_RDONLY)
            self._files[pack] = descriptor
            if len(self._files) > _OPEN_FILES:
                os.close(self._files.popitem(last=False)[1])
        return descriptor

    def _delta_pack(self, pack: str) -> Any:
        from dulwich.object_format import DEFAULT_OBJECT_FORMAT
        from dulwich.pack import Pack

        opened = self._delta_packs.get(pack)
        if opened is None:
            opened = Pack(str(self._folder / f"pack-{pack}"), object_format=DEFAULT_OBJECT_FORMAT)
            self._delta_packs[pack] = opened
            if len(self._delta_packs) > _OPEN_DELTA_PACKS:
                _close_pack(self._delta_packs.popitem(last=False)[1])
        return opened


def _close_pack(pack: Any) -> None:
    with suppress(Exception):
        pack.close()


def _inflate(descriptor: int, offset: int) -> tuple[str, bytes] | None:
    """Kind and bytes of a whole object; None for a delta. Raises zlib.error for bytes that are neither."""
    block = os.pread(descriptor, _FIRST_READ, offset)
    number, size, start = _entry_header(block)
    kind = KINDS.get(number)
    if kind is None:
        return None
    if size > LARGEST:
        raise zlib.error("too large")
    state = zlib.decompressobj()
    data = state.decompress(block[start:], size + 1)
    offset += len(block)
    while not state.eof:
        block = state.unconsumed_tail or os.pread(descriptor, _NEXT_READ, offset)
        if not block or len(data) > size:
            raise zlib.error("cut off")
        offset += 0 if state.unconsumed_tail else len(block)
        data += state.decompress(block, size + 1 - len(data))
    if len(data) != size:
        raise zlib.error("another length")
    return kind, data


def _entry_header(block: bytes) -> tuple[int, int, int]:
    """Type number, size and header length of a pack entry. Raises zlib.error when it is cut off."""
    size, shift, position = 0, 4, 0
    for position, byte in enumerate(block[:10]):
        if position == 0:
            number, size = byte >> 4 & 7, byte & 15
        else:
            size |= (byte & 127) << shift
            shift += 7
        if byte < 128:
            return number, size, position + 1
    raise zlib.error("no header")
