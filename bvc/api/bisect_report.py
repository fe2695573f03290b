"""A bisect's result: where it stands, in terms of commits, and what its culprit changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bvc.api.bisect_behavior import behavior_of
from bvc.api.bisect_search import Situation
from bvc.api.bisect_state import State
from bvc.bisection import Ask, BisectResult, BisectStatus, Candidate, Conclusion, Visit
from bvc.errors import BvcError
from bvc.ids import short
from bvc.records import CommitInfo
from bvc.repository.repository import Repository
from bvc.results import DiffResult, PhraseDiff, Verdict

_CHANGED = 5
_PHRASES = 3
_FREE = ("stored", "mark")


def waiting(state: State) -> BisectResult:
    """The result while an end is missing, or the ends of `--like-bad` are not captured."""
    if state.waits_for is not None:
        note = f"waiting for a {state.waits_for} commit: `bvc bisect {state.waits_for} REV`"
    else:
        note = "both ends have to be captured first: `bvc bisect run` does that, and goes on"
    conclusion = Conclusion(BisectStatus.RUNNING, reason=note)
    return BisectResult(
        status=BisectStatus.RUNNING,
        question=_question(state),
        terms=state.settings.terms,
        first_bad=None,
        candidates=(),
        confidence=0.0,
        conclusion=conclusion,
        observations=(),
        lineage=(),
        loads=0,
        draws=0,
        notes=(note,),
        settings=_settings(state),
    )


def report(state: State, found: Situation, notes: Sequence[str] = (), *, explained: bool = True) -> BisectResult:
    """The result of a situation, `explained` by what the culprit changed."""
    conclusion, repository = found.conclude(), state.repository
    attached = repository.attached
    infos = [attached.merged(repository.info(commit)) for commit in found.lineage.commits]
    culprit = None if conclusion.culprit is None else infos[conclusion.culprit]
    step = found.step
    return BisectResult(
        status=conclusion.status,
        question=_question(state),
        terms=state.settings.terms,
        first_bad=culprit,
        candidates=tuple(Candidate(infos[node], share) for node, share in conclusion.candidates),
        confidence=conclusion.confidence,
        conclusion=conclusion,
        observations=tuple(_visits(found, infos)),
        lineage=tuple(_lineage(conclusion, infos)),
        loads=sum(one.load for one in found.observations),
        draws=sum(one.draws for one in found.observations if one.source not in _FREE),
        steps=tuple(_steps(conclusion, infos)),
        next=(infos[step.node], step.draws) if isinstance(step, Ask) else None,
        notes=(*_beside(state, found), *notes),
        changed=changed(repository, culprit) if explained and culprit is not None else (),
        settings=_settings(state),
    )


def _question(state: State) -> str:
    """What is looked for, with the description of the behavior."""
    settings = state.settings
    if settings.behavior is None:
        return state.question
    try:
        told = behavior_of(state.repository, settings).description
    except BvcError:  # taken out of behaviors.toml since: the rest of the state can still be looked at
        told = ""
    return f"{state.question} ({told})" if told else state.question


def _info(repository: Repository, commit: str) -> CommitInfo:
    return repository.attached.merged(repository.store.history.info(commit))


def _visits(found: Situation, infos: Sequence[CommitInfo]) -> Iterator[Visit]:
    for one in found.observations:
        mean = sum(one.values) / len(one.values) if one.values else None
        yield Visit(infos[one.node], one.draws, one.hits, mean, one.source)


def _lineage(conclusion: Conclusion, infos: Sequence[CommitInfo]) -> Iterator[Candidate]:
    """Every commit with its probability; with none where no single commit is looked for any more."""
    shares = dict(enumerate(conclusion.posterior))
    if conclusion.status is BisectStatus.RANGE:
        shares = dict(conclusion.candidates)
    elif conclusion.status in (BisectStatus.INTERMITTENT, BisectStatus.NOT_REPRODUCIBLE):
        shares = {}
    return (Candidate(info, shares.get(node, 0.0)) for node, info in enumerate(infos))


def _steps(conclusion: Conclusion, infos: Sequence[CommitInfo]) -> Iterator[tuple[CommitInfo, str]]:
    """Where an intermittent behavior changed: the first commit of each stretch but the first."""
    if conclusion.status is not BisectStatus.INTERMITTENT:
        return
    for before, after in zip(conclusion.stretches, conclusion.stretches[1:], strict=False):
        if before.new is not after.new:
            yield infos[after.first], "appeared" if after.new else "vanished"


def _beside(state: State, found: Situation) -> Iterator[str]:
    """Remarks on the span."""
    old = state.settings.terms[0]
    if found.lineage.beside:
        bases = ", ".join(short(base) for base in found.lineage.good)
        names = ", ".join(short(good) for good in found.lineage.beside)
        yield f"{names} is no ancestor of {short(found.lineage.bad)}: the merge base {bases} stands for it as {old}"


def _settings(state: State) -> dict[str, Any]:
    settings = state.settings
    return {
        "behavior": settings.behavior,
        "expr": settings.expr,
        "like_bad": settings.like_bad,
        "probes": list(state.picks or settings.probes),
        "command": list(state.command),
        "confidence": settings.confidence,
        "prior": settings.prior,
        "max_loads": settings.max_loads,
        "max_draws": settings.max_draws,
        "stored": settings.stored,
        "bad": state.bad,
        "good": list(state.goods),
    }


def changed(repository: Repository, culprit: CommitInfo) -> tuple[tuple[str, str], ...]:
    """What a commit changed against its first captured parent, in a few (what, how) lines; empty where that cannot be
    said without running a model."""
    from bvc.api.diff import diff

    parents = [_info(repository, parent) for parent in culprit.parents]
    sides = [info for info in (culprit, *parents) if info.snapshot is not None and info.snapshot.capability is not None]
    if len(sides) < 2 or sides[0] is not culprit:
        return ()
    try:
        return tuple(_lines(diff(repository, sides[1].id, culprit.id)))
    except BvcError:
        return ()


def _lines(found: DiffResult) -> Iterator[tuple[str, str]]:
    """The first probes that changed, then phrases."""
    rows = [row for row in found.probes if row.verdict is not Verdict.SAME and row.text.a != row.text.b]
    rows.sort(key=lambda row: row.verdict is not Verdict.CHANGED)
    for row in rows[:_CHANGED]:
        reason = row.substance.reason if row.substance is not None and row.substance.reason else ""
        yield row.probe.name or short(row.probe.id), reason or row.text.b
    for phrase in found.phrases[:_PHRASES]:
        yield _phrase(phrase)


def _phrase(phrase: PhraseDiff) -> tuple[str, str]:
    return f'"{phrase.text}"', f"{phrase.count_a} → {phrase.count_b} answers"
