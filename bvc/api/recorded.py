"""The recorded-outputs side of commit: a file of answers becomes a text-only snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field

from bvc.api.commit_records import Captures, CommitOptions, suite_entries
from bvc.api.suites import suite_names, suite_path
from bvc.capture.recorded import read_outputs
from bvc.errors import UsageError
from bvc.evidence import Evidence
from bvc.records import Outputs, Reference, Snapshot
from bvc.repository.repository import Repository
from bvc.repository.snapshot_writer import Fresh
from bvc.suites.load import load_suite


@dataclass(frozen=True)
class _Recorded:
    """One probe's recorded outputs: text and nothing else."""

    outputs: Outputs
    reference: Reference | None = None
    evidence: Evidence = field(default_factory=Evidence)


def recorded_captures(repository: Repository, options: CommitOptions) -> Captures:
    """The snapshot of `options.outputs`. Raises BadInput with file and line for rows that cannot be used."""
    if options.outputs is None or options.model is None:
        raise UsageError("recorded outputs need a file and a model name")
    names = list(options.suites) or suite_names(repository)
    suites = tuple(load_suite(suite_path(repository, name)) for name in names)
    run = read_outputs(options.outputs, options.model, suites)
    source = Fresh(lambda probe: _Recorded(run.outputs[probe]))
    snapshot = Snapshot(
        model=run.identity,
        recipe=run.recipe,
        suites=suite_entries(run.suites),
        capability=run.capability,
        counts={"probes": len(run.outputs), "draws": run.recipe.draws},
    )
    order = [probe.id for suite in run.suites for probe in suite.probes]
    return Captures(
        snapshot=snapshot,
        suites=run.suites,
        sources=dict.fromkeys(order, source),
        captured=len(set(order)),
        notes=run.notes,
    )
