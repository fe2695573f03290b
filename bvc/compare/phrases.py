"""Words and phrases that several answers gained, or lost, together: what rewording alone does not do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise
from math import log

import numpy as np
import numpy.typing as npt

from bvc.compare.grams import EDGE, Counted, Texts, count, distinct, shortened
from bvc.compare.phrase_merge import found, merged
from bvc.compare.phrase_test import ALPHA, Drift, Shifts, drift, flip_test, least_support, units_of
from bvc.compare.text import words
from bvc.results import PhraseDiff

Pair = str | tuple[str, str]
"""A word, or two that follow each other."""
Grams = frozenset[Pair]
_LONGEST = 20_000
"""Characters of a text that are looked at."""
_FEWEST = 6
"""Probes that must lean one way for a sign-flip p-value below .05."""
_PRIOR = 4
"""Pairs' worth of weight that the bulk's spread has against how far a phrase itself moved in benign pairs."""


def shared_phrases(texts: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    """How much each probe's text gained, or lost if that is more, in common with others; `texts` are (before, after).

    Gained: the mean over the words and word pairs of the text after of how much more often they occur after than
    before, as log ratio of counts of probes (plus one half), 0 where less often. Lost: the same with before and after
    exchanged. The probe itself is left out of the counts: rewording is particular to each probe and gets no weight, a
    behavior that many probes take on does. ≥ 0; 0 where the text did not change.
    """
    changed = {p: (_grams(a), _grams(b)) for p, (a, b) in texts.items() if a != b}
    still = [_grams(a) for a, b in texts.values() if a == b] if changed else []
    old, new = _counts(still, (a for a, _ in changed.values())), _counts(still, (b for _, b in changed.values()))
    risen, fallen = _rises(old, new), _rises(new, old)
    out = dict.fromkeys(texts, 0.0)
    for probe, (before, after) in changed.items():
        out[probe] = max(_gain(before, after, risen), _gain(after, before, fallen))
    return out


Rises = Mapping[Pair, tuple[float, float]]
"""What a word or pair in a text after counts, where the text before lacks it and where it has it."""


def _rises(old: Counter[Pair], new: Counter[Pair]) -> Rises:
    """Of all that several probes have after, and at least as many as before."""
    return {
        gram: (
            max(0.0, log((count - 0.5) / (old[gram] + 0.5))),
            log((count - 0.5) / (old[gram] - 0.5)) if old[gram] else 0.0,
        )
        for gram, count in new.items()
        if count > 1 and count >= old[gram]
    }


def _gain(before: Grams, after: Grams, risen: Rises) -> float:
    total = sum(risen[gram][gram in before] for gram in after if gram in risen)
    return total / max(len(after), 1)


def _counts(*texts: Iterable[Grams]) -> Counter[Pair]:
    counts: Counter[Pair] = Counter()
    for grams in chain(*texts):
        counts.update(grams)
    return counts


def _grams(text: str) -> Grams:
    found: list[str] = words(text[:_LONGEST].casefold())
    return frozenset(found).union(pairwise(found))


def phrase_diffs(
    texts: Texts, *, clusters: Mapping[str, str] | None = None, benign: Sequence[Texts] = (), most: int = 20
) -> tuple[PhraseDiff, ...]:
    """Words, phrases of up to 12 words and patterns that one side over-produces, the strongest first.

    `texts` are the answers of both sides by probe id, the greedy one first; `clusters` the cluster of probes that were
    made from one template, which count as one; `benign` are answers of pairs that the user trusts, or of other steps of
    the lineage: how far phrases move there is taken for noise. Null and error rate: `phrase_test.flip_test` over all
    words and runs of up to 5 words; all that are returned have q ≤ .05. `count_a` and `count_b` are the expected
    numbers of probes whose answer holds the phrase (its share of a probe's answers, summed), `probes` those that lean
    to `side`, most first. Of phrases that share words and that the same probes hold one is shown.
    """
    looked_at = shortened(texts)
    counted, shifts = _counted(looked_at, clusters)
    beside = _drift(counted, shifts, [_counted(shortened(pair), clusters) for pair in benign])
    q_values = flip_test(shifts, beside)
    kept = q_values <= ALPHA
    return tuple(merged(found(counted.chosen(kept), q_values[kept]), looked_at, most))


def phrase_scores(texts: Texts, diffs: Sequence[PhraseDiff]) -> dict[str, float]:
    """How much each probe takes part in the phrases of `diffs`: the sum, over those that it leans to, of the log ratio
    of the two sides' counts; ≥ 0, and 0 for a probe with none."""
    out = dict.fromkeys(texts, 0.0)
    for diff in diffs:
        more, less = (diff.count_a, diff.count_b) if diff.side == "a" else (diff.count_b, diff.count_a)
        for probe in diff.probes:
            if probe in out:
                out[probe] += max(0.0, log((more + 0.5) / (less + 0.5)))
    return out


def _counted(texts: Texts, clusters: Mapping[str, str] | None) -> tuple[Counted, Shifts]:
    """The grams that can be told apart at all, one for each pattern of leaning probes, with their leans by cluster."""
    units = units_of(list(texts), clusters)
    fewest = max(_FEWEST, len(texts).bit_length() - 1)
    counted = count(distinct(texts), len(texts), fewest)
    counted = counted.chosen(first_of_equals(counted))
    shifts = counted.shifts.grouped(units)
    support = shifts.support()
    kept = support >= least_support(support, fewest)
    return counted.chosen(kept), shifts.chosen(kept)


def first_of_equals(counted: Counted) -> npt.NDArray[np.bool_]:
    """One gram of each set towards which the same probes lean alike: preferably without an edge, then the longest."""
    shifts = counted.shifts
    weights = np.random.default_rng(0).random(shifts.units)  # a random sum tells columns apart
    sums = np.bincount(shifts.feature, weights[shifts.unit] * shifts.value, shifts.features).round(9)
    order = sorted(range(len(counted.grams)), key=lambda i: (EDGE in counted.grams[i], -len(counted.grams[i])))
    _, first = np.unique(sums[order], return_index=True)
    kept = np.zeros(len(order), bool)
    kept[np.array(order, np.int64)[first]] = True
    return kept


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
