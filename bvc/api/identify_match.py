"""The unknown model against every recorded one: distances, and what they say together. Loads numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import log10

from bvc.api.bands import benign_pairs, pair_distances
from bvc.api.identify_draws import drawn_apart, notes_of_draws, refuse_without_draws, steps_apart
from bvc.api.identify_records import CLOSER, FARTHER, STEP, UPDATE, Candidate, Kin
from bvc.api.identify_subject import Subject
from bvc.api.noise import source_blocks
from bvc.api.noise_pairs import STEPS
from bvc.api.sides import Records
from bvc.compare.identify import LEAST, Pairs, Posterior, Reading, nearest, odds_of_same, posterior, reading
from bvc.compare.measure import Moved, measure
from bvc.compare.pairing import ACTIVATION, DRAWS, LOGPROB, TEXT, PairedBlock, ProbeSide, Side, Terms
from bvc.compare.phrase_test import ALPHA
from bvc.compare.shift import Signature, signature
from bvc.compare.terms import settle_terms
from bvc.compare.tolerance import N1, drift_p_value
from bvc.errors import BvcError, NotComparable
from bvc.evidence import ActivationBlock
from bvc.records import CommitInfo, Recipe
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.repository.snapshot_writer import Stored
from bvc.results import Progress

_NEGLIGIBLE = 1e-3
_LAYOUT = frozenset({"batch_rows", "prompt_buckets", "draws", "seed", "temperature", "hookpoints", "max_new_tokens"})

Report = Callable[[Progress], None]
ByProbe = Mapping[str, float]


@dataclass(frozen=True)
class Known:
    """A recorded model: the commit to compare with (the newest captured one, or one captured as the unknown model was),
    and the ids of all that record it."""

    view: SnapshotView
    commits: tuple[str, ...]


@dataclass(frozen=True)
class Matched:
    """How one recorded model lies to the unknown one: as it was `read`; by probe by how much the texts differ, and by
    how much hidden states moved. `equal`: share of equal greedy answers. The signatures are mean hidden states on the
    probes of both."""

    known: Known
    read: Reading
    texts: ByProbe
    equal: float | None = None
    moved: ByProbe = field(default_factory=dict)
    covered: bool = False
    reasons: tuple[str, ...] = ()
    signatures: tuple[Signature, Signature] | None = None


@dataclass(frozen=True)
class Match:
    """What all comparisons say together: candidates, likeliest first."""

    candidates: tuple[Candidate, ...]
    none: float
    nearest: Kin
    notes: tuple[str, ...] = ()


def match(
    repository: Repository, subject: Subject, models: Sequence[Known], probes: Sequence[str], report: Report
) -> Match:
    """Compares the unknown model with all of `models` on `probes`. Raises NotComparable where none shares a probe with
    it, or draws of one."""
    found: list[Matched] = []
    records = Records()
    for number, known in enumerate(models):
        report(Progress("comparing commits", number, len(models)))
        with suppress(NotComparable):
            compare = _compare_draws if subject.sampled else _compare
            found.append(compare(subject, known, probes, records))
            records.only(known.view)
    report(Progress("comparing commits", len(models), len(models)))
    if not found and subject.sampled:
        refuse_without_draws(subject, [known.view for known in models], probes)
    if not found:
        raise NotComparable("no recorded commit was captured on probes that this model answered")
    background = _Background(repository, found, probes)
    chances = posterior({_key(m): odds_of_same(m.read, background.pairs(m)) for m in found})
    tables, by = _kinships(found)
    kin = nearest({_key(m): table for m, table in zip(found, tables, strict=True)}, _clusters(found, probes))
    closest = next(m for m in found if _key(m) == kin.model)
    candidates = [_candidate(m, chances, kin.distances[_key(m)], _direction(m, found)) for m in found]
    likeliest = max(found, key=lambda m: chances.models[_key(m)])
    return Match(
        candidates=tuple(sorted(candidates, key=_order)),
        none=chances.none,
        nearest=background.relation(closest, kin.confidence, by),
        notes=_notes(subject, likeliest, models, found),
    )


def _notes(subject: Subject, best: Matched, models: Sequence[Known], found: Sequence[Matched]) -> tuple[str, ...]:
    if subject.sampled:
        return notes_of_draws([m.known.view for m in found], len(models) - len(found))
    return () if subject.recipe is None else best.reasons


def _order(candidate: Candidate) -> tuple[float, float]:
    """Likeliest first; those that are out of the question by nearness."""
    chance = candidate.probability
    return -chance if chance >= _NEGLIGIBLE else 0.0, candidate.kinship or 0.0


def _key(matched: Matched) -> str:
    return matched.known.view.info.id


# One recorded model


def _compare(subject: Subject, known: Known, probes: Sequence[str], records: Records) -> Matched:
    view = known.view
    common = [p for p in probes if p in subject.sources and p in view.output_blobs]
    left, right = _side(view, common, records), subject.side(common)
    terms = replace(settle_terms(left, right), ranked=False)  # what ranks probes is not asked for
    moved = Moved()
    arrays = terms.channels != (TEXT,)
    stored = dict.fromkeys(common, Stored(view))
    blocks = list(source_blocks(stored, subject.sources, common)) if arrays else []
    texts = {p: (left.probes[p].outputs, right.probes[p].outputs) for p in common}
    distances = measure(texts, blocks, terms, moved)
    worded = distances.channels[TEXT]
    scored = distances.channels.get(LOGPROB) if terms.table is not None else None
    return Matched(
        known=known,
        read=reading(LOGPROB if scored else TEXT, scored or worded),
        equal=sum(value == 0 for value in worded.values()) / len(worded),
        texts=worded,
        moved=_beyond(moved),
        covered=_covered(view.snapshot.recipe, subject.recipe, terms),
        reasons=terms.reasons,
        signatures=_signatures(blocks, len(common)) if ACTIVATION in terms.channels else None,
    )


def _compare_draws(subject: Subject, known: Known, probes: Sequence[str], records: Records) -> Matched:
    read, apart = drawn_apart(subject, known.view, probes, records)
    return Matched(known=known, read=read, texts=apart)


def _side(view: SnapshotView, probes: Sequence[str], records: Records) -> Side:
    snapshot = view.snapshot
    if snapshot.capability is None:
        raise NotComparable(f"commit {view.info.id[:10]} was registered without capture")
    found: dict[str, ProbeSide] = {probe: records.of(view, probe) for probe in probes}
    recipe = None if snapshot.model.kind == "recorded" else snapshot.recipe
    return Side(recipe, snapshot.capability, snapshot.model.tokenizer, found, view.signatures.bucket_table())


def _beyond(moved: Moved) -> ByProbe:
    """Movement of each probe's last prompt token beyond the shift that all share, the mean over hookpoints."""
    sites = [site for site in sorted(moved.movement.ids) if site.endswith("/prompt")]
    tables = [moved.movement.beyond_shift(site, moved.unmoved) for site in sites]
    shared = set.intersection(*(set(table) for table in tables)) if tables else set()
    return {probe: sum(table[probe] for table in tables) / len(tables) for probe in shared}


def _covered(a: Recipe | None, b: Recipe | None, terms: Terms) -> bool:
    """Whether captures of one model under these two recipes lie no further apart than its re-captures do."""
    if a is None or b is None or not terms.covered:
        return False
    left, right = ({k: v for k, v in recipe.to_json().items() if k not in _LAYOUT} for recipe in (a, b))
    return left == right


def _signatures(blocks: Iterable[PairedBlock], probes: int) -> tuple[Signature, Signature] | None:
    """Of the recorded model and of the unknown one; None where some probe's activations are missing."""
    pairs = [(b.a.activation, b.b.activation) for b in blocks if b.a.activation is not None]
    left = [a for a, b in pairs if a is not None and b is not None]
    right = [b for a, b in pairs if a is not None and b is not None]
    if sum(map(len, left)) != probes:
        return None
    return signature(ActivationBlock.concatenate(left)), signature(ActivationBlock.concatenate(right))


# All of them together


def _kinships(found: Sequence[Matched]) -> tuple[list[ByProbe], str]:
    """For each recorded model the distances that order them by nearness, and what these are of.

    What a fine-tune does to all prompts alike, the next one may undo: a model then lies nearer to its grandparent than
    to its parent. What it does to each prompt apart stays.
    """
    if all(matched.moved for matched in found):
        return [matched.moved for matched in found], ACTIVATION
    return [matched.texts for matched in found], DRAWS if found[0].read.channel == DRAWS else TEXT


def _clusters(found: Sequence[Matched], probes: Sequence[str]) -> dict[str, str]:
    """Which probes count as one, by what the newest model compared was asked."""
    known = {probe.id: probe.cluster for _, probe in found[0].known.view.probes() if probe.cluster is not None}
    return {probe: f"cluster {known[probe]}" for probe in probes if probe in known}


def _direction(matched: Matched, found: Sequence[Matched]) -> float | None:
    """The cosine of a model's mean shift, away from the oldest one compared, with the unknown one's."""
    oldest, own = found[-1].signatures, matched.signatures
    if oldest is None or own is None or oldest[0].probes != own[0].probes:
        return None
    return own[0].minus(oldest[0]).cosine(own[1].minus(oldest[0]))


def _candidate(matched: Matched, chances: Posterior, kinship: float, direction: float | None) -> Candidate:
    key = _key(matched)
    return Candidate(
        commit=matched.known.view.info,
        commits=matched.known.commits,
        probability=chances.models[key],
        channel=matched.read.channel,
        distance=max(0.0, matched.read.distance),
        equal=matched.equal,
        kinship=max(0.0, kinship),
        direction=direction,
        probes=matched.read.probes,
    )


class _Background:
    """What is known of pairs of models before the unknown one is looked at: noise, steps, benign updates."""

    def __init__(self, repository: Repository, found: Sequence[Matched], probes: Sequence[str]) -> None:
        self._repository = repository
        self._probes = frozenset(probes)
        self._noise = [value for m in found if (value := _noise(m.known.view.info)) is not None]
        newest = found[0].known.view.info.id
        known = benign_pairs(repository, newest, newest)
        compared = {commit for m in found for commit in m.known.commits}
        self._steps = [(a, b) for a, b in known.steps if {a, b} <= compared and not _one_model(repository, a, b)]
        self._learned = [(a, b) for level, a, b in known.learned if level == N1]
        self._known: dict[tuple[str, str, str], Reading | None] = {}

    def pairs(self, matched: Matched) -> Pairs:
        """What stands for pairs of this channel."""
        channel = matched.read.channel
        others = [read.value for read in self._readings(self._steps, channel)]
        return Pairs(channel, self._noise if channel == LOGPROB else [], others, matched.covered)

    def relation(self, matched: Matched, confidence: float, by: str) -> Kin:
        """How far the nearest model is, against benign updates, or else the steps of the lineage."""
        commit, own = matched.known.view.info, matched.read.distance
        for level, pairs in ((N1, self._learned), (STEPS, self._steps)):
            drifts = [read.distance for read in self._readings(pairs, matched.read.channel)]
            p_value = drift_p_value(own, drifts)
            if p_value is not None:
                near = UPDATE if level == N1 else STEP
                relation = FARTHER if p_value <= ALPHA else CLOSER if p_value >= 1 - ALPHA else near
                return Kin(commit, confidence, by, relation, level, p_value)
        return Kin(commit, confidence, by)

    def _readings(self, pairs: Iterable[tuple[str, str]], channel: str) -> list[Reading]:
        """Of the pairs that can be measured on the probes asked."""
        for a, b in pairs:
            if (a, b, channel) not in self._known:
                with suppress(BvcError):
                    self._known[a, b, channel] = self._measured(a, b, channel)
        return [read for a, b in pairs if (read := self._known.get((a, b, channel))) is not None]

    def _measured(self, a: str, b: str, channel: str) -> Reading | None:
        if channel == DRAWS:
            return steps_apart(self._repository.snapshot(a), self._repository.snapshot(b), self._probes)
        table = pair_distances(self._repository, a, b).channels.get(channel, {})
        asked = {probe: value for probe, value in table.items() if probe in self._probes}
        return reading(channel, asked) if asked else None


def _one_model(repository: Repository, a: str, b: str) -> bool:
    models = {repository.snapshot(commit).snapshot.model.fingerprint for commit in (a, b)}
    return len(models) == 1


def _noise(info: CommitInfo) -> float | None:
    """The reading of a commit's own re-captures, which may come from anywhere; None without any."""
    band = {} if info.snapshot is None else info.snapshot.noise.get(LOGPROB, {})
    value = band.get("median") if isinstance(band, Mapping) else None
    return log10(max(value, LEAST)) if isinstance(value, int | float) and value >= 0 else None


def step_tables(repository: Repository, home: SnapshotView) -> list[ByProbe]:
    """How far each probe moved in the steps of the lineage around `home`: by log-probs, else by text."""
    tables: list[ByProbe] = []
    for a, b in benign_pairs(repository, home.info.id, home.info.id).steps:
        with suppress(BvcError):
            channels = pair_distances(repository, a, b).channels
            tables.append(channels.get(LOGPROB) or channels.get(TEXT) or {})
    return tables
