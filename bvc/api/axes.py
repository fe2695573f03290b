"""What hidden states show without a dictionary: named axes between two tags of probes, and mean shifts of commits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bvc.compare.axes import Axis, Movement, axes, movements
from bvc.compare.shift import SiteShift, mean_shifts
from bvc.errors import NotComparable
from bvc.evidence import ActivationBlock
from bvc.records import CommitInfo, Probe
from bvc.repository.pairs import RowReader
from bvc.repository.repository import Repository
from bvc.repository.revisions import resolve
from bvc.repository.snapshot_view import SnapshotView


@dataclass(frozen=True)
class AxisResult:
    """The axis from tag `second` to tag `first` in `commit`, by site, and for each commit compared how far its probes
    moved along it, from `commit`, by site."""

    commit: CommitInfo
    first: str
    second: str
    axes: dict[str, Axis]
    moved: tuple[tuple[CommitInfo, dict[str, Movement]], ...]


def axis(
    repository: Repository, first: str, second: str, revision: str = "HEAD", moved: Sequence[str] = ()
) -> AxisResult:
    """The difference of means of the hidden states of probes tagged `first` and of those tagged `second` in a commit,
    and the movement of all probes along it to each of the commits `moved`.

    Raises NotComparable for a commit without activations, with fewer than 4 probes of a tag, or without a common probe.
    """
    view = repository.snapshot(resolve(repository, revision))
    probes = {probe.id: probe for _, probe in view.probes()}
    order = [p for p in view.order if p in probes]
    groups = [[tag in probes[p].tags for p in order] for tag in (first, second)]
    try:
        found = axes(_activations(view, order), *groups)
    except ValueError as error:
        raise NotComparable(
            f"no axis from '{second}' to '{first}': {error}", hint="`bvc suite show NAME` lists the tags of probes"
        ) from error
    others = [repository.snapshot(resolve(repository, other)) for other in moved]
    return AxisResult(view.info, first, second, found, tuple((o.info, _moved(view, o, probes, found)) for o in others))


def shift(repository: Repository, a: str = "HEAD~1", b: str = "HEAD") -> dict[str, SiteShift]:
    """The mean shift of the hidden states from commit `a` to commit `b`, by site, on their common probes (at sites
    along the reference: on those with the same one).

    Raises NotComparable for a commit without activations, or without a common probe.
    """
    left, right = (repository.snapshot(resolve(repository, revision)) for revision in (a, b))
    out: dict[str, SiteShift] = {}
    for kept, clusters, end in _shared(left, right, {probe.id: probe for _, probe in right.probes()}):
        found = mean_shifts(_activations(left, kept), _activations(right, kept), clusters)
        out |= {site: one for site, one in found.items() if site.endswith(end)}
    return out


def _moved(
    view: SnapshotView, other: SnapshotView, probes: dict[str, Probe], found: dict[str, Axis]
) -> dict[str, Movement]:
    out: dict[str, Movement] = {}
    for kept, clusters, end in _shared(view, other, probes):
        sites = {site: one for site, one in found.items() if site.endswith(end)}
        out |= movements(sites, _activations(view, kept), _activations(other, kept), clusters) if sites else {}
    return out


def _shared(
    view: SnapshotView, other: SnapshotView, probes: Mapping[str, Probe]
) -> Iterator[tuple[list[str], list[str | None], str]]:
    """The probes that can be compared, with their clusters, at sites with each ending."""
    common = [p for p in view.order if p in other.signatures.position and p in probes]
    along = [p for p in common if view.reference_blobs.get(p) == other.reference_blobs.get(p)]
    if not common:
        raise NotComparable(f"commits {view.info.id[:10]} and {other.info.id[:10]} share no probe")
    for kept, end in ((common, "/prompt"), (along, "/reference")):
        if kept:
            yield kept, [probes[p].cluster for p in kept], end


def _activations(view: SnapshotView, probes: Sequence[str]) -> ActivationBlock:
    evidence = RowReader(view.signatures).gather(probes) if probes else None
    if evidence is None or evidence.activation is None:
        raise NotComparable(f"commit {view.info.id[:10]} holds no activations")
    return evidence.activation
