"""Where the latents of a search for exclusive features fire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bvc.features.difference import coded_sides
from bvc.features.matching import ExclusiveFeature, ExclusiveSearch
from bvc.features.paired import PairedActivations


@dataclass(frozen=True)
class Fired:
    """Where one latent fires: its `share` of the rows, and (row, strength) of its strongest `places`, one a text."""

    share: float
    places: tuple[tuple[int, float], ...]


@torch.no_grad()
def fired_places(
    search: ExclusiveSearch, features: Sequence[ExclusiveFeature], source: PairedActivations, count: int
) -> list[Fired]:
    """Each feature's firings, by the latent that speaks best for it, with `count` places at most; rows are numbered as
    in the sides of `source`. One pass; holds one column of codes a feature."""
    columns: list[list[Tensor]] = [[] for _ in features]
    for batch in source.batches(None):
        codes = {seed: coder.encode(coded_sides(coder, batch.sides)) for seed, coder in search.coders.items()}
        for column, feature in zip(columns, features, strict=True):
            best = feature.latents[0]
            column.append(codes[best.seed][:, best.latent].cpu())
    rows = torch.arange(len(source.sides[0])) if source.rows is None else source.rows.cpu()
    texts = rows if source.texts is None else source.texts.cpu()[rows]
    return [_fired(torch.cat(column), rows, texts, count) for column in columns]


def _fired(code: Tensor, rows: Tensor, texts: Tensor, count: int) -> Fired:
    places: list[tuple[int, float]] = []
    seen: set[int] = set()  # one place of each text: the same words again say nothing new
    for place in code.argsort(descending=True).tolist():
        if len(places) == count or code[place] <= 0:
            break
        if int(texts[place]) not in seen:
            seen.add(int(texts[place]))
            places.append((int(rows[place]), float(code[place])))
    return Fired(float((code > 0).float().mean()), tuple(places))
