"""diff: what one commit does differently from another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bvc.compare.diff import Comparison, ProbeComparison, compare
from bvc.compare.pairing import NoisePairs, ProbeSide, Side
from bvc.errors import NotComparable, UsageError
from bvc.records import Probe
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
    for view in (left, right):
        if view.snapshot.capability is None:
            raise NotComparable(
                f"commit {view.info.id[:10]} was registered without capture",
                hint="commit it again without --no-capture",
            )
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
    first = _side(left, {}, arrays=arrays)
    shared = {oid: first.probes[probe] for probe, oid in left.output_blobs.items() if probe in first.probes}
    same_references = left.folder("references") == right.folder("references")
    return first, _side(right, shared if same_references else {}, arrays=arrays)


def _side(view: SnapshotView, shared: Mapping[str, ProbeSide], *, arrays: bool) -> Side:
    """One side's texts; what has the same blob id on the side read before (`shared`) is not read again."""
    probes = {
        probe: shared.get(oid) or ProbeSide(view.outputs(probe), view.reference(probe))
        for probe, oid in view.output_blobs.items()
    }
    snapshot = view.snapshot
    if snapshot.capability is None:
        raise NotComparable(f"commit {view.info.id[:10]} was registered without capture")
    table = view.signatures.bucket_table() if arrays else None
    noise = _noise(view, arrays=arrays)
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
        comparable=not comparison.reasons,
        reasons=comparison.reasons,
        null=comparison.null,
        summary=comparison.summary,
        overall=comparison.overall,
        probes=tuple(_probe_diff(row, *probes[row.id]) for row in comparison.probes),
        layers=comparison.layers,
        only_a=comparison.only_a,
        only_b=comparison.only_b,
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
