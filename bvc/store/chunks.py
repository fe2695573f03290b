"""Reading arrays by their SHA-256. Light to import; numpy is loaded with the first array."""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bvc.errors import DamagedObject
from bvc.store.index import Index, Place, pack_rows
from bvc.store.layout import Layout
from bvc.store.packs import damaged, decode, pack_names, pack_path, read_entries

if TYPE_CHECKING:
    import numpy as np

_OPEN_FILES = 64


class Chunks:
    """The arrays of one store. The index says where a chunk lies; where it does not, the packs' footers do."""

    def __init__(self, layout: Layout, index: Index) -> None:
        self._packs = layout.packs
        self._index = index
        self._files: OrderedDict[str, int] = OrderedDict()

    def get(self, sha: str) -> np.ndarray[Any, Any]:
        """The array of a digest (read-only), its XXH3 checked. Raises DamagedObject when it is missing or damaged."""
        place = self._index.chunk_place(sha)
        if place is not None:
            # A stale place is no failure yet: another pack may hold the chunk.
            with suppress(DamagedObject, FileNotFoundError):
                return self._read(sha, place)
        self.refresh()
        return self._search(sha)

    def has(self, sha: str) -> bool:
        """Whether a pack holds the chunk (its bytes are not read)."""
        place = self._index.chunk_place(sha)
        if place is not None and pack_path(self._packs, place.pack).exists():
            return True
        self.refresh()
        return bool(self._places(sha))

    def known(self, sha: str) -> bool:
        """Whether the index leads to a pack that exists: `has` without a search, for deduplication."""
        place = self._index.chunk_place(sha)
        return place is not None and pack_path(self._packs, place.pack).exists()

    def refresh(self) -> None:
        """Takes packs into the index that it does not know yet."""
        known = self._index.packs()
        for name in pack_names(self._packs):
            if name not in known:
                self._learn(name)

    def close(self) -> None:
        """Closes open files."""
        while self._files:
            os.close(self._files.popitem()[1])

    def _search(self, sha: str) -> np.ndarray[Any, Any]:
        failure: DamagedObject | None = None
        for place in self._places(sha):
            try:
                return self._read(sha, place)
            except DamagedObject as error:
                failure = error
        raise failure or DamagedObject(
            f"chunk {sha} is missing: no pack holds it", hint="run `bvc fsck` to see what else is missing"
        )

    def _places(self, sha: str) -> list[Place]:
        """Every place where the packs' footers say that the chunk lies."""
        places: list[Place] = []
        for name in pack_names(self._packs):
            with suppress(DamagedObject, FileNotFoundError):
                entries = read_entries(pack_path(self._packs, name))
                places += [Place(name, e.offset, e.length) for e in entries if e.sha == sha]
        return places

    def _learn(self, name: str) -> None:
        try:
            entries = read_entries(pack_path(self._packs, name))
        except (DamagedObject, FileNotFoundError):
            return
        self._index.environment.remember(pack_rows(name, [(e.sha, e.offset, e.length) for e in entries]))

    def _read(self, sha: str, place: Place) -> np.ndarray[Any, Any]:
        record = os.pread(self._file(place.pack), place.length, place.offset)
        if len(record) != place.length:
            raise damaged(sha, f"pack {place.pack} is cut off")
        return decode(record, sha)

    def _file(self, pack: str) -> int:
        descriptor = self._files.get(pack)
        if descriptor is None:
            descriptor = os.open(pack_path(self._packs, pack), os.O_RDONLY)
            self._files[pack] = descriptor
            if len(self._files) > _OPEN_FILES:
                os.close(self._files.popitem(last=False)[1])
        else:
            self._files.move_to_end(pack)
        return descriptor
