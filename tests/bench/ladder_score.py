"""Scores of every pair by every rule: the rivals' kept on disk, bvc's from a diff that is run anew."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log10
from pathlib import Path
from typing import Any

import bvc
from bvc.api.handle import Repo
from bvc.results import DiffResult, Verdict
from tests.bench.ladder_pairs import Pair
from tests.bench.rivals import Rule, Score, decision, learned_threshold, needs_threshold

BVC = "bvc"


@dataclass(frozen=True)
class Scored:
    """One pair under one rule: the score, the seconds it took, and whether the rule calls it changed."""

    pair: Pair
    score: Score
    seconds: float
    changed: bool | None = None


@dataclass(frozen=True)
class Table:
    """Rule → its pairs; `words` are all that bvc's "what changed" says of each pair; `limits` the highest score of each
    rule on the benign tuning pairs, `thresholds` those of the rules that have no other way to decide."""

    pairs: Sequence[Pair]
    rules: Mapping[str, Sequence[Scored]]
    words: Mapping[str, tuple[str, ...]]
    limits: Mapping[str, float]
    thresholds: Mapping[str, float]


def score_pairs(out: Path, pairs: Sequence[Pair], rules: Mapping[str, Rule]) -> Table:
    """All scores. Thresholds are learned from the N1 pairs of the tuning wave."""
    known = Known(out / "scores.json")
    scored = {name: list(_scored(known, name, rule, pairs)) for name, rule in rules.items()}
    with bvc.open(out / "project") as repo:
        repo.noise_learn([(p.a.commit, p.b.commit) for p in pairs if _teaches(p)])
        ours = [_diff(repo, pair) for pair in pairs]
    scored[BVC] = [row for row, _ in ours]
    limits = {name: t for name, rows in scored.items() if (t := learned_threshold(_benign(rows))) is not None}
    thresholds = {name: limit for name, limit in limits.items() if needs_threshold(scored[name][0].score)}
    decided = {name: [_decided(row, thresholds.get(name)) for row in rows] for name, rows in scored.items()}
    return Table(pairs, decided, {row.pair.name: words for row, words in ours}, limits, thresholds)


def _teaches(pair: Pair) -> bool:
    """Whether bvc is told that a pair is benign: the pairs from which the others learn their thresholds."""
    return pair.kind == "N1" and pair.wave == "tuning"


def _benign(rows: Sequence[Scored]) -> list[float]:
    """The scores that thresholds are learned from."""
    return [row.score.pair for row in rows if _teaches(row.pair)]


def _decided(row: Scored, threshold: float | None) -> Scored:
    return Scored(row.pair, row.score, row.seconds, decision(row.score, threshold))


class Known:
    """Scores on disk: rule and commits → the score and the seconds it took."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def get(self, key: str) -> tuple[Score, float] | None:
        """What is kept of a rule's verdict on a pair."""
        row = self.rows.get(key)
        if row is None:
            return None
        probes = None if row["probes"] is None else tuple(row["probes"])
        return Score(row["pair"], row["p"], row["changed"], probes), row["seconds"]

    def put(self, key: str, score: Score, seconds: float) -> None:
        """Keep a score; the file is whole at any time."""
        self.rows[key] = {**asdict(score), "seconds": seconds}
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.rows), encoding="utf-8")
        temporary.replace(self.path)


def _scored(known: Known, name: str, rule: Rule, pairs: Sequence[Pair]) -> Iterator[Scored]:
    for pair in pairs:
        found = known.get(f"{name} {pair.key}")
        if found is None:
            print(f"{name}: {pair.name}", file=sys.stderr, flush=True)
            started = time.perf_counter()
            score = rule(pair)
            found = score, time.perf_counter() - started
            known.put(f"{name} {pair.key}", *found)
        yield Scored(pair, *found)


# bvc


def _diff(repo: Repo, pair: Pair) -> tuple[Scored, tuple[str, ...]]:
    started = time.perf_counter()
    result = repo.diff(pair.a.commit, pair.b.commit)
    seconds = time.perf_counter() - started
    return Scored(pair, diff_score(result, pair.b.probes), seconds), what_changed(result)


def diff_score(result: DiffResult, probes: Sequence[str]) -> Score:
    """The overall verdict; the evidence against a benign update (-log10 of the least q-value of a probe, or of the
    p-value of the drift; the score of the first row breaks ties); the order of the rows as each probe's score."""
    rank = {row.probe.id: row.rank for row in result.probes}
    top = max((row.score for row in result.probes), default=0.0)
    drift = [p for name, p in result.overall.tests.items() if name.startswith("drift")]
    least = min([row.q_value for row in result.probes if row.q_value is not None] + drift, default=1.0)
    changed = result.overall.verdict is Verdict.CHANGED
    pair = -log10(max(least, 1e-30)) + min(top, 1e6) / 1e6
    return Score(pair, changed=changed, probes=tuple(-float(rank[probe]) for probe in probes))


def what_changed(result: DiffResult) -> tuple[str, ...]:
    """All words of the diff's account of what changed: phrases, and behaviors whose rate moved."""
    moved = [b for b in result.behaviors if b.verdict is Verdict.CHANGED]
    behaviors = [f"{behavior.name} {behavior.description}" for behavior in moved]
    return (*(phrase.text for phrase in result.phrases), *behaviors)
