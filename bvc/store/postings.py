"""Posting lists over the answers of a history: which of them may hold some words, without reading the others.

Answers are filed in segments of up to `MOST` records. Of each the index holds what it is made of, the texts (packed in
blocks), and for every trigram slot that occurs a bitmap of the records that have it. New records make a new segment,
which takes in the older ones that are not much larger, so there are never many.

All of this is derived from Git. A row that is lost or damaged makes records unknown, or candidates that are looked up:
it costs time, and changes no answer.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import xxhash

from bvc.store.environment import Environment, Row
from bvc.store.trigrams import text_slots

POSTINGS = b"t"
"""The table: `h` + segment (what is in it), `t` + segment + block (texts), `p` + segment + bucket (bitmaps)."""
MOST = 8192
"""Records of a segment."""

_HEADER, _TEXTS, _LISTS = POSTINGS + b"h", POSTINGS + b"t", POSTINGS + b"p"
_OID = 20
_BLOCK = 64
_BUCKETS = 256
_PLAIN = 128
"""A segment of fewer records has no posting lists: reading it is as fast."""
_BYTES = 64 << 20
"""Of text, after which a segment is closed."""
_GROWTH = 2
_SMALL = 1
"""Level of compression: three times faster than the next that packs better."""

Slots = Collection[int]


class Document(NamedTuple):
    """One stored record of answers: its object id (20 bytes) and its texts in order."""

    oid: bytes
    texts: tuple[str, ...]


class _Segment(NamedTuple):
    key: bytes
    oids: tuple[bytes, ...]

    @property
    def has_lists(self) -> bool:
        return len(self.oids) >= _PLAIN

    @property
    def blocks(self) -> int:
        return -(-len(self.oids) // _BLOCK)

    def rows(self) -> Iterator[bytes]:
        """The keys of all rows of the segment."""
        yield _HEADER + self.key
        yield from (_text_key(self.key, block) for block in range(self.blocks))
        if self.has_lists:
            yield from (_list_key(self.key, bucket) for bucket in range(_BUCKETS))


class Postings:
    """The posting lists in one environment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._segments: list[_Segment] | None = None

    def known(self) -> set[bytes]:
        """Object ids of the records that are filed."""
        return {oid for segment in self._all() for oid in segment.oids}

    def add(self, documents: Iterable[Document]) -> None:
        """Files records, where the index can be written."""
        batch: dict[bytes, Document] = {}
        size = 0
        for document in documents:
            batch[document.oid] = document
            size += sum(map(len, document.texts))
            if len(batch) >= MOST or size >= _BYTES:
                self._write(batch, ())
                batch, size = {}, 0
        if batch:
            small = self._near(len(batch))
            for segment in small:
                old = (
                    (oid, texts) for oid, texts in self._read(segment, range(len(segment.oids))) if texts is not None
                )
                batch |= {oid: Document(oid, texts) for oid, texts in old}
            self._write(batch, small)

    def search(
        self, wanted: Collection[bytes], branches: Sequence[Slots] | None
    ) -> Iterator[tuple[bytes, tuple[str, ...] | None]]:
        """The filed records among `wanted` that may match, with their texts; None where those are lost.

        A record may match when it has all slots of one of `branches`; None stands for every record.
        """
        seen: set[bytes] = set()
        for segment in self._all():
            places = [
                place
                for place in self._candidates(segment, branches)
                if segment.oids[place] in wanted and segment.oids[place] not in seen
            ]
            seen.update(segment.oids[place] for place in places)
            yield from self._read(segment, places)

    def _all(self) -> list[_Segment]:
        if self._segments is None:
            rows = self._environment.scan(_HEADER)
            self._segments = [_Segment(key[len(_HEADER) :], _oids(value)) for key, value in rows]
        return self._segments

    def _near(self, count: int) -> list[_Segment]:
        """The segments that one of `count` new records takes in: smallest first, none much larger than all before."""
        taken: list[_Segment] = []
        for segment in sorted(self._all(), key=lambda s: len(s.oids)):
            if len(segment.oids) > _GROWTH * count or len(segment.oids) + count > MOST:
                break
            taken.append(segment)
            count += len(segment.oids)
        return taken

    def _write(self, documents: dict[bytes, Document], replaced: Sequence[_Segment]) -> None:
        ordered = list(documents.values())
        oids = tuple(documents)
        segment = _Segment(xxhash.xxh3_128_digest(b"".join(oids)), oids)
        rows = list(_segment_rows(segment, ordered))
        gone = {key for old in replaced for key in old.rows()} - {key for key, _ in rows}
        self._environment.remember(rows, gone)
        self._segments = None

    def _candidates(self, segment: _Segment, branches: Sequence[Slots] | None) -> Iterable[int]:
        count = len(segment.oids)
        if branches is None or not segment.has_lists or not all(branches):
            return range(count)
        wanted = sorted({slot for branch in branches for slot in branch})
        found = dict(zip(wanted, self._bitmaps(segment, wanted), strict=True))
        either = 0
        for branch in branches:
            every = (1 << count) - 1
            for slot in branch:
                every &= found[slot]
            either |= every
        return _places(either)

    def _bitmaps(self, segment: _Segment, slots: Sequence[int]) -> Iterator[int]:
        """For each slot the records that have it, as bits; all of them where the row is lost."""
        buckets = sorted({slot % _BUCKETS for slot in slots})
        rows = self._environment.get_many(_list_key(segment.key, bucket) for bucket in buckets)
        packed = {bucket: zlib.decompress(row) for bucket, row in zip(buckets, rows, strict=True) if row is not None}
        count = len(segment.oids)
        for slot in slots:
            data = packed.get(slot % _BUCKETS)
            yield (1 << count) - 1 if data is None else _bitmap(data, slot // _BUCKETS, -(-count // 8))

    def _read(self, segment: _Segment, places: Iterable[int]) -> Iterator[tuple[bytes, tuple[str, ...] | None]]:
        inside: dict[int, list[int]] = {}
        for place in places:
            inside.setdefault(place // _BLOCK, []).append(place)
        rows = self._environment.get_many(_text_key(segment.key, block) for block in inside)
        for (block, chosen), row in zip(inside.items(), rows, strict=True):
            texts = None if row is None else _unpack_block(zlib.decompress(row), [p - block * _BLOCK for p in chosen])
            for number, place in enumerate(chosen):
                yield segment.oids[place], None if texts is None else texts[number]


def _segment_rows(segment: _Segment, documents: Sequence[Document]) -> Iterator[Row]:
    yield _HEADER + segment.key, b"".join(segment.oids)
    for block in range(segment.blocks):
        packed = b"".join(_packed(d.texts) for d in documents[block * _BLOCK : (block + 1) * _BLOCK])
        yield _text_key(segment.key, block), zlib.compress(packed, _SMALL)
    if segment.has_lists:
        for bucket, data in enumerate(_buckets(documents)):
            yield _list_key(segment.key, bucket), zlib.compress(data, _SMALL)


def _buckets(documents: Sequence[Document]) -> Iterator[bytes]:
    """Per bucket which of its 256 slots occur (32 bytes) and their bitmaps in order."""
    width = -(-len(documents) // 8)
    bitmaps: list[dict[int, bytearray]] = [{} for _ in range(_BUCKETS)]
    for place, document in enumerate(documents):
        byte, bit = place >> 3, 1 << (place & 7)
        for slot in set().union(*map(text_slots, document.texts)):
            rows = bitmaps[slot % _BUCKETS]
            row = rows.get(slot // _BUCKETS)
            if row is None:
                row = rows[slot // _BUCKETS] = bytearray(width)
            row[byte] |= bit
    for rows in bitmaps:
        present = sum(1 << number for number in rows)
        yield present.to_bytes(32, "little") + b"".join(rows[number] for number in sorted(rows))


def _bitmap(data: bytes, number: int, width: int) -> int:
    present = int.from_bytes(data[:32], "little")
    if not present >> number & 1:
        return 0
    start = 32 + width * (present & ((1 << number) - 1)).bit_count()
    return int.from_bytes(data[start : start + width], "little")


def _places(bits: int) -> Iterator[int]:
    """The numbers of the bits that are set, rising."""
    digits = bin(bits)[:1:-1]
    place = digits.find("1")
    while place >= 0:
        yield place
        place = digits.find("1", place + 1)


def _packed(texts: Sequence[str]) -> bytes:
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    body = b"".join(parts)
    return struct.pack(f"<II{len(parts)}I", len(parts), len(body), *map(len, parts)) + body


def _unpack_block(data: bytes, chosen: Sequence[int]) -> list[tuple[str, ...]]:
    """The texts of the records at the rising places `chosen` of a block."""
    out: list[tuple[str, ...]] = []
    start, place = 0, 0
    for wanted in chosen:
        while True:
            count, size = struct.unpack_from("<II", data, start)
            body = start + 8 + 4 * count
            found, place = place, place + 1
            if found == wanted:
                out.append(_texts(data, start + 8, count))
            start = body + size
            if found == wanted:
                break
    return out


def _texts(data: bytes, start: int, count: int) -> tuple[str, ...]:
    sizes = struct.unpack_from(f"<{count}I", data, start)
    position, texts = start + 4 * count, []
    for size in sizes:
        texts.append(data[position : position + size].decode("utf-8", "surrogatepass"))
        position += size
    return tuple(texts)


def _oids(value: bytes) -> tuple[bytes, ...]:
    return tuple(value[i : i + _OID] for i in range(0, len(value), _OID))


def _text_key(segment: bytes, block: int) -> bytes:
    return _TEXTS + segment + block.to_bytes(2, "big")


def _list_key(segment: bytes, bucket: int) -> bytes:
    return _LISTS + segment + bucket.to_bytes(1, "big")
