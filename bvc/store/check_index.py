"""Checks of the index: the file as LMDB needs it, each value's checksum, and what the entries say against the truth.

LMDB itself may crash on a damaged file, so its pages are read by the pure-Python verifier first, and LMDB opens only
what passed.
"""

from __future__ import annotations

from collections.abc import Iterable

from bvc.store.check_files import Arrays, GitFiles
from bvc.store.environment import Row
from bvc.store.findings import CORRUPT, STALE, Findings
from bvc.store.index import (
    CAPTURES,
    CHUNKS,
    COMMITS,
    GRAPH,
    MERKLE,
    OBJECTS,
    Index,
    git_pack_rows,
    merkle_rows,
    pack_rows,
)
from bvc.store.layout import Layout
from bvc.store.seal import page_faults

_OID = 20
_LISTED = 20
"""Entries named one by one; the rest is counted."""


def check_index_file(layout: Layout, index: Index, findings: Findings) -> bool:
    """Whether LMDB can open the index safely. False, with a problem noted, when pages are damaged; an index that does
    not exist yet, or was only just begun, is fine."""
    with index.environment.exclusive():
        faults = page_faults(layout.index)
    for fault in faults[:_LISTED]:
        findings.add(CORRUPT, "bvc/index", f"{fault} (`bvc reindex` rebuilds it)")
    return not faults


def index_entries(index: Index, findings: Findings) -> dict[bytes, bytes]:
    """All sound entries; damaged ones are noted."""
    sound: dict[bytes, bytes] = {}
    for key, value in index.environment.entries():
        findings.count("index entries")
        if value is None:
            detail = "an entry does not match its checksum (`bvc reindex` rebuilds it)"
            findings.add(CORRUPT, f"bvc/index {_name(key)}", detail)
        else:
            sound[key] = value
    return sound


def check_places(
    entries: dict[bytes, bytes], arrays: Arrays, git: GitFiles, chunks: set[str], findings: Findings
) -> None:
    """Where the index says that things lie, against the packs' own tables. `chunks` are those that commits name: the
    index may lack others, left by an interrupted commit."""
    right: dict[bytes, set[bytes]] = {}
    for pack, records in arrays.packs.items():
        _collect(right, pack_rows(pack, [(e.sha, e.offset, e.length) for e in records]))
    for pack, offsets in git.offsets.items():
        _collect(right, git_pack_rows(pack, [(bytes.fromhex(oid), at) for oid, at in offsets.items()]))
    there = {bytes.fromhex(name) for name in (*arrays.packs, *git.offsets)}
    wrong = [
        key
        for key, value in entries.items()
        if key[:1] in (CHUNKS, OBJECTS) and _pack_of(key, value) in there and value not in right.get(key, set())
    ]
    for key in wrong[:_LISTED]:
        findings.add(CORRUPT, f"bvc/index {_name(key)}", "it does not lie where the index says")
    lacking = [sha for sha in chunks & arrays.sound.keys() if not _leads(entries, CHUNKS + bytes.fromhex(sha), there)]
    _stale(len(lacking), "chunks that commits name", findings)


def check_objects_known(
    entries: dict[bytes, bytes], reachable: Iterable[str], git: GitFiles, findings: Findings
) -> None:
    """Reachable packed objects that the index does not lead to."""
    there = {bytes.fromhex(name) for name in git.offsets}
    packed = [oid for oid in reachable if oid in git.places and git.places[oid][1] is not None]
    lacking = [oid for oid in packed if not _leads(entries, OBJECTS + bytes.fromhex(oid), there)]
    _stale(len(lacking), "objects", findings)


def check_rows(entries: dict[bytes, bytes], right: Iterable[Row], what: str, findings: Findings) -> None:
    """Entries that follow from a commit: wrong ones are noted, absent ones counted as not known yet."""
    lacking = 0
    for key, value in right:
        found = entries.get(key)
        if found is None:
            lacking += 1
        elif found != value:
            findings.add(CORRUPT, f"bvc/index {_name(key)}", f"it says something else than the {what}")
    _stale(lacking, what, findings)


def check_digests(entries: dict[bytes, bytes], digests: dict[str, str], findings: Findings) -> None:
    """Merkle digests that the index holds, against those computed now."""
    for key, value in merkle_rows(digests.items()):
        if entries.get(key, value) != value:
            findings.add(CORRUPT, f"bvc/index {_name(key)}", "it holds another Merkle digest")


def check_captures(entries: dict[bytes, bytes], captures: Iterable[tuple[bytes, str]], findings: Findings) -> None:
    """Commits with captures that the capture cache does not know."""
    lacking = 0
    for key, commit in captures:
        value = entries.get(CAPTURES + key, b"")
        lacking += bytes.fromhex(commit) not in {value[i : i + _OID] for i in range(0, len(value), _OID)}
    _stale(lacking, "captures", findings)


def _stale(number: int, what: str, findings: Findings) -> None:
    if number:
        findings.add(STALE, "bvc/index", f"{number} {what} not in the index (it learns them; `bvc reindex` at once)")


def _collect(right: dict[bytes, set[bytes]], rows: Iterable[Row]) -> None:
    for key, value in rows:
        right.setdefault(key, set()).add(value)


def _leads(entries: dict[bytes, bytes], key: bytes, there: set[bytes]) -> bool:
    value = entries.get(key)
    return value is not None and _pack_of(key, value) in there


def _pack_of(key: bytes, value: bytes) -> bytes:
    return value[: 32 if key[:1] == CHUNKS else _OID]


def _name(key: bytes) -> str:
    kinds = {COMMITS: "commit", GRAPH: "graph of", OBJECTS: "object", CHUNKS: "chunk", MERKLE: "Merkle digest of"}
    return f"{kinds.get(key[:1], 'entry')} {key[1:].hex()}"
