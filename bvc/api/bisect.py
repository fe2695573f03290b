"""bisect: where in the lineage did a behavior begin? A method per verb; the state is the log on disk.

Importing this loads neither numpy nor torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bvc.api.bisect_log import (
    ANSWER,
    ASK,
    NEW,
    OLD,
    SKIP,
    START,
    UNDO,
    UNDOABLE,
    VISIT,
    Entry,
    log_text,
    no_bisect,
    parse_log,
)
from bvc.api.bisect_run import Execute, pick, run, run_command
from bvc.api.bisect_session import Means, Session
from bvc.api.bisect_settings import BisectSettings
from bvc.api.bisect_state import State, check_mark
from bvc.bisection import BisectResult
from bvc.errors import BadInput, BvcError, UsageError
from bvc.repository.repository import Repository
from bvc.repository.revisions import resolve, select


class Bisection:
    """The bisect of a project. Every method raises subclasses of BvcError, Locked where another process is at work on
    it; those that return a result return where the bisect stands then."""

    def __init__(self, repository: Repository, means: Means | None = None) -> None:
        self._repository = repository
        self._session = Session(repository, means or Means())

    # What there is

    def in_progress(self) -> bool:
        """Whether a bisect was started and not reset."""
        return bool(self._session.file.text())

    def terms(self) -> tuple[str, str]:
        """The words for old and new. Raises BvcError without a bisect."""
        return self._session.state().settings.terms

    def log(self) -> str:
        """The log, which `replay` takes. Raises BvcError without a bisect."""
        text = self._session.file.text()
        if not text:
            raise no_bisect()
        return text

    def view(self, *, changed: bool = True) -> BisectResult:
        """Where the bisect stands; nothing is asked or changed. Without `changed` what the culprit changed is left out,
        which takes longer than all else."""
        return self._session.result(self._session.state(), changed=changed)

    # Marks

    def start(self, bad: str | None, goods: Sequence[str], settings: BisectSettings | None = None) -> BisectResult:
        """Begins a bisect between revisions `goods` and `bad`, each of which may be marked later. One that came to its
        end makes way; one that did not is an error. No model is run."""
        with self._session.file.lock():
            entry = self._start_entry(bad, goods, settings or BisectSettings())
            self._session.refuse_to_lose()
            self._session.create(entry)
            return self._session.result(pick(self._session))

    def mark(self, new: bool, revisions: Sequence[str] = ()) -> BisectResult:
        """Says of commits (default: the one that waits to be tested) that they are new, or old. Raises UsageError for a
        mark that contradicts what is known."""
        with self._session.file.lock():
            self._session.state()
            commits = [resolve(self._repository, text) for text in revisions] or [self._session.current()]
            for commit in commits:
                check_mark(self._session.state(), commit, new)
                self._session.add(Entry(NEW if new else OLD, (commit,)))
            return self._session.result(pick(self._session))

    def skip(self, revisions: Sequence[str] = ()) -> BisectResult:
        """Says of commits, or of all in ranges `A..B`, that they cannot be tested."""
        with self._session.file.lock():
            self._session.state()
            found = [commit for text in revisions for commit in self._range(text)] or [self._session.current()]
            self._session.add(Entry(SKIP, tuple(dict.fromkeys(found))))
            return self._session.result(self._session.state())

    def undo(self) -> tuple[str, BisectResult]:
        """Takes back the last mark, answer or visit; returns its line too. Raises UsageError where there is none."""
        with self._session.file.lock():
            state = self._session.state()
            last = next((e for e in reversed(state.history.entries) if e.verb in UNDOABLE), None)
            if last is None:
                raise UsageError("there is nothing to undo", hint="`bvc bisect reset` ends the bisect")
            line = last.text(state.settings.terms)
            self._session.append(Entry(UNDO), [f"takes back: {line}"])
            return line, self._session.result(self._session.state())

    def reset(self) -> Path | None:
        """Ends the bisect; where its log is kept, None where there was no bisect."""
        with self._session.file.lock():
            return self._session.file.last if self._session.file.remove() else None

    def replay(self, path: Path) -> BisectResult:
        """Begins a bisect with what a log says, in place of any other; no model and no command is run. Raises BadInput
        naming the line of what cannot be."""
        try:
            text = path.read_bytes().decode("utf-8", "replace")
        except OSError as error:
            raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error
        with self._session.file.lock():
            known = self._checked(parse_log(text, str(path)), str(path))
            terms = BisectSettings.of(known[0]).terms
            told = partial(self._session.told, terms=terms)
            self._session.file.create(log_text(known, terms, told))
            return self._session.result(pick(self._session))

    # Running

    def next(self) -> BisectResult:
        """One visit where captures judge: the checkpoint is loaded and asked, and what it says attached. Where a person
        or a command judges, only says which commit is to be tested."""
        with self._session.file.lock():
            state = self._session.state()
            return run(self._session, 1) if state.settings.judged else self._session.result(state)

    def run(self) -> BisectResult:
        """Visits until there is a conclusion; after an error the same call goes on."""
        with self._session.file.lock():
            return run(self._session)

    def run_between(self, bad: str, goods: Sequence[str], settings: BisectSettings) -> BisectResult:
        """`start` and `run`; goes on with a bisect that was started so and interrupted."""
        with self._session.file.lock():
            self._begin_or_go_on(bad, goods, settings)
            return run(self._session)

    def run_command(self, command: Sequence[str], execute: Execute, *, noisy: bool = False) -> BisectResult:
        """Has a command judge until there is a conclusion; `execute` runs it (see `bvc.api.bisect_run.Execute`)."""
        with self._session.file.lock():
            return run_command(self._session, command, execute, noisy)

    def run_command_between(
        self,
        bad: str,
        goods: Sequence[str],
        settings: BisectSettings,
        command: Sequence[str],
        execute: Execute,
        *,
        noisy: bool = False,
    ) -> BisectResult:
        """`start` and `run_command`; goes on with a bisect that was started so and interrupted."""
        with self._session.file.lock():
            self._begin_or_go_on(bad, goods, settings)
            return run_command(self._session, command, execute, noisy)

    # Inside

    def _start_entry(self, bad: str | None, goods: Sequence[str], settings: BisectSettings) -> Entry:
        new = None if bad is None else resolve(self._repository, bad)
        return settings.check().entry(new, [resolve(self._repository, good) for good in goods])

    def _begin_or_go_on(self, bad: str, goods: Sequence[str], settings: BisectSettings) -> None:
        entry = self._start_entry(bad, goods, settings)
        if self.in_progress():
            state = self._session.state()
            first = next(state.history.of(START))
            if first.text(settings.terms) == entry.text(settings.terms) and not self._session.finished(state):
                return
            self._session.refuse_to_lose()
        self._session.create(entry)

    def _range(self, text: str) -> Iterable[str]:
        if ".." not in text:
            return [resolve(self._repository, text)]
        found = list(select(self._repository, [text]).walk(self._repository.store.history.node))
        if not found:
            raise UsageError(f"{text} holds no commit")
        return found

    def _checked(self, entries: Sequence[Entry], file: str) -> list[Entry]:
        """The entries with full ids; each is tried on those before it."""
        known: list[Entry] = []
        for entry in entries:
            try:
                found = self._with_ids(entry)
                self._try(known, found)
            except BvcError as error:
                raise BadInput(error.message, file=file, line=entry.line, hint=error.hint) from error
            known.append(found)
        return known

    def _with_ids(self, entry: Entry) -> Entry:
        if entry.verb in (START, OLD, NEW, SKIP):
            return replace(entry, args=tuple(resolve(self._repository, text) for text in entry.args))
        if entry.verb in (ANSWER, ASK, VISIT):
            return replace(entry, args=(resolve(self._repository, entry.args[0]), *entry.args[1:]))
        return entry

    def _try(self, known: Sequence[Entry], entry: Entry) -> None:
        """Raises for an entry that contradicts those before it."""
        if entry.verb in (OLD, NEW):
            before = State.of(self._repository, known)
            for commit in entry.args:
                check_mark(before, commit, entry.verb == NEW)
        state = State.of(self._repository, [*known, entry])
        if state.lineage is not None and state.exact and entry.verb in (START, OLD, NEW, ANSWER):
            self._session.situation(state)
