"""What `explore` is asked and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bvc.errors import UsageError
from bvc.records import CommitInfo, Probe

ADDED = 10
"""Proposals that are added to a suite unless the user picks."""


@dataclass(frozen=True)
class ExploreOptions:
    """What to try: the `probes` to vary (labels or ids; none: those of the diff that stand out), at most `limit`
    candidates, of which `prefills` prompts are sampled from the checkpoints; `tokens` of each answer are compared.

    `add` names the suite that the proposals with the ranks of `pick` go to (None: those that stand out, the first 10).
    """

    probes: tuple[str, ...] = ()
    limit: int = 100
    prefills: int = 12
    tokens: int = 24
    seed: int = 0
    add: str | None = None
    pick: tuple[int, ...] | None = None


@dataclass(frozen=True)
class NullScores:
    """The scores of `probes` unchanged probes of the suite, in nats per token: median and 95 % quantile."""

    probes: int
    kl: float
    kl_95: float
    gain: float
    gain_95: float


@dataclass(frozen=True)
class Trigger:
    """A word that the change seems to hang on.

    Left out of `prompts` changed prompts, the change (divergence and gain together) fell in `fell` of them, in the
    median from `with_word` to `without` (nats per token). Put into `hosts` unchanged prompts it rose above that of
    another word in the same place in `rose` of them, in the median `inserted` against `control`; `p_value` is the
    chance of that if the word did nothing (exact sign-flip test, times the number of words tried).
    """

    word: str
    prompts: int
    fell: int
    with_word: float
    without: float
    hosts: int
    rose: int
    inserted: float
    control: float
    p_value: float
    confirmed: bool


@dataclass(frozen=True)
class Proposal:
    """A new probe. `how` it was made, by which `rule`, from which probe (`source`, a label); `kl` and `gain` as in
    `bvc.api.explore.Scored`; `score` in robust standard deviations above the unchanged probes, with its `q_value`."""

    rank: int
    probe: Probe
    rule: str
    how: str
    source: str | None
    kl: float
    gain: float
    score: float
    q_value: float | None
    beyond: bool
    answer_a: str
    answer_b: str


@dataclass(frozen=True)
class Added:
    """What was appended to a suite: ids of new probes, and how many were there already."""

    suite: str
    probes: tuple[str, ...]
    known: int


@dataclass(frozen=True)
class ExploreResult:
    """`bvc.explore/1`. Of `candidates` measured, `beyond` lie beyond the null (false discovery rate 5 %); `proposals`
    are the different ones among all, best first."""

    a: CommitInfo
    b: CommitInfo
    seeds: tuple[str, ...]
    null: NullScores
    candidates: int
    beyond: int
    triggers: tuple[Trigger, ...]
    proposals: tuple[Proposal, ...]
    notes: tuple[str, ...] = ()
    added: Added | None = None


def picked(proposals: Sequence[Proposal], ranks: Sequence[int] | None) -> list[Proposal]:
    """The proposals of these ranks; without ranks those that stand out, at most `ADDED`. Raises UsageError for a rank
    that there is not."""
    if ranks is None:
        return [p for p in proposals if p.beyond][:ADDED]
    known = {p.rank: p for p in proposals}
    for rank in ranks:
        if rank not in known:
            raise UsageError(f"--pick {rank}: there are {len(known)} proposals", hint="see the list without --add")
    return [known[rank] for rank in dict.fromkeys(ranks)]
