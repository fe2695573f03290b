"""Runs an engine over the probes that are missing, batch by batch, into a journal. Loads neither numpy nor torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bvc.capture.engine import (
    Batch,
    DrawingEngine,
    EncodingEngine,
    Engine,
    EngineOutOfMemory,
    ProbeCapture,
    ProbeRequest,
)
from bvc.capture.hub import HF_HINT
from bvc.capture.journal import EngineFacts, Journal
from bvc.errors import EngineError
from bvc.records import Generation, Probe, Recipe, Reference
from bvc.results import Progress

if TYPE_CHECKING:
    from bvc.evidence import Features

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class CaptureRun:
    """What a run did. `captured` probes were run now and `resumed` ones found in the journal; `engine` is None when
    nothing had to be run; `notes` are remarks for the user; `drawn` counts the draws and `encoded` the probes whose
    features were added to captures at hand (now or before an interruption).

    The captures are in the journal, all made under `recipe`. Where that differs from the recipe asked for (memory did
    not suffice for its batches), nothing of what the caller held was used: the journal has every probe.
    """

    recipe: Recipe
    captured: int
    resumed: int
    engine: EngineFacts | None
    notes: tuple[str, ...] = ()
    drawn: int = 0
    encoded: int = 0


@dataclass(frozen=True)
class EncodeRequest:
    """Features of a probe along `reference` and the greedy `answer` of the capture at hand, in the layout of the recipe
    or (`again`) in the other one."""

    probe: Probe
    reference: Reference
    answer: Generation
    again: bool = False


@dataclass(frozen=True)
class DrawRequest:
    """Draws number `first` up to `total` (exclusive) of a probe."""

    request: ProbeRequest
    first: int
    total: int

    @property
    def count(self) -> int:
        """How many draws."""
        return self.total - self.first


@dataclass(frozen=True)
class Work:
    """What a snapshot is to hold: a capture of each of `requests`, and a second one in another batch layout of each of
    `recaptures`. The ids in `held` and `held_again` are at hand under the recipe asked for and need not be run.

    `more` are draws that captures at hand lack, `encode` features that those in `held` and `held_again` lack. With
    `fixed` the recipe must not change, since the captures are to go together with others. A recapture runs along the
    reference that the journal's capture of the same probe froze, else along the request's.
    """

    requests: Sequence[ProbeRequest]
    recaptures: Sequence[ProbeRequest] = ()
    held: Collection[str] = ()
    held_again: Collection[str] = ()
    more: Sequence[DrawRequest] = ()
    encode: Sequence[EncodeRequest] = ()
    fixed: bool = False


def capture_all(
    open_engine: Callable[[], Engine], work: Work, journal: Journal, progress: Report, *, keep: bool = False
) -> CaptureRun:
    """Captures all of `work` that neither the caller nor `journal` has; the engine is opened only when needed, and
    closed at the end unless the caller wants to `keep` it. Where the journal has a dictionary, the engine encodes with
    it, and captures made without it get their features.

    Each batch is appended and synced before the next: Ctrl-C or a kill loses at most the batch being run, and a later
    call goes on from there. When a batch does not fit into memory the batch rows are halved and everything is captured
    anew under that recipe, which the journal remembers. Raises EngineError when the model cannot be loaded or fails.
    """
    run = _Run(open_engine, work, journal, progress)
    try:
        run.main()
        run.again()
        run.encode()
        run.more()
    finally:
        if not keep:
            run.close()
    notes = tuple(run.notes)
    return CaptureRun(journal.recipe, run.captured, run.resumed, journal.engine, notes, run.drawn, run.encoded)


class _Run:
    """The state of one `capture_all`."""

    def __init__(self, open_engine: Callable[[], Engine], work: Work, journal: Journal, progress: Report) -> None:
        self.work = work
        self.journal = journal
        self.report = progress
        self.notes: list[str] = []
        self.captured = 0
        self.resumed = 0
        self.drawn = 0
        self.encoded = 0
        self._open_engine = open_engine
        self._opened: Engine | None = None

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def main(self) -> None:
        """The captures in the layout of the recipe, with as many restarts as memory asks for."""
        kept = self._journaled()
        self.resumed = len(kept)
        if kept:
            self.notes.append(f"{len(kept)} probes were captured before an interruption")
        while not self._complete():
            self._shrink()

    def _journaled(self) -> list[ProbeRequest]:
        return [r for r in self._wanted() if self.journal.has(r)]

    def _wanted(self) -> list[ProbeRequest]:
        """The requests that the journal has to hold: all of them under a recipe that is not the caller's."""
        held = self.work.held if self._same_recipe() else ()
        return [r for r in self.work.requests if r.probe.id not in held]

    def _same_recipe(self) -> bool:
        return self.journal.recipe.digest == self.journal.wanted.digest

    def _complete(self) -> bool:
        """Runs what is missing; False when a batch did not fit into memory."""
        wanted = self._wanted()
        missing = [r for r in wanted if not self.journal.has(r)]
        return self._batches(missing, self.journal.recipe, "probes", len(wanted), again=False)

    def _shrink(self) -> None:
        """Halves the batch rows. What was captured with more rows is dropped: a snapshot has one recipe."""
        old = self.journal.recipe
        if self.work.fixed:
            raise _no_room(old)
        if old.batch_rows == 1:
            raise EngineError(
                "out of memory, even with one probe at a time",
                hint="try fewer --draws or --max-new-tokens, --dtype bfloat16, or another --device",
            )
        new = replace(old, batch_rows=old.batch_rows // 2)
        dropped = len(self.journal.done())
        self.journal.restart(new)
        self.captured = self.resumed = 0
        note = f"out of memory with batches of {old.batch_rows}: the recipe changed to batches of {new.batch_rows}"
        self._note(note + (f", and {dropped} probes are captured again" if dropped else ""))

    def _note(self, note: str) -> None:
        self.notes.append(note)
        self.report(Progress("probes", 0, len(self._wanted()), note))

    def again(self) -> None:
        """The captures in the other layout, for the noise floor; left out with a remark when they do not fit."""
        held = self.work.held_again if self._same_recipe() else ()
        wanted = [self._frozen(r) for r in self.work.recaptures if r.probe.id not in held]
        missing = [r for r in wanted if not self.journal.has(r, again=True)]
        layout = self.journal.recipe.other_layout()
        if not self._batches(missing, layout, "probes for the noise floor", len(wanted), again=True):
            self._note(
                f"out of memory with batches of {layout.batch_rows}: the noise floor was measured on fewer probes"
            )

    def encode(self) -> None:
        """The features that captures lack: those at hand, and those of the journal that were made without."""
        held = self.work.encode if self._same_recipe() else ()
        wanted = [] if self.journal.dictionary is None else [*held, *self._unencoded()]
        missing = [e for e in wanted if not self._has_features(e)]
        self.encoded = sum(not e.again for e in wanted) - sum(not e.again for e in missing)
        if not missing:
            return
        done, total = len(wanted) - len(missing), len(wanted)
        self.report(Progress("features", done, total))
        for again in (False, True):
            asked = [ProbeRequest(e.probe, e.reference, e.answer) for e in missing if e.again is again]
            recipe = self.journal.recipe.other_layout() if again else self.journal.recipe
            for batch in self._engine().plan(asked, recipe) if asked else ():
                self._keep_features(batch, again=again)
                done += len(batch.requests)
                self.report(Progress("features", done, total))

    def _unencoded(self) -> Iterator[EncodeRequest]:
        for again, requests in ((False, self.work.requests), (True, self.work.recaptures)):
            lacking = self.journal.unencoded(again=again)
            for request in requests:
                if request.probe.id in lacking:
                    reference, outputs = self.journal.texts(request.probe.id, again=again)
                    yield EncodeRequest(request.probe, reference, outputs.greedy, again)

    def _has_features(self, wanted: EncodeRequest) -> bool:
        return self.journal.has_features(wanted.probe.id, wanted.reference, again=wanted.again)

    def _keep_features(self, batch: Batch, *, again: bool) -> None:
        try:
            found = _encode(self._engine(), batch)
        except (EngineOutOfMemory, MemoryError) as error:
            raise _no_room(batch.recipe) from error
        try:
            for request, features in zip(batch.requests, found, strict=True):
                if request.reference is not None:
                    self.journal.append_features(request.probe.id, request.reference, features, again=again)
                self.encoded += not again
        finally:
            self.journal.sync()

    def more(self) -> None:
        """The draws that captures at hand lack, those of one span together."""
        kept = self.journal
        missing = [d for d in self.work.more if not kept.has_draws(d.request.probe.id, d.first, d.count)]
        total = sum(d.count for d in self.work.more)
        self.drawn = total - sum(d.count for d in missing)
        if missing:
            self.report(Progress("draws", self.drawn, total))
        for span in sorted({(d.first, d.total) for d in missing}):
            requests = [d.request for d in missing if (d.first, d.total) == span]
            for batch in self._engine().plan(requests, replace(kept.recipe, draws=span[1])):
                self._keep_draws(batch, span[0])
                self.report(Progress("draws", self.drawn, total))

    def _keep_draws(self, batch: Batch, first: int) -> None:
        try:
            draws = _draw(self._engine(), batch, first)
        except (EngineOutOfMemory, MemoryError) as error:
            raise _no_room(batch.recipe) from error
        try:
            for request, more in zip(batch.requests, draws, strict=True):
                self.journal.append_draws(request.probe.id, first, more)
                self.drawn += len(more)
        finally:
            self.journal.sync()

    def _frozen(self, request: ProbeRequest) -> ProbeRequest:
        try:
            return ProbeRequest(request.probe, self.journal.reference(request.probe.id))
        except KeyError:  # held by the caller, whose request says the reference
            return request

    def _batches(self, missing: Sequence[ProbeRequest], recipe: Recipe, what: str, total: int, *, again: bool) -> bool:
        """Runs `missing`, journaling batch by batch; False when one did not fit into memory."""
        if not missing:
            return True
        engine = self._engine()
        done = total - len(missing)
        self.report(Progress(what, done, total))
        for batch in engine.plan(missing, recipe):
            try:
                captures = _run(engine, batch)
            except (EngineOutOfMemory, MemoryError):
                return False
            self._keep(batch, captures, again=again)
            done += len(captures)
            self.report(Progress(what, done, total))
        return True

    def _keep(self, batch: Batch, captures: Sequence[ProbeCapture], *, again: bool) -> None:
        try:
            for request, capture in zip(batch.requests, captures, strict=True):
                self.journal.append(request, capture, again=again)
                self.captured += not again
        finally:
            self.journal.sync()

    def _engine(self) -> Engine:
        if self._opened is None:
            self.report(Progress("loading the model", 0, 1))
            self._opened = _open(self._open_engine)
            self.report(Progress("loading the model", 1, 1))
        if self.journal.engine is None:
            self.journal.keep_engine(_facts(self._opened))
        return self._opened


def _facts(engine: Engine) -> EngineFacts:
    from bvc.evidence import pack_texts

    table = engine.bucket_table()
    texts = None if table is None else pack_texts(engine.token_texts(range(len(table))))
    return EngineFacts(engine.capability, table, texts)


def _open(open_engine: Callable[[], Engine]) -> Engine:
    try:
        return open_engine()
    except ImportError as error:
        missing = f"{error.name} is not installed" if error.name else str(error)
        raise EngineError(f"capturing needs the model stack: {missing}", hint=HF_HINT) from error


def _run(engine: Engine, batch: Batch) -> list[ProbeCapture]:
    captures = engine.run(batch)
    if [c.probe_id for c in captures] != [r.probe.id for r in batch.requests]:
        raise EngineError("the engine answered other probes than it was asked")
    return captures


def _draw(engine: Engine, batch: Batch, first: int) -> list[tuple[Generation, ...]]:
    """The draws from `first` on, by an engine that can make them alone or from whole captures."""
    if isinstance(engine, DrawingEngine):
        draws = engine.draw(batch, first)
    else:
        draws = [capture.outputs.draws[first:] for capture in _run(engine, batch)]
    if any(len(more) != batch.recipe.draws - first for more in draws):
        raise EngineError("the engine gave another number of draws than it was asked for")
    return draws


def _encode(engine: Engine, batch: Batch) -> list[Features]:
    """The features, by an engine that can read them alone or from whole captures."""
    if isinstance(engine, EncodingEngine):
        return engine.encode(batch)
    return [_features(capture) for capture in _run(engine, batch)]


def _features(capture: ProbeCapture) -> Features:
    from bvc.evidence import Features

    along, answer = capture.evidence.feature, capture.evidence.answer_feature
    if along is None or answer is None:
        raise EngineError("the engine gave no features although it was given a dictionary")
    return Features(along, answer)


def _no_room(recipe: Recipe) -> EngineError:
    return EngineError(
        f"out of memory with batches of {recipe.batch_rows}, in which the captures at hand were made",
        hint="free some memory and run it again: what was captured so far is kept",
    )
