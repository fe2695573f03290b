"""Named axes: what tells two tags of probes apart in a commit's hidden states, and how far commits moved along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bvc.api.activations import activations, check_held, shared_states
from bvc.compare.axes import Axis, Movement, axes, movements
from bvc.errors import NotComparable, UsageError
from bvc.records import Capability, CommitInfo, Probe
from bvc.repository.repository import Repository
from bvc.repository.revisions import resolve, select
from bvc.repository.snapshot_view import SnapshotView


@dataclass(frozen=True)
class AxisResult:
    """The axis from tag `second` to tag `first` in `commit`, by site, made of `probes` of each; and for each commit
    compared how far all probes moved along it, from `commit`, by site. `left_out` are commits of ranges that hold no
    activations."""

    commit: CommitInfo
    first: str
    second: str
    probes: tuple[int, int]
    axes: dict[str, Axis]
    moved: tuple[tuple[CommitInfo, dict[str, Movement]], ...]
    left_out: tuple[CommitInfo, ...] = ()


def axis(
    repository: Repository, first: str, second: str, revision: str = "HEAD", moved: Sequence[str] = ()
) -> AxisResult:
    """The difference of means of the hidden states of probes tagged `first` and of those tagged `second` in a commit,
    and the movement of all probes along it to each of the commits `moved` (a range stands for each of its commits).

    Raises NotComparable for a commit without activations, with fewer than 4 probes of a tag, or without a common probe;
    UsageError for a range without commits.
    """
    view = repository.snapshot(resolve(repository, revision))
    check_held(view)
    probes = {probe.id: probe for _, probe in view.probes()}
    order = [p for p in view.order if p in probes]
    groups = [[tag in probes[p].tags for p in order] for tag in (first, second)]
    try:
        found = axes(activations(view, order), *groups)
    except ValueError as error:
        counts = f"{sum(groups[1])} and {sum(groups[0])} probes"
        raise NotComparable(
            f"no axis from '{second}' to '{first}' ({counts}): {error}",
            hint="`bvc suite show NAME` lists the tags of probes",
        ) from error
    others, left_out = _compared(repository, moved)
    return AxisResult(
        commit=view.info,
        first=first,
        second=second,
        probes=(sum(groups[0]), sum(groups[1])),
        axes=found,
        moved=tuple((other.info, _moved(view, other, probes, found)) for other in others),
        left_out=tuple(left_out),
    )


def _compared(repository: Repository, moved: Sequence[str]) -> tuple[list[SnapshotView], list[CommitInfo]]:
    """The commits that arguments name, each once, those of a range oldest first; and what of ranges holds no
    activations."""
    views: dict[str, SnapshotView] = {}
    left_out: dict[str, CommitInfo] = {}
    for text in moved:
        commits, ranged = _commits(repository, text)
        for view in map(repository.snapshot, commits):
            if ranged and (view.info.snapshot is None or view.snapshot.capability is not Capability.ACTIVATIONS):
                left_out[view.info.id] = view.info
            else:
                views.setdefault(view.info.id, view)
    return list(views.values()), list(left_out.values())


def _commits(repository: Repository, text: str) -> tuple[list[str], bool]:
    """The commits of one argument, oldest first, and whether it is a range."""
    selected = select(repository, [text], alone=True)
    found = list(selected.walk(repository.store.history.node))[::-1]
    if not found:
        raise UsageError(f"{text} holds no commit")
    return found, not selected.named


def _moved(
    view: SnapshotView, other: SnapshotView, probes: dict[str, Probe], found: dict[str, Axis]
) -> dict[str, Movement]:
    out: dict[str, Movement] = {}
    for shared in shared_states(view, other, probes):
        out |= movements(found, shared.a, shared.b, shared.clusters)
    return out
