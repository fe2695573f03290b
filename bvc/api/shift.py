"""shift: how far hidden states moved together from one commit to another, and which tokens that speaks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bvc.api.activations import SharedStates, shared_states
from bvc.api.checkpoints import PairOptions, find_checkpoint, loaded_model
from bvc.api.diff import diff_sides
from bvc.compare.shift import SiteShift, beyond_noise, leading, mean_shifts
from bvc.compare.shift_tokens import (
    LensReading,
    SiteTokens,
    TokenShift,
    flip_signs,
    flipped_means,
    lens_reading,
    token_shifts,
)
from bvc.evidence import Floats
from bvc.records import CommitInfo
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView

TOKENS = 8
"""Tokens that are shown each way."""


@dataclass(frozen=True)
class ShiftOptions:
    """With `tokens` the mean shift is read through the unembedding of `b`'s checkpoint, which is at `checkpoint` or
    where the commit says."""

    tokens: bool = False
    checkpoint: str | None = None


@dataclass(frozen=True)
class ShiftResult:
    """`bvc.features-shift/1`: the mean shift from `a` to `b` on their common probes by site; Holm's p-value over all
    sites of each that can be tested, and the site that leads (None: none is beyond noise); `tokens` by site where they
    were asked for, but for sites with fewer than 5 units and those where nothing moved."""

    a: CommitInfo
    b: CommitInfo
    sites: dict[str, SiteShift]
    adjusted: dict[str, float]
    leading: SiteShift | None
    tokens: dict[str, SiteTokens] | None = None


def shift(
    repository: Repository,
    a: str | None = None,
    b: str | None = None,
    what: ShiftOptions | None = None,
    how: PairOptions | None = None,
) -> ShiftResult:
    """The mean shift of the hidden states from commit `a` to commit `b` (revisions as `diff` takes them) on their
    common probes; at sites along the reference on those with the same one.

    Raises NotComparable for a commit without activations, or without a common probe; with tokens what `find_checkpoint`
    and loading raise.
    """
    what = what or ShiftOptions()
    left, right = (repository.snapshot(commit) for commit in diff_sides(repository, a, b))
    shared = states(left, right)
    found = site_shifts(shared)
    read = _tokens(repository, right, shared, what, how or PairOptions()) if what.tokens else None
    return ShiftResult(left.info, right.info, found, beyond_noise(found), leading(found), read)


def states(left: SnapshotView, right: SnapshotView) -> list[SharedStates]:
    """What both snapshots have of the same prompts and references. Raises NotComparable as `shared_states` does."""
    return list(shared_states(left, right, {probe.id: probe for _, probe in right.probes()}))


def site_shifts(shared: list[SharedStates], *, spectrum: bool = True) -> dict[str, SiteShift]:
    """The mean shift at every site."""
    out: dict[str, SiteShift] = {}
    for one in shared:
        out |= mean_shifts(one.a, one.b, one.clusters, spectrum=spectrum)
    return out


def _tokens(
    repository: Repository, view: SnapshotView, shared: list[SharedStates], what: ShiftOptions, how: PairOptions
) -> dict[str, SiteTokens]:
    side = find_checkpoint(repository, view.info.id, what.checkpoint, "--checkpoint PATH", how)
    signs = flip_signs(1 + max(int(one.units.max()) for one in shared))
    means: dict[str, Floats] = {}
    for one in shared:
        means |= flipped_means(one.a, one.b, one.units, signs)
    with loaded_model(repository, side, how) as loaded:
        from bvc.capture.lens import Lens

        lens = Lens(loaded)
        read: dict[str, LensReading] = {}
        for done, (site, directions) in enumerate(means.items()):
            how.step("sites read", done, len(means))
            read[site] = lens_reading(lens.arrays(directions))
        found = token_shifts(read, TOKENS)
        return {site: _named(one, lens.text) for site, one in found.items()}


def _named(found: SiteTokens, text: Callable[[int], str]) -> SiteTokens:
    up, down = (tuple(_with_text(t, text) for t in tokens) for tokens in (found.promoted, found.demoted))
    return replace(found, promoted=up, demoted=down)


def _with_text(token: TokenShift, text: Callable[[int], str]) -> TokenShift:
    return replace(token, text=text(token.token))
