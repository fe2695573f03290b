"""Words and word pairs that several answers gained, or lost, together: what rewording alone does not do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain, pairwise
from math import log

from bvc.compare.text import words

Gram = str | tuple[str, str]
"""A word, or two that follow each other."""
Grams = frozenset[Gram]
_LONGEST = 20_000
"""Characters of a text that are looked at."""


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


Rises = Mapping[Gram, tuple[float, float]]
"""What a word or pair in a text after counts, where the text before lacks it and where it has it."""


def _rises(old: Counter[Gram], new: Counter[Gram]) -> Rises:
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


def _counts(*texts: Iterable[Grams]) -> Counter[Gram]:
    counts: Counter[Gram] = Counter()
    for grams in chain(*texts):
        counts.update(grams)
    return counts


def _grams(text: str) -> Grams:
    found: list[str] = words(text[:_LONGEST].casefold())
    return frozenset(found).union(pairwise(found))
