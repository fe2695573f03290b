"""diff: what one commit does differently from another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bvc.compare.diff import Comparison, ProbeComparison, compare
from bvc.compare.pairing import NoisePairs, ProbeSide, Side
from bvc.errors import NotComparable, UsageError
from bvc.records import Outputs, Probe, Reference
from bvc.repository.pairs import PairedBlock, paired_blocks
from bvc.repository.repository import Repository
from bvc.repository.revisions import parse_range, resolve
from bvc.repository.snapshot_view import SnapshotView
from bvc.results import DiffResult, ProbeDiff

ARRAYS = frozenset({"logprob", "activation"})


def diff(repository: Repository, a: str | None, b: str | None, *, channels: Sequence[str] = ()) -> DiffResult:
    """Compares commit `b` with `a` on their common probes; `channels` restricts the evidence (default: all in common).

    Raises NotComparable when a side was never captured or they share no probe.
    """
    left, right = (repository.snapshot(commit) for commit in diff_sides(repository, a, b))
    arrays = not channels or bool(ARRAYS & set(channels))
    sides = _sides(left, right, arrays=arrays)
    comparison = compare(*sides, _blocks(left, right) if arrays else (), channels=channels)
    return _result(left, right, comparison)


def diff_sides(repository: Repository, a: str | None, b: str | None) -> tuple[str, str]:
    """The two commits that `diff`'s arguments name: `A B`, `A` (against HEAD), `A..B`, `A...B` or nothing."""
    span = None if a is None else parse_range(repository, a)
    if span is not None:
        if b is not None:
            raise UsageError(f"{a} is a range: give no second revision")
        if not span.symmetric:
            return span.a, span.b
        bases = repository.store.history.merge_bases(span.a, span.b)
        if not bases:
            raise NotComparable(f"{a}: these commits have no common ancestor", hint="compare them with A..B")
        return bases[0], span.b
    left, right = (("HEAD~1" if a is None else a), (b or "HEAD"))
    return resolve(repository, left), resolve(repository, right)


def _sides(left: SnapshotView, right: SnapshotView, *, arrays: bool) -> tuple[Side, Side]:
    known = _Records()
    return _side(left, known, arrays=arrays), _side(right, known, arrays=arrays)


@dataclass
class _Records:
    """Records by blob id: what both sides hold is read once."""

    outputs: dict[str, Outputs] = field(default_factory=dict)
    references: dict[str, Reference | None] = field(default_factory=dict)

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


def _side(view: SnapshotView, known: _Records, *, arrays: bool) -> Side:
    snapshot = view.snapshot
    if snapshot.capability is None:
        raise NotComparable(
            f"commit {view.info.id[:10]} was registered without capture", hint="commit it again without --no-capture"
        )
    table = view.signatures.bucket_table() if arrays else None
    noise = _noise(view, arrays=arrays)
    view.store.objects.expect(known.missing(view))
    probes = {probe: known.of(view, probe) for probe in view.output_blobs}
    return Side(snapshot.recipe, snapshot.capability, snapshot.model.tokenizer, probes, table, noise)


def _noise(view: SnapshotView, *, arrays: bool) -> NoisePairs | None:
    again = view.recaptures
    if again is None:
        return None
    texts = {probe: (view.outputs(probe), again.outputs(probe)) for probe in again.output_blobs}
    blocks = paired_blocks(view.signatures, again.signatures, list(again.output_blobs)) if arrays else ()
    return NoisePairs(texts, blocks)


def _blocks(left: SnapshotView, right: SnapshotView) -> Iterator[PairedBlock]:
    common = left.signatures.position.keys() & right.signatures.position.keys()
    return paired_blocks(left.signatures, right.signatures, [p for p in right.order if p in common])


def _result(left: SnapshotView, right: SnapshotView, comparison: Comparison) -> DiffResult:
    probes = {probe.id: (suite, probe) for suite, probe in reversed(right.probes())}
    return DiffResult(
        a=left.info,
        b=right.info,
        capability=comparison.capability,
        comparable=comparison.comparable,
        reasons=comparison.reasons,
        null=comparison.null,
        summary=comparison.summary,
        overall=comparison.overall,
        probes=tuple(_probe_diff(row, *probes[row.id]) for row in comparison.probes),
        layers=comparison.layers,
        only_a=comparison.only_a,
        only_b=comparison.only_b,
        logprob_unit=comparison.logprob_unit,
    )


def _probe_diff(row: ProbeComparison, suite: str, probe: Probe) -> ProbeDiff:
    return ProbeDiff(
        probe=probe,
        suite=suite,
        verdict=row.verdict,
        exceeds=row.exceeds,
        rank=row.rank,
        score=row.score,
        q_value=row.q_value,
        channels=row.channels,
        text=row.text,
    )
