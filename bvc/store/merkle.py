"""The SHA-256 Merkle root of a tree, so that a commit's integrity never rests on SHA-1.

blob = digest("blob/1", bytes); tree = digest("tree/1", canonical JSON of [[name, kind, child], …] sorted by name), with
`bvc.ids.digest` and kind "blob" or "tree".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bvc.codec import canonical
from bvc.ids import digest
from bvc.store.objects import TREE_MODE, TreeEntry, parse_tree

_SUBMODULE_MODE = 0o160000

Read = Callable[[str], tuple[str, bytes]]
Known = Callable[[str], str | None]


def blob_digest(data: bytes) -> str:
    """The Merkle digest of a blob."""
    return digest("blob/1", data)


def tree_digest(children: Iterable[tuple[TreeEntry, str]]) -> str:
    """The Merkle digest of a tree, from its entries with their own digests."""
    rows = [[entry.name, "tree" if entry.mode == TREE_MODE else "blob", child] for entry, child in children]
    return digest("tree/1", canonical(sorted(rows)))


def merkle_digest(oid: str, read: Read, memo: dict[str, str], known: Known = lambda _: None) -> str:
    """The Merkle digest of a stored blob or tree; `memo` is filled, `known` may answer from a cache.

    Raises DamagedObject for what cannot be read.
    """
    found = memo.get(oid) or known(oid)
    if found is None:
        kind, data = read(oid)
        if kind == "tree":
            entries = parse_tree(oid, data)
            found = tree_digest((e, _child_digest(e, read, memo, known)) for e in entries)
        else:
            found = blob_digest(data)
    memo[oid] = found
    return found


def _child_digest(entry: TreeEntry, read: Read, memo: dict[str, str], known: Known) -> str:
    if entry.mode == _SUBMODULE_MODE:
        return entry.oid
    return merkle_digest(entry.oid, read, memo, known)
