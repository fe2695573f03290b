"""Which continuation each probe is teacher-forced along: the suite's, else the one its lineage froze."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from bvc.capture.engine import ProbeRequest
from bvc.capture.prompts import given_reference
from bvc.codec import canonical
from bvc.records import Probe, Reference
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.store.gitpacks import object_id


@dataclass(frozen=True)
class Known:
    """A continuation that is known before anything runs: `blob` is the Git id of its record, which is enough to tell
    whether two are equal; `read` gives it."""

    blob: str
    read: Callable[[], Reference]


def known_references(repository: Repository, probes: Sequence[Probe], parents: Iterable[str]) -> dict[str, Known]:
    """`{probe id: reference}` for the probes that a suite or an ancestor gives one; the others freeze their own text.

    A suite's `reference` wins. Else the nearest ancestor (newest first) that holds one for the probe.
    """
    out = {p.id: _given(reference) for p in probes if (reference := given_reference(ProbeRequest(p))) is not None}
    wanted = {p.id for p in probes} - out.keys()
    starts = list(parents)
    seen: set[str | None] = set()
    for info in repository.store.history.walk(starts) if starts and wanted else ():
        view = repository.view(info)
        if view.info.snapshot is None or view.info.snapshot.capability is None:
            continue
        folder = view.folder("references")
        if folder not in seen:
            seen.add(folder)
            out |= {p: held for p in wanted if (held := held_reference(view, p)) is not None}
            wanted -= out.keys()
        if not wanted:
            break
    return out


def held_reference(view: SnapshotView, probe: str) -> Known | None:
    """The reference that a snapshot holds for a probe."""
    blob = view.reference_blobs.get(probe)
    return None if blob is None else Known(blob, partial(view.read_reference, blob))


def _given(reference: Reference) -> Known:
    return Known(object_id("blob", canonical(reference.to_json())), lambda: reference)
