"""What is known of harmless change: pairs that the user trusts, the steps of the lineage, and their distances.

A pair's distances follow from two trees and the way of measuring, so they are kept in the index under these, and are
measured again where the index was lost. Loads numpy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import numpy as np

from bvc.api.draws import SCORED, draw_scores
from bvc.api.sides import Records, shared_blocks, two_sides
from bvc.compare.drawn import rate_shifts
from bvc.compare.measure import Distances, measure
from bvc.compare.terms import settle_terms
from bvc.compare.tolerance import FEWEST_STEPS, N0, N1
from bvc.compare.tolerance import drift as drift
from bvc.errors import BvcError, DamagedObject
from bvc.records import CommitInfo
from bvc.repository.notes import read_benign
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.store import graph
from bvc.store.index import distances_key

STEPS = 16
"""Steps of the lineage that are looked at."""
MEASURED = 1
"""Changes whenever the same two snapshots give other distances than before, so that older ones are forgotten."""

_FARTHEST = 512
"""Ancestors in which steps are looked for: beyond, a lineage has nothing comparable any more."""
_ID_BYTES = 32
_DRAWS = "draws"

Step = tuple[str, str]


@dataclass(frozen=True)
class BenignPairs:
    """`learned` are (level, commit, commit) of pairs that the user trusts, levels "N1" and "N2"; `steps` the steps
    (parent, child) of the lineage around the two commits compared, nearest first; `twins` pairs of commits of one
    model, captured under the recipe of the first and of the second, where these differ."""

    learned: tuple[tuple[str, str, str], ...] = ()
    steps: tuple[Step, ...] = ()
    twins: tuple[Step, ...] = ()


def benign_pairs(repository: Repository, left: str, right: str, most: int = STEPS) -> BenignPairs:
    """The pairs whose distances can stand for harmless change when commit `right` is compared with `left` (full ids).

    All are captured on both ends, under a recipe and with a tokenizer of the two; steps also on suites of the two. The
    pair itself is never among them. Steps among the ancestors come first, so that what is compared today is compared
    with the same steps tomorrow; where they are too few, others near by follow. Nothing here depends on the index.
    """
    infos = _Infos(repository)
    kin = {_kinship(infos.get(commit)) for commit in (left, right)} - {None}
    itself = {(left, right), (right, left)}
    found: dict[Step, None] = {}
    for step in _steps(repository, left, right):
        if step not in itself and step not in found:
            ends = {_kinship(infos.get(commit)) for commit in step}
            if len(ends) == 1 and ends <= kin:
                found[step] = None
        if len(found) == most:
            break
    settings = {k.settings for k in kin if k is not None}
    learned = [
        (pair.level, pair.a, pair.b)
        for pair in read_benign(repository.store)
        if (pair.a, pair.b) not in itself and _settings(infos, pair.a, pair.b) <= settings
    ]
    return BenignPairs(tuple(learned), tuple(found), tuple(_twins(repository, infos, left, right)))


def pair_distances(repository: Repository, a: str, b: str) -> Distances:
    """All distances of commit `b` from commit `a` (full ids), over the probes and channels that both hold.

    From the index where they were measured before; the answer is the same, to the bit, where they were not. Raises
    NotComparable for commits without captures or without a common probe, DamagedObject for those that cannot be read.
    """
    reader = PairReader(repository)
    found = reader.distances(a, b)
    reader.flush()
    return found


class PairReader:
    """`pair_distances` of several pairs: what one shares with the one before is read once, and all are kept at once."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._attached = repository.attached
        self._views: dict[str, SnapshotView] = {}
        self._records = Records()
        self._waiting: dict[bytes, bytes] = {}

    def distances(self, a: str, b: str) -> Distances:
        """The distances of a pair. Raises as `pair_distances` does."""
        return _kept(self._view(a), self._view(b), _schema(), self._measured, self._waiting)

    def flush(self) -> None:
        """Keeps what was measured."""
        waiting, self._waiting = self._waiting, {}
        self._repository.store.index.remember_distances(waiting)

    def _view(self, commit: str) -> SnapshotView:
        found = self._views.pop(commit, None)
        if found is None:
            beside = next(reversed(self._views.values()), None)
            found = self._repository.view(self._repository.info(commit), self._attached, beside)
        self._views = dict(list(self._views.items())[-1:]) | {commit: found}
        return found

    def _measured(self, left: SnapshotView, right: SnapshotView) -> Distances:
        a, b = two_sides(left, right, noise=False, known=self._records)
        self._records.only(left, right)
        texts = {p: (side.outputs, b.probes[p].outputs) for p, side in a.probes.items() if p in b.probes}
        return measure(texts, shared_blocks(left, right), settle_terms(a, b))


def pair_shifts(repository: Repository, a: str, b: str) -> Mapping[str, float]:
    """How far the share of right draws of each probe shifted from commit `a` to `b` (full ids), -1 to 1; empty where
    they have no draws of a common probe whose answer is known. Kept and raises as `pair_distances`."""
    fresh: dict[bytes, bytes] = {}
    found = _kept(repository.snapshot(a), repository.snapshot(b), f"draws/{SCORED}", _shifted, fresh)
    repository.store.index.remember_distances(fresh)
    return found.channels[_DRAWS]


def known_shifts(repository: Repository, pairs: BenignPairs) -> dict[str, list[Mapping[str, float]]]:
    """The `pair_shifts` of all pairs that have some, by the null that they stand for: of one model captured twice (N0),
    of learned pairs, and of the lineage's steps where these stand for N1. A pair that cannot be read tells nothing."""
    by_level = [(N0, *twins) for twins in pairs.twins] + [*pairs.learned]
    if N1 not in {level for level, *_ in pairs.learned} and len(pairs.steps) >= FEWEST_STEPS:
        by_level += [(N1, *step) for step in pairs.steps]
    found: dict[str, list[Mapping[str, float]]] = {}
    for level, a, b in by_level:
        with suppress(BvcError):
            shifts = pair_shifts(repository, a, b)
            if shifts:
                found.setdefault(level, []).append(shifts)
    return found


def _kept(
    left: SnapshotView,
    right: SnapshotView,
    schema: str,
    measured: Callable[[SnapshotView, SnapshotView], Distances],
    fresh: dict[bytes, bytes],
) -> Distances:
    """From the index, or `measured` and added to `fresh`, which the caller keeps."""
    index, key = left.store.index, distances_key(schema, left.tree, right.tree)
    stored = fresh.get(key) or index.distances(key)
    found = None if stored is None else _unpacked(stored)
    if found is None:
        packed = _packed(measured(left, right))
        fresh[key] = packed
        found = _unpacked(packed)
    if found is None:
        raise DamagedObject("distances cannot be kept", hint="this is a defect of bvc; please report it")
    return found


def _shifted(left: SnapshotView, right: SnapshotView) -> Distances:
    common = (probe for _, probe in right.probes() if probe.id in left.output_blobs)
    return Distances({_DRAWS: rate_shifts(draw_scores(common, left.outputs, right.outputs))})


def drift_of(repository: Repository, a: str, b: str) -> float:
    """How far the whole model moved from commit `a` to `b`: the median over probes of the log-prob distance (nats per
    token), of the text's (0 to 1) where there are no log-probs, else of the activations'. Raises what `pair_distances`
    raises."""
    return drift(pair_distances(repository, a, b))


# Which pairs


@dataclass(frozen=True)
class _Kinship:
    """What two snapshots must share for their distances to be of one kind: `settings` are the recipe's digest and the
    tokenizer's, `suites` those captured."""

    settings: tuple[str, str | None]
    suites: tuple[tuple[str, str], ...]


class _Infos:
    """Commits by id, read once, with what is attached to them; None for those that cannot be read."""

    def __init__(self, repository: Repository) -> None:
        self._history = repository.store.history
        self._attached = repository.attached
        self._known: dict[str, CommitInfo | None] = {}

    def get(self, commit: str) -> CommitInfo | None:
        if commit not in self._known:
            self._known[commit] = None
            with suppress(BvcError):
                self._known[commit] = self._attached.merged(self._history.info(commit))
        return self._known[commit]


def _kinship(info: CommitInfo | None) -> _Kinship | None:
    """None for a commit without captures."""
    snapshot = None if info is None else info.snapshot
    if snapshot is None or snapshot.recipe is None or snapshot.capability is None:
        return None
    suites = tuple(sorted((s.name, s.digest) for s in snapshot.suites))
    return _Kinship((snapshot.recipe.digest, snapshot.model.tokenizer), suites)


def _settings(infos: _Infos, a: str, b: str) -> set[tuple[str, str | None] | None]:
    ends = (_kinship(infos.get(commit)) for commit in (a, b))
    return {None if kin is None else kin.settings for kin in ends}


def _steps(repository: Repository, left: str, right: str) -> Iterator[Step]:
    """Steps nearest first: those among the ancestors of both, then all others that branches and tags lead to."""
    node = repository.store.history.node
    yield from _nearest([right, left], lambda commit: [(parent, commit) for parent in node(commit).parents])
    children: dict[str, list[str]] = {}
    with suppress(DamagedObject):
        for commit in graph.walk(_tips(repository), node):
            for parent in node(commit).parents:
                children.setdefault(parent, []).append(commit)
    yield from _nearest(
        [right, left],
        lambda commit: [
            *((parent, commit) for parent in node(commit).parents),
            *((commit, child) for child in sorted(children.get(commit, ()))),
        ],
    )


def _nearest(starts: list[str], around: Any) -> Iterator[Step]:
    """The edges that `around` gives of a commit, breadth first from `starts`; a commit that cannot be read has none."""
    seen, frontier = set(starts), list(dict.fromkeys(starts))
    while frontier and len(seen) < _FARTHEST:
        following: list[str] = []
        for commit in frontier:
            edges: list[Step] = []
            with suppress(DamagedObject):
                edges = around(commit)
            yield from edges
            fresh = [end for edge in edges for end in edge if end not in seen]
            seen.update(fresh)
            following += dict.fromkeys(fresh)
        frontier = following


def _twins(repository: Repository, infos: _Infos, left: str, right: str) -> Iterator[Step]:
    """Of the newest commits, those of one model of which one was captured as `left` was and one as `right` was. Under
    one recipe there is nothing to look for: the captures of a model are then one and the same."""
    kin = [_kinship(infos.get(commit)) for commit in (left, right)]
    settings = [None if k is None else k.settings for k in kin]
    if None in settings or settings[0] == settings[1]:
        return
    found: list[dict[str, str]] = [{}, {}]
    with suppress(DamagedObject):
        for commit in islice(graph.walk(_tips(repository), repository.store.history.node), _FARTHEST):
            info = infos.get(commit)
            own = _kinship(info)
            if info is not None and info.snapshot is not None and own is not None and own.settings in settings:
                found[settings.index(own.settings)].setdefault(info.snapshot.model.fingerprint, commit)
    pairs = [(found[0][model], found[1][model]) for model in found[0].keys() & found[1].keys()]
    yield from sorted(pair for pair in pairs if pair != (left, right))


def _tips(repository: Repository) -> list[str]:
    refs = repository.store.refs
    named: Iterable[str] = (name for prefix in ("refs/heads/", "refs/tags/") for name in refs.all(prefix))
    return sorted({commit for name in named if (commit := refs.peel(name)) is not None})


# Distances as bytes: a line of JSON that names the tables, the probes' ids, then each table's numbers (NaN: not there)


def _schema() -> str:
    return f"{MEASURED}:{','.join(f.name for f in fields(Distances))}"


def _packed(distances: Distances) -> bytes:
    tables = list(_tables(distances))
    ids = sorted({probe for _, table in tables for probe in table})
    names = json.dumps([name for name, _ in tables]).encode()
    columns = np.full((len(tables), len(ids)), np.nan)
    row = {probe: i for i, probe in enumerate(ids)}
    for column, (_, table) in zip(columns, tables, strict=True):
        for probe, value in table.items():
            column[row[probe]] = value
    count = len(ids).to_bytes(4, "little")
    return b"%s\n%s%s%s" % (names, count, bytes.fromhex("".join(ids)), columns.astype("<f8").tobytes())


def _tables(distances: Distances) -> Iterator[tuple[tuple[str, ...], Mapping[str, float]]]:
    """Every table of numbers by probe, with the path to it; a set of probes as a table of ones."""
    for part in fields(Distances):
        value = getattr(distances, part.name)
        if isinstance(value, set):
            yield (part.name, "", "set"), dict.fromkeys(value, 1.0)
        elif any(isinstance(inner, dict) for inner in value.values()):
            for name, inner in value.items():
                yield (part.name, name), inner
        else:
            yield (part.name,), value


def _unpacked(data: bytes) -> Distances | None:
    """None for bytes of another form."""
    try:
        head, _, rest = data.partition(b"\n")
        count = int.from_bytes(rest[:4], "little")
        end = 4 + _ID_BYTES * count
        hexes = rest[4:end].hex()
        ids = [hexes[i : i + 2 * _ID_BYTES] for i in range(0, len(hexes), 2 * _ID_BYTES)]
        names = json.loads(head)
        columns = np.frombuffer(rest, "<f8", len(names) * count, end).reshape(len(names), count)
        found = Distances()
        for path, column in zip(names, columns, strict=True):
            _put(found, path, {p: v for p, v in zip(ids, column.tolist(), strict=True) if v == v})
    except (ValueError, TypeError, AttributeError, LookupError):
        return None
    return found


def _put(distances: Distances, path: list[str], table: dict[str, float]) -> None:
    if path[1:] == ["", "set"]:
        setattr(distances, path[0], set(table))
    elif len(path) > 1:
        getattr(distances, path[0])[path[1]] = table
    else:
        setattr(distances, path[0], table)
