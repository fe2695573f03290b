"""features diff: which latents of a dictionary one commit has more of than another. Loads numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from bvc.api.diff import diff_sides
from bvc.api.features import text_before
from bvc.api.features_pairs import compared_pair, usual_channel
from bvc.compare.features import FeatureComparison, Peak
from bvc.dictionaries import LatentCard, StoredDictionary
from bvc.errors import BvcError, NotComparable, UnknownRevision, UsageError
from bvc.feature_results import FeatureDiff, LatentDiff, LatentProbe
from bvc.ids import short
from bvc.repository.dictionaries import default_dictionary, feature_dictionary, find_dictionary, read_cards
from bvc.repository.manifest import ANSWER_FEATURE, FEATURE
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView

SHOWN = 10
"""Latents that are shown."""
_CHANNELS = {"answer": ANSWER_FEATURE, "reference": FEATURE}


def features_diff(
    repository: Repository, a: str | None, b: str | None, *, most: int = SHOWN, along: str | None = None
) -> FeatureDiff:
    """Compares the latents of commit `b` with those of `a` (revisions as `diff` takes them) on their common probes:
    `along` the "answer" of each side, or the "reference" that both have (None: answers, where both sides have them).

    Raises UsageError for another `along`, NotComparable where a side has no such features, they are of different
    dictionaries, or no probe has the same reference on both sides; DamagedObject for what cannot be read.
    """
    if along not in (None, *_CHANNELS):
        raise UsageError(f"features are read along the {' or the '.join(_CHANNELS)}, not {along!r}")
    left, right = (repository.snapshot(commit) for commit in diff_sides(repository, a, b))
    channel = usual_channel(left, right) if along is None else _CHANNELS[along]
    digest = _shared_dictionary(repository, left, right, channel)
    compared, pair = compared_pair(repository, left, right, channel, most)
    stored = _stored(repository, digest)
    cards = {} if stored is None else {card.latent: card for card in read_cards(repository, stored)}
    return FeatureDiff(
        a=left.info,
        b=right.info,
        along=next(name for name, one in _CHANNELS.items() if one == channel),
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
        latents=tuple(_told(left, right, compared, cards, channel)),
        energy=compared.energy,
    )


def _shared_dictionary(repository: Repository, left: SnapshotView, right: SnapshotView, channel: str) -> str:
    """The digest of the dictionary whose latents both sides have in a channel."""
    found = [feature_dictionary(view, channel) for view in (left, right)]
    lacking = [short(v.info.id) for v, digest in zip((left, right), found, strict=True) if digest is None]
    if lacking:
        where = " along its answers" if channel == ANSWER_FEATURE else ""
        what = (
            f"commit {lacking[0]} has no features{where}" if len(lacking) == 1 else "the two commits have no features"
        )
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
    left: SnapshotView,
    right: SnapshotView,
    compared: FeatureComparison,
    cards: Mapping[int, LatentCard],
    channel: str,
) -> Iterator[LatentDiff]:
    """The latents with their cards, and their probes with texts."""
    for latent, peaks in zip(compared.latents, compared.peaks, strict=True):
        side = 1 if latent.side == "b" else 0
        told = (_probe((left, right), side, p, peak, channel) for p, peak in zip(latent.probes, peaks, strict=True))
        yield replace(latent, probes=tuple(told), card=cards.get(latent.latent))


def _probe(
    views: tuple[SnapshotView, SnapshotView], side: int, probe: LatentProbe, peak: Peak, channel: str
) -> LatentProbe:
    answers = [view.outputs(probe.probe).greedy.text for view in views]
    text = text_before(views[side], probe.probe, peak.place, channel)
    return replace(probe, text=text, answer_a=answers[0], answer_b=answers[1])
