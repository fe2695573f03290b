"""identify: which recorded commit an unknown model is, or is nearest to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bvc.api.checkpoints import PairOptions, read_identity
from bvc.api.identify_records import (
    BY_CAPTURE,
    BY_OUTPUTS,
    BY_WEIGHTS,
    NEW,
    PROBES,
    SAME,
    UNDECIDED,
    Candidate,
    IdentifyOptions,
    IdentifyResult,
)
from bvc.errors import NotComparable, UsageError
from bvc.records import Capability, CommitInfo, ModelIdentity, Probe
from bvc.repository.repository import Repository
from bvc.repository.revisions import select
from bvc.repository.snapshot_view import SnapshotView

if TYPE_CHECKING:
    from bvc.api.identify_match import Known
    from bvc.api.identify_subject import Subject

Models = list[list[CommitInfo]]
"""Commits that record one model, newest first, for each model, newest first."""


def identify(repository: Repository, what: IdentifyOptions, how: PairOptions) -> IdentifyResult:
    """Which recorded model a checkpoint (or the author of recorded answers) is.

    Weights that are recorded are told by their fingerprint, and no model runs. Else the checkpoint is captured on some
    probes of the record (that is not committed), or its answers are compared.

    Raises UsageError unless exactly one of checkpoint and outputs is given, NotComparable where nothing is recorded
    that it could be compared with, BadInput for a checkpoint or file that cannot be used, EngineError when the model
    fails.
    """
    if (what.checkpoint is None) == (what.outputs is None):
        raise UsageError("give a checkpoint, or recorded answers with --outputs FILE", hint="see `bvc identify --help`")
    if (what.probes is not None and what.probes < 1) or not 0.5 < what.confidence < 1:
        raise UsageError("--probes takes a number from 1, --confidence one between 0.5 and 1")
    if what.sampled and what.outputs is None:
        raise UsageError("--sampled speaks of answers in a file", hint="give them with --outputs FILE")
    models = recorded_models(repository, what.against)
    if what.outputs is not None:
        return _by_outputs(repository, models, what.outputs, what, how)
    model = read_identity(repository, what.checkpoint or "", how.base, how)
    return _by_weights(models, model) or _by_capture(repository, models, model, what, how)


def recorded_models(repository: Repository, against: Sequence[str]) -> Models:
    """The recorded models to compare with: those of the revisions and ranges `against`, or all. Raises NotComparable
    for none."""
    history, refs = repository.store.history, repository.store.refs
    infos: Iterator[CommitInfo]
    if against:
        infos = map(history.info, select(repository, against, alone=True).walk(history.node))
    else:
        tips = {commit for name in ["HEAD", *refs.all()] if (commit := refs.peel(name)) is not None}
        infos = history.walk(sorted(tips))
    attached = repository.attached
    models: dict[str, dict[str, CommitInfo]] = {}
    for info in map(attached.merged, infos):
        if info.snapshot is not None:
            models.setdefault(info.snapshot.model.fingerprint, {})[info.id] = info
    if not models:
        raise NotComparable("no model is recorded here", hint="`bvc commit CHECKPOINT` records one")
    return [list(commits.values()) for commits in models.values()]


def _by_weights(models: Models, model: ModelIdentity) -> IdentifyResult | None:
    """The answer where the very weights are recorded."""
    for commits in models:
        recorded = None if commits[0].snapshot is None else commits[0].snapshot.model
        if recorded is not None and recorded.fingerprint == model.fingerprint:
            notes = () if recorded.tokenizer == model.tokenizer else ("its tokenizer or chat template differs",)
            ids = tuple(info.id for info in commits)
            return IdentifyResult(
                name=model.name,
                kind=model.kind,
                fingerprint=model.fingerprint,
                location=model.location,
                method=BY_WEIGHTS,
                answer=SAME,
                confidence=1.0,
                none=0.0,
                commits=tuple(commits),
                candidates=(Candidate(commits[0], ids, 1.0),),
                notes=notes,
            )
    return None


def _by_outputs(
    repository: Repository, models: Models, path: Path, what: IdentifyOptions, how: PairOptions
) -> IdentifyResult:
    from bvc.api.identify_subject import recorded_subject

    known = known_models(repository, models)
    model, subject = recorded_subject(path, [one.view for one in known], sampled=what.sampled)
    probes = sorted(subject.sources)
    if what.probes is not None:
        probes = telling_probes(repository, known[0].view, probes, what.probes)
    result = _matched(repository, subject, known, probes, what, how)
    return replace(result, name=model.name, kind=model.kind, location=model.location, method=BY_OUTPUTS)


def _by_capture(
    repository: Repository, models: Models, model: ModelIdentity, what: IdentifyOptions, how: PairOptions
) -> IdentifyResult:
    from bvc.api.identify_subject import captured_subject

    home = _home(known_models(repository, models), model)
    asked: dict[str, Probe] = {probe.id: probe for _, probe in home.probes()}
    chosen = telling_probes(repository, home, list(asked), what.probes or PROBES)
    subject = captured_subject(repository, model, home, {p: asked[p] for p in chosen}, how)
    known = known_models(repository, models, None if subject.recipe is None else subject.recipe.digest)
    result = _matched(repository, subject, known, chosen, what, how)
    return replace(
        result,
        name=model.name,
        kind=model.kind,
        fingerprint=model.fingerprint,
        location=model.location,
        asked=subject.ran,
    )


def known_models(repository: Repository, models: Models, recipe: str | None = None) -> list[Known]:
    """Each model by its newest captured commit, or the newest one captured under the recipe of that digest. Raises
    NotComparable where none was captured."""
    from bvc.api.identify_match import Known

    out: dict[str, Known] = {}
    for commits in models:
        captured = [info for info in commits if info.snapshot is not None and info.snapshot.capability is not None]
        alike = [info for info in captured if _recipe_digest(info) == recipe]
        if captured:
            view = repository.snapshot((alike or captured)[0].id)
            known = out.setdefault(_answers_key(view), Known(view, ()))
            ids = (*known.commits, *(info.id for info in commits))
            out[_answers_key(view)] = replace(known, commits=ids)
    if not out:
        raise NotComparable(
            "no recorded commit was captured: there are no answers to compare with",
            hint="`bvc capture` captures what HEAD records",
        )
    return list(out.values())


def _answers_key(view: SnapshotView) -> str:
    """What tells recorded models apart: of recorded outputs the answers, since a name says nothing of a model."""
    model = view.snapshot.model
    return model.fingerprint if model.kind != "recorded" else f"outputs {view.folder('outputs')}"


def _recipe_digest(info: CommitInfo) -> str | None:
    recipe = None if info.snapshot is None else info.snapshot.recipe
    return None if recipe is None else recipe.digest


def _home(known: Sequence[Known], model: ModelIdentity) -> SnapshotView:
    """The snapshot under whose recipe the unknown model is captured: the newest with log-probs and its tokenizer, else
    the newest of a model that was run, else the newest."""
    views = [one.view for one in known]
    run = [view for view in views if view.snapshot.model.kind != "recorded"]
    alike = [v for v in run if v.snapshot.model.tokenizer == model.tokenizer and _level(v) > Capability.TEXT.level]
    return (alike or run or views)[0]


def _level(view: SnapshotView) -> int:
    capability = view.snapshot.capability
    return -1 if capability is None else capability.level


def telling_probes(repository: Repository, home: SnapshotView, probes: Sequence[str], count: int) -> list[str]:
    """The probes that tell the models around `home` apart best, by the steps of its lineage."""
    from bvc.api.identify_match import step_tables
    from bvc.compare.identify import telling

    if count >= len(probes):
        return list(probes)
    return telling(step_tables(repository, home), probes, count)


def _matched(
    repository: Repository,
    subject: Subject,
    known: Sequence[Known],
    probes: Sequence[str],
    what: IdentifyOptions,
    how: PairOptions,
) -> IdentifyResult:
    from bvc.api.identify_match import match

    found = match(repository, subject, known, probes, how.report)
    best = max(found.candidates, key=lambda candidate: candidate.probability)
    surest = max(best.probability, found.none)
    answer = UNDECIDED if surest < what.confidence else SAME if best.probability == surest else NEW
    history = repository.store.history
    return IdentifyResult(
        name="",
        kind="",
        fingerprint=None,
        location=None,
        method=BY_CAPTURE,
        answer=answer,
        confidence=surest,
        none=found.none,
        commits=tuple(map(history.info, best.commits)) if answer == SAME else (),
        candidates=found.candidates,
        nearest=found.nearest,
        notes=(*subject.notes, *found.notes),
    )
