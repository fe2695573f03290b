"""blame: with which commit each probe last changed, or each step of a behavior along the lineage.

What was found for a lineage is kept in the index under all that it follows from, so that asking again reads one row.
Loads numpy only where something has to be computed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bvc.api.behavior_scores import Scorekeeper
from bvc.api.behaviors import scorable_behavior
from bvc.api.blame_cache import packed, unpacked
from bvc.api.blame_records import BlameEntry, BlameResult
from bvc.behaviors.records import Behavior, Tools
from bvc.errors import NotComparable, UsageError
from bvc.repository.notes import CAPTURES, NOISE
from bvc.repository.repository import CONFIG_FILE, Repository
from bvc.repository.revisions import find_probe, resolve
from bvc.store.index import score_key
from bvc.wording import printable, some_of

if TYPE_CHECKING:
    from bvc.api.blame_lineage import Recorded, Report

LEVEL = 0.05
"""Of a behavior, the chance of any false step; of probes, the false discovery rate over all probes and steps."""
VERSION = "blame/3"
"""Changes whenever the same lineage gives other lines than before, so that older ones are forgotten."""


@dataclass(frozen=True)
class BlameOptions:
    """Which probes are blamed: those named (ids, labels, abbreviations), those of some suites, or all."""

    probes: Sequence[str] = ()
    suites: Sequence[str] = ()
    everything: bool = False


def blame_probes(
    repository: Repository, revision: str, options: BlameOptions, progress: Report | None = None
) -> BlameResult:
    """With which commit each probe of `revision` last changed, beyond noise and the drift of its lineage.

    Raises NotComparable where nothing was captured, UnknownRevision for a probe that the revision does not hold,
    UsageError where no probe is chosen.
    """
    if not (options.probes or options.suites or options.everything):
        raise UsageError(
            "name the probes to blame", hint="`bvc blame --all` blames every probe, `--behavior NAME` a behavior"
        )
    head = resolve(repository, revision)

    def find() -> BlameResult:
        from bvc.api.blame_lineage import recorded_lineage
        from bvc.api.blame_probes import probe_entries

        recorded = recorded_lineage(repository, head, progress)
        entries, judged = probe_entries(recorded, progress)
        return _result(recorded, entries, probes=len(entries), against=judged.against, notes=judged.notes)

    found = _remembered(repository, head, ("probes", repository.store.refs.get(NOISE) or ""), find)
    return replace(found, entries=_chosen(repository, found, options))


def blame_behavior(
    repository: Repository,
    name: str,
    revision: str,
    *,
    tools: Tools | None = None,
    progress: Report | None = None,
) -> BlameResult:
    """The commits with which the rate of a behavior changed, newest first.

    Raises UsageError for a behavior that is not defined, BadInput for one that asks for a latent that is not there,
    NotComparable where nothing was captured.
    """
    behavior = scorable_behavior(repository, name)
    head = resolve(repository, revision)
    keeper = Scorekeeper(repository, tools or Tools())

    def find() -> BlameResult:
        from bvc.api.blame_behavior import behavior_entries, score_series
        from bvc.api.blame_lineage import recorded_lineage

        counts = _Featured(keeper, behavior)
        try:
            recorded = recorded_lineage(repository, head, progress, counts if behavior.latents else None)
        except NotComparable as error:
            raise NotComparable(counts.why or error.message, hint=error.hint) from error
        series = score_series(recorded, keeper, behavior, progress)
        entries, steps = behavior_entries(recorded, series, repository.config.band, LEVEL)
        return _result(
            recorded,
            entries,
            probes=len(series.probes),
            rate=series.rate([recorded.newest]),
            smallest=steps.smallest if series.probes else None,
            immaterial=steps.immaterial,
            unrest=steps.unrest,
            featureless=counts.passed,
        )

    lasting = keeper.remembers(behavior)
    found = _remembered(
        repository, head, ("behavior", keeper.digest(behavior), json.dumps(behavior.on)) if lasting else (), find
    )
    return replace(found, behavior=name, description=behavior.description)


@dataclass
class _Featured:
    """Which commits have the features that a behavior asks for: those without would only blur with which commit a step
    came. `passed` of them had none, the first because of `why`."""

    keeper: Scorekeeper
    behavior: Behavior
    passed: int = 0
    why: str | None = None

    def __call__(self, commit: str) -> bool:
        why = self.keeper.latents.why_not(self.keeper.repository.snapshot(commit), self.behavior)
        self.passed += why is not None
        self.why = self.why or why
        return why is None


def _result(recorded: Recorded, entries: Sequence[BlameEntry], **others: Any) -> BlameResult:
    repository = recorded.repository
    newest = recorded.commits[recorded.newest]
    notes = tuple(others.pop("notes", ()))
    if newest != recorded.head:
        what = "features to go by" if others.get("featureless") else "answers"
        notes = (f"{recorded.head[:10]} holds no {what}: blame begins at {newest[:10]}", *notes)
    return BlameResult(
        head=repository.store.history.info(recorded.head),
        entries=tuple(entries),
        commits=recorded.total,
        captured=len(recorded.commits),
        start=newest,
        level=LEVEL,
        notes=notes,
        **others,
    )


def _remembered(
    repository: Repository, head: str, what: tuple[str, ...], find: Callable[[], BlameResult]
) -> BlameResult:
    """What `find` finds, or what it found before of the same commits, attached captures and settings; `what` says all
    else that it follows from, and is empty where it cannot be said."""
    if not what:
        return find()
    settings = _settings(repository)
    attached = repository.store.refs.get(CAPTURES) or ""
    key = score_key(VERSION, head, attached, settings, *what)
    environment = repository.store.index.environment
    row = environment.get(key)
    found = None if row is None else unpacked(row, repository.store.history.info)
    if found is None:
        found = find()
        environment.remember([(key, packed(found))])
    return found


def _settings(repository: Repository) -> str:
    """The settings as they stand in the file: reading them is slower than all the rest."""
    try:
        return (repository.root / CONFIG_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _chosen(repository: Repository, found: BlameResult, options: BlameOptions) -> tuple[BlameEntry, ...]:
    """The lines that were asked for, in the order of the suites."""
    if options.everything:
        return found.entries
    known = {entry.change.suite for entry in found.entries if entry.change is not None}
    for suite in options.suites:
        if suite not in known:
            raise UsageError(
                f"no suite named {printable(suite)} is recorded", hint=f"suites are: {some_of(sorted(known), 12)}"
            )
    wanted = {_id(repository, found, name) for name in options.probes}
    return tuple(
        entry
        for entry in found.entries
        if entry.change is not None and (entry.change.probe in wanted or entry.change.suite in options.suites)
    )


def _id(repository: Repository, found: BlameResult, name: str) -> str:
    """The id of the probe that `name` means."""
    changes = [entry.change for entry in found.entries if entry.change is not None]
    fitting = {c.probe for c in changes if name in (c.probe, c.label)}
    if len(fitting) == 1:
        return fitting.pop()
    return find_probe(repository.snapshot(found.start), name)
