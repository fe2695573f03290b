"""What the lineage already knows about a model: its adapter's base, its Trainer run's earlier step."""

from __future__ import annotations

from pathlib import Path

from bvc.records import CommitInfo, ModelIdentity
from bvc.repository.repository import Repository


def lineage_notes(repository: Repository, model: ModelIdentity, parents: tuple[str, ...]) -> tuple[str, ...]:
    """Remarks where a recorded commit is this model's base or its run's earlier step and is not among its ancestors."""
    store = repository.store
    tips = [commit for name in store.refs.all() if (commit := store.refs.peel(name)) is not None]
    recorded = list(store.history.walk([*tips, *parents])) if tips or parents else []
    found = (_base_commit(model, recorded), _earlier_step(model, recorded))
    return tuple(
        f"{what} is commit {info.id[:10]}, which is not an ancestor: use --parent {info.id[:10]} if it should be"
        for what, info in zip(("this adapter's base", "the run's earlier step"), found, strict=True)
        if info is not None and not any(store.history.is_ancestor(info.id, parent) for parent in parents)
    )


def _base_commit(model: ModelIdentity, recorded: list[CommitInfo]) -> CommitInfo | None:
    if model.base is None:
        return None
    wanted = model.base.fingerprint
    return next((i for i in recorded if i.snapshot is not None and i.snapshot.model.fingerprint == wanted), None)


def _earlier_step(model: ModelIdentity, recorded: list[CommitInfo]) -> CommitInfo | None:
    """The commit of the sibling folder `checkpoint-M` that the Trainer wrote before this one."""
    previous = model.facts.get("trainer_previous")
    if previous is None or model.location is None:
        return None
    wanted = str(Path(model.location).parent / str(previous))
    return next((i for i in recorded if wanted in i.trailers.get("Bvc-Location", ())), None)
