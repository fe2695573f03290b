"""Searches for features of one model only, as Git notes: `refs/notes/exclusive` has for each commit the searches of
which it is side b. Layer 2. Loads no numpy."""

from __future__ import annotations

from dataclasses import replace

from bvc import codec
from bvc.codec import canonical
from bvc.errors import DamagedObject
from bvc.exclusive import ExclusiveFeatures
from bvc.records import FORMAT_VERSION
from bvc.repository.manifest import check_version
from bvc.repository.notes import NoteAuthor, advance_tree
from bvc.store.objects import FILE_MODE, TreeEntry, is_object_id
from bvc.store.store import Store

EXCLUSIVE = "refs/notes/exclusive"


def read_exclusive(store: Store, a: str, b: str) -> list[ExclusiveFeatures]:
    """The searches kept of two commits (full ids), in either direction as they were made, the newest first. Raises
    DamagedObject for notes that are not such records."""
    tip = store.refs.get(EXCLUSIVE)
    if tip is None:
        return []
    top = {entry.name: entry.oid for entry in store.objects.tree(store.history.info(tip).tree)}
    kept = [found for commit in (a, b) if commit in top for found in _searches(store, commit, top[commit])]
    return [found for found in kept if {found.a, found.b} == {a, b}]


def keep_exclusive(store: Store, found: ExclusiveFeatures, by: NoteAuthor) -> None:
    """Keeps a search as the newest of its two commits; one with the same settings is replaced."""
    with store.begin() as transaction:

        def edit(top: dict[str, TreeEntry]) -> None:
            old = top.get(found.b)
            before = [] if old is None else _searches(store, found.b, old.oid)
            rows = [found, *(one for one in before if not _same(one, found))]
            note = {"version": FORMAT_VERSION, "exclusive": [row.to_json() for row in rows]}
            top[found.b] = TreeEntry(found.b, FILE_MODE, transaction.blob(canonical(note)))

        subject = f"features of {found.a[:10]} or {found.b[:10]} only"
        advance_tree(transaction, store, EXCLUSIVE, edit, subject, by)


def _same(one: ExclusiveFeatures, other: ExclusiveFeatures) -> bool:
    return (one.a, one.settings) == (other.a, other.settings)


def _searches(store: Store, commit: str, blob: str) -> list[ExclusiveFeatures]:
    try:
        data = codec.parse(store.objects.blob(blob))
        check_version(data, "a note of exclusive features")
        found = [replace(ExclusiveFeatures.from_json(row), b=commit) for row in data["exclusive"]]
        if not all(is_object_id(one.a) for one in found):
            raise ValueError("not a commit")
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        what = f"the note {blob} of {EXCLUSIVE} is no search for features"
        raise DamagedObject(what, hint="run `bvc fsck`") from error
    return found
