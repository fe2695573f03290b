"""behavior ls, test, add; behaviors in log and diff: scored from stored answers, without any model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any

from bvc.api.behavior_records import (
    AddedBehavior,
    BehaviorList,
    BehaviorRow,
    BehaviorTest,
    ScoredAnswer,
    ScoredProbe,
)
from bvc.api.behavior_scores import Scorekeeper, summary
from bvc.api.latent_scores import behaviors_path, check_latents
from bvc.behaviors.parse import parse_behaviors
from bvc.behaviors.records import Behavior, Tools
from bvc.errors import BadInput, DamagedObject, NotComparable, UsageError
from bvc.records import BehaviorRate, CommitInfo, LogEntry, Probe
from bvc.repository.repository import BEHAVIORS_FILE, Repository
from bvc.repository.revisions import resolve
from bvc.repository.snapshot_view import SnapshotView
from bvc.wording import nearest, printable, some_of

_MANY = 64
"""Commits of a log from which on a behavior that is new to the history is scored along its changes."""
_HISTORY = 10
"""Commits whose rates `add` shows."""


def load_behaviors(repository: Repository) -> tuple[Behavior, ...]:
    """The behaviors of the project's `behaviors.toml`; none where there is no such file. Raises BadInput."""
    path = behaviors_path(repository)
    try:
        return parse_behaviors(path.read_bytes(), str(path))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error


def find_behavior(repository: Repository, name: str) -> Behavior:
    """The behavior called `name`. Raises UsageError with the names there are."""
    known = {behavior.name: behavior for behavior in load_behaviors(repository)}
    if name in known:
        return known[name]
    close = nearest(name, known)
    there = f"behaviors are: {some_of(list(known), 12)}" if known else f"{BEHAVIORS_FILE} defines none"
    raise UsageError(f"no behavior named {printable(name)}", hint=f"did you mean '{close}'?" if close else there)


def scorable_behavior(repository: Repository, name: str) -> Behavior:
    """The behavior called `name`. Raises as `find_behavior` does, and BadInput for one that asks for a dictionary or a
    latent that is not there."""
    behavior = find_behavior(repository, name)
    check_latents(repository, behavior, behaviors_path(repository))
    return behavior


def behavior_rates(repository: Repository, revision: str = "HEAD", *, tools: Tools | None = None) -> BehaviorList:
    """Every behavior of the project with its rate at a commit. A commit without captures has rates of 0 probes."""
    behaviors = load_behaviors(repository)
    if revision == "HEAD" and repository.store.refs.head().commit is None:
        return BehaviorList(None, tuple(BehaviorRow(b, summary(b, ())[0], 0) for b in behaviors))
    view = repository.snapshot(resolve(repository, revision))
    keeper = Scorekeeper(repository, tools or Tools())
    rows = tuple(_behavior_row(keeper, view, behavior) for behavior in behaviors)
    keeper.flush()
    return BehaviorList(view.info, rows)


def _behavior_row(keeper: Scorekeeper, view: SnapshotView, behavior: Behavior) -> BehaviorRow:
    """The rate of a behavior; why there is none where features lack, as their arrays do in a clone."""
    try:
        return BehaviorRow(behavior, *keeper.rate(view, behavior), keeper.latents.why_not(view, behavior))
    except DamagedObject as error:
        if not behavior.latents:
            raise
        return BehaviorRow(behavior, summary(behavior, ())[0], len(view.output_blobs), error.message)


def behavior_test(
    repository: Repository, name: str, revision: str = "HEAD", *, tools: Tools | None = None
) -> BehaviorTest:
    """What a behavior scores at a commit, answer by answer, and why. Raises NotComparable without captures."""
    behavior = scorable_behavior(repository, name)
    view = repository.snapshot(resolve(repository, revision))
    if view.snapshot.capability is None:
        raise NotComparable(f"commit {view.info.id[:10]} was registered without capture", hint="it has no answers")
    keeper = Scorekeeper(repository, tools or Tools())
    scored = keeper.scores(view, behavior)
    keeper.flush()
    probes = tuple(
        ScoredProbe(row.probe, row.suite, _answers(view, behavior, probe, row.probe, keeper), row.mean)
        for probe, row in scored.items()
    )
    rate, _ = summary(behavior, scored.values())
    return BehaviorTest(view.info, behavior, rate, probes, len(view.output_blobs) - len(scored))


def _answers(
    view: SnapshotView, behavior: Behavior, probe: str, record: Probe, keeper: Scorekeeper
) -> tuple[ScoredAnswer, ...]:
    outputs = view.outputs(probe)
    answers = ((None, outputs.greedy), *enumerate(outputs.draws))
    scores = keeper.answers(view, behavior, record, outputs)
    return tuple(ScoredAnswer(answer.text, one, draw) for (draw, answer), one in zip(answers, scores, strict=True))


def with_rates(
    repository: Repository, entries: Iterable[LogEntry], name: str, *, tools: Tools | None = None
) -> Iterator[LogEntry]:
    """The entries of a log, each with the rate of the behavior `name`; None at commits without a scored answer."""
    behavior = scorable_behavior(repository, name)
    return _with_rates(repository, entries, behavior, Scorekeeper(repository, tools or Tools()))


def _with_rates(
    repository: Repository, entries: Iterable[LogEntry], behavior: Behavior, keeper: Scorekeeper
) -> Iterator[LogEntry]:
    coming = iter(entries)
    try:
        first = True
        while batch := list(islice(coming, _MANY)):
            commits = [entry.commit for entry in batch]
            for entry, rate in zip(batch, _rates(repository, keeper, commits, behavior, first=first), strict=True):
                yield replace(entry, behavior=rate if rate.n else None)
            first = False
    finally:
        keeper.flush()


def _rates(
    repository: Repository, keeper: Scorekeeper, commits: Sequence[CommitInfo], behavior: Behavior, *, first: bool
) -> Iterator[BehaviorRate]:
    """The rates of some commits of a log, its `first` ones or later ones, as they are known or found."""
    attached = repository.attached
    trees = [attached.tree_of(commit) or commit.tree for commit in commits]
    known = keeper.known_rates(trees, behavior)
    many = first and len(commits) == _MANY and 2 * known.count(None) >= _MANY
    if many and keeper.remembers(behavior) and keeper.follows_answers(behavior):
        _score_all(repository, commits[0], behavior, keeper)
        known = keeper.known_rates(trees, behavior)
    for commit, found in zip(commits, known, strict=True):
        yield _rate(repository, keeper, commit, behavior) if found is None else found[0]


def _score_all(repository: Repository, head: CommitInfo, behavior: Behavior, keeper: Scorekeeper) -> None:
    """Scores all that `head` reaches from change to change, several times as fast as commit by commit."""
    from bvc.api.blame_lineage import recorded_lineage
    from bvc.api.score_history import score_rows

    keeper.passing = False
    with suppress(NotComparable):
        for view, row in score_rows(recorded_lineage(repository, head.id), keeper, behavior):
            keeper.summed(view, behavior, row.values())
    keeper.flush()


def _rate(repository: Repository, keeper: Scorekeeper, commit: CommitInfo, behavior: Behavior) -> BehaviorRate:
    if commit.snapshot is None:
        return summary(behavior, ())[0]
    return keeper.rate(repository.view(commit), behavior)[0]


def behavior_add(
    repository: Repository, name: str, scorer: Mapping[str, Any], *, tools: Tools | None = None
) -> AddedBehavior:
    """Writes a behavior to `behaviors.toml`, comments kept, and scores the last commits with it.

    `scorer` holds the keys of its table. Raises UsageError for a name that is taken, a table that is not valid and a
    latent that is not there; then nothing is changed.
    """
    from bvc.behaviors.edit import append_behavior

    append_behavior(behaviors_path(repository), name, scorer, lambda added: check_latents(repository, added))
    behavior = find_behavior(repository, name)
    head = repository.store.refs.head().commit
    infos = [] if head is None else _last(repository.store.history.walk([head]))
    keeper = Scorekeeper(repository, tools or Tools())
    history = tuple((info, _rate(repository, keeper, info, behavior)) for info in infos)
    keeper.flush()
    return AddedBehavior(behavior, history)


def _last(infos: Iterable[CommitInfo]) -> list[CommitInfo]:
    return [info for info, _ in zip(infos, range(_HISTORY), strict=False)]
