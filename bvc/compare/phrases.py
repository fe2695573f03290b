"""Words and phrases that several answers gained, or lost, together: what rewording alone does not do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bvc.compare.grams import Counted, Gathered, Texts, gather
from bvc.compare.phrase_merge import found, merged
from bvc.compare.phrase_test import ALPHA, Drift, Shifts, drift, flip_test, least_support, units_of
from bvc.results import PhraseDiff

_FEWEST = 6
"""Probes that must lean one way for a sign-flip p-value below .05."""
_PRIOR = 4
"""Pairs' worth of weight that the bulk's spread has against how far a phrase itself moved in benign pairs."""


def phrase_diffs(
    texts: Texts,
    *,
    clusters: Mapping[str, str] | None = None,
    benign: Sequence[Texts] = (),
    most: int = 20,
    gathered: Gathered | None = None,
) -> tuple[PhraseDiff, ...]:
    """Words, phrases of up to 12 words and patterns that one side over-produces, the strongest first.

    `texts` are the answers of both sides by probe id, the greedy one first; `clusters` the cluster of probes that were
    made from one template, which count as one; `benign` are answers of pairs that the user trusts, or of other steps of
    the lineage: how far phrases move there is taken for noise. Null and error rate: `phrase_test.flip_test` over all
    words and runs of up to 5 words; all that are returned have q ≤ .05. `count_a` and `count_b` are the expected
    numbers of probes whose answer holds the phrase (its share of a probe's answers, summed), `probes` those that lean
    to `side`, most first. Of phrases that share words and that the same probes hold one is shown. `gathered` is
    `gather(texts)`, where that is at hand.
    """
    gathered = gathered or gather(texts)
    counted, shifts = _counted(gathered, clusters)
    beside = _drift(counted, shifts, [_counted(gather(pair), clusters) for pair in benign])
    q_values = flip_test(shifts, beside)
    kept = q_values <= ALPHA
    return tuple(merged(found(counted.chosen(kept), q_values[kept]), gathered.texts, most))


def _counted(gathered: Gathered, clusters: Mapping[str, str] | None) -> tuple[Counted, Shifts]:
    """The grams that can be told apart at all, one for each pattern of leaning probes, with their leans by cluster."""
    texts, counted = gathered.texts, gathered.counted
    fewest = max(_FEWEST, len(texts).bit_length() - 1)
    counted = counted.chosen(counted.shifts.support() >= fewest)
    shifts = counted.shifts.grouped(units_of(list(texts), clusters))
    support = shifts.support()
    kept = support >= least_support(support, fewest)
    return counted.chosen(kept), shifts.chosen(kept)


def _drift(counted: Counted, shifts: Shifts, benign: Sequence[tuple[Counted, Shifts]]) -> Drift:
    """What noise does to the grams: the drift of the bulk, here or in the benign pairs, and where the benign pairs
    moved this very gram, that."""
    own = drift(shifts.odds())
    if not benign:
        return own
    drifts = [drift(known_shifts.odds()) for _, known_shifts in benign]
    least = max(float(d.spread) for d in (own, *drifts)) ** 2
    total = np.full(len(counted.grams), _PRIOR * least)
    for (known, known_shifts), its in zip(benign, drifts, strict=True):
        moved = dict(zip(known.grams, (known_shifts.odds().log_odds - its.center).tolist(), strict=True))
        total += np.array([max(moved.get(gram, 0.0) ** 2, least) for gram in counted.grams])
    return Drift(own.center, np.sqrt(total / (_PRIOR + len(benign))))
