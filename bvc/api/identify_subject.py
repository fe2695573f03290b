"""The model to be identified as evidence: captured now on probes of the record, or answers from a file. Loads numpy."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bvc.api.capture import Planned, captured_facts
from bvc.api.capture_more import settings_of
from bvc.api.capture_plan import key_of
from bvc.api.checkpoints import PairOptions, opener
from bvc.api.references import known_references
from bvc.capture.identity import tokenizer_folder
from bvc.capture.journal import Journal
from bvc.capture.recipe import make_recipe
from bvc.capture.recorded import read_outputs
from bvc.capture.runner import capture_all
from bvc.compare.pairing import ProbeSide, Side
from bvc.errors import NotComparable
from bvc.evidence import Evidence
from bvc.records import Capability, ModelIdentity, Outputs, Probe, Recipe, Reference, Suite
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.repository.snapshot_writer import Fresh, Source
from bvc.wording import printable

if TYPE_CHECKING:
    from bvc.compare.logprob import Table

_KEPT = 4
"""Captures of unknown models that are kept, so that the same question needs no model again."""


@dataclass(frozen=True)
class Subject:
    """What is known of the unknown model, by probe id. `recipe` is None where it is not known how the answers came
    about; `ran`: probes that a model answered now; `sampled`: of its answers only the draws count."""

    sources: Mapping[str, Source]
    recipe: Recipe | None
    capability: Capability
    tokenizer: str | None = None
    table: Table | None = None
    ran: int = 0
    notes: tuple[str, ...] = ()
    sampled: bool = False

    def side(self, probes: Sequence[str]) -> Side:
        """The part of it that `probes` show, as a comparison takes it."""
        arrays = self.capability is not Capability.TEXT
        found = {p: self.sources[p] for p in probes if p in self.sources}
        records = {p: ProbeSide(s.outputs(p), s.reference(p) if arrays else None) for p, s in found.items()}
        return Side(self.recipe, self.capability, self.tokenizer, records, self.table)


def captured_subject(
    repository: Repository,
    model: ModelIdentity,
    home: SnapshotView,
    probes: Mapping[str, Probe],
    options: PairOptions,
) -> Subject:
    """The model captured on `probes` under the recipe of the snapshot `home`, along its references.

    Nothing is committed; the captures are kept for when the same is asked again. Raises EngineError when the model
    cannot be loaded or fails, Locked when another process captures it.
    """
    recipe = _recipe(repository, model, home, options)
    known = known_references(repository, list(probes.values()), [home.info.id])
    work = Planned(repository, probes, known, model, recipe)
    folder = repository.captures_folder.parent / "identify" / key_of(model, recipe).hex()
    with Journal.open(folder, model, recipe) as journal:
        run = capture_all(opener(model, recipe, options), work.work(journal), journal, options.report)
        assembled = work.assemble(journal, run)
        capability, table = captured_facts(run, assembled.sources)
        sources = _held(assembled.sources)
    _forget(folder)
    return Subject(sources, run.recipe, capability, model.tokenizer, table, run.captured, run.notes)


def recorded_subject(
    path: Path, views: Sequence[SnapshotView], *, sampled: bool = False
) -> tuple[ModelIdentity, Subject]:
    """The answers in a file, matched to the probes of the snapshots `views`; with `sampled` each of them is a draw.

    Raises BadInput with file and line for rows that cannot be used, NotComparable where none asks what a recorded probe
    asks.
    """
    suites = {entry.digest: _suite(view, entry.name) for view in views for entry in view.snapshot.suites}
    run = read_outputs(path, printable(path.stem).strip() or "model", list(suites.values()))
    asked = {probe.id for suite in suites.values() for probe in suite.probes}
    strange = len(run.outputs.keys() - asked)
    held = {p: Held(_all_drawn(o) if sampled else o) for p, o in run.outputs.items() if p in asked}
    if not held:
        raise NotComparable(
            f"no row of {path} asks what a recorded probe asks",
            hint="`bvc suite show NAME` lists the probes: let the model answer some of them",
        )
    what = "1 row asks" if strange == 1 else f"{strange} rows ask"
    notes = (f"{what} what no recorded probe asks",) if strange else ()
    sources = dict.fromkeys(held, Fresh(held.__getitem__))
    return run.identity, Subject(sources, None, Capability.TEXT, notes=notes, sampled=sampled)


def _all_drawn(outputs: Outputs) -> Outputs:
    return replace(outputs, draws=(outputs.greedy, *outputs.draws))


@dataclass(frozen=True)
class Held:
    """One probe's capture in memory."""

    outputs: Outputs
    reference: Reference | None = None
    evidence: Evidence = field(default_factory=Evidence)


def _held(sources: Mapping[str, Source]) -> Mapping[str, Source]:
    """The captures read into memory, so that where they were kept can be closed."""
    held = {p: Held(s.outputs(p), s.reference(p), s.evidence(p)) for p, s in sources.items()}
    return dict.fromkeys(held, Fresh(held.__getitem__))


def _recipe(repository: Repository, model: ModelIdentity, home: SnapshotView, options: PairOptions) -> Recipe:
    """The settings of `home`'s recipe with those given, on what is installed here, and no draws."""
    stored = home.snapshot.recipe
    given = {"dtype": options.dtype, "device": options.device, "batch_rows": options.batch_size}
    settings = {} if stored is None or home.snapshot.model.kind == "recorded" else settings_of(stored)
    wanted = {**settings, **{k: v for k, v in given.items() if v is not None}, "draws": 0}
    recipe = make_recipe(repository.config, tokenizer_folder(model), wanted)
    return recipe if options.engine is None else replace(recipe, engine=options.engine.name)


def _suite(view: SnapshotView, name: str) -> Suite:
    return Suite(name, tuple(probe for suite, probe in view.probes() if suite == name))


def _forget(folder: Path) -> None:
    """Deletes all but the newest captures of unknown models."""
    others = sorted((f for f in folder.parent.iterdir() if f != folder), key=lambda f: f.stat().st_mtime, reverse=True)
    for old in others[_KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
