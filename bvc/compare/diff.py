"""The comparison of two commits: every probe's distances, verdict and place, and the model as a whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bvc.compare.drawn import NEVER_ADDED, Drawn, Scores, Shifts, draw_tests
from bvc.compare.families import Group, over_represented
from bvc.compare.family_shift import moved_families
from bvc.compare.grams import Gathered, gather
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
    SHIFT_LEVEL,
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
    their words alone). `scores`: right or wrong, of the draws of probes whose answer is known; `shifts`: how far such
    scores shifted between other captures, by the null that these stand for; `first_draws`: how many draws each side had
    at first. `token_texts`: text of token ids, as far as they were recorded. `same_weights`: both sides are known to be
    one model under one recipe but for its layout, so that whatever differs is noise.
    """

    probes: Mapping[str, tuple[str, Probe]] = field(default_factory=dict)
    benign: Sequence[Benign] = ()
    steps: Sequence[float] = ()
    judge: Judge | None = None
    scores: Scores | None = None
    shifts: Shifts = field(default_factory=dict)
    first_draws: tuple[int | None, int | None] = NEVER_ADDED
    token_texts: Mapping[int, str] = field(default_factory=dict)
    same_weights: bool = False


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
    moved = Moved()
    shared, mined = _shared(a, b, channels, background or Background())
    distances = measure(shared.texts, mined.watch(blocks), shared.terms, moved)
    measured = _measured(a, b, shared, distances)
    words = _words(measured)
    judged = _judged(measured, words)
    tokens = mined.tokens(shared.known.token_texts, shared.clusters)
    phrases = (*_phrases(words, shared.clusters), *tokens)
    return _comparison(a, b, measured, judged, phrases, _layers(moved, measured.tolerances, judged.outliers))


def _comparison(
    a: Side,
    b: Side,
    measured: _Measured,
    judged: _Judged,
    phrases: tuple[PhraseDiff, ...],
    layers: tuple[LayerDistance, ...],
) -> Comparison:
    """All of it as what is shown."""
    terms, known, decisions = measured.terms, measured.known, judged.decisions
    told = [t for t in measured.tolerances if t.channels]
    why = (*terms.reasons, *gaps(measured.distances, terms))
    rows = _rows(measured, judged)
    return Comparison(
        capability=min(a.capability, b.capability, key=lambda c: c.level),
        comparable=not why,
        reasons=(*why, *open_reason(judged.whole), *undecided_reasons(list(decisions.values()))),
        null={t.level: t.to_json() for t in told},
        null_sources={t.level: _source(t, judged.drawn) for t in told},
        summary=_summary(measured.texts, rows, judged.outliers),
        overall=_overall(measured, judged),
        probes=rows,
        phrases=phrases,
        families=over_represented(_groups(known.probes), judged.outliers),
        layers=layers,
        only_a=tuple(p for p in a.probes if p not in b.probes),
        only_b=tuple(p for p in b.probes if p not in a.probes),
        logprob_unit="nats per character" if terms.table is None else "nats per token",
    )


Texts = Mapping[str, tuple[Outputs, Outputs]]


@dataclass(frozen=True)
class _Shared:
    """The texts of the common probes, the terms on which they compare, and what is known beside them."""

    texts: Texts
    terms: Terms
    known: Background

    @property
    def clusters(self) -> dict[str, str] | None:
        """Of the probes that are in one; None where none is."""
        clusters = {p: probe.cluster for p, (_, probe) in self.known.probes.items() if probe.cluster is not None}
        return clusters or None


@dataclass(frozen=True)
class _Measured(_Shared):
    """The same with all distances: between the sides, of their own re-captures (`noise`), and what each null
    explains."""

    distances: Distances
    noise: Sequence[Distances]
    tolerances: Sequence[Tolerance]


@dataclass(frozen=True)
class _Words:
    """Greedy answer and draws of both sides by probe, what was gathered of them, and phrases that only one side has."""

    said: Said
    gathered: Gathered
    new: Sequence[PhraseDiff]


@dataclass(frozen=True)
class _Judged:
    """How far each probe stands out, those that do, the tests of the draws, and the verdicts' grounds."""

    standings: Standings
    outliers: set[str]
    drawn: Drawn
    whole: Whole
    decisions: Mapping[str, Decision]


Said = dict[str, tuple[list[str], list[str]]]


def _shared(a: Side, b: Side, channels: Sequence[str], background: Background) -> tuple[_Shared, Mined]:
    """What both sides hold, and what counts the tokens of its log-probs."""
    terms = settle_terms(a, b, channels)
    texts = {p: (side.outputs, b.probes[p].outputs) for p, side in a.probes.items() if p in b.probes}
    return _Shared(texts, terms, _usable(background, texts)), Mined(terms)


def _measured(a: Side, b: Side, shared: _Shared, distances: Distances) -> _Measured:
    noise = [found for side in (a, b) if (found := measure_noise(side, shared.terms)) is not None]
    source = "re-captures of both commits" if len(noise) > 1 else "re-captures of one commit"
    if shared.known.same_weights:
        noise, source = [*noise, distances], "the same weights in both commits, captured in another layout"
    tolerances = [*_same_weights(noise, source), *map(tolerance_of, shared.known.benign)]
    return _Measured(shared.texts, shared.terms, shared.known, distances, noise, tolerances)


def _words(measured: _Measured) -> _Words:
    said = _said(measured.texts, measured.terms)
    gathered = gather(said)
    moves = by_numbers(list(measured.texts), statistics(measured.distances))
    return _Words(said, gathered, new_phrases(said, moves, clusters=measured.clusters, gathered=gathered))


def _judged(measured: _Measured, words: _Words) -> _Judged:
    """Who stands out, whether the draws differ, then the verdicts on the model and on each probe."""
    standings = _standings(measured, words)
    outliers = {p for p, s in standings.of.items() if s.q_value is not None and s.q_value <= OUTLIER_LEVEL}
    nearest = min((s.q_value for s in standings.of.values() if s.q_value is not None), default=1.0)
    drawn = _drawn(measured)
    whole = replace(_whole(measured, drawn), nearest=nearest)
    return _Judged(standings, outliers, drawn, whole, _decide(measured, outliers, whole.drifted, drawn))


def _standings(measured: _Measured, words: _Words) -> Standings:
    """How far each probe stands out by its distances, by new phrases and by its families."""
    known = measured.known
    benign = _benign_statistics(known, measured.terms)
    alone = stand_out(list(measured.texts), statistics(measured.distances), benign)
    families = moved_families(_groups(known.probes), {p: s.score for p, s in alone.of.items()}, alone.benign)
    return replace(alone, of=joined(alone.of, words.new, families))


def _rows(measured: _Measured, judged: _Judged) -> tuple[ProbeDiff, ...]:
    known = measured.known
    evidence = Evidence(
        measured.texts,
        measured.distances,
        measured.tolerances,
        judged.decisions,
        judged.standings.of,
        known.probes,
        judged.drawn.more,
    )
    return tuple(probe_diffs(evidence, known.judge))


def _source(tolerance: Tolerance, drawn: Drawn) -> str:
    """Where a null comes from, and how many pairs of captures the shift of the draws was held against."""
    pairs = drawn.replicates.get(tolerance.level, 0)
    if not pairs:
        return tolerance.source
    return f"{tolerance.source}; the draws' shift: {pairs} {'pair' if pairs == 1 else 'pairs'} of captures"


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


def _references(probes: Mapping[str, ProbeSide]) -> dict[str, Reference]:
    return {p: side.reference for p, side in probes.items() if side.reference is not None}


def _same_weights(noise: Sequence[Distances], source: str) -> list[Tolerance]:
    """The tolerance N0 of captures of the same weights."""
    if not noise:
        return []
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


def _drawn(measured: _Measured) -> Drawn:
    terms, known = measured.terms, measured.known
    if not terms.draws or TEXT not in terms.channels:
        return Drawn()
    return draw_tests(
        measured.texts, scores=known.scores, clusters=measured.clusters, shifts=known.shifts, first=known.first_draws
    )


def _whole(measured: _Measured, drawn: Drawn) -> Whole:
    """The tests of the whole model. Both tests against benign updates share one level."""
    benign = [t for t in measured.tolerances if t.level != N0]
    widest = max(benign, key=lambda t: t.level, default=None)
    against = widest.level if widest is not None else (N0 if measured.tolerances else None)
    held = _same_model(measured, drawn)
    p_drift = None if widest is None else drift_p_value(drift(measured.distances), widest.drifts)
    p_shift = None if widest is None else drawn.beyond.get(widest.level)
    beyond = {f"drift beyond {against}": p_drift, f"shift beyond {against}": p_shift}
    level = DRIFT_LEVEL if p_shift is None else DRIFT_LEVEL - SHIFT_LEVEL
    return Whole(
        p_value=combine(held) if held else None,
        covered=measured.terms.covered,
        against=against,
        drifted=p_drift is not None and p_drift <= level,
        shifted=p_shift is not None and p_shift <= SHIFT_LEVEL,
        drift_level=level,
        drifts=() if widest is None else widest.drifts,
        tests={**held, **{name: p for name, p in beyond.items() if p is not None}},
    )


def _same_model(measured: _Measured, drawn: Drawn) -> dict[str, float]:
    """The p-values of "it is the same model", by what they look at."""
    distances = exceeds_noise(measured.distances.channels, [n.channels for n in measured.noise])
    tests = {"distances": distances, "draws": drawn.p_value}
    return {name: p for name, p in tests.items() if p is not None}


def _decide(measured: _Measured, outliers: set[str], drifted: bool, drawn: Drawn) -> dict[str, Decision]:
    distances, terms = measured.distances, measured.terms
    limits = {t.level: {channel: b.band for channel, b in t.channels.items()} for t in measured.tolerances}
    out: dict[str, Decision] = {}
    for probe, (a, b) in measured.texts.items():
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


def _overall(measured: _Measured, judged: _Judged) -> Overall:
    whole, steps = judged.whole, measured.known.steps
    moved, ci = describe(measured.distances)
    return Overall(
        p_value=whole.p_value,
        verdict=decide_overall(list(judged.decisions.values()), whole),
        drift=moved,
        drift_percentile=drift_percentile(moved, steps),
        steps=len(steps),
        ci=ci,
        tests={**whole.tests, **_draw_parts(judged.drawn)},
        against=whole.against,
        smallest=smallest(measured.distances, judged.standings.factor, whole, _smallest_shift(judged)),
    )


def _smallest_shift(judged: _Judged) -> float | None:
    """The least shift of the draws' mean score that would have been found, by the test that counts for the verdict."""
    against, drawn = judged.whole.against, judged.drawn
    return drawn.smallest if against in (None, N0) else drawn.smallest_beyond.get(against)


def _draw_parts(drawn: Drawn) -> dict[str, float]:
    """The parts of the test of the draws, those of the looks at them, and the p-value that holds at any look."""
    parts = {**drawn.tests, **({} if drawn.test is None else drawn.test.parts)}
    return parts if drawn.any_look is None else {**parts, "draws, at any look": drawn.any_look}


def _said(texts: Texts, terms: Terms) -> Said:
    """Greedy answer and draws of both sides, by probe."""
    if TEXT not in terms.channels:
        return {}
    return {p: (_answers(a, terms), _answers(b, terms)) for p, (a, b) in texts.items()}


def _phrases(words: _Words, clusters: Mapping[str, str] | None) -> tuple[PhraseDiff, ...]:
    """New phrases first, then those that only became more frequent."""
    seen = {(phrase.side, phrase.text) for phrase in words.new}
    more = phrase_diffs(words.said, clusters=clusters, gathered=words.gathered) if words.said else ()
    return (*words.new, *(phrase for phrase in more if (phrase.side, phrase.text) not in seen))


def _answers(outputs: Outputs, terms: Terms) -> list[str]:
    draws = [draw.text for draw in outputs.draws] if terms.draws else []
    return [outputs.greedy.text, *draws]


def _groups(probes: Mapping[str, tuple[str, Probe]]) -> dict[str, list[Group]]:
    return {p: [("suite", suite), *(("tag", tag) for tag in probe.tags)] for p, (suite, probe) in probes.items()}


def _layers(moved: Moved, tolerances: Sequence[Tolerance], outliers: set[str]) -> tuple[LayerDistance, ...]:
    widest = tolerances[-1].sites if tolerances else {}
    return layer_shifts(moved.movement, moved.unmoved, widest, outliers).layers
