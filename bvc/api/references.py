"""Which continuation each probe is teacher-forced along: the suite's, else the one its lineage froze."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bvc.records import Probe, Reference
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView


def inherited_references(
    repository: Repository, probes: Sequence[Probe], parents: Iterable[str]
) -> dict[str, Reference]:
    """`{probe id: reference}` for the probes that a suite or an ancestor gives one; the others freeze their own text.

    A suite's `reference` wins. Else the nearest ancestor (newest first) that holds one for the probe.
    """
    out = {p.id: Reference(p.reference) for p in probes if p.reference is not None}
    wanted = {p.id for p in probes} - out.keys()
    seen: set[str | None] = set()
    starts = list(parents)
    for info in repository.store.history.walk(starts) if starts and wanted else ():
        if info.snapshot is None or info.snapshot.capability is None:
            continue
        view = SnapshotView(repository.store, info)
        folder = view.folder("references")
        if folder in seen:
            continue
        seen.add(folder)
        found = {p for p in wanted if p in view.reference_blobs}
        out.update({p: reference for p in found if (reference := view.reference(p)) is not None})
        wanted -= found
        if not wanted:
            break
    return out
