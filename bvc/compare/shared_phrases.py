"""How much an answer took on together with others: what a behavior does, and rewording of each answer does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from bvc.compare.text import words

_LONGEST = 20_000
"""Characters of a text that are looked at."""
Ints = npt.NDArray[np.int64]
Column = npt.NDArray[np.float64]


def shared_phrases(texts: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    """How much each probe's text gained, or lost if that is more, in common with others; `texts` are (before, after).

    Gained: the mean over the words and word pairs of the text after of how much more often they occur after than
    before, as log ratio of counts of probes (plus one half), 0 where less often. Lost: the same with before and after
    exchanged. The probe itself is left out of the counts: rewording is particular to each probe and gets no weight, a
    behavior that many probes take on does. ≥ 0; 0 where the text did not change.
    """
    changed = [p for p, (a, b) in texts.items() if a != b]
    out = dict.fromkeys(texts, 0.0)
    if changed:
        still = [a for a, b in texts.values() if a == b]
        before, after = [texts[p][0] for p in changed], [texts[p][1] for p in changed]
        held = _held([*before, *after, *still])
        gains = np.maximum(_gains(held, len(changed), forward=True), _gains(held, len(changed), forward=False))
        out |= dict(zip(changed, gains.tolist(), strict=True))
    return out


@dataclass(frozen=True)
class _Held:
    """Which of `grams` words and pairs each text holds, once each, rising by text, then by gram."""

    text: Ints
    gram: Ints
    grams: int


def _held(texts: Sequence[str]) -> _Held:
    found = [words(text[:_LONGEST].casefold()) for text in texts]
    number = {word: i for i, word in enumerate(sorted(set(chain.from_iterable(found))))}
    lengths = np.array([len(each) for each in found], np.int64)
    tokens = np.fromiter((number[word] for word in chain.from_iterable(found)), np.int64, int(lengths.sum()))
    owner = np.repeat(np.arange(len(texts)), lengths)
    inside = np.flatnonzero(owner[1:] == owner[:-1])
    pairs = (tokens[inside] + 1) * len(number) + tokens[inside + 1]
    kinds, gram = np.unique(np.concatenate([tokens, pairs]), return_inverse=True)
    size = max(len(kinds), 1)
    once = np.unique(np.concatenate([owner, owner[inside]]) * size + gram)
    return _Held(once // size, once % size, len(kinds))


def _gains(held: _Held, changed: int, *, forward: bool) -> Column:
    """What the texts after gained, or with `forward` off what those before lost, [changed]."""
    before, after = held.text < changed, (held.text >= changed) & (held.text < 2 * changed)
    if not forward:
        before, after = after, before
    still = np.bincount(held.gram[held.text >= 2 * changed], minlength=held.grams)
    old, new = (np.bincount(held.gram[side], minlength=held.grams) + still for side in (before, after))
    own, other = (held.text[side] % changed * held.grams + held.gram[side] for side in (after, before))
    gram = held.gram[after]
    risen = np.where(np.isin(own, other, assume_unique=True), *(rise[gram] for rise in _rises(old, new)))
    row = held.text[after] % changed
    total, size = np.bincount(row, risen, changed), np.bincount(row, minlength=changed)
    out: Column = total / np.maximum(size, 1)
    return out


def _rises(old: Ints, new: Ints) -> tuple[Column, Column]:
    """What a word or pair in a text after counts where the text before has it too, and where it lacks it, [grams]; only
    what several texts have after, and at least as many as before, counts."""
    counts = (new > 1) & (new >= old)
    there, without = np.zeros(len(old)), np.zeros(len(old))
    both = counts & (old > 0)
    there[both] = np.log((new[both] - 0.5) / (old[both] - 0.5))
    without[counts] = np.maximum(0.0, np.log((new[counts] - 0.5) / (old[counts] + 0.5)))
    return there, without
