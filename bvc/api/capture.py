"""The capture side of commit: what to run, running it, and what the snapshot is then made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bvc.api.capture_plan import Plan, key_of, plan, recaptured_ids, shrunk_key, shrunk_recipe
from bvc.api.checkpoints import opener, read_identity
from bvc.api.commit_records import Captures, CommitOptions, Target, named_suites, suite_entries, unique_probes
from bvc.api.encoding import encoded, encoder_of, lacking, usual_dictionary
from bvc.api.lineage import lineage_notes
from bvc.api.references import Known, held_reference, known_references
from bvc.capture.identity import tokenizer_folder
from bvc.capture.journal import Journal
from bvc.capture.recipe import make_recipe
from bvc.capture.runner import CaptureRun, Work, capture_all
from bvc.dictionaries import StoredDictionary
from bvc.errors import DamagedObject
from bvc.records import Capability, ModelIdentity, Probe, Recipe, Snapshot
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.repository.snapshot_writer import Encoded, Extended, Fresh, Source, Stored

_OVERRIDES = ("dtype", "device", "draws", "max_new_tokens", "seed")


def registration(repository: Repository, options: CommitOptions) -> Captures:
    """A checkpoint registered by identity alone, with its suites named but nothing captured."""
    model = read_identity(repository, options.checkpoint or "", options.base, options)
    suites = named_suites(repository, options)
    snapshot = Snapshot(model, None, suite_entries(suites), None, counts={"probes": len(unique_probes(suites))})
    return Captures(snapshot, suites, {})


def captures(repository: Repository, options: CommitOptions, target: Target) -> Captures:
    """All captures of a checkpoint: from earlier commits where they hold them and may be used, else run now (or
    resumed)."""
    suites = named_suites(repository, options)
    model = read_identity(repository, options.checkpoint or "", options.base, options)
    wanted = _recipe(repository, options, model)
    recipe, remarks = fitting(repository, model, wanted, fixed=options.batch_size is not None)
    probes = unique_probes(suites)
    known = known_references(repository, list(probes.values()), target.parents)
    stored, without = usual_dictionary(repository, model, options.engine)
    work = Planned(repository, probes, known, model, recipe, reuse=options.reuse, dictionary=stored)
    work.plan_again(recaptured_ids(list(probes), repository.config.recapture))
    digest = None if stored is None else stored.spec.digest
    journal = Journal.open(repository.captures_folder / key_of(model, recipe).hex(), model, recipe, digest)
    try:
        open_engine = opener(model, recipe, options, encoder_of(repository, stored))
        run = capture_all(open_engine, work.work(journal), journal, options.report)
        assembled = work.assemble(journal, run)
        capability, table = captured_facts(run, assembled.sources)
        snapshot = Snapshot(
            model=model,
            recipe=run.recipe,
            suites=suite_entries(suites),
            capability=capability,
            noise=noise_of(assembled, capability, table),
            counts=counts(work.probes, run.recipe, assembled.recaptures),
            dictionary=digest,
        )
        notes = (*lineage_notes(repository, model, target.parents), *remarks, *without, *run.notes)
    except BaseException:
        journal.close()
        raise
    return Captures(
        snapshot=snapshot,
        suites=suites,
        sources=assembled.sources,
        captured=run.captured + run.resumed,
        recaptures=assembled.recaptures,
        bucket_table=table,
        token_texts=captured_texts(run, assembled.sources),
        keys=() if run.recipe.digest == wanted.digest else (shrunk_key(model, wanted),),
        notes=notes,
        dictionary=None if stored is None else stored.spec,
        finish=lambda done: journal.clear() if done else journal.close(),
    )


def fitting(
    repository: Repository, model: ModelIdentity, wanted: Recipe, *, fixed: bool
) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe wanted, or the one with smaller batches that an earlier commit of this model had to change to; with a
    remark. A batch size that was given (`fixed`) is always tried."""
    smaller = None if fixed else shrunk_recipe(repository, model, wanted)
    if smaller is None:
        return wanted, ()
    remark = f"batches of {smaller.batch_rows}: {wanted.batch_rows} did not fit into memory before"
    return smaller, (f"{remark} (--batch-size {wanted.batch_rows} tries again)",)


def _recipe(repository: Repository, options: CommitOptions, model: ModelIdentity) -> Recipe:
    overrides = {name: value for name in _OVERRIDES if (value := getattr(options, name)) is not None}
    if options.batch_size is not None:
        overrides["batch_rows"] = options.batch_size
    recipe = make_recipe(repository.config, tokenizer_folder(model), overrides)
    return recipe if options.engine is None else replace(recipe, engine=options.engine.name)


class Assembled:
    """Where each probe's two captures are."""

    def __init__(self, sources: Mapping[str, Source], recaptures: Mapping[str, Source]) -> None:
        self.sources = sources
        self.recaptures = recaptures


class Planned:
    """The probes of a commit, split into what earlier commits (and snapshots `near`) hold and what has to be run, for
    both layouts."""

    def __init__(
        self,
        repository: Repository,
        probes: Mapping[str, Probe],
        references: Mapping[str, Known],
        model: ModelIdentity,
        recipe: Recipe,
        near: Sequence[SnapshotView] = (),
        *,
        reuse: bool = True,
        dictionary: StoredDictionary | None = None,
    ) -> None:
        self.probes = probes
        self._dictionary = dictionary
        self._plan = partial(plan, repository, model=model, recipe=recipe, near=near, reuse=reuse)
        self.main = self._plan(probes, references)
        self.again = Plan({}, {}, {})

    def plan_again(self, ids: Iterable[str]) -> None:
        """Says which probes are to be captured in the second layout too."""
        again = {p: self.probes[p] for p in ids}
        settled = {p: known for p in again if (known := self._settled(p)) is not None}
        self.again = self._plan(again, settled, recaptures=True)

    def _settled(self, probe: str) -> Known | None:
        """The reference of a probe where it is known before anything runs."""
        held = self.main.held.get(probe)
        return self.main.references.get(probe) if held is None else held_reference(held.view, probe)

    def work(self, journal: Journal) -> Work:
        """What the runner has to see to. Probes that are held are asked for too while it may have to run them, because
        others are missing and memory may force another recipe, or did so before an interruption."""
        settled = len(self.main.held) == len(self.probes) and journal.recipe.digest == journal.wanted.digest
        return Work(
            requests=() if settled else self.main.requests(),
            recaptures=self.again.requests(),
            held=self.main.held,
            held_again=self.again.held,
            encode=(
                *lacking(self.probes, self.main.held, self._dictionary, again=False),
                *lacking(self.probes, self.again.held, self._dictionary, again=True),
            ),
        )

    def assemble(self, journal: Journal, run: CaptureRun) -> Assembled:
        """Every probe's sources after the run; nothing held is used when memory forced another recipe."""
        usable = run.recipe.digest == journal.wanted.digest
        held, held_again = (self.main.held, self.again.held) if usable else ({}, {})
        fresh, fresh_again = Fresh(journal.read), Fresh(partial(journal.read, again=True))
        done = journal.done(again=True)
        sources: dict[str, Source] = {p: held.get(p, fresh) for p in self.probes}
        again = (p for p in self.again.probes if p in held_again or p in done)
        recaptures: dict[str, Source] = {p: held_again.get(p, fresh_again) for p in again}
        return Assembled(
            encoded(sources, journal, self._dictionary, again=False),
            encoded(recaptures, journal, self._dictionary, again=True),
        )


def captured_facts(run: CaptureRun, sources: Mapping[str, Source]) -> tuple[Capability, Any]:
    """Capability and bucket table: the engine's, else those of the commit that holds everything."""
    if run.engine is not None:
        return run.engine.capability, run.engine.bucket_table
    stored = next(found for source in sources.values() if (found := _stored(source)) is not None)
    if stored.view.snapshot.capability is None:
        raise DamagedObject(f"commit {stored.view.info.id} holds captures but states no capability")
    return stored.view.snapshot.capability, stored.signatures.bucket_table()


def captured_texts(run: CaptureRun, sources: Mapping[str, Source]) -> Any:
    """The packed texts of the tokens, from where `captured_facts` has the bucket table; None where it has none."""
    if run.engine is not None:
        return run.engine.token_texts
    stored = next(found for source in sources.values() if (found := _stored(source)) is not None)
    return stored.signatures.packed_texts()


def _stored(source: Source) -> Stored | None:
    """The earlier commit's captures behind a source, whatever draws and features were added to them."""
    while isinstance(source, Extended | Encoded):
        source = source.base
    return source if isinstance(source, Stored) else None


def noise_of(assembled: Assembled, capability: Capability, table: Any) -> Mapping[str, Any]:
    """The N0 band of each channel: distances between the two layouts; as recorded where one commit holds all of it."""
    if not assembled.recaptures:
        return {}
    recorded = _recorded_noise(assembled)
    if recorded is not None:
        return recorded
    from bvc.api.noise import summarize

    return summarize(assembled.sources, assembled.recaptures, capability, table)


def _recorded_noise(assembled: Assembled) -> Mapping[str, Any] | None:
    pairs = [(assembled.sources[p], again) for p, again in assembled.recaptures.items()]
    views = [found.view for pair in pairs for source in pair if (found := _stored(source)) is not None]
    view = views[0] if views and len(views) == 2 * len(pairs) else None
    if view is None or any(other.tree != view.tree for other in views) or view.recaptures is None:
        return None
    same = view.recaptures.output_blobs.keys() == assembled.recaptures.keys()
    return view.snapshot.noise if same else None


def counts(probes: Mapping[str, Probe], recipe: Recipe, recaptures: Mapping[str, Source]) -> dict[str, int]:
    """The field `counts` of a snapshot."""
    return {"probes": len(probes), "draws": recipe.draws, "recaptures": len(recaptures)}
