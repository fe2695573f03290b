"""The comparison of two commits: every probe's distances, verdict and place, and the model as a whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bvc.compare.drawn import Drawn, Scores, draw_tests
from bvc.compare.families import Group, over_represented
from bvc.compare.family_shift import moved_families
from bvc.compare.layer_shift import layer_shifts
from bvc.compare.localize import combine
from bvc.compare.measure import Distances, Moved, gaps, measure
from bvc.compare.new_phrases import joined, new_phrases
from bvc.compare.noise import Band, bands
from bvc.compare.pairing import TEXT, PairedBlock, ProbeSide, Side, Terms
from bvc.compare.phrases import phrase_diffs
from bvc.compare.rows import Evidence, Judge, probe_diffs
from bvc.compare.significance import exceeds_noise
from bvc.compare.standing import (
    FEWEST,
    FIRST,
    KL,
    MOVED,
    PEAK,
    PHRASES,
    SUBSTANCE,
    WORDING,
    Standings,
    Statistics,
    by_numbers,
    stand_out,
)
from bvc.compare.terms import settle_terms
from bvc.compare.token_mining import Mined
from bvc.compare.tolerance import N0, Benign, Tolerance, drift, drift_p_value, tolerance_of
from bvc.compare.verdict import (
    DRIFT_LEVEL,
    OUTLIER_LEVEL,
    Decision,
    Finding,
    Whole,
    decide,
    decide_overall,
    open_reason,
    undecided_reasons,
)
from bvc.compare.whole import describe, drift_percentile, smallest
from bvc.records import Capability, Outputs, Probe, Reference
from bvc.results import (
    DiffSummary,
    FamilyDiff,
    LayerDistance,
    Overall,
    PhraseDiff,
    ProbeDiff,
    Verdict,
)

NOISE_PROBES = 64
"""Re-captured probes of each commit whose arrays a diff reads: bands are the largest distance of up to 128 pairs."""


@dataclass(frozen=True)
class Background:
    """What a diff knows beside its two sides.

    `probes`: suite and record of every common probe. `benign`: what harmless change is known to do. `steps`: drift of
    the lineage's steps. `judge`: says what became of the answers of some probes, the most changed first (default: by
    their words alone). `scores`: right or wrong, of the draws of probes whose answer is known. `token_texts`: text of
    token ids, as far as they were recorded.
    """

    probes: Mapping[str, tuple[str, Probe]] = field(default_factory=dict)
    benign: Sequence[Benign] = ()
    steps: Sequence[float] = ()
    judge: Judge | None = None
    scores: Scores | None = None
    token_texts: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """All that a diff says without looking at commits; `probes` are ordered by rank, the fields are those of
    `bvc.results.DiffResult`. `reasons` are sentences: what could not be compared (none where `comparable`), and why
    probes are undecided."""

    capability: Capability
    comparable: bool
    reasons: tuple[str, ...]
    null: Mapping[str, Any]
    null_sources: Mapping[str, str]
    summary: DiffSummary
    overall: Overall
    probes: tuple[ProbeDiff, ...]
    phrases: tuple[PhraseDiff, ...]
    families: tuple[FamilyDiff, ...]
    layers: tuple[LayerDistance, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    logprob_unit: str


def compare(
    a: Side,
    b: Side,
    blocks: Iterable[PairedBlock],
    *,
    channels: Sequence[str] = (),
    background: Background | None = None,
) -> Comparison:
    """Compares `b` with `a` on their common probes and `channels` (default: all that both hold).

    `blocks` are the two sides' arrays, each common probe once, and read once. Raises NotComparable where the sides
    share no probe, or do not both hold a channel that was asked for.
    """
    terms = settle_terms(a, b, channels)
    texts = {p: (side.outputs, b.probes[p].outputs) for p, side in a.probes.items() if p in b.probes}
    known = _usable(background or Background(), texts)
    moved, mined = Moved(), Mined(terms)
    distances = measure(texts, mined.watch(blocks), terms, moved)
    why = (*terms.reasons, *gaps(distances, terms))
    noise = [measured for side in (a, b) if (measured := measure_noise(side, terms)) is not None]
    tolerances = [*_same_weights(noise), *map(tolerance_of, known.benign)]
    alone = stand_out(list(texts), statistics(distances), _benign_statistics(known, terms))
    said = _said(texts, terms)
    new = new_phrases(said, by_numbers(list(texts), statistics(distances)), clusters=_clusters(known))
    families = moved_families(_groups(known.probes), {p: s.score for p, s in alone.of.items()}, alone.benign)
    standings = replace(alone, of=joined(alone.of, new, families))
    outliers = {p for p, s in standings.of.items() if s.q_value is not None and s.q_value <= OUTLIER_LEVEL}
    drawn = _drawn(texts, terms, known)
    nearest = min((s.q_value for s in standings.of.values() if s.q_value is not None), default=1.0)
    whole = replace(_whole(distances, noise, tolerances, terms, drawn), nearest=nearest)
    decisions = _decide(texts, distances, tolerances, terms, outliers, whole.drifted, drawn)
    evidence = Evidence(texts, distances, tolerances, decisions, standings.of, known.probes, drawn.more)
    rows = tuple(probe_diffs(evidence, known.judge))
    return Comparison(
        capability=min(a.capability, b.capability, key=lambda c: c.level),
        comparable=not why,
        reasons=(*why, *open_reason(whole), *undecided_reasons(list(decisions.values()))),
        null={t.level: t.to_json() for t in tolerances if t.channels},
        null_sources={t.level: t.source for t in tolerances if t.channels},
        summary=_summary(texts, rows, outliers),
        overall=_overall(distances, decisions, standings, whole, known, drawn),
        probes=rows,
        phrases=(*_phrases(said, new, known), *mined.tokens(known.token_texts, _clusters(known))),
        families=over_represented(_groups(known.probes), outliers),
        layers=_layers(moved, tolerances, outliers),
        only_a=tuple(p for p in a.probes if p not in b.probes),
        only_b=tuple(p for p in b.probes if p not in a.probes),
        logprob_unit="nats per character" if terms.table is None else "nats per token",
    )


def _usable(known: Background, texts: Texts) -> Background:
    """Steps of a lineage that nobody vouched for can only show a change as harmless where one that is not would have
    been seen, which takes enough probes."""
    if len(texts) >= FEWEST:
        return known
    return replace(known, benign=[benign for benign in known.benign if benign.trusted])


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


def _same_weights(noise: Sequence[Distances]) -> list[Tolerance]:
    """The tolerance N0 of the commits' own re-captures."""
    if not noise:
        return []
    source = "re-captures of both commits" if len(noise) > 1 else "re-captures of one commit"
    return [Tolerance(N0, source, bands(n.channels for n in noise), bands(n.sites for n in noise))]


def statistics(distances: Distances) -> Statistics:
    """What the ranking looks at."""
    found = {
        KL: distances.channels.get("logprob", {}),
        FIRST: distances.first,
        PEAK: distances.peak,
        MOVED: distances.beyond_shift,
        WORDING: distances.channels.get(TEXT, {}),
        SUBSTANCE: distances.substance,
        PHRASES: distances.phrases,
    }
    return {kind: table for kind, table in found.items() if table}


def _benign_statistics(known: Background, terms: Terms) -> list[Statistics]:
    """The statistics of all benign pairs, where the same channels are compared as they have."""
    return [s for benign in known.benign for pair in benign.pairs if (s := statistics(pair)) and terms.ranked]


def _drawn(texts: Texts, terms: Terms, known: Background) -> Drawn:
    if not terms.draws or TEXT not in terms.channels:
        return Drawn()
    return draw_tests(texts, scores=known.scores, clusters=_clusters(known))


def _whole(
    distances: Distances, noise: Sequence[Distances], tolerances: Sequence[Tolerance], terms: Terms, drawn: Drawn
) -> Whole:
    benign = [t for t in tolerances if t.level != N0]
    widest = max(benign, key=lambda t: t.level, default=None)
    tests = {"distances": exceeds_noise(distances.channels, [n.channels for n in noise])}
    tests["draws"] = None if drawn.test is None else drawn.test.p_value
    held = {name: p for name, p in tests.items() if p is not None}
    against = widest.level if widest is not None else (N0 if tolerances else None)
    p_drift = None if widest is None else drift_p_value(drift(distances), widest.drifts)
    if p_drift is not None:
        tests[f"drift beyond {against}"] = p_drift
    return Whole(
        p_value=combine(held) if held else None,
        covered=terms.covered,
        against=against,
        drifted=p_drift is not None and p_drift <= DRIFT_LEVEL,
        drifts=() if widest is None else widest.drifts,
        tests={name: p for name, p in tests.items() if p is not None},
    )


def _decide(
    texts: Texts,
    distances: Distances,
    tolerances: Sequence[Tolerance],
    terms: Terms,
    outliers: set[str],
    drifted: bool,
    drawn: Drawn,
) -> dict[str, Decision]:
    limits = {t.level: {channel: b.band for channel, b in t.channels.items()} for t in tolerances}
    out: dict[str, Decision] = {}
    for probe, (a, b) in texts.items():
        held = {c: values[probe] for c, values in distances.channels.items() if probe in values}
        broken = probe in distances.broken
        identical = not broken and not any(held.values()) and not (terms.draws and _draws_differ(a, b))
        out[probe] = decide(
            Finding(
                identical, held, limits, terms.covered, drawn.q_values.get(probe), probe in outliers, drifted, broken
            )
        )
    return out


def _draws_differ(a: Outputs, b: Outputs) -> bool:
    """Whether a draw that both sides have differs."""
    return any(x.text != y.text for x, y in zip(a.draws, b.draws, strict=False))


def _summary(texts: Texts, rows: Sequence[ProbeDiff], outliers: set[str]) -> DiffSummary:
    verdicts = [row.verdict for row in rows]
    turns = [row.substance.reason for row in rows if row.substance is not None]
    return DiffSummary(
        probes=len(texts),
        same=verdicts.count(Verdict.SAME),
        changed=verdicts.count(Verdict.CHANGED),
        undecided=verdicts.count(Verdict.UNDECIDED),
        identical_text=sum(a.greedy.text == b.greedy.text for a, b in texts.values()),
        outliers=len(outliers),
        right_to_wrong=turns.count("right to wrong"),
        wrong_to_right=turns.count("wrong to right"),
    )


def _overall(
    distances: Distances,
    decisions: Mapping[str, Decision],
    standings: Standings,
    whole: Whole,
    known: Background,
    drawn: Drawn,
) -> Overall:
    moved, ci = describe(distances)
    return Overall(
        p_value=whole.p_value,
        verdict=decide_overall(list(decisions.values()), whole),
        drift=moved,
        drift_percentile=drift_percentile(moved, known.steps),
        steps=len(known.steps),
        ci=ci,
        tests={**whole.tests, **_draw_parts(drawn)},
        against=whole.against,
        smallest=smallest(distances, standings.factor, whole.drifts, drawn.smallest),
    )


Said = dict[str, tuple[list[str], list[str]]]


def _draw_parts(drawn: Drawn) -> dict[str, float]:
    """The parts of the test of the draws, and the p-value that holds at any look."""
    parts = {} if drawn.test is None else dict(drawn.test.parts)
    return parts if drawn.any_look is None else {**parts, "draws, at any look": drawn.any_look}


def _said(texts: Texts, terms: Terms) -> Said:
    """Greedy answer and draws of both sides, by probe."""
    if TEXT not in terms.channels:
        return {}
    return {p: (_answers(a, terms), _answers(b, terms)) for p, (a, b) in texts.items()}


def _phrases(said: Said, new: Sequence[PhraseDiff], known: Background) -> tuple[PhraseDiff, ...]:
    """New phrases first, then those that only became more frequent."""
    seen = {(phrase.side, phrase.text) for phrase in new}
    more = phrase_diffs(said, clusters=_clusters(known)) if said else ()
    return (*new, *(phrase for phrase in more if (phrase.side, phrase.text) not in seen))


def _clusters(known: Background) -> dict[str, str] | None:
    clusters = {p: probe.cluster for p, (_, probe) in known.probes.items() if probe.cluster is not None}
    return clusters or None


def _answers(outputs: Outputs, terms: Terms) -> list[str]:
    draws = [draw.text for draw in outputs.draws] if terms.draws else []
    return [outputs.greedy.text, *draws]


def _groups(probes: Mapping[str, tuple[str, Probe]]) -> dict[str, list[Group]]:
    return {p: [("suite", suite), *(("tag", tag) for tag in probe.tags)] for p, (suite, probe) in probes.items()}


def _layers(moved: Moved, tolerances: Sequence[Tolerance], outliers: set[str]) -> tuple[LayerDistance, ...]:
    widest = tolerances[-1].sites if tolerances else {}
    return layer_shifts(moved.movement, moved.unmoved, widest, outliers).layers
