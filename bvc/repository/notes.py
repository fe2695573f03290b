"""What is said about commits after they were made, without rewriting history: captures, and trusted pairs. Layer 2.

Both are Git notes refs, so plain Git shows, checks, keeps and pushes them. `refs/notes/captures` has for each commit a
note for people and, in the folder `snapshots/`, a snapshot of the shape of the commit's own tree, which holds at least
what the commit itself does. `refs/notes/noise` has for each commit the commits from which getting there was benign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bvc import codec
from bvc.codec import canonical
from bvc.errors import DamagedObject
from bvc.records import FORMAT_VERSION, CommitInfo, Snapshot
from bvc.repository.manifest import check_version
from bvc.store.attached import FOLDER, attached_trees, snapshot_json
from bvc.store.history import capture_keys, snapshot_of
from bvc.store.objects import FILE_MODE, TREE_MODE, TreeEntry, is_object_id
from bvc.store.refs import ConcurrentUpdate
from bvc.store.store import Store

if TYPE_CHECKING:
    from bvc.store.transaction import Transaction

CAPTURES = "refs/notes/captures"
NOISE = "refs/notes/noise"
LEVELS = ("N1", "N2")

_OID_DIGITS = 40


@dataclass(frozen=True)
class NoteAuthor:
    """Who moves a notes ref, and when: seconds since the epoch and the offset from UTC in seconds."""

    name: str
    date: int
    timezone: int


@dataclass(frozen=True)
class BenignPair:
    """A commit `b` that the user trusts to differ from `a` by a benign update of `level` (N1 or N2)."""

    a: str
    b: str
    level: str


# Captures


@dataclass
class Attached:
    """The captures attached at one moment: that of the notes commit `tip` (None: there are none)."""

    store: Store
    tip: str | None
    trees: Mapping[str, str]
    _snapshots: dict[str, Snapshot] = field(default_factory=dict)

    def merged(self, info: CommitInfo) -> CommitInfo:
        """The commit with the summary of what it holds together with what was attached to it."""
        found = self.tree_of(info)
        return info if found is None else replace(info, snapshot=self._snapshots[found])

    def tree_of(self, info: CommitInfo) -> str | None:
        """The tree of the commit's attached snapshot; None where there is none, or it holds less than the commit."""
        tree = self.trees.get(info.id)
        if tree is None or info.snapshot is None:
            return None
        if tree not in self._snapshots:
            self._snapshots[tree] = self._read(info.id, tree)
        return tree if _extends(self._snapshots[tree], info.snapshot) else None

    def _read(self, commit: str, tree: str) -> Snapshot:
        data = snapshot_json(tree, self.store.objects.read)
        if data is None:
            raise DamagedObject(f"the captures attached to commit {commit} have no snapshot", hint="run `bvc fsck`")
        return snapshot_of(commit, data)


def read_attached(store: Store, known: Attached | None = None) -> Attached:
    """The captures attached now; `known` itself where nothing was attached since. Raises DamagedObject."""
    tip = store.refs.get(CAPTURES)
    if known is not None and known.tip == tip:
        return known
    return Attached(store, tip, {} if tip is None else attached_trees(_tree_of(store, tip), store.objects.read))


def attached_before(store: Store, info: CommitInfo) -> Iterator[CommitInfo]:
    """The commit with what is attached to it now, and as it was before each time that something was, the latest first.
    Reads one tree of each note since the first of this commit. Raises DamagedObject."""
    at, seen = store.refs.get(CAPTURES), None
    while at is not None:
        note = store.history.info(at)
        tree = attached_trees(note.tree, store.objects.read).get(info.id)
        if tree is None:
            return
        if tree != seen:
            data = snapshot_json(tree, store.objects.read)
            yield info if data is None else replace(info, snapshot=snapshot_of(info.id, data))
        at, seen = next(iter(note.parents), None), tree


def attach_captures(
    transaction: Transaction, store: Store, commit: str, tree: str, snapshot: Snapshot, base: str | None, by: NoteAuthor
) -> str:
    """Attaches the snapshot in `tree`, which extends what was attached before (the tree `base`), to a commit; returns
    the notes commit. When this returns, neither a kill nor a power cut can take it back.

    Raises ConcurrentUpdate when another process attached something to the same commit since `base` was read; what is
    attached to other commits meanwhile is kept.
    """
    note = transaction.blob(canonical(_told(snapshot, tree)))
    keys = tuple((key, commit) for key in capture_keys(snapshot.to_json()))

    def edit(top: dict[str, TreeEntry]) -> None:
        held = {e.name: e for e in store.objects.tree(top[FOLDER].oid)} if FOLDER in top else {}
        if (held[commit].oid if commit in held else None) != base:
            raise already_attached(commit)
        held[commit] = TreeEntry(commit, TREE_MODE, tree)
        top[FOLDER] = TreeEntry(FOLDER, TREE_MODE, transaction.tree(list(held.values())))
        top[commit] = TreeEntry(commit, FILE_MODE, note)

    subject = f"captures of {' '.join(snapshot.model.name.split())} for {commit[:10]}"
    return advance_tree(transaction, store, CAPTURES, edit, subject, by, keys)


def already_attached(commit: str) -> ConcurrentUpdate:
    """The error for a commit that another process attached something to since the work began."""
    return ConcurrentUpdate(
        f"captures were attached to commit {commit[:10]} by another process in the meantime",
        hint="run it again: nothing that was captured is lost",
    )


def _told(snapshot: Snapshot, tree: str) -> Mapping[str, object]:
    """The note that Git shows under the commit."""
    counts = {**snapshot.counts, "suites": len(snapshot.suites)}
    level = None if snapshot.capability is None else str(snapshot.capability)
    return {"version": FORMAT_VERSION, "snapshot": tree, "capability": level, "counts": counts}


def _extends(attached: Snapshot, own: Snapshot) -> bool:
    """Whether a snapshot is of the same model and holds at least what the commit's own does."""
    if attached.model.fingerprint != own.model.fingerprint or attached.capability is None:
        return False
    if own.capability is None or own.recipe is None:
        return True
    return (
        attached.recipe is not None
        and attached.recipe.digest == own.recipe.digest
        and attached.recipe.draws >= own.recipe.draws
        and attached.capability.level >= own.capability.level
        and {s.name for s in own.suites} <= {s.name for s in attached.suites}
    )


# Trusted pairs


def read_benign(store: Store) -> tuple[BenignPair, ...]:
    """All trusted pairs, sorted. Raises DamagedObject for notes that are not such records."""
    tip = store.refs.get(NOISE)
    if tip is None:
        return ()
    blobs = _note_blobs(store, _tree_of(store, tip))
    found = [pair for commit, blob in sorted(blobs.items()) for pair in _pairs_of(store, commit, blob)]
    return tuple(sorted(found, key=lambda p: (p.level, p.a, p.b)))


def change_benign(
    store: Store, add: Iterable[BenignPair], remove: Iterable[tuple[str, str]], subject: str, by: NoteAuthor
) -> None:
    """Remembers and forgets pairs in one step; a pair replaces itself, also in the other direction."""
    added = list(add)
    gone = {frozenset(pair) for pair in remove} | {frozenset((p.a, p.b)) for p in added}
    with store.begin() as transaction:

        def edit(top: dict[str, TreeEntry]) -> None:
            kept = [p for c, blob in _listed(store, top).items() for p in _pairs_of(store, c, blob)]
            pairs = [p for p in kept if frozenset((p.a, p.b)) not in gone] + added
            top.clear()
            for commit in {p.b for p in pairs}:
                rows = sorted(
                    ({"from": p.a, "level": p.level} for p in pairs if p.b == commit), key=lambda r: r["from"]
                )
                blob = transaction.blob(canonical({"version": FORMAT_VERSION, "benign": rows}))
                top[commit] = TreeEntry(commit, FILE_MODE, blob)

        advance_tree(transaction, store, NOISE, edit, subject, by)


def _pairs_of(store: Store, commit: str, blob: str) -> list[BenignPair]:
    try:
        data = codec.parse(store.objects.blob(blob))
        check_version(data, "a note of trusted pairs")
        pairs = [BenignPair(row["from"], commit, row["level"]) for row in data["benign"]]
        if any(not is_object_id(p.a) or p.level not in LEVELS for p in pairs):
            raise ValueError("not a pair")
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DamagedObject(f"the note {blob} of {NOISE} does not name trusted pairs", hint="run `bvc fsck`") from error
    return pairs


# Notes trees


def advance_tree(
    transaction: Transaction,
    store: Store,
    ref: str,
    edit: Callable[[dict[str, TreeEntry]], None],
    subject: str,
    by: NoteAuthor,
    captures: tuple[tuple[bytes, str], ...] = (),
) -> str:
    """Moves a ref of notes, or of a dictionary, to a commit whose tree `edit` made of the last one's top entries (by
    name); again, from the new tip, where another process was faster. Each failure is another's success, so this
    ends."""
    from bvc.store.transaction import CommitDraft

    while True:
        tip = store.refs.get(ref)
        top = {} if tip is None else {e.name: e for e in store.objects.tree(_tree_of(store, tip))}
        edit(top)
        draft = CommitDraft(
            tree=transaction.tree(list(top.values())),
            parents=() if tip is None else (tip,),
            message=f"{subject}\n",
            author=by.name,
            date=by.date,
            timezone=by.timezone,
            snapshot=None,
            captures=captures,
        )
        try:
            return transaction.commit(draft, ref=ref, expected=tip, reparent=False)
        except ConcurrentUpdate:
            continue


def _tree_of(store: Store, commit: str) -> str:
    return store.history.info(commit).tree


def _note_blobs(store: Store, tree: str) -> dict[str, str]:
    return _listed(store, {e.name: e for e in store.objects.tree(tree)})


def _listed(store: Store, top: Mapping[str, TreeEntry], prefix: str = "") -> dict[str, str]:
    """`{commit: note}`; Git spreads many notes over folders named by the first digits."""
    found: dict[str, str] = {}
    for name, entry in top.items():
        whole = prefix + name
        if entry.mode != TREE_MODE and is_object_id(whole):
            found[whole] = entry.oid
        elif entry.mode == TREE_MODE and len(name) == 2 and len(whole) < _OID_DIGITS:
            found |= _listed(store, {e.name: e for e in store.objects.tree(entry.oid)}, whole)
    return found
