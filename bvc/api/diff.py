"""diff: what one commit does differently from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bvc.api.background import Judging, background
from bvc.api.behavior_diff import BehaviorDiffs, behavior_diffs
from bvc.api.sides import shared_blocks, two_sides
from bvc.compare.diff import Comparison, compare
from bvc.errors import NotComparable, UsageError
from bvc.repository.dictionaries import feature_dictionary
from bvc.repository.exclusive import read_exclusive
from bvc.repository.repository import Repository
from bvc.repository.revisions import parse_range, resolve
from bvc.repository.snapshot_view import SnapshotView
from bvc.results import DiffResult

ARRAYS = frozenset({"logprob", "activation"})
LATENTS = 5
"""Latents that a diff names; `bvc features diff` has more of them."""


def diff(
    repository: Repository,
    a: str | None,
    b: str | None,
    *,
    channels: Sequence[str] = (),
    judging: Judging | None = None,
) -> DiffResult:
    """Compares commit `b` with `a` on their common probes; `channels` restricts the evidence (default: all in common),
    `judging` says how a judge of meaning is asked where the settings name one.

    Raises NotComparable when a side was never captured or they share no probe, BadInput for a `behaviors.toml` that
    cannot be read.
    """
    left, right = (repository.snapshot(commit) for commit in diff_sides(repository, a, b))
    arrays = not channels or bool(ARRAYS & set(channels))
    sides = two_sides(left, right, arrays=arrays)
    comparison = compare(
        *sides,
        shared_blocks(left, right) if arrays else (),
        channels=channels,
        background=background(repository, left, right, sides, channels, judging),
    )
    scored = not channels or "text" in channels
    behaviors = behavior_diffs(repository, left, right) if scored else BehaviorDiffs(())
    result = _result(left, right, comparison, behaviors)
    return result if channels else _with_exclusive(_with_latents(result, repository, left, right), repository)


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


def _result(left: SnapshotView, right: SnapshotView, comparison: Comparison, behaviors: BehaviorDiffs) -> DiffResult:
    return DiffResult(
        a=left.info,
        b=right.info,
        capability=comparison.capability,
        comparable=comparison.comparable,
        reasons=comparison.reasons,
        null=comparison.null,
        null_sources=comparison.null_sources,
        summary=comparison.summary,
        overall=comparison.overall,
        probes=comparison.probes,
        behaviors=behaviors.found,
        unscored=behaviors.unscored,
        phrases=comparison.phrases,
        families=comparison.families,
        layers=comparison.layers,
        only_a=comparison.only_a,
        only_b=comparison.only_b,
        logprob_unit=comparison.logprob_unit,
    )


def _with_latents(result: DiffResult, repository: Repository, left: SnapshotView, right: SnapshotView) -> DiffResult:
    """`result` with the first latents that stand out, where both sides have features."""
    if feature_dictionary(left) is None or feature_dictionary(right) is None:
        return result
    from bvc.api.features_pairs import standing_latents

    found = standing_latents(repository, left, right, LATENTS)
    if found is None:
        return result
    return replace(result, latents=found.latents, latent_yield=(found.found, *found.null_yield))


def _with_exclusive(result: DiffResult, repository: Repository) -> DiffResult:
    """`result` with the newest search for features of one model only, where one was made."""
    kept = read_exclusive(repository.store, result.a.id, result.b.id)
    if not kept:
        return result
    return replace(result, exclusive=kept[0] if kept[0].a == result.a.id else kept[0].turned())
