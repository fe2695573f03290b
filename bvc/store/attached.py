"""Captures that were attached to commits later: the folder `snapshots/COMMIT` in the tree of a notes commit.

`refs/notes/captures` is a Git notes ref. Beside the notes that Git shows, its tree holds for each annotated commit a
folder of the shape of a commit's own tree, so that everything it names is reachable for `git fsck`, `gc` and `push`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bvc import codec
from bvc.errors import DamagedObject
from bvc.store.objects import TREE_MODE, TreeEntry, is_object_id, parse_tree

FOLDER = "snapshots"
SNAPSHOT_FILE = "snapshot.json"

Read = Callable[[str], tuple[str, bytes]]


def attached_trees(tree: str, read: Read) -> dict[str, str]:
    """`{commit: tree of its attached snapshot}` of a notes commit's tree; empty for any other tree."""
    folder = _folders(tree, read).get(FOLDER)
    return {} if folder is None else {name: oid for name, oid in _folders(folder, read).items() if is_object_id(name)}


def snapshot_json(tree: str, read: Read) -> Any:
    """The parsed `snapshot.json` of a tree, None where it has none. Raises DamagedObject."""
    files = {entry.name: entry.oid for entry in _entries(tree, read) if entry.mode != TREE_MODE}
    if SNAPSHOT_FILE not in files:
        return None
    try:
        return codec.parse(read(files[SNAPSHOT_FILE])[1])
    except (ValueError, RecursionError) as error:
        raise DamagedObject(f"{SNAPSHOT_FILE} of tree {tree} is not JSON", hint="run `bvc fsck`") from error


def _folders(tree: str, read: Read) -> dict[str, str]:
    return {entry.name: entry.oid for entry in _entries(tree, read) if entry.mode == TREE_MODE}


def _entries(tree: str, read: Read) -> tuple[TreeEntry, ...]:
    kind, data = read(tree)
    if kind != "tree":
        raise DamagedObject(f"object {tree} is a {kind} where a tree should be", hint="run `bvc fsck`")
    return parse_tree(tree, data)
