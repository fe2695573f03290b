"""The rows of a diff: one per probe, the one that most deserves a look first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bvc.compare.measure import Distances
from bvc.compare.noise import Band
from bvc.compare.standing import Standing
from bvc.compare.substance import by_distance
from bvc.compare.text import first_difference
from bvc.compare.tolerance import N0, Tolerance
from bvc.compare.verdict import BETWEEN, Decision
from bvc.records import Outputs, Probe
from bvc.results import ChannelDistance, Kind, ProbeDiff, Substance, TextChange, Verdict

Judge = Callable[[Mapping[str, float]], Sequence[Substance]]
"""What became of the greedy answers of some probes, given how far their meaning moved by their words, by id."""

_ORDER = (Verdict.CHANGED, Verdict.UNDECIDED, Verdict.SAME)


@dataclass(frozen=True)
class Evidence:
    """What is known of the probes, by id: texts, distances, what nulls explain, verdicts, standings, suite and record
    of each probe, and how many further draws would decide those that are open."""

    texts: Mapping[str, tuple[Outputs, Outputs]]
    distances: Distances
    tolerances: Sequence[Tolerance]
    decisions: Mapping[str, Decision]
    standings: Mapping[str, Standing]
    probes: Mapping[str, tuple[str, Probe]]
    more_draws: Mapping[str, int] = field(default_factory=dict)


def probe_diffs(evidence: Evidence, judge: Judge | None = None) -> Iterator[ProbeDiff]:
    """Changed probes first, then undecided ones, each by score; ids break ties."""
    order = sorted(evidence.texts, key=lambda p: (*_place(evidence, p), p))
    judged = _substances(evidence, order, judge)
    for rank, probe in enumerate(order, 1):
        yield _row(evidence, probe, rank, judged[probe])


def _place(evidence: Evidence, probe: str) -> tuple[int, float]:
    return _ORDER.index(evidence.decisions[probe].verdict), -evidence.standings[probe].score


def _substances(evidence: Evidence, order: Sequence[str], judge: Judge | None) -> dict[str, Substance]:
    greedy = {p: (a.greedy.text, b.greedy.text) for p, (a, b) in evidence.texts.items()}
    differing = [p for p in order if greedy[p][0] != greedy[p][1]]
    by_words = {p: evidence.distances.substance.get(p, 0.0) for p in differing}
    found = [by_distance(d) for d in by_words.values()] if judge is None else judge(by_words)
    return dict.fromkeys(greedy, Substance(Kind.IDENTICAL, 0.0)) | dict(zip(differing, found, strict=True))


def _row(evidence: Evidence, probe: str, rank: int, judged: Substance) -> ProbeDiff:
    decision, standing = evidence.decisions[probe], evidence.standings[probe]
    a, b = (side.greedy.text for side in evidence.texts[probe])
    suite, record = evidence.probes[probe]
    return ProbeDiff(
        probe=record,
        suite=suite,
        verdict=decision.verdict,
        exceeds=decision.exceeds,
        rank=rank,
        score=standing.score,
        q_value=standing.q_value,
        channels=_channels(evidence, probe),
        text=TextChange(a, b, first_difference(a, b)),
        substance=judged,
        reason=decision.reason,
        more_draws=evidence.more_draws.get(probe) if _open_to_draws(decision) else None,
    )


def _open_to_draws(decision: Decision) -> bool:
    """Whether draws could decide: they say "not the same weights", never "more than a benign update"."""
    return decision.verdict is Verdict.UNDECIDED and decision.reason != BETWEEN


def _channels(evidence: Evidence, probe: str) -> dict[str, ChannelDistance]:
    widest = evidence.tolerances[-1].channels if evidence.tolerances else {}
    own = next((t.channels for t in evidence.tolerances if t.level == N0), {})
    return {
        channel: _interval(values[probe], own.get(channel), widest.get(channel))
        for channel, values in evidence.distances.channels.items()
        if probe in values
    }


def _interval(distance: float, noise: Band | None, widest: Band | None) -> ChannelDistance:
    """The distance give or take what the same weights' noise explains, beside the band of the widest null."""
    spread = 0.0 if noise is None else noise.band
    limit = None if widest is None else widest.band
    return ChannelDistance(distance, (max(0.0, distance - spread), distance + spread), limit)
