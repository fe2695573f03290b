"""What the lineage already knows about a model: its adapter's base, its Trainer run's earlier step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bvc.records import CommitInfo, ModelIdentity
from bvc.repository.repository import Repository

Matches = Callable[[CommitInfo], bool]


def lineage_notes(repository: Repository, model: ModelIdentity, parents: tuple[str, ...]) -> tuple[str, ...]:
    """Remarks where recorded commits are of this model's base or its run's earlier step and none is an ancestor."""
    wanted = [("this adapter's base", _is_base(model)), ("the run's earlier step", _is_earlier_step(model))]
    searches = [(what, matches) for what, matches in wanted if matches is not None]
    if not searches:
        return ()
    recorded = _all_commits(repository, parents)
    ancestors = {info.id for info in repository.store.history.walk(parents)}
    notes = []
    for what, matches in searches:
        found = [info.id for info in recorded if matches(info)]
        if found and ancestors.isdisjoint(found):
            short = found[0][:10]
            notes.append(f"{what} is commit {short}, which is not an ancestor: use --parent {short} if it should be")
    return tuple(notes)


def location_line(location: str) -> str:
    """A path as the trailer `Bvc-Location` has it: on one line, and otherwise as it is."""
    return " ".join(location.splitlines()) or "."


def _all_commits(repository: Repository, parents: tuple[str, ...]) -> list[CommitInfo]:
    store = repository.store
    tips = [commit for name in store.refs.all() if (commit := store.refs.peel(name)) is not None]
    return list(store.history.walk([*tips, *parents]))


def _is_base(model: ModelIdentity) -> Matches | None:
    if model.base is None:
        return None
    wanted = model.base.fingerprint
    return lambda info: info.snapshot is not None and info.snapshot.model.fingerprint == wanted


def _is_earlier_step(model: ModelIdentity) -> Matches | None:
    """Commits of the sibling folder `checkpoint-M` that the Trainer wrote before this one."""
    previous = model.facts.get("trainer_previous")
    if previous is None or model.location is None:
        return None
    wanted = location_line(str(Path(model.location).parent / str(previous)))
    return lambda info: wanted in info.trailers.get("Bvc-Location", ())
