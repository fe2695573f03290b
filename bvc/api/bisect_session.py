"""One process at work on a bisect: its log, what is known of the commits, and the results that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from bvc.api.bisect_evidence import complete
from bvc.api.bisect_live import Visitor
from bvc.api.bisect_log import ANSWER, NEW, OLD, SKIP, START, VISIT, BisectFile, Entry, Ranges, log_text
from bvc.api.bisect_report import report, waiting
from bvc.api.bisect_search import Search, Situation
from bvc.api.bisect_state import State
from bvc.api.checkpoints import PairOptions
from bvc.behaviors.records import Tools
from bvc.bisection import Ask, BisectResult, Conclusion
from bvc.errors import BvcError, UsageError
from bvc.ids import short
from bvc.repository.repository import Repository

_NAMED = 20
"""Commits of one line of the log whose subjects are told."""


def _no_tools(_allow_python: bool) -> Tools:
    return Tools()


@dataclass(frozen=True)
class Means:
    """With what a bisect works: who attaches captures, how checkpoints are loaded, and what scorers may use where
    Python of the project is allowed, or not."""

    author: str = "unknown <unknown@localhost>"
    how: PairOptions = field(default_factory=PairOptions)
    tools: Callable[[bool], Tools] = _no_tools


class Session:
    """The bisect of a project, as one process sees it."""

    def __init__(self, repository: Repository, means: Means) -> None:
        self.repository = repository
        self.means = means
        self.file = BisectFile(repository.store.root)
        self.visitor = Visitor(repository, means.author, means.how)
        self._search: Search | None = None

    def state(self) -> State:
        """The bisect in progress. Raises BvcError without one."""
        return State.read(self.repository)

    def search(self, state: State) -> Search:
        """What is known of the commits; kept from call to call as long as it is about the same ones. Raises UsageError
        while an end is missing."""
        if state.lineage is None:
            word = state.waits_for
            raise UsageError(f"no {word} commit is known yet", hint=f"`bvc bisect {word} REV` marks one")
        old = self._search
        if old is not None and _subject(old.state) == _subject(state):
            old.state = state
            return old
        tools = self.means.tools(state.settings.allow_python)
        self._search = Search(state, state.lineage, self.visitor, tools)
        return self._search

    def situation(self, state: State) -> Situation:
        """Where the bisect stands."""
        return self.search(state).situation()

    def finished(self, state: State) -> bool:
        """Whether there is a conclusion. Not where none can be worked out, as of a behavior that is gone."""
        try:
            return not (state.lineage is None or self.lacks_picks(state)) and isinstance(
                self.situation(state).step, Conclusion
            )
        except BvcError:
            return False

    def lacks_picks(self, state: State) -> bool:
        """Whether the probes of `--like-bad` are still to be chosen, for which both ends have to be captured."""
        return state.settings.like_bad and not state.picks

    def result(self, state: State, *, changed: bool = True) -> BisectResult:
        """Where the bisect stands, for people and programs; with `changed` also what the culprit changed."""
        if state.lineage is None or self.lacks_picks(state):
            return waiting(state)
        return report(state, self.situation(state), tuple(dict.fromkeys(self.visitor.notes)), explained=changed)

    def current(self) -> str:
        """The commit that waits to be tested. Raises UsageError where there is none."""
        state = self.state()
        step = None if state.lineage is None or self.lacks_picks(state) else self.situation(state).step
        if state.lineage is None or not isinstance(step, Ask):
            raise UsageError("no commit waits to be tested: name one", hint="`bvc bisect view` shows where this stands")
        return state.lineage.commits[step.node]

    # Writing

    def create(self, entry: Entry) -> None:
        """Begins a bisect with its first line. Raises UsageError for ends between which there is nothing, or a judge
        that cannot be."""
        state = State.of(self.repository, [entry])
        if state.lineage is not None:
            self.search(state).check()
        terms = state.settings.terms
        self.file.create(log_text([entry], terms, lambda one: self.told(one, terms)))

    def refuse_to_lose(self) -> None:
        """A bisect that did not come to its end is not thrown away by beginning another."""
        if not self.file.text():
            return
        state = self.state()
        if any(True for _ in state.history.of(OLD, NEW, SKIP, ANSWER, VISIT)) and not self.finished(state):
            hint = "`bvc bisect view` shows it, `bvc bisect reset` ends it (its log is kept)"
            raise BvcError("a bisect is in progress", hint=hint)

    def add(self, entry: Entry) -> None:
        """Appends an entry once it is known that it contradicts nothing. Raises UsageError."""
        state = self.state()
        following = replace(state, history=replace(state.history, entries=(*state.history.entries, entry)))
        if following.lineage is not None and following.exact:
            self.situation(following)
        self.append(entry, self.told(entry, state.settings.terms))

    def append(self, entry: Entry, comments: Iterable[str] = ()) -> None:
        """Appends an entry below comments."""
        self.file.append(entry.text(self.state().settings.terms), list(comments))

    def told(self, entry: Entry, terms: tuple[str, str]) -> list[str]:
        """What the log says above an entry: the commits' subjects."""
        if entry.verb not in (START, OLD, NEW, SKIP):
            return []
        words = dict(zip((OLD, NEW), terms, strict=True))
        infos = [self.repository.store.history.info(commit) for commit in entry.args[:_NAMED]]
        kinds = [NEW, *[OLD] * _NAMED] if entry.verb == START else [entry.verb] * _NAMED
        rows = zip(kinds, infos, strict=False)
        return [f"{words.get(kind, kind)}: [{short(info.id)}] {info.subject}" for kind, info in rows]

    def note_visit(self, commit: str, first: int, **seconds: float | None) -> None:
        """Appends that a commit's model was asked, and what its captures show now."""
        search = self.search(self.state())
        search.forget(commit)
        shown = None if self.lacks_picks(search.state) else search.shown(commit)
        end = max(first + 1, complete(shown)) if shown is not None and shown.counts else first + 1
        options = {name: (f"{value:.4g}",) for name, value in seconds.items() if value is not None}
        entry = Entry(VISIT, (commit, Ranges(commit, first, end).argument), options)
        subject = self.repository.store.history.info(commit).subject
        told = "" if shown is None or not shown.counts else f": {shown.total:g} of {shown.answers} answers so far"
        self.append(entry, [f"asked: [{short(commit)}] {subject}{told}"])

    def settle(self) -> None:
        """Takes note of a visit whose captures were attached just before the process was killed."""
        state = self.state()
        open_ = state.unfinished
        if open_ is None or state.lineage is None:
            return
        search = self.search(state)
        if not search.captured(open_.commit):
            return
        shown = None if self.lacks_picks(state) else search.shown(open_.commit)
        first = open_.first == 0 if search.by_features is None else shown is not None
        if first or (shown is not None and complete(shown) > open_.first):
            self.note_visit(open_.commit, open_.first)


def _subject(state: State) -> object:
    """What the evidence is about: where this is the same, what was read of the commits holds."""
    return state.lineage, state.settings, state.picks
