"""The comparison of two commits: every probe's distances, verdict and place, and the model as a whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from bvc.compare.draws import draws_p_value
from bvc.compare.measure import Distances, gaps, measure
from bvc.compare.noise import Band, bands
from bvc.compare.pairing import ACTIVATION, LOGPROB, TEXT, PairedBlock, ProbeSide, Side, Terms
from bvc.compare.phrases import shared_phrases
from bvc.compare.rank import FIRST, KL, MOVED, PHRASES, WORDING, Standing, stand_out
from bvc.compare.significance import benjamini_hochberg, exceeds_noise
from bvc.compare.terms import settle_terms
from bvc.compare.text import first_difference
from bvc.compare.verdict import Decision, Finding, decide, decide_overall, undecided_reasons
from bvc.records import Capability, Outputs, Reference
from bvc.results import ChannelDistance, DiffSummary, LayerDistance, Overall, TextChange, Verdict

NOISE_PROBES = 64
"""Re-captured probes of each commit whose arrays a diff reads: bands are the largest distance of up to 128 pairs."""


@dataclass(frozen=True)
class ProbeComparison:
    """One probe; the fields are those of `bvc.results.ProbeDiff`, with the id in place of the probe."""

    id: str
    verdict: Verdict
    exceeds: str | None
    rank: int
    score: float
    q_value: float | None
    channels: Mapping[str, ChannelDistance]
    text: TextChange


@dataclass(frozen=True)
class Comparison:
    """All that a diff says without looking at commits; `probes` are ordered by rank, the fields are those of
    `bvc.results.DiffResult`. `reasons` are sentences: what could not be compared (none where `comparable`), and why
    probes are undecided."""

    capability: Capability
    comparable: bool
    reasons: tuple[str, ...]
    null: Mapping[str, Any]
    summary: DiffSummary
    overall: Overall
    probes: tuple[ProbeComparison, ...]
    layers: tuple[LayerDistance, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    logprob_unit: str


def compare(a: Side, b: Side, blocks: Iterable[PairedBlock], *, channels: Sequence[str] = ()) -> Comparison:
    """Compares `b` with `a` on their common probes and `channels` (default: all that both hold).

    `blocks` are the two sides' arrays, each common probe once, and read once. Raises NotComparable where the sides
    share no probe, or do not both hold a channel that was asked for.
    """
    terms = settle_terms(a, b, channels)
    texts = {p: (side.outputs, b.probes[p].outputs) for p, side in a.probes.items() if p in b.probes}
    distances = measure(texts, blocks, terms)
    why = (*terms.reasons, *gaps(distances, terms))
    noise = [measured for side in (a, b) if (measured := measure_noise(side, terms)) is not None]
    found = bands(n.channels for n in noise)
    decisions = _decide(texts, distances, found, terms)
    standings = stand_out(list(texts), _statistics(texts, distances, terms))
    p_value = exceeds_noise(distances.channels, [n.channels for n in noise])
    return Comparison(
        capability=min(a.capability, b.capability, key=lambda c: c.level),
        comparable=not why,
        reasons=(*why, *undecided_reasons(list(decisions.values()))),
        null={"N0": {channel: b.to_json() for channel, b in found.items()}} if found else {},
        summary=_summary(texts, decisions),
        overall=_overall(distances, decisions, p_value, terms),
        probes=tuple(_ranked(texts, distances, found, decisions, standings)),
        layers=_layers(distances, bands(n.sites for n in noise)),
        only_a=tuple(p for p in a.probes if p not in b.probes),
        only_b=tuple(p for p in b.probes if p not in a.probes),
        logprob_unit="nats per character" if terms.table is None else "nats per token",
    )


def measure_noise(side: Side, terms: Terms, most: int = NOISE_PROBES) -> Distances | None:
    """Distances between a commit's captures and its re-captures, in the units of `terms`; None where it has none.

    All texts are compared, but no more blocks of arrays are read than it takes for `most` probes.
    """
    if side.noise is None:
        return None
    own = replace(terms, recut=False, ranked=False, references=_references(side.probes), apart=frozenset())
    table = None if terms.table is None else side.table
    return measure(side.noise.texts, _first_blocks(side.noise.blocks, most), replace(own, table=table))


def _first_blocks(blocks: Iterable[PairedBlock], most: int) -> Iterator[PairedBlock]:
    taken = 0
    for block in blocks:
        yield block
        taken += len(block.ids)
        if taken >= most:
            return


def noise_bands(side: Side) -> dict[str, Band]:
    """The N0 band of each channel of one commit, for its snapshot; empty where nothing was captured again."""
    measured = measure_noise(side, settle_terms(side, side), len(side.probes))
    return bands([] if measured is None else [measured.channels])


Texts = Mapping[str, tuple[Outputs, Outputs]]


def _references(probes: Mapping[str, ProbeSide]) -> dict[str, Reference]:
    return {p: side.reference for p, side in probes.items() if side.reference is not None}


def _decide(texts: Texts, distances: Distances, found: Mapping[str, Band], terms: Terms) -> dict[str, Decision]:
    draws = _draws_q_values(texts) if terms.draws and TEXT in terms.channels else {}
    limits = {channel: b.band for channel, b in found.items()}
    out: dict[str, Decision] = {}
    for probe, (a, b) in texts.items():
        held = {c: values[probe] for c, values in distances.channels.items() if probe in values}
        broken = probe in distances.broken
        identical = not broken and not any(held.values()) and not (terms.draws and _draws_differ(a, b))
        out[probe] = decide(Finding(identical, held, limits, terms.covered, draws.get(probe), broken))
    return out


def _draws_differ(a: Outputs, b: Outputs) -> bool:
    """Whether a draw that both sides have differs."""
    return any(x.text != y.text for x, y in zip(a.draws, b.draws, strict=False))


def _draws_q_values(texts: Texts) -> dict[str, float]:
    """q-values of the probes' draws, over all probes that have some on both sides."""
    p_values: dict[str, float] = {}
    for probe, (a, b) in texts.items():
        p = draws_p_value([d.text for d in a.draws], [d.text for d in b.draws])
        if p is not None:
            p_values[probe] = p
    return benjamini_hochberg(p_values)


def _summary(texts: Texts, decisions: Mapping[str, Decision]) -> DiffSummary:
    verdicts = [d.verdict for d in decisions.values()]
    return DiffSummary(
        probes=len(texts),
        same=verdicts.count(Verdict.SAME),
        changed=verdicts.count(Verdict.CHANGED),
        undecided=verdicts.count(Verdict.UNDECIDED),
        identical_text=sum(a.greedy.text == b.greedy.text for a, b in texts.values()),
    )


def _overall(distances: Distances, decisions: Mapping[str, Decision], p_value: float | None, terms: Terms) -> Overall:
    moved = next((v for c in (LOGPROB, TEXT, ACTIVATION) if (v := distances.channels.get(c))), {})
    return Overall(
        p_value=p_value,
        verdict=decide_overall(list(decisions.values()), p_value, terms.covered),
        drift=median(moved.values()) if moved else 0.0,
    )


def _statistics(texts: Texts, distances: Distances, terms: Terms) -> dict[str, dict[str, float]]:
    """What the ranking looks at."""
    out = {KL: distances.channels.get(LOGPROB, {}), FIRST: distances.first, MOVED: distances.beyond_shift}
    if TEXT in terms.channels:
        out[WORDING] = distances.channels[TEXT]
        out[PHRASES] = shared_phrases({p: (a.greedy.text, b.greedy.text) for p, (a, b) in texts.items()})
    return {kind: table for kind, table in out.items() if table}


_ORDER = (Verdict.CHANGED, Verdict.UNDECIDED, Verdict.SAME)


def _ranked(
    texts: Texts,
    distances: Distances,
    found: Mapping[str, Band],
    decisions: Mapping[str, Decision],
    standings: Mapping[str, Standing],
) -> Iterator[ProbeComparison]:
    """Changed probes first, then undecided ones, each by score; ids break ties."""
    order = sorted(texts, key=lambda p: (_ORDER.index(decisions[p].verdict), -standings[p].score, p))
    for rank, probe in enumerate(order, 1):
        a, b = texts[probe][0].greedy.text, texts[probe][1].greedy.text
        yield ProbeComparison(
            id=probe,
            verdict=decisions[probe].verdict,
            exceeds=decisions[probe].exceeds,
            rank=rank,
            score=standings[probe].score,
            q_value=standings[probe].q_value,
            channels={c: _interval(v[probe], found.get(c)) for c, v in distances.channels.items() if probe in v},
            text=TextChange(a, b, first_difference(a, b)),
        )


def _interval(distance: float, noise: Band | None) -> ChannelDistance:
    """The distance give or take what noise explains."""
    spread = 0.0 if noise is None else noise.band
    limit = None if noise is None else noise.band
    return ChannelDistance(distance, (max(0.0, distance - spread), distance + spread), limit)


def _layers(distances: Distances, noise: Mapping[str, Band]) -> tuple[LayerDistance, ...]:
    return tuple(
        LayerDistance(site, median(values.values()), noise[site].band if site in noise else None)
        for site, values in sorted(distances.sites.items())
        if values
    )
