"""The capture side of commit: what to run, running it, and what the snapshot is then made of."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bvc.api.capture_plan import Plan, key_of, plan, recaptured_ids
from bvc.api.commit_records import Captures, CommitOptions, Target, named_suites, suite_entries, unique_probes
from bvc.api.lineage import lineage_notes
from bvc.api.references import inherited_references
from bvc.capture.engine import ProbeRequest
from bvc.capture.identity import identify, tokenizer_folder
from bvc.capture.journal import Journal
from bvc.capture.recipe import make_recipe
from bvc.capture.runner import CaptureRun, Work, capture_all
from bvc.errors import DamagedObject
from bvc.records import Capability, ModelIdentity, Probe, Recipe, Reference, Snapshot
from bvc.repository.repository import Repository
from bvc.repository.snapshot_writer import Fresh, Source, Stored

if TYPE_CHECKING:
    from bvc.capture.engine import Engine

_OVERRIDES = ("dtype", "device", "draws", "max_new_tokens", "seed")


def registration(repository: Repository, options: CommitOptions) -> Captures:
    """A checkpoint registered by identity alone, with its suites named but nothing captured."""
    model, suites = _identity(repository, options), named_suites(repository, options)
    snapshot = Snapshot(model, None, suite_entries(suites), None, counts={"probes": len(unique_probes(suites))})
    return Captures(snapshot, suites, {})


def captures(repository: Repository, options: CommitOptions, target: Target) -> Captures:
    """All captures of a checkpoint: from earlier commits where they hold them, else run now (or resumed)."""
    suites = named_suites(repository, options)
    model = _identity(repository, options)
    recipe = _recipe(repository, options, model)
    work = _Planned(repository, unique_probes(suites), model, recipe, target)
    folder = repository.captures_folder / key_of(model, recipe).hex()
    journal = Journal.open(folder, model, recipe)
    try:
        run = capture_all(partial(_engine, model, recipe, options), work.work(), journal, options.report)
        assembled = work.assemble(journal, run)
    except BaseException:
        journal.close()
        raise
    capability, table = _facts(run, assembled.sources)
    snapshot = Snapshot(
        model=model,
        recipe=run.recipe,
        suites=suite_entries(suites),
        capability=capability,
        noise=_noise_summary(assembled, capability, table),
        counts=_counts(work.probes, run.recipe, assembled.recaptures),
    )
    return Captures(
        snapshot=snapshot,
        suites=suites,
        sources=assembled.sources,
        captured=run.captured + run.resumed,
        recaptures=assembled.recaptures,
        bucket_table=table,
        keys=(key_of(model, run.recipe),),
        notes=(*lineage_notes(repository, model, target.parents), *run.notes),
        finish=lambda done: journal.clear() if done else journal.close(),
    )


def _identity(repository: Repository, options: CommitOptions) -> ModelIdentity:
    return identify(
        options.checkpoint or "",
        base=options.base,
        known=repository.store.index,
        allow_pickle=options.allow_pickle,
        hub_cache=options.hub_cache,
        progress=options.progress,
    )


def _recipe(repository: Repository, options: CommitOptions, model: ModelIdentity) -> Recipe:
    overrides = {name: value for name in _OVERRIDES if (value := getattr(options, name)) is not None}
    if options.batch_size is not None:
        overrides["batch_rows"] = options.batch_size
    return make_recipe(repository.config, tokenizer_folder(model), overrides)


def _engine(model: ModelIdentity, recipe: Recipe, options: CommitOptions) -> Engine:
    from bvc.capture.transformers_engine import open_engine

    return open_engine(model, recipe, allow_pickle=options.allow_pickle, trust_remote_code=options.trust_remote_code)


class _Assembled:
    """Where each probe's two captures are."""

    def __init__(self, sources: Mapping[str, Source], recaptures: Mapping[str, Source]) -> None:
        self.sources = sources
        self.recaptures = recaptures


class _Planned:
    """The probes of a commit, split into what earlier commits hold and what has to be run, for both layouts."""

    def __init__(
        self, repository: Repository, probes: Mapping[str, Probe], model: ModelIdentity, recipe: Recipe, target: Target
    ) -> None:
        self.probes = probes
        self.references = inherited_references(repository, list(probes.values()), target.parents)
        self.main = plan(repository, probes, self.references, model, recipe)
        again = {p: probes[p] for p in recaptured_ids(list(probes), repository.config.recapture)}
        self.again_references = {p: r for p in again if (r := self._resolved(p)) is not None}
        self.again = plan(repository, again, self.again_references, model, recipe, recaptures=True)

    def _resolved(self, probe: str) -> Reference | None:
        """The reference of a probe where it is known before anything runs."""
        held = self.main.held.get(probe)
        return self.references.get(probe) if held is None else held.view.reference(probe)

    def work(self) -> Work:
        """What the runner has to see to."""
        return Work(
            requests=_requests(self.main, self.references),
            recaptures=_requests(self.again, self.again_references),
            held=self.main.held,
            held_again=self.again.held,
        )

    def assemble(self, journal: Journal, run: CaptureRun) -> _Assembled:
        """Every probe's sources after the run; nothing held is used when memory forced another recipe."""
        usable = run.recipe.digest == journal.wanted.digest
        fresh, fresh_again = Fresh(journal.read), Fresh(partial(journal.read, again=True))
        done = journal.done(again=True)
        sources: dict[str, Source] = {p: self.main.held.get(p, fresh) if usable else fresh for p in self.probes}
        again: dict[str, Source] = {
            p: self.again.held[p] if usable and p in self.again.held else fresh_again
            for p in self.again.probes
            if p in done or (usable and p in self.again.held)
        }
        return _Assembled(sources, again)


def _requests(planned: Plan, references: Mapping[str, Reference]) -> list[ProbeRequest]:
    return [ProbeRequest(probe, references.get(identifier)) for identifier, probe in planned.probes.items()]


def _facts(run: CaptureRun, sources: Mapping[str, Source]) -> tuple[Capability, Any]:
    """Capability and bucket table: the engine's, else those of the commit that holds everything."""
    if run.engine is not None:
        return run.engine.capability, run.engine.bucket_table
    stored = next(source for source in sources.values() if isinstance(source, Stored))
    if stored.view.snapshot.capability is None:
        raise DamagedObject(f"commit {stored.view.info.id} holds captures but states no capability")
    return stored.view.snapshot.capability, stored.view.signatures.bucket_table()


def _noise_summary(assembled: _Assembled, capability: Capability, table: Any) -> dict[str, Any]:
    """The N0 band of each channel: distances between the two layouts."""
    if not assembled.recaptures:
        return {}
    from bvc.api.noise import summarize

    return summarize(assembled.sources, assembled.recaptures, capability, table)


def _counts(probes: Mapping[str, Probe], recipe: Recipe, recaptures: Mapping[str, Source]) -> dict[str, int]:
    return {"probes": len(probes), "draws": recipe.draws, "recaptures": len(recaptures)}
