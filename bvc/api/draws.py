"""Sampled answers of snapshots: which of them are right, and how many there were at first. Loads no numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bvc.behaviors.answers import expected_answers, right_answer
from bvc.records import CommitInfo, Outputs, Probe
from bvc.repository.notes import attached_before
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView

SCORED = 1
"""Changes whenever the same draws get other scores than before, so that what was kept of them is forgotten."""

OutputsOf = Callable[[str], Outputs]
"""The outputs of a probe, by its id."""


def draw_scores(
    probes: Iterable[Probe], a: OutputsOf, b: OutputsOf
) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Right (1) or wrong (0) for every draw of both sides, of those of `probes` whose answer is known."""
    return {p.id: (_right(p, a(p.id)), _right(p, b(p.id))) for p in probes if expected_answers(p)}


def _right(probe: Probe, outputs: Outputs) -> tuple[float, ...]:
    return tuple(float(bool(right_answer(probe, draw.text))) for draw in outputs.draws)


def first_draws(repository: Repository, view: SnapshotView) -> int | None:
    """How many draws a probe had when a commit first had any; None where no more were attached to it since its own
    capture, 0 where draws were attached to single probes before all had some.

    What was attached is read back from the notes' history only for commits that were made without draws. Raises
    DamagedObject where that cannot be read.
    """
    own = repository.store.history.info(view.info.id)
    if own.tree == view.tree:
        return None
    counts = [_draws(own), *(_draws(info) for info in attached_before(repository.store, own) if not _draws(own))]
    return min((count for count in counts if count), default=0)


def _draws(info: CommitInfo) -> int:
    recipe = None if info.snapshot is None else info.snapshot.recipe
    return 0 if recipe is None else recipe.draws
