"""features diff: which latents of a dictionary one commit has more of than another. Loads numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from bvc.api.diff import diff_sides
from bvc.api.features import reference_before
from bvc.api.features_pairs import compared_pair
from bvc.compare.features import FeatureComparison, Peak
from bvc.dictionaries import LatentCard, StoredDictionary
from bvc.errors import BvcError, NotComparable, UnknownRevision
from bvc.feature_results import FeatureDiff, LatentDiff, LatentProbe
from bvc.ids import short
from bvc.repository.dictionaries import default_dictionary, feature_dictionary, find_dictionary, read_cards
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView

SHOWN = 10
"""Latents that are shown."""


def features_diff(repository: Repository, a: str | None, b: str | None, *, most: int = SHOWN) -> FeatureDiff:
    """Compares the latents of commit `b` with those of `a` (revisions as `diff` takes them) on their common probes.

    Raises NotComparable where a side has no features, they are of different dictionaries, or no probe has the same
    reference on both sides; DamagedObject for what cannot be read.
    """
    left, right = (repository.snapshot(commit) for commit in diff_sides(repository, a, b))
    digest = _shared_dictionary(repository, left, right)
    compared, pair = compared_pair(repository, left, right, digest, most)
    stored = _stored(repository, digest)
    cards = {} if stored is None else {card.latent: card for card in read_cards(repository, stored)}
    return FeatureDiff(
        a=left.info,
        b=right.info,
        dictionary=digest,
        stored=stored,
        size=pair.latents,
        probes=len(pair.ids),
        clusters=pair.unit_count,
        apart=pair.apart,
        broken=pair.broken,
        tested=compared.tested,
        found=compared.found,
        null_yield=compared.null_yield,
        against=compared.against,
        latents=tuple(_told(left, right, compared, cards)),
        energy=compared.energy,
    )


def _shared_dictionary(repository: Repository, left: SnapshotView, right: SnapshotView) -> str:
    """The digest of the dictionary whose latents both sides have."""
    found = [feature_dictionary(view) for view in (left, right)]
    lacking = [short(v.info.id) for v, digest in zip((left, right), found, strict=True) if digest is None]
    if lacking:
        what = f"commit {lacking[0]} has no features" if len(lacking) == 1 else "the two commits have no features"
        raise NotComparable(what, hint=_how_to_capture(repository, lacking))
    if found[0] != found[1] or found[0] is None:
        names = " and ".join(_name(repository, str(digest)) for digest in found)
        ids = [short(view.info.id) for view in (left, right)]
        raise NotComparable(
            f"the two commits have features of two dictionaries ({names}), whose latents do not compare",
            hint=_how_to_capture(repository, ids),
        )
    return found[0]


def _how_to_capture(repository: Repository, commits: list[str]) -> str:
    with suppress(BvcError):
        if default_dictionary(repository) is not None:
            return f"`bvc capture {' '.join(commits)} --features` records those of the dictionary in use"
    return "`bvc features fit` makes a dictionary, `bvc capture REV --features` records its latents"


def _stored(repository: Repository, digest: str) -> StoredDictionary | None:
    """What the repository knows of a dictionary; None where it was not fetched with the commits."""
    try:
        return find_dictionary(repository, digest)
    except UnknownRevision:
        return None


def _name(repository: Repository, digest: str) -> str:
    stored = _stored(repository, digest)
    return digest[:12] if stored is None else stored.name


# Telling


def _told(
    left: SnapshotView, right: SnapshotView, compared: FeatureComparison, cards: Mapping[int, LatentCard]
) -> Iterator[LatentDiff]:
    """The latents with their cards, and their probes with texts."""
    for latent, peaks in zip(compared.latents, compared.peaks, strict=True):
        view = right if latent.side == "b" else left
        told = (_probe(left, right, view, p, peak) for p, peak in zip(latent.probes, peaks, strict=True))
        yield replace(latent, probes=tuple(told), card=cards.get(latent.latent))


def _probe(left: SnapshotView, right: SnapshotView, view: SnapshotView, probe: LatentProbe, peak: Peak) -> LatentProbe:
    return replace(
        probe,
        text=reference_before(view, probe.probe, peak.position),
        answer_a=left.outputs(probe.probe).greedy.text,
        answer_b=right.outputs(probe.probe).greedy.text,
    )
