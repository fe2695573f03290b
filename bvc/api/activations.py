"""The hidden states that two commits have of the same prompts, and of the same references. Loads numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.phrase_test import row_units
from bvc.errors import NotComparable
from bvc.evidence import ActivationBlock
from bvc.ids import short
from bvc.records import Capability, Probe
from bvc.repository.pairs import RowReader
from bvc.repository.snapshot_view import SnapshotView

_CHANNEL = "activation"


@dataclass(frozen=True)
class SharedStates:
    """The hidden states of both sides at sites of one place, of the same probes in the same order. `clusters` are those
    that probes name; `units` [probes] numbers what counts as one, alike at both places."""

    a: ActivationBlock
    b: ActivationBlock
    clusters: tuple[str | None, ...]
    units: npt.NDArray[np.int64]


def shared_states(left: SnapshotView, right: SnapshotView, probes: Mapping[str, Probe]) -> Iterator[SharedStates]:
    """The states at the end of the prompt, of all common probes that are among `probes`; then those along the
    reference, of the probes with the same one.

    Raises NotComparable for a commit without activations, or without a common probe.
    """
    for view in (left, right):
        check_held(view)
    common = [p for p in right.order if p in left.signatures.position and p in probes]
    if not common:
        raise NotComparable(f"commits {short(left.info.id)} and {short(right.info.id)} share no probe")
    states = [activations(view, common) for view in (left, right)]
    clusters = [probes[p].cluster for p in common]
    units = row_units(len(common), clusters)
    along = [left.reference_blobs.get(p) == right.reference_blobs.get(p) for p in common]
    for kept, end in ((np.ones(len(common), bool), "/prompt"), (np.array(along), "/reference")):
        if kept.any():
            a, b = (_part(block, kept, end) for block in states)
            yield SharedStates(a, b, tuple(c for c, one in zip(clusters, kept, strict=True) if one), units[kept])


def check_held(view: SnapshotView) -> None:
    """Raises NotComparable for a commit without activations."""
    if view.snapshot.capability is Capability.ACTIVATIONS:
        return
    name = short(view.info.id)
    hint = f"`bvc capture {name}` captures it now" if view.snapshot.capability is None else None
    raise NotComparable(f"commit {name} holds no activations", hint=hint)


def activations(view: SnapshotView, probes: Sequence[str]) -> ActivationBlock:
    """The hidden states of some probes, in their order. Raises NotComparable where there are none."""
    found = RowReader(view.signatures, {_CHANNEL}).gather(probes).activation if probes else None
    if found is None:
        raise NotComparable(f"commit {short(view.info.id)} holds no activations")
    return found


def _part(block: ActivationBlock, kept: npt.NDArray[np.bool_], end: str) -> ActivationBlock:
    return ActivationBlock({site: rows[kept] for site, rows in block.vectors.items() if site.endswith(end)})
