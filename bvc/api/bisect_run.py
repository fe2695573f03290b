"""Runs of a bisect: models that are asked until there is a conclusion, or a command that judges each commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bvc.api.bisect_live import Wanted, wanted_answers
from bvc.api.bisect_log import ANSWER, ASK, NEW, OLD, PICK, RUN, SKIP, Entry, Ranges
from bvc.api.bisect_search import Situation
from bvc.api.bisect_session import Session
from bvc.api.bisect_state import State
from bvc.api.checkpoints import find_checkpoint
from bvc.bisection import Ask, BisectResult, BisectStatus
from bvc.errors import BadInput, BvcError, EngineError, NotComparable, UsageError
from bvc.ids import short
from bvc.results import Progress

MOST_VISITS = 10_000
"""Visits of one run; beyond, something is wrong with the judge."""
SKIP_CODE = 125
ABORT_CODES = 128
"""Exit codes from here on (and signals) end the bisect."""
NOT_RUN = (126, 127)
"""What a shell says of a command that cannot be run or found."""

Execute = Callable[[str, str], int]
"""A commit (full id) and its checkpoint's place (empty without one) to the command's exit code, below 0 for one that a
signal ended."""


# Captures judge


def prepare(session: Session) -> State:
    """With what was interrupted settled, and the probes of `--like-bad` chosen."""
    session.settle()
    state = session.state()
    if not session.lacks_picks(state) or state.lineage is None:
        return state
    search = session.search(state)
    for end in (state.lineage.bad, state.lineage.good[0]):
        if not search.captured(end):
            _capture(session, Wanted(end, (), 0, 1))
    return pick(session)


def pick(session: Session) -> State:
    """Chooses the probes of `--like-bad`, where both ends are captured."""
    from bvc.api.bisect_like import pick_probes

    state = session.state()
    found = state.lineage
    if not session.lacks_picks(state) or found is None:
        return state
    if not all(session.search(state).captured(end) for end in (found.bad, found.good[0])):
        return state
    session.visitor.report(Progress("comparing the ends", 0, 1))
    picked = pick_probes(session.repository, found.good[0], found.bad, state.settings.probes)
    session.append(Entry(PICK, picked.probes), [picked.note] if picked.note else ())
    return session.state()


def run(session: Session, most: int = MOST_VISITS) -> BisectResult:
    """Asks models until there is a conclusion, at most `most` times. Raises UsageError where nothing says how captures
    are judged."""
    state = session.state()
    if not state.settings.judged:
        raise UsageError(
            "nothing says how to judge a commit",
            hint="give `bvc bisect run -- CMD…`, or start with --behavior, --expr or --like-bad",
        )
    session.search(state)
    state = prepare(session)
    for number in range(most):
        found = session.situation(state)
        if not isinstance(found.step, Ask):
            break
        _visit(session, found, number)
        state = session.state()
    return session.result(state)


def _visit(session: Session, found: Situation, number: int) -> None:
    """Asks the model of the commit that waits."""
    state, step = session.state(), found.step
    assert isinstance(step, Ask)  # noqa: S101 - narrows for the type checker
    search, commit = session.search(state), found.lineage.commits[step.node]
    if search.judge is None or state.settings.stored:
        raise NotComparable(f"commit {short(commit)} has no captures that could be judged")
    subject = session.repository.store.history.info(commit).subject
    told = f"asking {short(commit)} {subject} ({step.why}{search.doubt(found)})"
    session.visitor.report(Progress("visits", number, number + 1, told))
    probes = search.judge.probes()
    if search.by_features is not None:
        _capture(session, Wanted(commit, tuple(probes), 0, 1, features=True))
    else:
        _capture(session, wanted_answers(commit, search.shown(commit), probes, step.draws))


def _capture(session: Session, wanted: Wanted) -> None:
    """One visit, noted before and after: what was captured is never asked again, whenever the process ends."""
    asked = Ranges(wanted.commit, wanted.first, wanted.end)
    if session.state().unfinished != asked:
        session.append(Entry(ASK, (wanted.commit, asked.argument)))
    try:
        seconds = session.visitor.visit(wanted)
    except (BadInput, EngineError, NotComparable) as error:
        hint = f"`bvc bisect skip {short(wanted.commit)}` goes on without this commit"
        error.hint = hint if error.hint is None else f"{error.hint}; {hint}"
        if wanted.features and isinstance(error, NotComparable):
            said = f"commit {short(wanted.commit)} cannot be judged: {error.message}"
            raise NotComparable(said, hint=error.hint) from error
        raise
    session.note_visit(wanted.commit, wanted.first, load=seconds.load, draw=seconds.draw)


# A command judges


@dataclass
class _Command:
    """A command at work; `first` until it has been run once."""

    session: Session
    words: Sequence[str]
    execute: Execute
    noisy: bool
    first: bool = True

    def judge(self, commit: str) -> BisectResult | None:
        """Runs the command on a commit and notes what it said; the result where that ends the bisect."""
        code = self._run(commit)
        if self.first and code in NOT_RUN:
            self._check_known_good(code)
        self.first = False
        if code < 0 or code >= ABORT_CODES:
            return self._aborted(commit, code)
        options: dict[str, tuple[str, ...]] = {"exit": (str(code),)} | ({"noisy": ()} if self.noisy else {})
        if code == SKIP_CODE:
            self.session.add(Entry(SKIP, (commit,)))
        else:
            self.session.add(Entry(ANSWER, (commit, OLD if code == 0 else NEW), options))
        return None

    def _run(self, commit: str) -> int:
        return self.execute(commit, _place(self.session, commit))

    def _check_known_good(self, code: int) -> None:
        """A command that cannot be run says so of every commit; a known old one tells that from a real answer."""
        state = self.session.state()
        if state.lineage is None or not state.exact:
            good = None if state.lineage is None else state.lineage.good[0]
        else:
            good = next((c for c in state.lineage.good if c not in state.lineage.bases), None)
        if good is not None and self._run(good) == code:
            word = state.settings.terms[0]
            raise UsageError(
                f"the command exits with {code} on the {word} commit {short(good)} too: it seems that it cannot be run",
                hint="check the command's name and permissions",
            )

    def _aborted(self, commit: str, code: int) -> BisectResult:
        how = f"was ended by signal {-code}" if code < 0 else f"exited with {code}"
        reason = f"the command {how} at {short(commit)}; the same `bvc bisect run` goes on"
        found = self.session.result(self.session.state())
        conclusion = replace(found.conclusion, status=BisectStatus.ABORTED, reason=reason)
        return replace(found, status=BisectStatus.ABORTED, conclusion=conclusion)


def run_command(session: Session, words: Sequence[str], execute: Execute, noisy: bool) -> BisectResult:
    """Has a command judge commits until there is a conclusion. Raises UsageError where captures judge, or for a command
    that cannot be run."""
    state = session.state()
    if state.settings.judged:
        raise UsageError("captures judge this bisect: a command cannot too", hint="`bvc bisect run` runs it")
    if list(state.history.of(ANSWER)) and noisy is not state.noisy:
        raise UsageError("earlier answers were taken the other way: give --noisy in every run or in none")
    session.search(state)
    session.append(Entry(RUN, tuple(words), {"noisy": ()} if noisy else {}))
    command = _Command(session, words, execute, noisy, first=not list(state.history.of(ANSWER)))
    for number in range(MOST_VISITS):
        found = session.situation(session.state())
        if not isinstance(found.step, Ask):
            break
        commit = found.lineage.commits[found.step.node]
        session.visitor.report(Progress("commits judged", number, number + 1, _told(session, commit, found.step)))
        for _ in range(found.step.draws if noisy else 1):
            ended = command.judge(commit)
            if ended is not None:
                return ended
            if commit in session.state().skipped:
                break
    return session.result(session.state())


def _told(session: Session, commit: str, step: Ask) -> str:
    subject = session.repository.store.history.info(commit).subject
    return f"testing {short(commit)} {subject} ({step.why})"


def _place(session: Session, commit: str) -> str:
    """Where a commit's checkpoint is, verified; empty where there is none, or not any more. Raises BadInput for one
    that became another."""
    info = session.repository.store.history.info(commit)
    place = next(iter(info.trailers.get("Bvc-Location", ())), "")
    if not place or not session.visitor.can_run(info):
        return ""
    try:
        find_checkpoint(session.repository, commit, None, "--checkpoint PATH", session.means.how)
    except BvcError as error:
        raise BadInput(error.message, hint=f"`bvc bisect skip {short(commit)}` goes on without this commit") from error
    return place
