"""How far two models' sampled answers lie apart, of draws that share no random numbers.

Per probe the squared distance of the two sides' mean sketches, less what one model's draws would give: the kernel
distance of Gretton et al. (2012), without its bias. Its error is that under all ways to say which draws are whose:
draws of one model can be exchanged within a probe, whatever they are like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.draw_evidence import Block, DrawEvidence, draw_evidence
from bvc.compare.draw_statistics import Chunk, chunks, energy

RELABELINGS = 499
FEWEST = 3
"""Draws of both sides together without which a probe says nothing: of two, either may be called either side's."""
_SEED = 20_261_207

Texts = Mapping[str, tuple[Sequence[str], Sequence[str]]]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DrawDistance:
    """`share`: of what sets a draw of one model apart from a draw of the other, the part that is due to the models and
    not to chance. 0 for one model (by chance also less), 1 where each always answers the same and never what the other
    does. (It takes both to vary as much: where they do not, and one has more draws, it is off by a part of itself.)

    `error` is its standard error if there is one model. `probes` has each probe's part, whose mean is `share`; `draws`
    counts those of both sides."""

    share: float
    error: float
    probes: Mapping[str, float]
    draws: int


def draw_distance(texts: Texts, clusters: Mapping[str, str] | None = None) -> DrawDistance | None:
    """The distance between the authors of two sets of draws, {probe: (draws of one, draws of the other)}; no draw of
    one side may be made with the random numbers of a draw of the other. Probes with the same entry of `clusters` are
    taken as one observation. None where no probe has draws on both sides and FEWEST of them.
    """
    ids = [probe for probe, (a, b) in texts.items() if a and b and len(a) + len(b) >= FEWEST]
    if not ids:
        return None
    named = [(clusters or {}).get(probe) for probe in ids]
    evidence = draw_evidence([texts[probe] for probe in ids], clusters=named, coupled=False)
    apart, null = _apart(evidence)
    spread = sum(float(_spread(block).sum()) for block in evidence.blocks)
    draws = sum(block.draws * len(block.probes) for block in evidence.blocks)
    scale = spread if spread > 0 else 1.0
    return DrawDistance(
        share=float(apart.sum() / scale),
        error=max(float(null.std() / scale), 1 / draws),
        probes=dict(zip(ids, (apart * len(ids) / scale).tolist(), strict=True)),
        draws=draws,
    )


def _apart(evidence: DrawEvidence) -> tuple[Values, Values]:
    """The squared distance of each probe, [probes], and their sum under each random relabeling, [RELABELINGS]."""
    apart, null = np.zeros(evidence.total), np.zeros(RELABELINGS)
    for chunk in chunks(evidence, RELABELINGS, _SEED):
        if chunk.block.draws >= FEWEST:
            found = _unbiased(chunk)
            apart[chunk.block.probes[chunk.rows]] = found[:, 0]
            null += found[:, 1:].sum(0)
    return apart, null


def _unbiased(chunk: Chunk) -> Values:
    """Squared distances under each labeling less their mean over all labelings, [p, 1 + B], as large as the distance of
    the models on average."""
    block = chunk.block
    features, total = block.features(chunk.rows), block.draws
    kernel = features @ features.transpose(0, 2, 1)
    scatter = np.trace(kernel, axis1=1, axis2=2) - kernel.sum((1, 2)) / total
    expected = total / (block.first * block.second) * scatter / (total - 1)
    out: Values = (energy(chunk.labels, features) - expected[:, None]).astype(float)
    return out * (total - 1) / (total - 2)


def _spread(block: Block) -> Values:
    """The mean squared distance of a draw of one side and a draw of the other, [p]."""
    features = block.features().astype(float)
    a, b = features[:, : block.first], features[:, block.first :]
    squares = (a**2).sum(2).mean(1) + (b**2).sum(2).mean(1)
    out: Values = squares - 2 * (a.mean(1) * b.mean(1)).sum(1)
    return out


def of_other_numbers(texts: Texts) -> tuple[Texts, Texts]:
    """Draws of two commits, of which draw k of both used the same random numbers, as two sets that share none: the even
    ones of one side beside the odd ones of the other."""
    return (
        {probe: (a[::2], b[1::2]) for probe, (a, b) in texts.items()},
        {probe: (a[1::2], b[::2]) for probe, (a, b) in texts.items()},
    )
