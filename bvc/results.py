"""What the api functions return and the CLI renders: plain records, shaped as the JSON documents of the contract.

Layer 0. `bvc.render.documents` turns them into JSON; ids are full hex; intervals are 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bvc.records import Capability, CommitInfo, ModelIdentity, Outputs, Probe, Reference
from bvc.records import LogEntry as LogEntry
from bvc.records import LogStat as LogStat

Interval = tuple[float, float]


class Verdict(StrEnum):
    """The three answers about a probe, a behavior or a whole model."""

    SAME = "same"
    CHANGED = "changed"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Progress:
    """One step of long work, for a progress bar: `done` of `total` units of `what`; `note` is a warning or remark
    to be shown once."""

    what: str
    done: int
    total: int
    note: str | None = None


@dataclass(frozen=True)
class CommitResult:
    """`bvc.commit/1`. `captured` probes were run now, `reused` came from the cache; `notes` are remarks for the
    user."""

    commit: str
    parents: tuple[str, ...]
    branch: str | None
    subject: str
    model: ModelIdentity
    captured: int
    reused: int
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChannelDistance:
    """One probe's distance in one channel: `distance` in the channel's unit, its interval, and the N0 `band` (the
    largest distance that re-capturing the same weights explains; None where no noise was measured)."""

    distance: float
    ci: Interval
    band: float | None


@dataclass(frozen=True)
class TextChange:
    """The greedy texts of both sides; `first_difference` is the character where they part, None when equal."""

    a: str
    b: str
    first_difference: int | None


@dataclass(frozen=True)
class ProbeDiff:
    """One probe of a diff. `score` is how far it stands out of the whole model's drift (in robust standard
    deviations), `rank` counts from 1, `exceeds` names the null that its distance exceeds."""

    probe: Probe
    suite: str
    verdict: Verdict
    exceeds: str | None
    rank: int
    score: float
    q_value: float | None
    channels: Mapping[str, ChannelDistance]
    text: TextChange


@dataclass(frozen=True)
class DiffSummary:
    """Counts over the common probes."""

    probes: int
    same: int
    changed: int
    undecided: int
    identical_text: int


@dataclass(frozen=True)
class Overall:
    """How far the whole model moved: a global test against the N0 null, and the median log-prob (else text) drift,
    with its place among the steps of the lineage (0 to 100) where enough are known."""

    p_value: float | None
    verdict: Verdict
    drift: float
    drift_percentile: float | None = None


@dataclass(frozen=True)
class LayerDistance:
    """How far activations moved at one hookpoint (median over probes), with the N0 band."""

    hookpoint: str
    distance: float
    band: float | None


@dataclass(frozen=True)
class DiffResult:
    """`bvc.diff/1`. `comparable` is True, or the sentences that say what could not be compared and why; `null` maps
    the null that was available to its band per channel; `only_a` and `only_b` are probe ids without a partner;
    `logprob_unit` is "nats per character" where the tokenizers differ."""

    a: CommitInfo
    b: CommitInfo
    capability: Capability
    comparable: bool
    reasons: tuple[str, ...]
    null: Mapping[str, Any]
    summary: DiffSummary
    overall: Overall
    probes: tuple[ProbeDiff, ...]
    layers: tuple[LayerDistance, ...] = ()
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    logprob_unit: str = "nats per token"


@dataclass(frozen=True)
class ProbeView:
    """One probe of one commit, as `show --probe` prints it; the lists run along the reference's tokens."""

    probe: Probe
    suite: str
    outputs: Outputs
    reference: Reference | None
    tokens: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()
    entropies: tuple[float, ...] = ()


@dataclass(frozen=True)
class ShowResult:
    """`bvc.show/1`: one commit, with text changes against its first parent and, on demand, one probe."""

    commit: CommitInfo
    refs: tuple[str, ...]
    stat: LogStat | None
    probe: ProbeView | None = None


@dataclass(frozen=True)
class SuiteChange:
    """How a suite file in the project differs from the one committed at HEAD (`state`: new, changed, removed, same)."""

    name: str
    state: str
    added: int
    removed: int


@dataclass(frozen=True)
class StatusResult:
    """`bvc.status/1`. `uncommitted` are checkpoint folders seen beside committed ones; `interrupted` captures that a
    further `bvc commit` resumes, as (model name, probes done)."""

    branch: str | None
    head: CommitInfo | None
    suites: tuple[SuiteChange, ...]
    behaviors_changed: bool
    uncommitted: tuple[str, ...]
    interrupted: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Problem:
    """One finding of fsck: `kind` is missing, corrupt, unreachable-data or stale-index; `object` an id or path."""

    kind: str
    object: str
    detail: str


@dataclass(frozen=True)
class FsckResult:
    """`bvc.fsck/1`: `checked` counts by kind of thing."""

    ok: bool
    checked: Mapping[str, int]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class BranchEntry:
    """One branch or tag."""

    name: str
    commit: str
    subject: str
    current: bool = False


@dataclass(frozen=True)
class ReflogEntry:
    """One line of a reflog; `index` 0 is the newest."""

    index: int
    old: str
    new: str
    message: str
    date: int
    timezone: int


@dataclass(frozen=True)
class SuiteSummary:
    """One suite file of the project; `duplicates` are rows that an import left out because they ask the same."""

    name: str
    probes: int
    digest: str
    tags: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
