"""diff --probe: one probe of a diff, with its draws and what became of each token's probability along the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bvc.errors import AmbiguousId, UnknownRevision
from bvc.ids import looks_like_id, short
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.results import DiffResult, ProbeDetail, ProbeDiff
from bvc.wording import printable

_LISTED = 5


def select_probe(result: DiffResult, wanted: str) -> ProbeDiff:
    """The probe that a label, an id or an abbreviation names.

    Raises UnknownRevision when the diff has none, AmbiguousId when it has several.
    """
    exact = [p for p in result.probes if wanted in (p.probe.id, p.probe.name)]
    found = exact or [p for p in result.probes if looks_like_id(wanted) and p.probe.id.startswith(wanted)]
    shown = printable(wanted)
    if len({p.probe.id for p in found}) > 1:
        ids = ", ".join(sorted({short(p.probe.id) for p in found})[:_LISTED])
        raise AmbiguousId(f"{shown} fits several probes: {ids}", hint="give more digits, or the label")
    if found:
        return found[0]
    if any(i == wanted or (looks_like_id(wanted) and i.startswith(wanted)) for i in (*result.only_a, *result.only_b)):
        raise UnknownRevision(f"probe {shown} is in one of the two commits only, so there is nothing to compare")
    raise UnknownRevision(f"no probe {shown} in this diff", hint="`bvc diff --all` lists its probes")


def diff_probe(
    repository: Repository, a: str | None, b: str | None, wanted: str, *, channels: Sequence[str] = ()
) -> tuple[ProbeDiff, ProbeDetail]:
    """One probe of the diff of two commits. Raises as `diff` and `select_probe` do."""
    from bvc.api.diff import diff

    result = diff(repository, a, b, channels=channels)
    chosen = select_probe(result, wanted)
    return chosen, probe_detail(repository, result.a.id, result.b.id, chosen.probe.id)


def probe_detail(repository: Repository, a: str, b: str, probe: str) -> ProbeDetail:
    """The draws of a probe (by id) in two commits (by id), and its log-probs token by token where both scored the same
    reference with the same tokenizer. Loads numpy only for the latter."""
    left, right = repository.snapshot(a), repository.snapshot(b)
    draws = (tuple(draw.text for draw in view.outputs(probe).draws) for view in (left, right))
    detail = ProbeDetail(draws_a=next(draws), draws_b=next(draws))
    scored = all("logprob" in v.signatures.manifests and probe in v.signatures.position for v in (left, right))
    same_tokens = left.snapshot.model.tokenizer == right.snapshot.model.tokenizer
    if not scored or not same_tokens or left.reference(probe) != right.reference(probe):
        return detail
    return _with_strip(detail, left, right, probe)


def _with_strip(detail: ProbeDetail, left: SnapshotView, right: SnapshotView, probe: str) -> ProbeDetail:
    """`detail` with tokens and changes along the reference; as it is where the captures run along different tokens."""
    import numpy as np

    from bvc.compare.mining import strip
    from bvc.repository.snapshot_writer import Stored

    a, b = (Stored(view).evidence(probe).logprob for view in (left, right))
    table, reference = right.signatures.bucket_table(), right.reference(probe)
    if a is None or b is None or table is None or reference is None or not np.array_equal(a.token_ids, b.token_ids):
        return detail
    shifts = strip(a, b, table, reference.text)
    return replace(
        detail,
        tokens=tuple(shift.text for shift in shifts),
        delta=tuple(shift.change for shift in shifts),
        kl=tuple(shift.kl for shift in shifts),
    )
