"""Sampled answers of an unknown model beside the draws of recorded ones. Loads numpy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NoReturn

from bvc.api.identify_subject import Subject
from bvc.api.sides import Records
from bvc.compare.draw_distance import FEWEST, Texts, draw_distance, of_other_numbers
from bvc.compare.identify import Reading, draws_reading
from bvc.errors import NotComparable
from bvc.ids import short
from bvc.records import Outputs
from bvc.repository.snapshot_view import SnapshotView


def drawn_apart(
    subject: Subject, view: SnapshotView, probes: Sequence[str], records: Records
) -> tuple[Reading, Mapping[str, float]]:
    """How far the draws of both lie apart, and by probe. Raises NotComparable where no probe has enough of them."""
    common = [probe for probe in probes if probe in subject.sources and probe in view.output_blobs]
    texts = {p: (_drawn(records.of(view, p).outputs), _drawn(subject.sources[p].outputs(p))) for p in common}
    found = draw_distance(texts, _clusters(view))
    if found is None:
        raise NotComparable(f"commit {short(view.info.id)} has no draws of these probes")
    return draws_reading([found]), found.probes


def steps_apart(left: SnapshotView, right: SnapshotView, probes: Collection[str]) -> Reading | None:
    """The reading of a step of the lineage on some probes; None without enough draws. Commits draw with the same random
    numbers, an unknown model does not: only draws that share none are compared."""
    records = Records()
    common = [p for p in left.output_blobs if p in probes and p in right.output_blobs]
    texts = {p: (_drawn(records.of(left, p).outputs), _drawn(records.of(right, p).outputs)) for p in common}
    halves: Sequence[Texts] = of_other_numbers(texts)
    found = [one for half in halves if (one := draw_distance(half, _clusters(right))) is not None]
    return draws_reading(found) if found else None


def refuse_without_draws(subject: Subject, views: Sequence[SnapshotView], probes: Sequence[str]) -> NoReturn:
    """Says why not one recorded model could be compared. Raises NotComparable."""
    held = [view for view in views if any(_has_draws(view, p) for p in probes if p in subject.sources)]
    if held:
        raise NotComparable(
            f"no probe has {FEWEST} draws, those of a commit and the answers of the model taken together",
            hint="let the model answer each probe several times",
        )
    raise NotComparable(
        "no recorded commit has draws of the probes that this model answered",
        hint=f"`bvc capture {short(views[0].info.id)} --more-draws 8` records some; without --sampled greedy answers "
        "are compared",
    )


def notes_of_draws(views: Sequence[SnapshotView], without: int) -> tuple[str, ...]:
    """What has to be known of the comparison: how the commits drew, and how many models have no draws."""
    known = {view.snapshot.recipe.temperature for view in views if view.snapshot.recipe and _ran(view)}
    heat = " and ".join(f"{value:g}" for value in sorted(known))
    notes = [f"the commits' draws are of temperature {heat}: answers at another one look like another model's"]
    if without:
        have = "1 recorded model has" if without == 1 else f"{without} recorded models have"
        notes.append(f"{have} no draws of these probes and could not be compared: `bvc capture REV --more-draws 8`")
    return tuple(notes if known else notes[1:])


def _ran(view: SnapshotView) -> bool:
    return view.snapshot.model.kind != "recorded"


def _has_draws(view: SnapshotView, probe: str) -> bool:
    return probe in view.output_blobs and bool(view.outputs(probe).draws)


def _drawn(outputs: Outputs) -> list[str]:
    return [draw.text for draw in outputs.draws]


def _clusters(view: SnapshotView) -> dict[str, str]:
    """Which probes count as one."""
    return {probe.id: probe.cluster for _, probe in view.probes() if probe.cluster is not None}
