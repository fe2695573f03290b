"""Two snapshots as what `bvc.compare` takes: records, arrays block by block, re-captures. Loads numpy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bvc.compare.pairing import NoisePairs, ProbeSide, Side
from bvc.errors import NotComparable
from bvc.records import Outputs, Reference
from bvc.repository.pairs import PairedBlock, paired_blocks
from bvc.repository.snapshot_view import SnapshotView


def two_sides(
    left: SnapshotView,
    right: SnapshotView,
    *,
    arrays: bool = True,
    noise: bool = True,
    known: Records | None = None,
) -> tuple[Side, Side]:
    """Both snapshots, what they share, or is `known`, read once; without `arrays` neither bucket tables nor blocks of
    re-captures, without `noise` no re-captures at all. Raises NotComparable for a commit without captures."""
    known = Records() if known is None else known
    return _side(left, known, arrays, noise), _side(right, known, arrays, noise)


def shared_blocks(left: SnapshotView, right: SnapshotView) -> Iterator[PairedBlock]:
    """The arrays of the probes that both snapshots hold, in the order of `right`."""
    common = left.signatures.position.keys() & right.signatures.position.keys()
    return paired_blocks(left.signatures, right.signatures, [p for p in right.order if p in common])


@dataclass
class Records:
    """Records by blob id: what both sides hold is read once."""

    outputs: dict[str, Outputs] = field(default_factory=dict)
    references: dict[str, Reference | None] = field(default_factory=dict)

    def only(self, *views: SnapshotView) -> None:
        """Forgets what none of `views` holds."""
        outputs = {blob for view in views for blob in view.output_blobs.values()}
        references = {blob for view in views for blob in view.reference_blobs.values()}
        self.outputs = {blob: found for blob, found in self.outputs.items() if blob in outputs}
        self.references = {blob: found for blob, found in self.references.items() if blob in references}

    def missing(self, view: SnapshotView) -> set[str]:
        """The blobs of `view` that are still to be read."""
        blobs = {*view.output_blobs.values(), *view.reference_blobs.values()}
        return blobs - self.outputs.keys() - self.references.keys()

    def of(self, view: SnapshotView, probe: str) -> ProbeSide:
        """What `view` holds of a probe."""
        output, reference = view.output_blobs[probe], view.reference_blobs.get(probe)
        if output not in self.outputs:
            self.outputs[output] = view.outputs(probe)
        if reference is None:
            return ProbeSide(self.outputs[output])
        if reference not in self.references:
            self.references[reference] = view.reference(probe)
        return ProbeSide(self.outputs[output], self.references[reference])


def _side(view: SnapshotView, known: Records, arrays: bool, noise: bool) -> Side:
    snapshot = view.snapshot
    if snapshot.capability is None:
        raise NotComparable(
            f"commit {view.info.id[:10]} was registered without capture",
            hint=f"`bvc capture {view.info.id[:10]}` captures it now",
        )
    table = view.signatures.bucket_table() if arrays else None
    pairs = _noise(view, arrays=arrays) if noise else None
    view.store.objects.expect(known.missing(view))
    probes = {probe: known.of(view, probe) for probe in view.output_blobs}
    return Side(snapshot.recipe, snapshot.capability, snapshot.model.tokenizer, probes, table, pairs)


def _noise(view: SnapshotView, *, arrays: bool) -> NoisePairs | None:
    again = view.recaptures
    if again is None:
        return None
    texts = {probe: (view.outputs(probe), again.outputs(probe)) for probe in again.output_blobs}
    blocks = paired_blocks(view.signatures, again.signatures, list(again.output_blobs)) if arrays else ()
    return NoisePairs(texts, blocks)
