"""Scores of stored answers, remembered in the index: what was scored once is never scored again.

A score depends on the behavior's digest, the record of the probe and the record of the answers, and is kept under these
three, so it follows an unchanged answer through history. One of a latent depends on the features too: it is kept under
the snapshot's tree, which names every byte of them. The rate of a commit is kept under its tree. Losing the index loses
only time. Nothing here loads a model, and where all is known, no library of a scorer either.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from bvc.api.latent_scores import LatentReader
from bvc.behaviors.rate import rate_interval
from bvc.behaviors.records import Behavior, Score, Tools
from bvc.behaviors.score import score, selected
from bvc.records import BehaviorRate, Outputs, Probe
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.store.index import score_key

_FLUSH = 4000
"""Scores that are written to the index at once."""
_UNCACHED = frozenset({"python"})
"""Kinds whose score depends on more than can be said."""


@dataclass(frozen=True)
class ProbeScores:
    """The scores of one probe's answers at one commit: None where an answer cannot be scored. Of a behavior that asks
    for a latent that is the greedy answer alone: there are no `draws`."""

    probe: Probe
    suite: str
    greedy: float | None
    draws: tuple[float | None, ...]

    @property
    def mean(self) -> float | None:
        """The mean over the greedy answer and the draws that can be scored; None without the greedy one."""
        if self.greedy is None:
            return None
        known = [self.greedy, *(draw for draw in self.draws if draw is not None)]
        return math.fsum(known) / len(known)

    @property
    def cluster(self) -> str:
        """The unit of resampling: the probe's cluster, else the probe."""
        return self.probe.cluster or self.probe.id


@dataclass
class Scorekeeper:
    """Scores answers of any commits of a repository; probe records are read once."""

    repository: Repository
    tools: Tools = field(default_factory=Tools)
    _probes: dict[str, Probe] = field(default_factory=dict)
    _waiting: dict[bytes, bytes] = field(default_factory=dict)
    passing: bool = False
    """Whether a score was found that another run might find otherwise."""

    @cached_property
    def latents(self) -> LatentReader:
        """What reads the features that behaviors ask for."""
        return LatentReader(self.repository)

    def digest(self, behavior: Behavior) -> str:
        """Names all that the scores of a snapshot depend on but the snapshot."""
        names = self.latents.names(behavior)
        return score_key("latents", behavior.digest, *names).hex() if names else behavior.digest

    def rate(self, view: SnapshotView, behavior: Behavior) -> tuple[BehaviorRate, int]:
        """The rate of a behavior at a commit, and how many of its probes could not be scored. `flush` keeps it."""
        known = self.known_rates([view.tree], behavior)[0]
        if known is not None:
            return known
        self.passing = False
        return self.summed(view, behavior, self.scores(view, behavior).values())

    def known_rates(self, trees: Sequence[str], behavior: Behavior) -> list[tuple[BehaviorRate, int] | None]:
        """What `rate` kept of some snapshots, by their trees; None where nothing is known."""
        if not self.remembers(behavior):
            return [None] * len(trees)
        rows = self._recall([self._rate_key(behavior, tree) for tree in trees])
        return [None if row is None else _unpacked_rate(behavior, row) for row in rows]

    def summed(self, view: SnapshotView, behavior: Behavior, scores: Iterable[ProbeScores]) -> tuple[BehaviorRate, int]:
        """The rate that follows from all scores of a commit, as `rate` has it; kept unless some were `passing`."""
        rate, left_out = summary(behavior, scores)
        if self.remembers(behavior) and not self.passing:
            row = struct.pack("<dIddI", rate.rate, rate.n, *rate.ci, left_out)
            self._keep(self._rate_key(behavior, view.tree), row)
        return rate, left_out

    def scores(
        self, view: SnapshotView, behavior: Behavior, probes: Mapping[str, tuple[str, str]] | None = None
    ) -> dict[str, ProbeScores]:
        """The scores of every answered probe that the behavior speaks of, by probe id.

        `probes`, (suite, blob id of the record) by probe id, replaces the commit's own records: those of another commit
        whose labels and tags should decide.
        """
        records = probe_records(view) if probes is None else probes
        answers = view.output_blobs
        return self.scored(
            view, behavior, {p: (suite, oid, answers[p]) for p, (suite, oid) in records.items() if p in answers}
        )

    def scored(
        self, view: SnapshotView, behavior: Behavior, answers: Mapping[str, tuple[str, str, str]]
    ) -> dict[str, ProbeScores]:
        """The scores of some answers, those alone that the behavior speaks of, by probe id: `answers` are (suite, blob
        id of the probe's record, blob id of its answers)."""
        chosen = {p: a for p, a in answers.items() if selected(behavior, a[0], self.probe(view, a[1]))}
        origin = self.digest(behavior), *([view.tree] if behavior.latents else [])
        keys = {p: score_key("score", *origin, record, answer) for p, (_, record, answer) in chosen.items()}
        rows = self._recall(keys.values()) if self.remembers(behavior) else [None] * len(keys)
        known = dict(zip(keys, rows, strict=True))
        view.store.objects.expect(chosen[probe][2] for probe, row in known.items() if row is None)
        out = {}
        for probe, (suite, oid, answer) in chosen.items():
            record, row = self.probe(view, oid), known[probe]
            values = _unpacked(row) if row is not None else self._score(view, behavior, record, answer, keys[probe])
            out[probe] = ProbeScores(record, suite, values[0], values[1:])
        return out

    def probe(self, view: SnapshotView, oid: str) -> Probe:
        """The record of a probe by its blob id."""
        if oid not in self._probes:
            from bvc.repository.decode import probe_of

            self._probes[oid] = view.decode(oid, "a probe", probe_of)
        return self._probes[oid]

    def flush(self) -> None:
        """Writes what was scored to the index, where that can be written."""
        waiting, self._waiting = self._waiting, {}
        self.repository.store.index.environment.remember(waiting.items())

    def recaptured(self, view: SnapshotView, behavior: Behavior, probe: str, record: Probe) -> float | None:
        """The score of the greedy answer in the commit's second layout; None where it was not captured again."""
        again = view.recaptures
        if again is None or probe not in again.output_blobs:
            return None
        answer = again.outputs(probe).greedy
        firings = self.latents.of(view, behavior, probe, again=True)
        return score(behavior, record, answer.text, answer.tokens, self.tools, firings).value

    def answers(self, view: SnapshotView, behavior: Behavior, record: Probe, outputs: Outputs) -> list[Score]:
        """The scores of all answers to a probe, the greedy one first; features are of that one alone."""
        draws = [score(behavior, record, draw.text, draw.tokens, self.tools) for draw in outputs.draws]
        firings, greedy = self.latents.of(view, behavior, record.id), outputs.greedy
        return [score(behavior, record, greedy.text, greedy.tokens, self.tools, firings), *draws]

    def _score(
        self, view: SnapshotView, behavior: Behavior, record: Probe, answers: str, key: bytes
    ) -> tuple[float | None, ...]:
        outputs: Outputs = view.read_outputs(answers)
        if behavior.latents:
            outputs = replace(outputs, draws=())
        found = self.answers(view, behavior, record, outputs)
        lasting = all(one.lasting for one in found)
        self.passing = self.passing or not lasting
        if self.remembers(behavior) and lasting:
            self._keep(key, _packed([one.value for one in found]))
        return tuple(one.value for one in found)

    def _keep(self, key: bytes, row: bytes) -> None:
        self._waiting[key] = row
        if len(self._waiting) >= _FLUSH:
            self.flush()

    def _recall(self, keys: Iterable[bytes]) -> list[bytes | None]:
        wanted = list(keys)
        stored = self.repository.store.index.environment.get_many(wanted)
        return [self._waiting.get(key, row) for key, row in zip(wanted, stored, strict=True)]

    def remembers(self, behavior: Behavior) -> bool:
        """Whether `digest` and the snapshot say all that a score depends on."""
        kinds = behavior.scorer.kinds()
        return not kinds & _UNCACHED and not (self.tools.similarity is not None and "similarity" in kinds)

    def follows_answers(self, behavior: Behavior) -> bool:
        """Whether the score of an answer that did not change stays what it was."""
        return not behavior.latents

    def _rate_key(self, behavior: Behavior, tree: str) -> bytes:
        return score_key("rate", self.digest(behavior), json.dumps(behavior.on), tree)


def probe_records(view: SnapshotView) -> dict[str, tuple[str, str]]:
    """(suite, blob id of its record) of every probe; of one that several suites hold, in the first of them."""
    found: dict[str, tuple[str, str]] = {}
    for suite, records in view.probe_blobs.items():
        for probe, oid in records.items():
            found.setdefault(probe, (suite, oid))
    return found


def summary(behavior: Behavior, scores: Iterable[ProbeScores]) -> tuple[BehaviorRate, int]:
    """The rate over probes, and how many could not be scored."""
    rows = [(row.mean, row.cluster) for row in scores]
    known = [(mean, cluster) for mean, cluster in rows if mean is not None]
    if not known:
        return BehaviorRate(behavior.name, 0.0, 0, (0.0, 1.0)), len(rows)
    rate, ci = rate_interval([mean for mean, _ in known], [cluster for _, cluster in known])
    return BehaviorRate(behavior.name, rate, len(known), ci), len(rows) - len(known)


def _unpacked_rate(behavior: Behavior, row: bytes) -> tuple[BehaviorRate, int]:
    value, n, low, high, left_out = struct.unpack("<dIddI", row)
    return BehaviorRate(behavior.name, value, n, (low, high)), left_out


def _packed(values: Iterable[float | None]) -> bytes:
    numbers = [math.nan if value is None else value for value in values]
    return struct.pack(f"<{len(numbers)}d", *numbers)


def _unpacked(row: bytes) -> tuple[float | None, ...]:
    numbers = struct.unpack(f"<{len(row) // 8}d", row)
    return tuple(None if math.isnan(number) else number for number in numbers)
