"""Found latents told to people: how often they fire, where most, and which tokens they promote."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from bvc.api.exclusive_texts import PairedText
from bvc.capture.lens import Lens
from bvc.exclusive import ExclusiveFeatures, ExclusiveLatent, ExclusiveSettings, PairYield, SeedCount
from bvc.features.fired import Fired, fired_places
from bvc.features.matching import ExclusiveFeature, ExclusiveSearch
from bvc.features.paired import PairedActivations
from bvc.features.runs import SeedYield

_KEPT = 200
"""Features that are described and kept; of more those found from most seeds, with the lowest nu."""
_CONTEXTS, _PROMOTED = 6, 8
_CONTEXT_TOKENS = 24


@dataclass(frozen=True)
class Reading:
    """What is kept of a model after it was read: which tokens directions raise, and the text of token ids."""

    lens: Lens
    text: Callable[[Sequence[int]], str]


def described(
    search: ExclusiveSearch,
    commits: tuple[str, str],
    settings: ExclusiveSettings,
    source: PairedActivations,
    texts: Sequence[PairedText],
    readings: Sequence[Reading],
    started: float,
) -> ExclusiveFeatures:
    """The record of a search on `source`, whose rows are the paired tokens of `texts`."""
    chosen = search.features[:_KEPT]
    fired = fired_places(search, chosen, source, _CONTEXTS)
    features = [_told(feature, found, texts, readings) for feature, found in zip(chosen, fired, strict=True)]
    rows = len(source.sides[0]) if source.rows is None else len(source.rows)
    characters = sum(text.characters for text in texts)
    return ExclusiveFeatures(
        a=commits[0],
        b=commits[1],
        settings=settings,
        texts=len(texts),
        tokens=rows,
        left_out=len(source.sides[0]) - rows,
        covered=sum(text.covered for text in texts) / max(1, characters),
        found=PairYield("the pair", tuple(map(_count, search.seeds))),
        nulls=tuple(PairYield(null.name, tuple(map(_count, null.seeds))) for null in search.nulls),
        features=tuple(features),
        seconds=time.monotonic() - started,
    )


def _count(found: SeedYield) -> SeedCount:
    only_a, only_b = found.exclusive
    return SeedCount(found.seed, found.claimed, found.candidates, only_a, only_b, found.shared, found.undecided)


def _told(
    feature: ExclusiveFeature, fired: Fired, texts: Sequence[PairedText], readings: Sequence[Reading]
) -> ExclusiveLatent:
    best = feature.latents[0]
    gated, reading = best.gated, readings[feature.side]
    return ExclusiveLatent(
        side="ab"[feature.side],
        nu=gated.nu,
        ci=(gated.low, gated.high if isfinite(gated.high) else None),
        own=gated.own,
        other=gated.other,
        share=fired.share,
        seeds=tuple(sorted((latent.seed, latent.latent) for latent in feature.latents)),
        agreement=feature.agreement,
        promoted=tuple(reading.lens.promoted(best.row[None], _PROMOTED)[0]),
        contexts=tuple((_context(row, feature.side, texts, reading), strength) for row, strength in fired.places),
    )


def _context(row: int, side: int, texts: Sequence[PairedText], reading: Reading) -> str:
    """The text up to a paired token, as its own model reads it."""
    for text in texts:
        if row < len(text):
            ids, place = (text.b, text.at_b[row]) if side else (text.a, text.at_a[row])
            return reading.text(list(ids[max(0, place + 1 - _CONTEXT_TOKENS) : place + 1]))
        row -= len(text)
    raise IndexError("no text has that row")
