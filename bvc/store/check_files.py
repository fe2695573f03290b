"""Checks of the stored files themselves: array packs, Git packs, loose objects. The index is never asked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bvc.errors import DamagedObject
from bvc.store.findings import CORRUPT, MISSING, Findings
from bvc.store.gitpacks import GitPackReader
from bvc.store.layout import Layout
from bvc.store.merkle import blob_digest
from bvc.store.objects import Objects
from bvc.store.packs import Entry, chunk_digest, decode, file_digest, pack_names, pack_path, read_entries

if TYPE_CHECKING:
    from bvc.store.packs import Array

_SHA1 = 20
_BLOCK = 1 << 20
_CHECKED_SUFFIXES = (".pack", ".idx", ".rev", ".bitmap")


@dataclass
class Arrays:
    """The array packs found in a folder: their records by pack, and of each sound chunk a place where it lies."""

    folder: Path
    packs: dict[str, list[Entry]] = field(default_factory=dict)
    sound: dict[str, tuple[str, Entry]] = field(default_factory=dict)

    def read(self, sha: str) -> Array:
        """A sound chunk. Raises DamagedObject or OSError where it is that no more."""
        name, entry = self.sound[sha]
        with pack_path(self.folder, name).open("rb") as file:
            file.seek(entry.offset)
            return decode(file.read(entry.length), sha)


@dataclass
class GitFiles:
    """The Git objects found: sound ones with kind and place (pack None: loose), and the blobs' Merkle digests."""

    reader: GitPackReader
    objects: Objects
    places: dict[str, tuple[str, str | None, int]] = field(default_factory=dict)
    offsets: dict[str, dict[str, int]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def read(self, oid: str) -> tuple[str, bytes]:
        """A sound object. Raises DamagedObject for any other."""
        place = self.places.get(oid)
        found = None
        if place is not None:
            pack, offset = place[1:]
            found = self.objects.read_loose(oid) if pack is None else self.reader.read_at(pack, offset, oid)
        if found is None:
            raise DamagedObject(f"object {oid} is missing or damaged")
        return found


def check_arrays(layout: Layout, findings: Findings) -> Arrays:
    """Every array pack by its name, every record by XXH3 and SHA-256."""
    arrays = Arrays(layout.packs)
    names = pack_names(layout.packs)
    for done, name in enumerate(names):
        findings.step("array packs", done, len(names))
        findings.count("packs")
        path = pack_path(layout.packs, name)
        try:
            if file_digest(path) != name:
                findings.add(CORRUPT, f"bvc/packs/{name}", "its bytes do not have the SHA-256 that names it")
            arrays.packs[name] = read_entries(path)
        except (DamagedObject, OSError) as error:
            findings.add(CORRUPT, f"bvc/packs/{name}", str(error))
            continue
        _check_records(path, arrays, findings)
    return arrays


def _check_records(path: Path, arrays: Arrays, findings: Findings) -> None:
    with path.open("rb") as file:
        for entry in arrays.packs[path.stem]:
            findings.count("chunks")
            file.seek(entry.offset)
            try:
                array = decode(file.read(entry.length), entry.sha)
            except DamagedObject as error:
                findings.add(CORRUPT, entry.sha, str(error))
                continue
            if chunk_digest(array) == entry.sha:
                arrays.sound.setdefault(entry.sha, (path.stem, entry))
            else:
                findings.add(CORRUPT, entry.sha, f"chunk in pack {path.stem} does not have the SHA-256 that names it")


def check_git_files(layout: Layout, objects: Objects, findings: Findings) -> GitFiles:
    """Every Git pack and its companions by their checksums, every object by its hash."""
    found = GitFiles(GitPackReader(layout.git_packs), objects)
    for path in sorted(layout.git_packs.glob("pack-*")):
        if path.suffix in _CHECKED_SUFFIXES:
            _check_trailer(path, findings)
        if path.suffix == ".idx" and not path.with_suffix(".pack").exists():
            findings.add(MISSING, path.with_suffix(".pack").name, "there is an index for this Git pack, but no pack")
    for path in sorted((layout.root / "objects" / "info").glob("**/*commit-graph*")):
        if path.is_file() and path.suffix != ".lock" and not path.name.endswith("chain"):
            _check_trailer(path, findings)
    names = sorted(found.reader.names())
    for done, name in enumerate(names):
        findings.step("Git packs", done, len(names))
        findings.count("git packs")
        _check_pack(name, found, findings)
    for number in range(256):
        for oid in objects.loose(f"{number:02x}"):
            _note(oid, objects.read_loose(oid), (None, 0), found, findings)
    return found


def _check_trailer(path: Path, findings: Findings) -> None:
    """The last 20 bytes of such files are the SHA-1 of all before."""
    state = hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as file:
        left = path.stat().st_size - _SHA1
        while left > 0 and (block := file.read(min(left, _BLOCK))):
            state.update(block)
            left -= len(block)
        trailer = file.read()
    if state.digest() != trailer:
        findings.add(CORRUPT, path.name, "the checksum at the end of this Git file does not match its bytes")


def _check_pack(name: str, found: GitFiles, findings: Findings) -> None:
    try:
        contents = sorted(found.reader.contents(name), key=lambda item: item[1])
    except DamagedObject as error:
        findings.add(CORRUPT, f"pack-{name}.idx", str(error))
        return
    offsets = found.offsets.setdefault(name, {})
    for raw, offset in contents:
        oid = raw.hex()
        offsets[oid] = offset
        _note(oid, found.reader.read_at(name, offset, oid), (name, offset), found, findings)


def _note(
    oid: str,
    content: tuple[str, bytes] | None,
    place: tuple[str | None, int],
    found: GitFiles,
    findings: Findings,
) -> None:
    findings.count("objects")
    if content is None:
        where = "loose" if place[0] is None else f"in pack-{place[0]}"
        findings.add(CORRUPT, oid, f"this object ({where}) does not have the hash that names it")
        return
    kind, data = content
    found.places[oid] = (kind, *place)
    if kind == "blob":
        found.digests[oid] = blob_digest(data)
