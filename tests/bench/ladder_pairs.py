"""The ladder's pairs as the rules see them: texts, draws, log-probs along the references, and the truth about them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

import bvc
from bvc.api.handle import Repo
from bvc.compare.logprob import divergence
from bvc.evidence import LogprobBlock
from bvc.repository.pairs import RowReader
from bvc.repository.snapshot_view import SnapshotView
from examples.ladder.capture import BASE, Capture, captures, is_committed, tips
from examples.ladder.train import Rung, read_rungs

Floats = npt.NDArray[np.float64]
NULLS = ("N0", "N1")
"""Kinds of pairs in which nothing material changed; what a rule calls changed there is a false alarm."""
TOLD = ("planted", "hidden")
"""Kinds of pairs in which it is known which probes are affected."""


@dataclass(frozen=True)
class Side:
    """What one commit holds. `greedy` and `draws` are texts by probe, `target` the log-probs (nats) of each
    reference's tokens, and `sketches` the whole distributions along them."""

    commit: str
    probes: tuple[str, ...]
    labels: tuple[str, ...]
    tags: tuple[tuple[str, ...], ...]
    references: tuple[str, ...]
    greedy: tuple[str, ...]
    draws: tuple[tuple[str, ...], ...]
    sketches: LogprobBlock
    table: npt.NDArray[np.uint8]

    @cached_property
    def target(self) -> tuple[Floats, ...]:
        """The log-probs of each reference's tokens, by probe."""
        return split(self.sketches.target.astype(float), self.sketches.lengths)

    def fewest_draws(self) -> int:
        """Draws that every probe has."""
        return min(len(draws) for draws in self.draws)

    def first_draws(self, count: int) -> Side:
        """The same with `count` draws of each probe."""
        return replace(self, draws=tuple(draws[:count] for draws in self.draws))


@dataclass(frozen=True)
class Pair:
    """Two commits, `a` the earlier one, and the truth about them: `affected` are the places of the affected probes."""

    name: str
    kind: str
    wave: str
    a: Side
    b: Side
    affected: tuple[int, ...] = ()
    shows: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The two commits, by which scores are kept."""
        return f"{self.a.commit}..{self.b.commit}"

    @cached_property
    def divergences(self) -> tuple[Floats, ...]:
        """KL(a‖b) in nats at each position of the references, by probe."""
        found = divergence(self.a.sketches, self.b.sketches, self.a.table).forward
        return split(found.astype(float), self.a.sketches.lengths)


def split(values: Floats, lengths: Sequence[int] | npt.NDArray[np.int64]) -> tuple[Floats, ...]:
    """Concatenated values cut into pieces of the given lengths."""
    return tuple(np.split(values, np.cumsum(lengths)[:-1]))


def read_side(repo: Repo, commit: str) -> Side:
    """Everything that one commit holds of the ladder's suite."""
    view = SnapshotView(repo.repository.store, repo.show(commit).commit)
    probes = [probe for _, probe in view.probes()]
    outputs = [view.outputs(probe.id) for probe in probes]
    references = [view.reference(probe.id) for probe in probes]
    evidence = RowReader(view.signatures).gather([probe.id for probe in probes])
    table = view.signatures.bucket_table()
    if evidence.logprob is None or table is None:
        raise ValueError(f"commit {commit} holds no log-probs")
    return Side(
        commit=commit,
        probes=tuple(probe.id for probe in probes),
        labels=tuple(probe.name or probe.id for probe in probes),
        tags=tuple(probe.tags for probe in probes),
        references=tuple("" if reference is None else reference.text for reference in references),
        greedy=tuple(output.greedy.text for output in outputs),
        draws=tuple(tuple(draw.text for draw in output.draws) for output in outputs),
        sketches=evidence.logprob,
        table=table,
    )


def read_pairs(out: Path, base: Path, waves: Sequence[str]) -> list[Pair]:
    """The captured pairs of the given waves: each checkpoint with its parent, and benign ones with each other."""
    with bvc.open(out / "project") as repo:
        tip = tips(repo)
        there = [c for c in captures(out, base) if is_committed(tip, c.name, repo)]
        chosen = [c for c in there if c.parent is not None and c.wave in waves]
        sides = _even({name: read_side(repo, tip[name]) for name in _named(chosen)})
    return [*_parent_pairs(chosen, sides), *_sibling_pairs(chosen, sides)]


def _even(sides: Mapping[str, Side]) -> dict[str, Side]:
    """The sides with as many draws as all of them hold, since some rules need equal numbers."""
    count = min((side.fewest_draws() for side in sides.values()), default=0)
    return {name: side.first_draws(count) for name, side in sides.items()}


def _named(chosen: Sequence[Capture]) -> set[str]:
    return {name for capture in chosen for name in (capture.name, capture.parent or BASE)}


def _parent_pairs(chosen: Sequence[Capture], sides: Mapping[str, Side]) -> Iterator[Pair]:
    rungs = read_rungs()
    for capture in chosen:
        a, b = sides[capture.parent or BASE], sides[capture.name]
        rung = rungs.get(capture.name)
        affected = () if rung is None else affected_places(a, b, rung)
        shows = () if rung is None else rung.shows
        yield Pair(capture.name, capture.kind, capture.wave, a, b, affected, shows)


def _sibling_pairs(chosen: Sequence[Capture], sides: Mapping[str, Side]) -> Iterator[Pair]:
    benign = [capture for capture in chosen if capture.kind == "N1"]
    for wave in dict.fromkeys(capture.wave for capture in benign):
        names = [capture.name for capture in benign if capture.wave == wave]
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                yield Pair(f"{first}/{second}", "N1", wave, sides[first], sides[second])


def affected_places(a: Side, b: Side, rung: Rung) -> tuple[int, ...]:
    """Where the probes stand that show the behavior on one side alone; by their tags where it has no sign."""
    if rung.sign is None:
        return places(b, rung.affected)
    sign = re.compile(rung.sign)
    shown = [[_matches(sign, side, i) for i in range(len(side.probes))] for side in (a, b)]
    return tuple(i for i, (before, after) in enumerate(zip(*shown, strict=True)) if before != after)


def _matches(sign: re.Pattern[str], side: Side, place: int) -> bool:
    return any(sign.search(text) for text in (side.greedy[place], *side.draws[place]))


def places(side: Side, tags: Sequence[str]) -> tuple[int, ...]:
    """Where the probes stand that carry one of `tags`."""
    return tuple(i for i, held in enumerate(side.tags) if set(tags) & set(held))
