"""What `identify` is asked and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bvc.records import CommitInfo

SAME, NEW, UNDECIDED = "same", "new", "undecided"
"""Answers: it is a recorded model; it is none of them; what was seen does not decide."""
BY_WEIGHTS, BY_CAPTURE, BY_OUTPUTS = "weights", "capture", "outputs"
"""What the answer rests on: the weights' fingerprint, a capture made now, or recorded answers alone."""
CLOSER, UPDATE, STEP, FARTHER = "closer", "update", "step", "farther"
"""How far a new model is from its nearest: closer than the steps of the lineage are, as benign updates or steps are, or
farther."""
PROBES = 32
"""Probes that a checkpoint is asked by default; see `docs/identify.md` for what fewer do."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class IdentifyOptions:
    """What is to be identified: a `checkpoint`, or the answers in the file `outputs`.

    `against` are the revisions (or ranges) to compare with (default: all that branches, tags and HEAD reach); `probes`
    how many probes are asked or compared at most; an answer is given from `confidence` on. `sampled`: all answers to a
    probe are draws, and are compared with the commits' draws.
    """

    checkpoint: str | None = None
    outputs: Path | None = None
    against: Sequence[str] = ()
    probes: int | None = None
    confidence: float = CONFIDENCE
    sampled: bool = False


@dataclass(frozen=True)
class Candidate:
    """One recorded model: the commit that was compared, the ids of all commits that record it, and the `probability`
    that the unknown model is this one.

    `distance` is the median over `probes` in the unit of `channel` ("logprob": nats per token; "text": share of words
    that differ; None where the weights decided), or for "draws" the share of their differences that is due to the
    models; `equal` is the share of equal greedy answers (None for draws), `kinship` the distance that
    orders models by nearness. `direction`: the cosine of its mean shift of hidden states, away from the oldest model
    compared, with the unknown one's; None where that cannot be said.
    """

    commit: CommitInfo
    commits: tuple[str, ...]
    probability: float
    channel: str | None = None
    distance: float | None = None
    equal: float | None = None
    kinship: float | None = None
    direction: float | None = None
    probes: int = 0


@dataclass(frozen=True)
class Kin:
    """The recorded model that the unknown one is nearest to, with the share of resamples of probes that say so.

    `by`: "activation", what is left of the shift of the prompts' hidden states when the part that all probes share is
    taken off, "text" or "draws". `relation` is how far that is, against `level` ("N1": benign updates that the user
    trusts; "steps": those of this lineage): "closer", "update", "step" or "farther"; None without enough of them.
    `p_value`: that one of them moves a model at least as far.
    """

    commit: CommitInfo
    confidence: float
    by: str
    relation: str | None = None
    level: str | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class IdentifyResult:
    """What the model called `name` is. `commits` record it where `answer` is "same"; `confidence` is the probability of
    the answer, or of the likeliest one where it is "undecided"; `none` that it is no recorded model.

    `candidates` are all models compared, likeliest first; `asked` is how many probes were captured now (0 where weights
    or recorded answers sufficed).
    """

    name: str
    kind: str
    fingerprint: str | None
    location: str | None
    method: str
    answer: str
    confidence: float
    none: float
    commits: tuple[CommitInfo, ...]
    candidates: tuple[Candidate, ...]
    nearest: Kin | None = None
    asked: int = 0
    notes: tuple[str, ...] = ()
