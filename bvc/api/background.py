"""What a diff knows beside its two sides: harmless change, the lineage's steps, and what scorers say of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bvc.api.bands import BenignPairs, benign_pairs, pair_distances
from bvc.api.substance import Answers, answers_substance
from bvc.behaviors.answers import expected_answers, right_answer
from bvc.behaviors.language import NAMES, recognized
from bvc.behaviors.refusal import is_refusal
from bvc.compare.diff import Background
from bvc.compare.drawn import Scores
from bvc.compare.measure import Distances
from bvc.compare.substance import Facts, by_distance, with_facts
from bvc.compare.tolerance import FEWEST_STEPS, N1, Benign, drift
from bvc.errors import BvcError
from bvc.records import Generation, Probe
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.results import Progress, Substance

TOLD = 200
"""Answers, the most changed first, of which language and refusal are looked at: that takes longer than all else."""
JUDGED = 100
"""Answers, the most changed first, that a sentence model or a server is asked about; of the others words decide."""
_ENGLISH = frozenset(["the", "and", "to", "that", "with", "this", "you", "are", "your", "which", "from", "it", "they"])
"""Frequent words of English that hardly any other language has among its own."""
_PLAIN, _FEWEST_WORDS, _READ = 0.2, 8, 2_000
"""Share of such words in at least so many words, among so many characters, that settles the language."""
Probes = Mapping[str, tuple[str, Probe]]


def background(
    repository: Repository,
    left: SnapshotView,
    right: SnapshotView,
    channels: Sequence[str] = (),
    judging: Judging | None = None,
) -> Background:
    """The background of a diff of two snapshots. Benign pairs count only where all channels are compared, which is what
    their distances are known for."""
    probes = {probe.id: (suite, probe) for suite, probe in reversed(right.probes())}
    texts = right.signatures.token_texts() or []
    pairs = BenignPairs() if channels else benign_pairs(repository, left.info.id, right.info.id)
    steps = [found for step in pairs.steps if (found := _distances(repository, *step)) is not None]
    return Background(
        probes=probes,
        benign=tuple(_benign(repository, pairs, steps)),
        steps=tuple(map(drift, steps)),
        judge=_Judge(repository, (left, right), probes, judging or Judging()),
        scores=_scores(left, right, probes),
        token_texts=dict(enumerate(texts)),
    )


def _scores(left: SnapshotView, right: SnapshotView, probes: Probes) -> Scores | None:
    """Right or wrong for every draw of the probes whose answer is known; None where there are none."""
    known = [p for p, (_, probe) in probes.items() if expected_answers(probe) and p in left.output_blobs]
    return {p: (_right(left, probes[p][1]), _right(right, probes[p][1])) for p in known} or None


def _right(view: SnapshotView, probe: Probe) -> tuple[float, ...]:
    return tuple(float(bool(right_answer(probe, draw.text))) for draw in view.outputs(probe.id).draws)


def _benign(repository: Repository, pairs: BenignPairs, steps: Sequence[Distances]) -> Iterator[Benign]:
    """The levels of harmless change that are known, N1 first: learned pairs, else the steps of the lineage for N1."""
    levels: dict[str, list[Distances]] = {}
    for level, a, b in pairs.learned:
        found = _distances(repository, a, b)
        if found is not None:
            levels.setdefault(level, []).append(found)
    if N1 not in levels and len(steps) >= FEWEST_STEPS:
        yield Benign(N1, f"the drift of {len(steps)} steps of this lineage", steps, trusted=False)
    for level in sorted(levels):
        count = len(levels[level])
        yield Benign(level, "1 benign pair" if count == 1 else f"{count} benign pairs", levels[level])


def _distances(repository: Repository, a: str, b: str) -> Distances | None:
    """None for a pair that cannot be measured: it tells nothing, and a diff does without it."""
    try:
        return pair_distances(repository, a, b)
    except BvcError:
        return None


@dataclass(frozen=True)
class Judging:
    """Who judges what became of answers: the `key` of a server, where the settings name one, and who hears of it."""

    key: str | None = None
    report: Callable[[Progress], None] | None = None


class _Judge:
    """What became of the greedy answers of both sides, by the method of the settings and by what scorers know."""

    def __init__(
        self, repository: Repository, sides: tuple[SnapshotView, SnapshotView], probes: Probes, judging: Judging
    ) -> None:
        self.repository, self.sides, self.probes, self.judging = repository, sides, probes, judging

    def __call__(self, by_words: Mapping[str, float]) -> list[Substance]:
        """For some probes, the most changed first, given how far their meaning moved by their words: the settings'
        method looks at the first of them only, since a sentence model or a server takes its time."""
        ids = list(by_words)
        answers = [self._answers(probe, told=place < TOLD) for place, probe in enumerate(ids)]
        config = self.repository.config
        slow = 0 if config.substance_method == "builtin" else JUDGED
        judged = answers_substance(answers[:slow], config, key=self.judging.key, progress=self.judging.report)
        rest = zip(ids[slow:], answers[slow:], strict=True)
        return [*judged, *(with_facts((a.a, a.b), (a.facts_a, a.facts_b), by_distance(by_words[p])) for p, a in rest)]

    def _answers(self, probe: str, *, told: bool) -> Answers:
        a, b = (view.outputs(probe).greedy for view in self.sides)
        facts = (self._facts(probe, answer, told) for answer in (a, b))
        return Answers(self.probes[probe][1].text, a.text, b.text, *facts)

    def _facts(self, probe: str, answer: Generation, told: bool) -> Facts:
        return Facts(
            language=_language(answer.text) if told else None,
            refuses=(is_refusal(answer.text).value or 0.0) >= 0.5 if told else None,
            right=right_answer(self.probes[probe][1], answer.text),
            cut=answer.finish == "length",
        )


def _language(text: str) -> str | None:
    """The name of a text's language; the identifier, which takes long to load, is spared plain English."""
    words = text[:_READ].lower().split()
    if len(words) >= _FEWEST_WORDS and sum(word in _ENGLISH for word in words) >= _PLAIN * len(words):
        return NAMES["en"]
    return NAMES.get(recognized(text))
