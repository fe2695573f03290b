"""capture: what commits lack (captures at all, suites, draws) is captured now and attached to them as notes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from bvc.api.capture import Assembled, Planned, captured_facts, captured_texts, counts, fitting, noise_of
from bvc.api.capture_plan import key_of, plan, recaptured_ids, shrunk_key
from bvc.api.checkpoints import PairOptions, find_checkpoint, opener
from bvc.api.commit_records import unique_probes
from bvc.api.encoding import (
    OpenEncoder,
    encoder_of,
    fitting_dictionary,
    needed_dictionary,
    usual_dictionary,
    with_features_of,
)
from bvc.api.references import Known, held_reference, known_references
from bvc.api.refs import local_offset
from bvc.api.suites import selected_suites
from bvc.capture.engine import ProbeRequest
from bvc.capture.identity import tokenizer_folder
from bvc.capture.journal import Journal
from bvc.capture.recipe import make_recipe
from bvc.capture.runner import CaptureRun, DrawRequest, capture_all
from bvc.dictionaries import StoredDictionary
from bvc.errors import BvcError, NotComparable, UsageError
from bvc.records import CommitInfo, ModelIdentity, Probe, Recipe, Snapshot, Suite, SuiteEntry
from bvc.repository.dictionaries import feature_dictionary, find_dictionary
from bvc.repository.notes import NoteAuthor, already_attached, attach_captures
from bvc.repository.repository import BEHAVIORS_FILE, Repository
from bvc.repository.revisions import find_probe, resolve
from bvc.repository.snapshot_view import SnapshotView
from bvc.repository.snapshot_writer import Extended, SnapshotDraft, Source, Stored, write_snapshot
from bvc.results import CaptureEntry, CaptureResult
from bvc.suites.load import load_suite

if TYPE_CHECKING:
    from bvc.capture.engine import Engine
    from bvc.records import Generation

_NOT_SETTINGS = ("engine", "environment")


@dataclass(frozen=True)
class CaptureOptions:
    """What is to be captured: `more_draws` further draws of every probe (or of `probes`: labels, ids, abbreviations),
    the probes of `suites` that a commit lacks, the `features` of the project's dictionary; `checkpoint` is where the
    model is now. What a commit lacks altogether is always captured."""

    more_draws: int = 0
    probes: Sequence[str] = ()
    suites: Sequence[str] = ()
    features: bool = False
    checkpoint: str | None = None
    author: str = "unknown <unknown@localhost>"


def capture(repository: Repository, revisions: Sequence[str], what: CaptureOptions, how: PairOptions) -> CaptureResult:
    """Captures what the commits lack, each model loaded once, and attaches it; history stays as it is.

    Raises UsageError for contradicting options and for commits of recorded outputs, BadInput where a checkpoint is not
    found or is another one, NotComparable where captures at hand cannot be gone on with, EngineError when the model
    fails. What was captured until then is kept, and the same call goes on.
    """
    started = time.monotonic()
    _check(what)
    commits = list(dict.fromkeys(resolve(repository, revision) for revision in revisions or ("HEAD",)))
    infos = {commit: repository.store.history.info(commit) for commit in commits}
    engines = _Engines(how)
    found: dict[str, CaptureEntry] = {}
    try:
        for info in _by_model(infos.values()):
            found[info.id] = _Work(repository, info, what, how, engines).run()
    finally:
        engines.close()
    return CaptureResult(tuple(found[commit] for commit in commits), time.monotonic() - started)


def _check(what: CaptureOptions) -> None:
    if what.more_draws < 0:
        raise UsageError(f"--more-draws must be positive, not {what.more_draws}")
    if what.probes and not what.more_draws:
        raise UsageError("--probe says which probes get more draws: give --more-draws K too")


def _by_model(infos: Iterable[CommitInfo]) -> list[CommitInfo]:
    """Commits of one model next to each other, in the order in which models first come."""
    models: dict[str, list[CommitInfo]] = {}
    for info in infos:
        models.setdefault("" if info.snapshot is None else info.snapshot.model.fingerprint, []).append(info)
    return list(chain.from_iterable(models.values()))


class _Engines:
    """The engine in memory, kept for the next commit of the same model under the same recipe."""

    def __init__(self, how: PairOptions) -> None:
        self._how = how
        self._key: tuple[str, str, str | None] | None = None
        self._engine: Engine | None = None

    def open(self, model: ModelIdentity, recipe: Recipe, digest: str | None, encoder: OpenEncoder | None) -> Engine:
        """The engine, loaded if need be with the dictionary of `digest`; at most one is in memory."""
        key = model.fingerprint, recipe.digest, digest
        if self._engine is None or self._key != key:
            self.close()
            self._engine, self._key = opener(model, recipe, self._how, encoder)(), key
        return self._engine

    def close(self) -> None:
        """Lets go of the model."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


@dataclass
class _Draws:
    """Draws that probes lack: for each the number of its first new one; all get `total`."""

    first: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)

    def added(self) -> int:
        """How many in all."""
        return sum(self.total[probe] - first for probe, first in self.first.items())


class _Work:
    """One commit: what it lacks, and the snapshot that is attached."""

    def __init__(
        self, repository: Repository, info: CommitInfo, what: CaptureOptions, how: PairOptions, engines: _Engines
    ) -> None:
        self.repository = repository
        self.own = info
        self.what = what
        self.how = how
        self.engines = engines
        self.notes: list[str] = []
        self.dictionary: StoredDictionary | None = None
        self._look()

    def _look(self) -> None:
        """What the commit holds now, and what it should."""
        self.base = self.repository.attached.trees.get(self.own.id)
        self.view = self.repository.view(self.own)
        self.captured = self.view.snapshot.capability is not None
        self.entries, self.suites = _suites(self.repository, self.view, self.what.suites)
        self.probes = unique_probes(self.suites)

    def _look_again(self) -> None:
        """Under the journal's lock: nobody else may have attached anything since the work was planned."""
        before = self.base
        self._look()
        if self.base != before:
            raise already_attached(self.own.id)

    def run(self) -> CaptureEntry:
        """Captures and attaches. Raises as `capture` does."""
        if self.view.snapshot.model.kind == "recorded":
            raise UsageError(
                f"commit {self.own.id[:10]} holds recorded outputs: there is no model to run",
                hint="record further outputs with `bvc commit --outputs FILE`",
            )
        if not self._lacks():  # looked at before the checkpoint is, which may be gone
            return self._entry(None, None, 0, ("nothing is missing",))
        option = "--checkpoint PATH"
        model = find_checkpoint(self.repository, self.own.id, self.what.checkpoint, option, self.how).identity
        recipe = self._recipe(model)
        self.dictionary = self._choose_dictionary(model)
        folder = self.repository.captures_folder / key_of(model, recipe).hex()
        journal = Journal.open(folder, model, recipe, self._digest)
        try:
            self._look_again()
            done = self._attach(model, recipe, journal)
        except BaseException:
            journal.close()
            raise
        journal.clear()
        return done

    def _lacks(self) -> bool:
        if not self.captured or self.what.more_draws or self.probes.keys() - self.view.output_blobs.keys():
            return True
        if self.what.features and self.view.signatures.dictionary != needed_dictionary(self.repository).spec.digest:
            return True
        return bool(self._again() - self._held_again())

    def _choose_dictionary(self, model: ModelIdentity) -> StoredDictionary | None:
        """The dictionary of the snapshot that is attached: the one asked for, else that of the captures at hand, else
        the one of new commits."""
        if self.what.features:
            return fitting_dictionary(self.repository, model, self.how.engine)
        if self.captured:
            held = feature_dictionary(self.view)
            return None if held is None else find_dictionary(self.repository, held)
        stored, remarks = usual_dictionary(self.repository, model, self.how.engine)
        self.notes += remarks
        return stored

    @property
    def _digest(self) -> str | None:
        return None if self.dictionary is None else self.dictionary.spec.digest

    # What is to be run

    def _recipe(self, model: ModelIdentity) -> Recipe:
        """The recipe of the captures at hand, which must still be today's; for a commit without captures that of its
        nearest captured relative, so that they compare, else that of `bvc.toml`."""
        stored = self.view.snapshot.recipe
        near = next(self._relatives(), None) if stored is None else None
        like = stored if near is None else near.snapshot.recipe
        given = {"dtype": self.how.dtype, "device": self.how.device, "batch_rows": self.how.batch_size}
        if stored is not None:
            now = self._now(model, settings_of(stored))
            if now.digest != stored.digest:
                raise _another_recipe(self.own, stored, now)
            return stored
        own = self._now(model, given)
        wanted = own if like is None else self._now(model, {**settings_of(like), **_set(given)})
        if near is not None and wanted.digest != own.digest:
            self.notes.append(f"captured under the settings of commit {near.info.id[:10]}, so that they compare")
        if not self.what.probes:
            wanted = replace(wanted, draws=wanted.draws + self.what.more_draws)
        fitted, remarks = fitting(self.repository, model, wanted, fixed=self.how.batch_size is not None)
        self.notes += remarks
        return fitted

    def _now(self, model: ModelIdentity, settings: Mapping[str, Any]) -> Recipe:
        recipe = make_recipe(self.repository.config, tokenizer_folder(model), settings)
        return recipe if self.how.engine is None else replace(recipe, engine=self.how.engine.name)

    def _relatives(self) -> Iterator[SnapshotView]:
        """Captured commits of models that were run, nearest first: ancestors, then descendants."""
        for info in chain(_ancestors(self.repository, self.own), _descendants(self.repository, self.own)):
            view = self.repository.view(info)
            snapshot = view.info.snapshot
            if snapshot is not None and snapshot.recipe is not None and snapshot.model.kind != "recorded":
                yield view

    def _references(self) -> dict[str, Known]:
        """The commit's own references, else its ancestors', else those of descendants, which compare with it."""
        held = {p: known for p in self.probes if (known := held_reference(self.view, p)) is not None}
        rest = [probe for p, probe in self.probes.items() if p not in held]
        held |= known_references(self.repository, rest, self.own.parents)
        wanted = self.probes.keys() - held.keys()
        for view in self._relatives() if wanted else ():
            held |= {p: known for p in wanted if (known := held_reference(view, p)) is not None}
            wanted -= held.keys()
            if not wanted:
                break
        return held

    def _again(self) -> set[str]:
        """The probes of the noise floor: those that were, and a share of what is new."""
        held = self._held_again()
        new = [p for p in self.probes if not self.captured or not held or p not in self.view.output_blobs]
        return held | set(recaptured_ids(new, self.repository.config.recapture))

    def _held_again(self) -> set[str]:
        again = self.view.recaptures if self.captured else None
        return set() if again is None else set(again.output_blobs)

    def _draws(self, recipe: Recipe) -> _Draws:
        """The draws that are asked for beyond those at hand; a commit without captures gets them with the rest."""
        out, more = _Draws(), self.what.more_draws
        if not more or not (self.captured or self.what.probes):
            return out
        chosen = [find_probe(self.view, name) for name in self.what.probes]
        for probe in chosen or self.probes:
            held = len(self.view.outputs(probe).draws) if probe in self.view.output_blobs else recipe.draws
            total = held + more if chosen else recipe.draws + more
            if held < total:
                out.first[probe], out.total[probe] = held, total
        return out

    # Running and attaching

    def _attach(self, model: ModelIdentity, recipe: Recipe, journal: Journal) -> CaptureEntry:
        near = [self.view] if self.captured else []
        planned = Planned(
            self.repository, self.probes, self._references(), model, recipe, near, dictionary=self.dictionary
        )
        planned.plan_again(sorted(self._again()))
        draws = self._draws(recipe)
        elsewhere = self._held_draws(planned, model, recipe, draws)
        more = [
            DrawRequest(ProbeRequest(self.probes[p]), first, draws.total[p])
            for p, first in draws.first.items()
            if p not in elsewhere
        ]
        work = replace(planned.work(journal), more=more, fixed=self.captured)
        encoder = encoder_of(self.repository, self.dictionary)
        open_engine = partial(self.engines.open, model, recipe, self._digest, encoder)
        run = capture_all(open_engine, work, journal, self.how.report, keep=True)
        self.notes += run.notes
        assembled = planned.assemble(journal, run)
        further = _further(journal, more)
        sources = {
            p: with_features_of(elsewhere[p], source, self.dictionary) if p in elsewhere else further(p, source)
            for p, source in assembled.sources.items()
        }
        if run.recipe.digest != recipe.digest:
            self._note_shrunk(model, recipe)
        return self._write(Assembled(sources, assembled.recaptures), run, draws)

    def _held_draws(self, planned: Planned, model: ModelIdentity, recipe: Recipe, draws: _Draws) -> dict[str, Stored]:
        """Captures of other commits that have the draws wanted already."""
        held: dict[str, Stored] = {}
        for total in set(draws.total.values()):
            probes = {p: self.probes[p] for p, n in draws.total.items() if n == total}
            found = plan(self.repository, probes, planned.main.references, model, replace(recipe, draws=total))
            held |= found.held
        return held

    def _note_shrunk(self, model: ModelIdentity, recipe: Recipe) -> None:
        with suppress(OSError):  # without this note the next capture only finds out again
            self.repository.store.index.add_capture_source(shrunk_key(model, recipe), self.own.id)

    def _write(self, made: Assembled, run: CaptureRun, draws: _Draws) -> CaptureEntry:
        """The snapshot's tree, then the note."""
        capability, table = captured_facts(run, made.sources)
        everywhere = self.what.more_draws if self.captured and not self.what.probes else 0
        recipe = replace(run.recipe, draws=run.recipe.draws + everywhere)
        snapshot = Snapshot(
            model=self.view.snapshot.model,
            recipe=recipe,
            suites=self.entries,
            capability=capability,
            noise=noise_of(made, capability, table),
            counts=counts(self.probes, recipe, made.recaptures),
            dictionary=self._digest,
        )
        draft = SnapshotDraft(
            snapshot,
            self.suites,
            made.sources,
            made.recaptures,
            bucket_table=table,
            token_texts=captured_texts(run, made.sources),
            behaviors=self._behaviors(),
            dictionary=None if self.dictionary is None else self.dictionary.spec,
        )
        now = int(time.time())
        store = self.repository.store
        with store.begin() as transaction:
            tree = write_snapshot(transaction, draft)
            by = NoteAuthor(self.what.author, now, local_offset(now))
            note = attach_captures(transaction, store, self.own.id, tree, snapshot, self.base, by)
        told = [] if not run.encoded else [f"features of {run.encoded} probes were added to what was captured before"]
        return self._entry(note, run, draws.added(), told)

    def _behaviors(self) -> bytes | None:
        blob = self.view.folder(BEHAVIORS_FILE)
        return None if blob is None else self.repository.store.objects.blob(blob)

    def _entry(self, note: str | None, run: CaptureRun | None, drawn: int, notes: Sequence[str]) -> CaptureEntry:
        info = self.repository.view(self.own).info
        captured = 0 if run is None else run.captured + run.resumed
        return CaptureEntry(
            commit=info,
            attached=note,
            captured=captured,
            reused=len(self.probes) - captured,
            drawn=drawn,
            notes=(*self.notes, *notes),
            encoded=0 if run is None else run.encoded,
        )


def _further(journal: Journal, more: Sequence[DrawRequest]) -> Callable[[str, Source], Source]:
    """What gives a probe's source the draws that were added to it."""
    added = {d.request.probe.id: d for d in more}
    wrapped: dict[int, Extended] = {}

    def read(probe: str) -> tuple[Generation, ...]:
        asked = added[probe]
        return journal.read_draws(probe, asked.first, asked.count)

    def extend(probe: str, source: Source) -> Source:
        if probe not in added or isinstance(source, Extended):
            return source
        return wrapped.setdefault(id(source), Extended(source, read))

    return extend


def _suites(
    repository: Repository, view: SnapshotView, names: Sequence[str]
) -> tuple[tuple[SuiteEntry, ...], tuple[Suite, ...]]:
    """The suites of a commit, those of `names` with what the project's files add to them."""
    probes: dict[str, list[Probe]] = {entry.name: [] for entry in view.snapshot.suites}
    for name, probe in view.probes():
        probes[name].append(probe)
    entries = {entry.name: entry for entry in view.snapshot.suites}
    suites = {name: _in_order(repository, entries[name], found) for name, found in probes.items()}
    for suite in selected_suites(repository, names) if names else ():
        held = {p.id for p in suite.probes}
        kept = [p for p in probes.get(suite.name, ()) if p.id not in held]
        merged = Suite(suite.name, (*suite.probes, *kept))
        suites[suite.name] = merged
        entries[suite.name] = SuiteEntry(merged.name, merged.digest, len(merged.probes))
    return tuple(entries.values()), tuple(suites.values())


def _in_order(repository: Repository, entry: SuiteEntry, probes: Sequence[Probe]) -> Suite:
    """A recorded suite; a commit without captures has no order, which the project's file gives where it is the same."""
    suite = Suite(entry.name, tuple(probes))
    path = repository.probes_folder / f"{entry.name}.jsonl"
    if suite.digest != entry.digest and path.is_file():
        with suppress(BvcError):
            here = load_suite(path)
            return here if here.digest == entry.digest else suite
    return suite


def _ancestors(repository: Repository, info: CommitInfo) -> Iterator[CommitInfo]:
    return repository.store.history.walk(info.parents) if info.parents else iter(())


def _descendants(repository: Repository, info: CommitInfo) -> Iterator[CommitInfo]:
    """Commits that branches and tags lead to and that descend from `info`, the oldest first."""
    refs = repository.store.refs
    names = (name for prefix in ("refs/heads/", "refs/tags/") for name in refs.all(prefix))
    tips = {commit for name in names if (commit := refs.peel(name)) is not None}
    family = {info.id}
    for other in reversed(list(repository.store.history.walk(tips))):
        if not family.isdisjoint(other.parents):
            family.add(other.id)
            yield other


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe, for `make_recipe`: all but the engine and what it ran on."""
    return {f.name: getattr(recipe, f.name) for f in fields(Recipe) if f.name not in _NOT_SETTINGS}


def _set(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _another_recipe(info: CommitInfo, stored: Recipe, now: Recipe) -> NotComparable:
    before = {"engine": stored.engine, **stored.environment}
    today = {"engine": now.engine, **now.environment}
    what = next((n for n in sorted(before.keys() | today.keys()) if before.get(n) != today.get(n)), "settings")
    return NotComparable(
        f"commit {info.id[:10]} was captured with {what} {before.get(what)}, now it is {today.get(what)}: "
        "captures of two recipes are not put together",
        hint="`bvc commit` the checkpoint again, which captures all of it as of now",
    )
