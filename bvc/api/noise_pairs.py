"""noise learn, show, forget: pairs that the user trusts to be benign, and the bands that harmless change makes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from bvc.api.bands import BenignPairs, benign_pairs, drift, pair_distances
from bvc.api.refs import local_offset
from bvc.compare.measure import Distances
from bvc.compare.noise import bands
from bvc.errors import BvcError, NotComparable, UnknownRevision, UsageError
from bvc.records import CommitInfo
from bvc.repository.notes import LEVELS, BenignPair, NoteAuthor, change_benign, read_benign
from bvc.repository.repository import Repository
from bvc.repository.revisions import resolve
from bvc.results import BenignEntry, NoiseResult, NullBand
from bvc.store.objects import is_object_id

STEPS = "steps"
Pair = tuple[str, str]


def noise_learn(repository: Repository, pairs: Sequence[Pair], level: str, *, author: str) -> NoiseResult:
    """Measures and remembers pairs of revisions as benign updates of `level`; returns what is known now.

    Raises UsageError for an unknown level, or two commits of the same weights (that is N0, which each commit measures
    itself), NotComparable for commits without captures, or of other recipes or tokenizers.
    """
    if level not in LEVELS:
        raise UsageError(f"--as must be N1 or N2, not {level}", hint="N0 is measured by each commit itself")
    found = [BenignPair(resolve(repository, a), resolve(repository, b), level) for a, b in pairs]
    if not found:
        raise UsageError("give the two commits of a pair that you trust to be benign")
    for pair in found:
        _check_pair(repository, pair)
    subject = f"trust {len(found)} {'pair' if len(found) == 1 else 'pairs'} as {level}"
    change_benign(repository.store, found, (), subject, _author(author))
    return noise_show(repository, found[-1].b)


def noise_forget(repository: Repository, pairs: Sequence[Pair], *, author: str) -> None:
    """Forgets pairs, in either direction. Raises UsageError for one that is not remembered."""
    gone = [(_end(repository, a), _end(repository, b)) for a, b in pairs]
    known = {frozenset((p.a, p.b)) for p in read_benign(repository.store)}
    for a, b in gone:
        if frozenset((a, b)) not in known:
            raise UsageError(f"{a[:10]} and {b[:10]} are not a trusted pair", hint="`bvc noise show` lists the pairs")
    subject = f"trust {len(gone)} {'pair' if len(gone) == 1 else 'pairs'} no longer"
    change_benign(repository.store, (), gone, subject, _author(author))


def noise_show(repository: Repository, revision: str) -> NoiseResult:
    """Everything known of harmless change from the point of view of one commit."""
    view = repository.snapshot(resolve(repository, revision))
    info = view.info
    known = benign_pairs(repository, info.id, info.id)
    measured = _measured(repository, [*((a, b) for _, a, b in known.learned), *known.steps])
    nulls, covers = _nulls(info, known, measured)
    return NoiseResult(
        commit=info,
        nulls=nulls,
        covers=covers,
        pairs=tuple(_entry(repository, pair) for pair in read_benign(repository.store)),
        used=tuple((a, b) for _, a, b in known.learned if (a, b) in measured),
        steps=tuple((*step, drift(measured[step])) for step in known.steps if step in measured),
    )


def pairs_of(revisions: Sequence[str]) -> list[Pair]:
    """`A B`, `A..B` and several of them as pairs of revisions. Raises UsageError for one that is left over."""
    out: list[Pair] = []
    waiting: str | None = None
    for text in revisions:
        left, dots, right = text.partition("..")
        if dots and (waiting is not None or ".." in right or right.startswith(".")):
            raise UsageError(f"{text} does not name a pair here", hint="a pair is A B or A..B")
        if dots:
            out.append((left or "HEAD", right or "HEAD"))
        elif waiting is None:
            waiting = text
        else:
            out.append((waiting, text))
            waiting = None
    if waiting is not None or not out:
        raise UsageError("a pair is two revisions, A B or A..B", hint="see `bvc noise --help`")
    return out


def _check_pair(repository: Repository, pair: BenignPair) -> None:
    left, right = (repository.snapshot(end).snapshot for end in (pair.a, pair.b))
    if left.model.fingerprint == right.model.fingerprint:
        raise UsageError(
            f"{pair.a[:10]} and {pair.b[:10]} are the same weights: that is N0, not {pair.level}",
            hint="N0 is measured by each commit itself",
        )
    distances = pair_distances(repository, pair.a, pair.b)
    if left.recipe is None or right.recipe is None or left.recipe.digest != right.recipe.digest:
        raise NotComparable(
            f"{pair.a[:10]} and {pair.b[:10]} were captured under different recipes: their distance is not that of an "
            "update alone",
            hint="commit both under one recipe",
        )
    if left.model.tokenizer != right.model.tokenizer or not any(distances.channels.values()):
        raise NotComparable(f"{pair.a[:10]} and {pair.b[:10]} have different tokenizers or share nothing to compare")


def _measured(repository: Repository, pairs: Iterable[Pair]) -> dict[Pair, Distances]:
    """Distances of pairs; those that cannot be read are left out."""
    out: dict[Pair, Distances] = {}
    for pair in pairs:
        with suppress(BvcError):
            out[pair] = pair_distances(repository, *pair)
    return out


def _nulls(
    info: CommitInfo, known: BenignPairs, measured: Mapping[Pair, Distances]
) -> tuple[dict[str, dict[str, NullBand]], dict[str, str]]:
    """Bands per null and channel, and what each null is made of."""
    nulls: dict[str, dict[str, NullBand]] = {}
    covers: dict[str, str] = {}
    if info.snapshot is not None and info.snapshot.noise:
        nulls["N0"] = {c: band for c, v in info.snapshot.noise.items() if (band := _recorded(v)) is not None}
        covers["N0"] = "the same weights in other batches: numeric noise alone"
    groups = {level: [(a, b) for found, a, b in known.learned if found == level] for level in LEVELS}
    groups[STEPS] = list(known.steps)
    texts = {"N1": "benign updates that you trust", "N2": "generic continued training that you trust"}
    texts[STEPS] = "steps of this lineage, whatever they changed"
    for name, pairs in groups.items():
        tables = [measured[pair].channels for pair in pairs if pair in measured]
        if tables:
            nulls[name] = {c: NullBand(pairs=len(tables), **b.to_json()) for c, b in bands(tables).items()}
            covers[name] = texts[name]
    return nulls, covers


def _recorded(values: Any) -> NullBand | None:
    """A band of `snapshot.json`, which may come from anywhere."""
    names = ("n", "median", "q95", "max", "band", "coverage")
    if not isinstance(values, Mapping) or not all(isinstance(values.get(name), (int, float)) for name in names):
        return None
    return NullBand(pairs=1, **{name: values[name] for name in names})


def _entry(repository: Repository, pair: BenignPair) -> BenignEntry:
    a, b = _info(repository, pair.a), _info(repository, pair.b)
    try:
        distances = pair_distances(repository, pair.a, pair.b)
    except BvcError as error:
        return BenignEntry(pair.level, a, b, problem=error.message)
    probes = {probe for table in distances.channels.values() for probe in table}
    return BenignEntry(pair.level, a, b, drift=drift(distances), probes=len(probes))


def _info(repository: Repository, commit: str) -> CommitInfo | str:
    try:
        return repository.store.history.info(commit)
    except BvcError:
        return commit


def _end(repository: Repository, text: str) -> str:
    """A commit, which may be gone: then its full id will do."""
    try:
        return resolve(repository, text)
    except UnknownRevision:
        if is_object_id(text.lower()):
            return text.lower()
        raise


def _author(name: str) -> NoteAuthor:
    now = int(time.time())
    return NoteAuthor(name, now, local_offset(now))
