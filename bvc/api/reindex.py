"""reindex: rebuilds everything derived from Git and the packs, the capture cache included."""

from __future__ import annotations

from collections.abc import Callable

from bvc.api.capture_plan import key_of
from bvc.repository.repository import Repository
from bvc.results import Progress
from bvc.store.reindex import reindex as rebuild


def reindex(repository: Repository, progress: Callable[[Progress], None] | None = None) -> None:
    """Throws the index away and builds it anew; afterwards every answer is what it was."""
    rebuild(repository.store, progress)
    history = repository.store.history
    tips = list(repository.store.refs.all().values())
    head = repository.store.refs.head().commit
    for info in history.walk([*tips, *([head] if head else [])]):
        if info.snapshot is not None and info.snapshot.recipe is not None and info.snapshot.capability is not None:
            repository.store.index.add_capture_source(key_of(info.snapshot.model, info.snapshot.recipe), info.id)
