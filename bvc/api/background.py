"""What a diff knows beside its two sides: harmless change, the lineage's steps, and what scorers say of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bvc.api.bands import BenignPairs, PairReader, benign_pairs, known_shifts
from bvc.api.draws import draw_scores, first_draws
from bvc.api.facts import facts_of
from bvc.api.languages import Languages
from bvc.api.substance import Answers, answers_substance
from bvc.compare.diff import Background
from bvc.compare.drawn import Scores, rate_shifts
from bvc.compare.measure import Distances
from bvc.compare.pairing import Side
from bvc.compare.substance import by_distance, with_facts
from bvc.compare.tolerance import FEWEST_STEPS, N1, Benign, drift
from bvc.errors import BvcError
from bvc.records import Probe, Recipe, Snapshot
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.results import Progress, Substance

TOLD = 200
"""Answers, the most changed first, of which language and refusal are looked at: that takes longer than all else."""
JUDGED = 100
"""Answers, the most changed first, that a sentence model or a server is asked about; of the others words decide."""
Probes = Mapping[str, tuple[str, Probe]]


def background(
    repository: Repository,
    left: SnapshotView,
    right: SnapshotView,
    sides: tuple[Side, Side],
    channels: Sequence[str] = (),
    judging: Judging | None = None,
) -> Background:
    """The background of a diff of two snapshots, which are read as `sides`. Benign pairs count only where all channels
    are compared, which is what their distances are known for."""
    probes = {probe.id: (suite, probe) for suite, probe in reversed(right.probes())}
    texts = right.signatures.token_texts() or []
    pairs = BenignPairs() if channels else benign_pairs(repository, left.info.id, right.info.id)
    reader = PairReader(repository)
    steps = [found for step in pairs.steps if (found := _distances(reader, *step)) is not None]
    benign = tuple(_benign(reader, pairs, steps))
    reader.flush()
    scores = _scores(sides, probes)
    return Background(
        probes=probes,
        benign=benign,
        steps=tuple(map(drift, steps)),
        judge=_Judge(repository, sides, probes, judging or Judging()),
        scores=scores,
        shifts=known_shifts(repository, pairs) if scores and rate_shifts(scores) else {},
        first_draws=(first_draws(repository, left), first_draws(repository, right)),
        token_texts=dict(enumerate(texts)),
        same_weights=_same_weights(left.snapshot, right.snapshot),
    )


def _same_weights(a: Snapshot, b: Snapshot) -> bool:
    """Whether two commits hold one checkpoint under one recipe, but for what only says in which order numbers are added
    up and which draws are taken."""
    if "recorded" in (a.model.kind, b.model.kind) or a.recipe is None or b.recipe is None:
        return False
    models = {(s.model.fingerprint, s.model.tokenizer) for s in (a, b)}
    return len(models) == 1 and _without_layout(a.recipe) == _without_layout(b.recipe)


def _without_layout(recipe: Recipe) -> Recipe:
    versions = {name: value for name, value in recipe.environment.items() if name != "hardware"}
    return replace(recipe, device="", batch_rows=0, prompt_buckets=(), draws=0, seed=0, environment=versions)


def _scores(sides: tuple[Side, Side], probes: Probes) -> Scores | None:
    """Right or wrong for every draw of the probes whose answer is known; None where there are none."""
    a, b = (side.probes for side in sides)
    common = (probe for p, (_, probe) in probes.items() if p in a and p in b)
    return draw_scores(common, lambda p: a[p].outputs, lambda p: b[p].outputs) or None


def _benign(reader: PairReader, pairs: BenignPairs, steps: Sequence[Distances]) -> Iterator[Benign]:
    """The levels of harmless change that are known, N1 first: learned pairs, else the steps of the lineage for N1."""
    levels: dict[str, list[Distances]] = {}
    for level, a, b in pairs.learned:
        found = _distances(reader, a, b)
        if found is not None:
            levels.setdefault(level, []).append(found)
    if N1 not in levels and len(steps) >= FEWEST_STEPS:
        yield Benign(N1, f"the drift of {len(steps)} steps of this lineage", steps, trusted=False)
    for level in sorted(levels):
        count = len(levels[level])
        yield Benign(level, "1 benign pair" if count == 1 else f"{count} benign pairs", levels[level])


def _distances(reader: PairReader, a: str, b: str) -> Distances | None:
    """None for a pair that cannot be measured: it tells nothing, and a diff does without it."""
    try:
        return reader.distances(a, b)
    except BvcError:
        return None


@dataclass(frozen=True)
class Judging:
    """Who judges what became of answers: the `key` of a server, where the settings name one, and who hears of it."""

    key: str | None = None
    report: Callable[[Progress], None] | None = None


class _Judge:
    """What became of the greedy answers of both sides, by the method of the settings and by what scorers know."""

    def __init__(self, repository: Repository, sides: tuple[Side, Side], probes: Probes, judging: Judging) -> None:
        self.repository, self.sides, self.probes, self.judging = repository, sides, probes, judging
        self.languages = Languages(repository.store.index)

    def __call__(self, by_words: Mapping[str, float]) -> list[Substance]:
        """For some probes, the most changed first, given how far their meaning moved by their words: the settings'
        method looks at the first of them only, since a sentence model or a server takes its time."""
        ids = list(by_words)
        answers = [self._answers(probe, told=place < TOLD) for place, probe in enumerate(ids)]
        self.languages.flush()
        config = self.repository.config
        slow = 0 if config.substance_method == "builtin" else JUDGED
        judged = answers_substance(answers[:slow], config, key=self.judging.key, progress=self.judging.report)
        rest = zip(ids[slow:], answers[slow:], strict=True)
        return [*judged, *(with_facts((a.a, a.b), (a.facts_a, a.facts_b), by_distance(by_words[p])) for p, a in rest)]

    def _answers(self, probe: str, *, told: bool) -> Answers:
        a, b = (side.probes[probe].outputs.greedy for side in self.sides)
        record = self.probes[probe][1]
        return Answers(record.text, a.text, b.text, *facts_of(record, a, b, self.languages if told else None))
