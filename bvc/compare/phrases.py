"""Words and word pairs that several answers gained together: what rewording alone does not do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import log

from bvc.compare.text import words

Grams = frozenset[tuple[str, ...]]
_LONGEST = 20_000
"""Characters of a text that are looked at."""


def gained_phrases(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, float]:
    """For each probe of both, the mean over the words and word pairs of its text after of how much more often they
    occur after than before, as log ratio of counts of probes (plus one half), 0 where less often.

    The probe itself is left out of the counts, so that only what other probes gained too has weight: rewording is
    particular to each probe, a behavior that many probes take on is not. ≥ 0; 0 for an empty text.
    """
    old = {p: _grams(text) for p, text in before.items()}
    new = {p: _grams(text) for p, text in after.items()}
    counts_old, counts_new = _counts(old), _counts(new)
    return {p: _gain(grams, old[p], counts_old, counts_new) for p, grams in new.items()}


def _gain(own: Grams, before: Grams, old: Counter[tuple[str, ...]], new: Counter[tuple[str, ...]]) -> float:
    gained = 0.0
    for gram in own:
        others_new, others_old = new[gram] - 1, old[gram] - (gram in before)
        if others_new > others_old:
            gained += log((others_new + 0.5) / (others_old + 0.5))
    return gained / max(len(own), 1)


def _counts(texts: Mapping[str, Grams]) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for grams in texts.values():
        counts.update(grams)
    return counts


def _grams(text: str) -> Grams:
    found = words(text[:_LONGEST].casefold())
    return frozenset([(w,) for w in found]) | frozenset(zip(found, found[1:], strict=False))
