"""Everything derived that bvc remembers: where objects and chunks lie, what history looks like, what was captured.

Each table is a one-byte prefix in one LMDB environment. Nothing here is a source of truth: a miss is answered from Git
and the packs (by the callers), and then remembered.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import xxhash

from bvc.store.environment import Environment, Row
from bvc.store.layout import Layout

COMMITS, GRAPH, OBJECTS, GIT_PACKS = b"c", b"g", b"o", b"p"
CHUNKS, PACKS, MERKLE, CAPTURES, FILES = b"k", b"q", b"m", b"s", b"f"
SCORES = b"b"
DISTANCES = b"d"

_OID = 20
_OBJECT = struct.Struct("<20sQ")
_CHUNK = struct.Struct("<32sQQ")
_GRAPH = struct.Struct("<Iq")
_FILE = struct.Struct("<5Q32s")
_SETTLED = 2_000_000_000
"""Nanoseconds after which a file's time of change can be trusted to tell a later change."""


class Node(NamedTuple):
    """A commit in the graph: `generation` is one more than the greatest of its parents' (0 for a root)."""

    generation: int
    date: int
    parents: tuple[str, ...]


class Place(NamedTuple):
    """Where a chunk's record lies: the pack's SHA-256, the offset and the length in bytes."""

    pack: str
    offset: int
    length: int


def capture_key(fingerprint: str, tokenizer: str, recipe: str) -> bytes:
    """The capture cache's key: XXH3-128 (16 bytes) of model fingerprint, tokenizer digest and recipe digest."""
    return xxhash.xxh3_128_digest("\0".join(("capture/1", fingerprint, tokenizer, recipe)).encode())


def distances_key(schema: str, a: str, b: str) -> bytes:
    """The key of the distances between two snapshots' trees: XXH3-128 (16 bytes) of how they were measured and both."""
    return xxhash.xxh3_128_digest("\0".join(("distances/1", schema, a, b)).encode())


class Index:
    """The tables of one store, typed."""

    def __init__(self, layout: Layout, timeout: float) -> None:
        self.environment = Environment(layout, timeout)
        self.catch_up: Callable[[], None] = _nothing
        """Called before the capture cache is asked: an index that was lost, or is old, learns the commits first."""

    def close(self) -> None:
        """Lets go of the environment."""
        self.environment.close()

    # Commits

    def commit_row(self, commit: str) -> bytes | None:
        """The stored summary of a commit (JSON)."""
        return self.environment.get(COMMITS + bytes.fromhex(commit))

    def node(self, commit: str) -> Node | None:
        """A commit's place in the graph."""
        value = self.environment.get(GRAPH + bytes.fromhex(commit))
        return None if value is None else _node(value)

    # Objects in Git packs

    def object_place(self, oid: str) -> tuple[str, int] | None:
        """The pack (its name's hex) and offset where an object was last seen."""
        value = self.environment.get(OBJECTS + bytes.fromhex(oid))
        if value is None:
            return None
        pack, offset = _OBJECT.unpack(value)
        return pack.hex(), offset

    def object_places(self, oids: Iterable[str]) -> dict[str, tuple[str, int]]:
        """`object_place` of many objects; those that are not known are left out."""
        wanted = list(oids)
        found = self.environment.get_many(OBJECTS + bytes.fromhex(oid) for oid in wanted)
        places = {oid: _OBJECT.unpack(value) for oid, value in zip(wanted, found, strict=True) if value is not None}
        return {oid: (pack.hex(), offset) for oid, (pack, offset) in places.items()}

    def objects_with_prefix(self, prefix: str) -> list[str]:
        """Known object ids that begin with the hex digits `prefix`."""
        even = bytes.fromhex(prefix[: len(prefix) // 2 * 2])
        rows = self.environment.scan(OBJECTS + even)
        return [oid for key, _ in rows if (oid := key[1:].hex()).startswith(prefix)]

    def git_packs(self) -> set[str]:
        """Names (hex) of the Git packs whose objects are all known."""
        return {key[1:].hex() for key, _ in self.environment.scan(GIT_PACKS)}

    # Chunks

    def chunk_place(self, sha: str) -> Place | None:
        """Where a chunk lies."""
        value = self.environment.get(CHUNKS + bytes.fromhex(sha))
        if value is None:
            return None
        pack, offset, length = _CHUNK.unpack(value)
        return Place(pack.hex(), offset, length)

    def packs(self) -> set[str]:
        """SHA-256 names of the packs whose chunks are all known."""
        return {key[1:].hex() for key, _ in self.environment.scan(PACKS)}

    # Caches

    def merkle(self, oid: str) -> str | None:
        """The Merkle digest of a blob or tree."""
        value = self.environment.get(MERKLE + bytes.fromhex(oid))
        return None if value is None else value.hex()

    def capture_sources(self, key: bytes) -> list[str]:
        """Commits that hold captures of a model under a recipe (`capture_key`), in the order in which they came."""
        self.catch_up()
        value = self.environment.get(CAPTURES + key) or b""
        return [value[i : i + _OID].hex() for i in range(0, len(value), _OID)]

    def add_capture_source(self, key: bytes, commit: str) -> None:
        """Notes that `commit` holds captures under `key`, where the index can be written; again changes nothing."""
        before = self.environment.get(CAPTURES + key) or b""
        if _appended(before, bytes.fromhex(commit)) != before:
            with suppress(OSError):
                self.environment.update(CAPTURES + key, lambda value: _appended(value or b"", bytes.fromhex(commit)))

    def capture_rows(self, sources: Iterable[tuple[bytes, str]]) -> list[Row]:
        """The rows that hold what is known and `sources` (key, commit) besides."""
        merged: dict[bytes, bytes] = {}
        for key, commit in sources:
            row = CAPTURES + key
            value = merged[row] if row in merged else self.environment.get(row) or b""
            merged[row] = _appended(value, bytes.fromhex(commit))
        return list(merged.items())

    def distances(self, key: bytes) -> bytes | None:
        """The stored distances of two snapshots (`distances_key`)."""
        return self.environment.get(DISTANCES + key)

    def remember_distances(self, found: Mapping[bytes, bytes]) -> None:
        """Keeps distances, by key, that can be measured again, where the index can be written."""
        self.environment.remember((DISTANCES + key, value) for key, value in found.items())

    def file_digest(self, path: str, stat: os.stat_result) -> str | None:
        """The SHA-256 of a file that was hashed before and has the same size, times of change and inode since."""
        value = self.environment.get(_file_key(path))
        if value is None or len(value) != _FILE.size:  # an older bvc kept something else here
            return None
        *seen, digest = _FILE.unpack(value)
        return bytes(digest).hex() if tuple(seen) == _file_state(stat) else None

    def remember_file_digest(self, path: str, stat: os.stat_result, digest: str) -> None:
        """Keeps a file's SHA-256, unless it changed so recently that a later change could carry the same time."""
        if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) < _SETTLED:
            return
        value = _FILE.pack(*_file_state(stat), bytes.fromhex(digest))
        self.environment.remember([(_file_key(path), value)])


def score_key(*parts: str) -> bytes:
    """The row of something scored: XXH3-128 of what the score depends on."""
    return SCORES + xxhash.xxh3_128_digest("\0".join(parts).encode())


def commit_rows(commit: str, node: Node, summary: bytes) -> Iterator[Row]:
    """What is stored of one commit."""
    oid = bytes.fromhex(commit)
    yield COMMITS + oid, summary
    yield GRAPH + oid, _GRAPH.pack(node.generation, node.date) + b"".join(map(bytes.fromhex, node.parents))


def git_pack_rows(pack: str, objects: Iterable[tuple[bytes, int]]) -> Iterator[Row]:
    """What is stored of a Git pack: each object (20 bytes) with its offset, then that the pack is known."""
    name = bytes.fromhex(pack)
    for oid, offset in objects:
        yield OBJECTS + oid, _OBJECT.pack(name, offset)
    yield GIT_PACKS + name, b""


def pack_rows(pack: str, chunks: Iterable[tuple[str, int, int]]) -> Iterator[Row]:
    """What is stored of an array pack: each chunk with offset and length, then that the pack is known."""
    name = bytes.fromhex(pack)
    for sha, offset, length in chunks:
        yield CHUNKS + bytes.fromhex(sha), _CHUNK.pack(name, offset, length)
    yield PACKS + name, b""


def merkle_rows(digests: Iterable[tuple[str, str]]) -> Iterator[Row]:
    """Merkle digests by Git object id."""
    for oid, digest in digests:
        yield MERKLE + bytes.fromhex(oid), bytes.fromhex(digest)


def _nothing() -> None:
    """An index that stands alone has nothing to catch up with."""


def _node(value: bytes) -> Node:
    generation, date = _GRAPH.unpack_from(value)
    rest = value[_GRAPH.size :]
    parents: Sequence[str] = [rest[i : i + _OID].hex() for i in range(0, len(rest), _OID)]
    return Node(generation, date, tuple(parents))


def _appended(value: bytes, oid: bytes) -> bytes:
    known = {value[i : i + _OID] for i in range(0, len(value), _OID)}
    return value if oid in known else value + oid


def _file_state(stat: os.stat_result) -> tuple[int, ...]:
    """What changes when a file's bytes do; with the time of the inode's change, since its own time can be set back."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev


def _file_key(path: str) -> bytes:
    return FILES + xxhash.xxh3_128_digest(os.fsencode(path))
