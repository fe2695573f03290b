"""What the api functions return and the CLI renders: plain records, shaped as the JSON documents of the contract.

Layer 0. `bvc.render.documents` turns them into JSON; ids are full hex; intervals are 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bvc.exclusive import ExclusiveFeatures
from bvc.feature_results import LatentDiff, LatentYield
from bvc.records import Capability, CommitInfo, ModelIdentity, Outputs, Probe, Reference
from bvc.records import LogEntry as LogEntry
from bvc.records import LogShift as LogShift
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
    """One probe's distance in one channel: `distance` in the channel's unit, its interval, and the `band` (what the
    widest null that is known explains; None where none is known)."""

    distance: float
    ci: Interval
    band: float | None


@dataclass(frozen=True)
class TextChange:
    """The greedy texts of both sides; `first_difference` is the character where they part, None when equal."""

    a: str
    b: str
    first_difference: int | None


class Kind(StrEnum):
    """What became of an answer: the greedy texts are equal, worded otherwise, or differ in substance."""

    IDENTICAL = "identical"
    WORDING = "wording"
    MEANING = "meaning"
    LANGUAGE = "language"
    REFUSAL = "refusal"
    ANSWER = "answer"


@dataclass(frozen=True)
class Substance:
    """How much of an answer's substance changed: `distance` 0 (same meaning) to 1; `reason` is a short phrase such as
    "English to French", "refuses now", "right to wrong", empty where `kind` says all."""

    kind: Kind
    distance: float
    reason: str = ""


@dataclass(frozen=True)
class ProbeDiff:
    """One probe of a diff. `score` is how far it stands out of the whole model's drift (in robust standard
    deviations), `rank` counts from 1, `exceeds` names the null that its distance exceeds; `reason` says why a probe is
    undecided, `more_draws` how many further draws a side would decide it."""

    probe: Probe
    suite: str
    verdict: Verdict
    exceeds: str | None
    rank: int
    score: float
    q_value: float | None
    channels: Mapping[str, ChannelDistance]
    text: TextChange
    substance: Substance | None = None
    reason: str | None = None
    more_draws: int | None = None


@dataclass(frozen=True)
class Rate:
    """Share of the scored outputs of one commit that show a behavior: the mean score over `n` probes, with interval."""

    rate: float
    n: int
    ci: Interval


@dataclass(frozen=True)
class BehaviorDiff:
    """One behavior on both sides of a diff. `difference` is b's rate less a's over the common probes, paired, with its
    interval; `smallest` the least difference that would have been found with probability .8; `gained` and `lost` are
    the ids of probes whose score rose or fell, most first."""

    name: str
    description: str
    a: Rate
    b: Rate
    difference: float
    ci: Interval
    p_value: float
    q_value: float
    verdict: Verdict
    smallest: float
    gained: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True)
class PhraseDiff:
    """Words that one `side` ("a" or "b") over-produces: counts of probes whose answer holds them on each side, the
    false discovery rate, and those probes. `kind` is "phrase" (in the answers) or "token" (its probability along the
    references rose on that side)."""

    text: str
    side: str
    count_a: int
    count_b: int
    q_value: float
    probes: tuple[str, ...]
    kind: str = "phrase"


@dataclass(frozen=True)
class DiffSummary:
    """Counts over the common probes; `outliers` moved more than the drift of the whole model explains; `right_to_wrong`
    and `wrong_to_right` count flips of the probes whose right answer is known."""

    probes: int
    same: int
    changed: int
    undecided: int
    identical_text: int
    outliers: int = 0
    right_to_wrong: int = 0
    wrong_to_right: int = 0


@dataclass(frozen=True)
class Overall:
    """How far the whole model moved, and whether that is more than nothing, or than a benign update, explains.

    `p_value`: global test of "the same model" (null N0); `tests` its parts by name, each with its own p-value. `drift`:
    the median log-prob (else text) distance, with the interval `ci`; `drift_percentile` its place among the steps of
    the lineage (0 to 100), of which `steps` are known. `against`: the widest null that the verdict speaks of (N0, N1,
    N2). `smallest`: by channel or kind of change the least that would have been found with probability .8.
    """

    p_value: float | None
    verdict: Verdict
    drift: float
    drift_percentile: float | None = None
    steps: int = 0
    ci: Interval | None = None
    tests: Mapping[str, float] = field(default_factory=dict)
    against: str | None = None
    smallest: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerDistance:
    """How far activations moved at one hookpoint (median over probes), with the band of the widest null known; `probes`
    are the ids of those that moved there beyond the shift that all share, most first."""

    hookpoint: str
    distance: float
    band: float | None
    probes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FamilyDiff:
    """A tag or suite (`kind` "tag" or "suite") that is over-represented among the outliers: `outliers` of the
    `all_outliers` belong to it, and `probes` of the `all_probes` do; hypergeometric p-value and false discovery
    rate."""

    kind: str
    name: str
    outliers: int
    all_outliers: int
    probes: int
    all_probes: int
    p_value: float
    q_value: float


@dataclass(frozen=True)
class ProbeDetail:
    """What `diff --probe` shows of one probe beside its `ProbeDiff`.

    Along the reference, one value per token: `tokens` (their text), `delta` (b's log-probability of the token less a's,
    in nats), `kl` (divergence of the two next-token distributions, in nats); empty where a side has no log-probs or
    the sides hold different references. `draws_a`, `draws_b`: the sampled answers.
    """

    tokens: tuple[str, ...] = ()
    delta: tuple[float, ...] = ()
    kl: tuple[float, ...] = ()
    draws_a: tuple[str, ...] = ()
    draws_b: tuple[str, ...] = ()


@dataclass(frozen=True)
class DiffResult:
    """`bvc.diff/1`. `comparable` is True, or the sentences that say what could not be compared and why; `null` maps
    each null that was available to its band per channel, `null_sources` to where it comes from (such as "re-captures of
    both commits", "the drift of 6 steps of this lineage"); `only_a` and `only_b` are probe ids without a partner;
    `logprob_unit` is "nats per character" where the tokenizers differ. `latents` are those that stand out, where both
    sides have features of one dictionary, `latent_yield` what the same rule lists on this pair, then on null pairs;
    `exclusive` is the newest search for features of one of the two models only;
    `unscored` are behaviors that ask for a latent of which a side has no features, each with why."""

    a: CommitInfo
    b: CommitInfo
    capability: Capability
    comparable: bool
    reasons: tuple[str, ...]
    null: Mapping[str, Any]
    summary: DiffSummary
    overall: Overall
    probes: tuple[ProbeDiff, ...]
    null_sources: Mapping[str, str] = field(default_factory=dict)
    behaviors: tuple[BehaviorDiff, ...] = ()
    phrases: tuple[PhraseDiff, ...] = ()
    layers: tuple[LayerDistance, ...] = ()
    families: tuple[FamilyDiff, ...] = ()
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    logprob_unit: str = "nats per token"
    latents: tuple[LatentDiff, ...] = ()
    latent_yield: tuple[LatentYield, ...] = ()
    exclusive: ExclusiveFeatures | None = None
    unscored: tuple[tuple[str, str], ...] = ()


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
    further `bvc commit` resumes, as (model name, probes done); `bisect` what a bisect in progress looks for, and how
    many marks and visits it has."""

    branch: str | None
    head: CommitInfo | None
    suites: tuple[SuiteChange, ...]
    behaviors_changed: bool
    uncommitted: tuple[str, ...]
    interrupted: tuple[tuple[str, int], ...]
    bisect: tuple[str, int] | None = None


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


@dataclass(frozen=True)
class CaptureEntry:
    """One commit of `bvc capture`: `commit` as it is now, with what was attached; `attached` the notes commit, None
    where nothing was missing. `captured` probes were run now, `reused` were at hand, `drawn` draws were added, and to
    `encoded` probes that were captured before the features of a dictionary."""

    commit: CommitInfo
    attached: str | None
    captured: int
    reused: int
    drawn: int
    notes: tuple[str, ...] = ()
    encoded: int = 0


@dataclass(frozen=True)
class CaptureResult:
    """`bvc.capture/1`: the commits in the order in which they were named."""

    commits: tuple[CaptureEntry, ...]
    seconds: float


@dataclass(frozen=True)
class NullBand:
    """Distances that harmless change makes in one channel: `n` of them over `pairs` pairs of captures, and the `band`
    within which a further probe of those pairs lies with probability `coverage`."""

    n: int
    pairs: int
    median: float
    q95: float
    max: float
    band: float
    coverage: float


@dataclass(frozen=True)
class BenignEntry:
    """A pair that the user trusts: `b` differs from `a` by a benign update of `level`. `drift` is how far the whole
    model moved, `probes` how many were compared; `problem` says why a pair cannot be measured (then both are None)."""

    level: str
    a: CommitInfo | str
    b: CommitInfo | str
    drift: float | None = None
    probes: int | None = None
    problem: str | None = None


@dataclass(frozen=True)
class NoiseResult:
    """`bvc.noise/1`: which harmless changes are known from the point of view of `commit`.

    `nulls` maps N0, N1, N2 and "steps" (of the lineage) to bands per channel, `covers` says in a phrase what each is
    made of, `pairs` are all trusted pairs, `used` those of them that compare with `commit`; `steps` the lineage's steps
    around it as (parent, child, drift), nearest first."""

    commit: CommitInfo
    nulls: Mapping[str, Mapping[str, NullBand]]
    covers: Mapping[str, str]
    pairs: tuple[BenignEntry, ...]
    used: tuple[tuple[str, str], ...]
    steps: tuple[tuple[str, str, float], ...]
