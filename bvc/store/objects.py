"""Git objects by id: from packs that the index knows, from loose files, from any pack. Every read is hashed."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from bvc.errors import DamagedObject
from bvc.store.files import read_optional
from bvc.store.gitpacks import LARGEST, NUMBERS, GitPackReader, object_id
from bvc.store.index import Index, git_pack_rows
from bvc.store.layout import Layout

FILE_MODE = 0o100644
TREE_MODE = 0o40000

_OID_DIGITS = 40
_ENTRY = re.compile(rb"([0-7]+) ([^\0]*)\0(.{20})", re.DOTALL)


class TreeEntry(NamedTuple):
    """One name in a tree: `mode` as Git has it (0o40000 for a folder), `oid` in hex."""

    name: str
    mode: int
    oid: str


class Objects:
    """The Git objects of one store."""

    def __init__(self, layout: Layout, index: Index) -> None:
        self._folder = layout.root / "objects"
        self._index = index
        self._places: dict[str, tuple[str, int]] = {}
        self.packs = GitPackReader(layout.git_packs)

    def read(self, oid: str) -> tuple[str, bytes]:
        """Kind ("commit", "tree", "blob", "tag") and content. Raises DamagedObject when it is missing or damaged."""
        found = self._quick(oid) or self._slow(oid)
        if found is None:
            raise DamagedObject(
                f"object {oid} is missing or damaged", hint="run `bvc fsck` to see what else is, and fetch it again"
            )
        return found

    def blob(self, oid: str) -> bytes:
        """The bytes of a blob. Raises DamagedObject."""
        return self._of_kind(oid, "blob")

    def tree(self, oid: str) -> tuple[TreeEntry, ...]:
        """The entries of a tree in Git's order. Raises DamagedObject."""
        return parse_tree(oid, self._of_kind(oid, "tree"))

    def raw_tree(self, oid: str) -> list[tuple[bytes, bytes, bytes]]:
        """Mode, name and id (20 bytes) of each entry of a tree, for one of which few are looked at. Raises
        DamagedObject."""
        return raw_entries(oid, self._of_kind(oid, "tree"))

    def expect(self, oids: Iterable[str]) -> None:
        """Looks up at once where objects lie that are going to be read one by one."""
        self._places |= self._index.object_places(oids)

    def exists(self, oid: str) -> bool:
        """Whether the object can be read."""
        return is_object_id(oid) and (self._quick(oid) or self._slow(oid)) is not None

    def known(self, oid: str) -> bool:
        """Whether the index leads to a pack that exists, or a loose file does: for deduplication, without a search."""
        place = self._index.object_place(oid)
        if place is not None and self.packs.has(place[0]):
            return True
        return (self._folder / oid[:2] / oid[2:]).exists()

    def with_prefix(self, prefix: str) -> list[str]:
        """All ids that begin with `prefix` (4 to 40 hex digits), sorted."""
        prefix = prefix.lower()
        if not 4 <= len(prefix) <= _OID_DIGITS or not _is_hex(prefix):
            return []
        self.refresh()
        here = self.packs.names()
        found = {oid for oid in self._index.objects_with_prefix(prefix) if self._is_here(oid, here)}
        found |= {oid for oid in self.loose(prefix[:2]) if oid.startswith(prefix)}
        return sorted(found or self._search_prefix(prefix))

    def loose(self, first: str) -> list[str]:
        """Ids of the loose objects whose first two digits are `first`."""
        try:
            names = [path.name for path in (self._folder / first).iterdir()]
        except OSError:
            return []
        return [first + name for name in names if is_object_id(first + name)]

    def read_loose(self, oid: str) -> tuple[str, bytes] | None:
        """A loose object; None when there is none or it is damaged."""
        packed = read_optional(self._folder / oid[:2] / oid[2:])
        if packed is None:
            return None
        try:
            raw = zlib.decompressobj().decompress(packed, LARGEST)
        except zlib.error:
            return None
        head, _, data = raw.partition(b"\0")
        kind = head.split(b" ")[0].decode("ascii", "replace")
        return (kind, data) if kind in NUMBERS and object_id(kind, data) == oid else None

    def refresh(self) -> None:
        """Takes packs into the index that it does not know yet (made by Git, or lost with an older index)."""
        unknown = self.packs.names() - self._index.git_packs()
        for name in sorted(unknown):
            try:
                rows = list(git_pack_rows(name, self.packs.contents(name)))
            except DamagedObject:
                continue
            self._index.environment.remember(rows)

    def close(self) -> None:
        """Closes open files."""
        self.packs.close()

    def _of_kind(self, oid: str, kind: str) -> bytes:
        found, data = self.read(oid)
        if found != kind:
            raise DamagedObject(f"object {oid} is a {found} where a {kind} should be", hint="run `bvc fsck`")
        return data

    def _quick(self, oid: str) -> tuple[str, bytes] | None:
        if not is_object_id(oid):
            raise DamagedObject(f"{oid!r} is not an object id", hint="run `bvc fsck`")
        place = self._places.pop(oid, None) or self._index.object_place(oid)
        found = None if place is None else self.packs.read_at(*place, oid)
        return found or self.read_loose(oid)

    def _slow(self, oid: str) -> tuple[str, bytes] | None:
        """After taking in new packs, a search of every pack's own index."""
        self.refresh()
        place = self._index.object_place(oid)
        found = None if place is None else self.packs.read_at(*place, oid)
        if found is not None:
            return found
        for name in sorted(self.packs.names()):
            found = self.packs.read(name, oid) if self.packs.holds(name, oid) else None
            if found is not None:
                return found
        return None

    def _is_here(self, oid: str, packs: frozenset[str]) -> bool:
        place = self._index.object_place(oid)
        return (place is not None and place[0] in packs) or self.exists(oid)

    def _search_prefix(self, prefix: str) -> set[str]:
        found: set[str] = set()
        for name in self.packs.names():
            try:
                found |= {h for oid, _ in self.packs.contents(name) if (h := oid.hex()).startswith(prefix)}
            except DamagedObject:
                continue
        return found


def is_object_id(text: str) -> bool:
    """Whether `text` is a full SHA-1 name in lower-case hex."""
    return len(text) == _OID_DIGITS and _is_hex(text)


def _is_hex(text: str) -> bool:
    return not set(text) - set("0123456789abcdef")


def parse_tree(oid: str, data: bytes) -> tuple[TreeEntry, ...]:
    """The entries of a tree object's bytes. Raises DamagedObject when they are not a tree."""
    return tuple(
        TreeEntry(name.decode("utf-8", "surrogateescape"), int(mode, 8), found.hex())
        for mode, name, found in raw_entries(oid, data)
    )


def raw_entries(oid: str, data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Mode, name and id (20 bytes) of each entry, as a tree object has them. Raises DamagedObject as `parse_tree`."""
    rows: list[tuple[bytes, bytes, bytes]] = _ENTRY.findall(data)
    if sum(len(mode) + len(name) + 22 for mode, name, _ in rows) != len(data):
        raise DamagedObject(f"tree {oid} is malformed", hint="run `bvc fsck`")
    return rows
