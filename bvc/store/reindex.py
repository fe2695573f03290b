"""reindex: throws the index away and derives it anew from Git and the packs."""

from __future__ import annotations

from collections.abc import Callable

from bvc.errors import BvcError, DamagedObject
from bvc.results import Progress
from bvc.store.files import disk_errors
from bvc.store.index import merkle_rows
from bvc.store.merkle import merkle_digest
from bvc.store.store import Store

_BATCH = 5000


def reindex(store: Store, progress: Callable[[Progress], None] | None = None) -> None:
    """Rebuilds every table but those that only save time (file digests), which fill again by use.

    Commits, chunks and objects that cannot be read are passed over; `bvc fsck` names them. Raises BvcError when the
    disk is full or read-only.
    """
    with disk_errors("rebuild the index"):
        store.index.environment.replace()
        store.objects.refresh()
        store.chunks.refresh()
    trees = _learn_commits(store, progress)
    _learn_digests(store, trees, progress)


def _learn_commits(store: Store, progress: Callable[[Progress], None] | None) -> list[str]:
    """Takes every commit that a ref reaches into the index; returns their trees."""
    starts = {value for name in store.refs.all() if (value := _peeled(store, name)) is not None}
    head = store.refs.head().commit
    trees = []
    for start in sorted({*starts, *([head] if head else [])}):
        try:
            for info in store.history.walk([start]):
                trees.append(info.tree)
                _tell(progress, "commits", len(trees))
        except BvcError:
            continue
    return list(dict.fromkeys(trees))


def _peeled(store: Store, name: str) -> str | None:
    try:
        return store.refs.peel(name)
    except DamagedObject:
        return None


def _learn_digests(store: Store, trees: list[str], progress: Callable[[Progress], None] | None) -> None:
    memo: dict[str, str] = {}
    saved = 0
    for number, tree in enumerate(trees):
        try:
            merkle_digest(tree, store.objects.read, memo)
        except DamagedObject:
            continue
        if len(memo) - saved >= _BATCH or number == len(trees) - 1:
            store.index.environment.remember(merkle_rows(list(memo.items())[saved:]))
            saved = len(memo)
        _tell(progress, "Merkle digests", number + 1)


def _tell(progress: Callable[[Progress], None] | None, what: str, done: int) -> None:
    if progress is not None:
        progress(Progress(what, done, done))
