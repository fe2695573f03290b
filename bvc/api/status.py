"""status: what stands between the project's files and HEAD. Loads neither numpy nor torch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from bvc.api.bisect_log import UNDOABLE, BisectFile
from bvc.api.bisect_state import State
from bvc.api.suites import suite_names
from bvc.capture.journal import interrupted
from bvc.errors import BvcError
from bvc.records import CommitInfo, SuiteEntry
from bvc.repository.repository import BEHAVIORS_FILE, Repository
from bvc.results import StatusResult, SuiteChange
from bvc.suites.load import load_suite

_MARKS = ("config.json", "adapter_config.json")
_SHOWN = 20


def status(repository: Repository) -> StatusResult:
    """See `bvc.results.StatusResult`."""
    head = repository.store.refs.head()
    info = None if head.commit is None else repository.snapshot(head.commit).info
    return StatusResult(
        branch=head.branch,
        head=info,
        suites=suite_changes(repository, info),
        behaviors_changed=_behaviors_changed(repository, info),
        uncommitted=uncommitted(repository),
        interrupted=tuple(interrupted(repository.captures_folder)),
        bisect=bisect_in_progress(repository),
    )


def bisect_in_progress(repository: Repository) -> tuple[str, int] | None:
    """What a bisect looks for, and how many marks and visits it has; None without one. A log that cannot be read is
    what `bvc bisect view` complains about."""
    if not BisectFile(repository.store.root).text():
        return None
    try:
        state = State.read(repository)
    except BvcError:
        return "its log cannot be read: `bvc bisect view` says why", 0
    return state.question, sum(1 for _ in state.history.of(*UNDOABLE))


def suite_changes(repository: Repository, info: CommitInfo | None) -> tuple[SuiteChange, ...]:
    """Each suite of the project and of HEAD, with how they differ; a file that cannot be read is `invalid`."""
    committed = {} if info is None or info.snapshot is None else {s.name: s for s in info.snapshot.suites}
    here = suite_names(repository)
    out = [_suite_change(repository, info, name, committed) for name in here]
    missing = [SuiteChange(name, "removed", 0, entry.probes) for name, entry in committed.items() if name not in here]
    return tuple(out + missing)


def _suite_change(
    repository: Repository, info: CommitInfo | None, name: str, committed: Mapping[str, SuiteEntry]
) -> SuiteChange:
    try:
        suite = load_suite(repository.probes_folder / f"{name}.jsonl")
    except BvcError:
        return SuiteChange(name, "invalid", 0, 0)
    entry = committed.get(name)
    if info is None or entry is None:
        return SuiteChange(name, "new", len(suite.probes), 0)
    if entry.digest == suite.digest:
        return SuiteChange(name, "same", 0, 0)
    old = set(repository.view(info).probe_blobs.get(name, {}))
    new = {probe.id for probe in suite.probes}
    return SuiteChange(name, "changed", len(new - old), len(old - new))


def _behaviors_changed(repository: Repository, info: CommitInfo | None) -> bool:
    path = repository.root / BEHAVIORS_FILE
    here = path.read_bytes() if path.is_file() else None
    if info is None:
        return False
    blob = repository.view(info).folder(BEHAVIORS_FILE)
    return here != (None if blob is None else repository.store.objects.blob(blob))


def uncommitted(repository: Repository) -> tuple[str, ...]:
    """Checkpoint folders that stand beside committed ones (or in the project) and were not committed, by path."""
    refs = repository.store.refs
    tips = {commit for name in refs.all() if (commit := refs.peel(name)) is not None}
    infos = repository.store.history.walk(tips)
    known = {Path(place) for info in infos for place in info.trailers.get("Bvc-Location", ())}
    parents = {place.parent for place in known} | {repository.root}
    found = (folder for parent in sorted(parents) for folder in _checkpoints(parent) if folder not in known)
    return tuple(str(folder) for folder in islice(found, _SHOWN))


def _checkpoints(parent: Path) -> list[Path]:
    """The model folders in a folder, as far as it can be read."""
    try:
        return [folder for folder in sorted(parent.iterdir()) if any((folder / mark).is_file() for mark in _MARKS)]
    except OSError:
        return []
