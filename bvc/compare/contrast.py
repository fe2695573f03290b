"""The signs that two texts differ in substance, each a number ≥ 0 that is 0 for equal texts; many pairs at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain

import numpy as np
import numpy.typing as npt

from bvc.compare import lexicon
from bvc.compare.embedding import Encode, Floats, mean_vectors, spelling, word_vectors
from bvc.compare.reading import NEGATED, POSITIVE, Reading, read, stem

SIGNS = ("topic", "conflict", "slot", "swap", "opposite", "denial", "number", "numbers_extra", "name", "names_extra")
"""Columns of `contrast`.

topic: cosine distance of the sentence vectors. conflict: weighted share of content words without counterpart, on the
side where it is smaller. slot: one word stands where another stood and the rest is shared. swap: words changed
places. opposite: one side asserts what the other denies (unless both deny something), or names its opposite or
another of the same exclusive kind. denial: only one side denies anything. number, name: both sides hold numbers or
names that the other lacks; numbers_extra, names_extra: one does."""

_NEAR, _FAR = 0.9, 0.3
"""Cosines of word vectors at which a word has a full counterpart, and none."""
_KEPT_HEAD = 0.4
"""Share of a text that is always compared when the other one was cut off."""
_LONGEST_FRAME, _FRAME_SHARE, _PHRASE = 400, 0.4, 3
"""Words of a text, share of differing content words, and words of a phrase, up to which exchanged words are sought."""
_SHORT = 10
"""Content words up to which a single opposite or denial has its full weight."""

Cut = bool | None
"""Whether a text was cut off; None where nobody knows: then one that stops within a sentence counts as cut."""


@dataclass(frozen=True)
class _Side:
    """One text of a pair: what it says, the rows of its content words in the table, and whether it was cut off."""

    reading: Reading
    rows: npt.NDArray[np.int64]
    is_cut: bool


class _Batch:
    """The texts of many pairs, each read once, and the vectors of all their words."""

    def __init__(self, texts: Sequence[str], encode: Encode | None) -> None:
        self.readings = {text: read(text) for text in texts}
        words = list(dict.fromkeys(chain.from_iterable(r.words.values() for r in self.readings.values())))
        row = {word: i for i, word in enumerate(words)}
        self.vectors, self.weights = word_vectors().of(words)
        self.rows = {
            text: np.fromiter((row[word] for word in r.words.values()), np.int64, len(r.words))
            for text, r in self.readings.items()
        }
        self.place = {text: i for i, text in enumerate(texts)}
        self.sentences = self._means(texts) if encode is None else encode(texts)

    def _means(self, texts: Sequence[str]) -> Floats:
        """Sentence vectors; a text without words has that of its characters."""
        out = mean_vectors(self.vectors, self.weights, [self.rows[text] for text in texts])
        for i, text in enumerate(texts):
            if not len(self.rows[text]) and text:
                vector = spelling(text[:_LONGEST_FRAME], out.shape[1])
                out[i] = vector / (np.linalg.norm(vector) or 1)
        return out

    def side(self, text: str, cut: Cut) -> _Side:
        reading = self.readings[text]
        return _Side(reading, self.rows[text], reading.open_end if cut is None else cut)

    def topic(self, a: str, b: str) -> float:
        """Cosine distance of two sentence vectors."""
        return 1 - float(self.sentences[self.place[a]] @ self.sentences[self.place[b]])

    def missing(self, own: _Side, other: _Side) -> Floats:
        """For each content word of `own` how far it is from having a counterpart in `other`: 0 to 1."""
        known = other.reading.words
        out = np.zeros(len(own.rows), np.float32)
        at = [i for i, root in enumerate(own.reading.words) if root not in known]
        if not at:
            return out
        if not len(other.rows):
            out[at] = 1
            return out
        nearest = (self.vectors[own.rows[at]] @ self.vectors[other.rows].T).max(axis=1)
        out[at] = np.clip((_NEAR - nearest) / (_NEAR - _FAR), 0, 1)
        return out

    def gap(self, own: _Side, other: _Side) -> tuple[float, float]:
        """Weighted share of the words of `own` without counterpart, and the largest miss of one word. Where `other`
        was cut off, the end of `own` that lowers the share most by being left out is left out."""
        if not len(own.rows):
            return 0.0, 0.0
        miss = self.missing(own, other)
        if not miss.any():
            return 0.0, 0.0
        weights = self.weights[own.rows]
        shares = np.cumsum(miss * weights) / np.cumsum(weights)
        first = int(_KEPT_HEAD * len(shares)) if other.is_cut else len(shares) - 1
        last = first + int(shares[first:].argmin())
        return float(shares[last]), float(miss[: last + 1].max())


def contrast(
    pairs: Sequence[tuple[str, str]], cuts: Sequence[tuple[Cut, Cut]], encode: Encode | None = None
) -> npt.NDArray[np.float64]:
    """The `SIGNS` of each pair: [n, 10]. `cuts` says of both texts of each pair whether they were cut off; `encode`
    gives other sentence vectors than the weighted means of the words'."""
    batch = _Batch(list(dict.fromkeys(chain.from_iterable(pairs))), encode)
    out = np.zeros((len(pairs), len(SIGNS)))
    for row, (a, b), (cut_a, cut_b) in zip(out, pairs, cuts, strict=True):
        if a != b:
            row[:] = _signs(batch, batch.side(a, cut_a), batch.side(b, cut_b), batch.topic(a, b))
    clipped: npt.NDArray[np.float64] = np.clip(out, 0, None)
    return clipped


def _signs(batch: _Batch, a: _Side, b: _Side, topic: float) -> tuple[float, ...]:
    left, right = a.reading, b.reading
    (gap_a, worst_a), (gap_b, worst_b) = batch.gap(a, b), batch.gap(b, a)
    frame, exchanged = _frame(left, right)
    turned, opposite, denial = _opposition(left, right)
    return (
        *(topic, min(gap_a, gap_b), min(worst_a, worst_b) * frame**2),
        *(float(turned or exchanged), opposite, denial),
        *_unmatched(left.numbers - right.numbers, right.numbers - left.numbers, a, b),
        *_unmatched(_names_without(left, right), _names_without(right, left), a, b),
    )


def _opposition(a: Reading, b: Reading) -> tuple[bool, float, float]:
    """Whether a comparison was turned around; then opposite and denial."""
    against = [key for key in a.signs.keys() & b.signs.keys() if a.signs[key] + b.signs[key] == POSITIVE + NEGATED]
    count = sum("/" in key for key in against) + _exclusive(a, b)
    turned = _turned(a, b)
    if turned and count:  # "A is faster than B" and "B is slower than A" say the same
        count, turned = count - 1, False
    if not (a.denials and b.denials):  # else what a negation reaches is too uncertain
        count += len(against) - sum("/" in key for key in against)
    strength = _SHORT / max(min(len(a.words), len(b.words)), _SHORT)
    denial = strength * ((a.denials == 0) != (b.denials == 0))
    return turned, 1 - 4 ** (-strength * count), denial


def _turned(a: Reading, b: Reading) -> bool:
    """Whether what one text compares something to is, in the other, compared to something else it also names."""
    than_a, than_b = a.compared_to, b.compared_to
    known = than_a <= b.words.keys() and than_b <= a.words.keys()
    return bool(than_a) and bool(than_b) and known and than_a.isdisjoint(than_b)


def _frame(a: Reading, b: Reading) -> tuple[float, bool]:
    """How far all but single phrases of two texts is the same words in the same order (0 to 1), and whether two
    content words or more changed places within them."""
    left, right = a.sequence, b.sequence
    size, differing = max(len(left), len(right)), len(a.words.keys() ^ b.words.keys())
    if left == right or size > _LONGEST_FRAME or differing > max(_FRAME_SHARE * len(a.words), 2):
        return 0.0, False
    gone, come, loose = _replaced(left, right)
    equal = (len(left) + len(right) - len(gone) - len(come) - loose) // 2
    loose += sum(word not in a.words for word in gone) + sum(word not in b.words for word in come)
    moved = {word for word in gone if word in a.words} & set(come)
    return max(equal - loose, 0) / size, len(moved) >= 2 and 2 * equal >= size


def _replaced(left: list[str], right: list[str]) -> tuple[list[str], list[str], int]:
    """Stems that stand in the place of others, before and after, and how many words came or went besides."""
    if len(left) == len(right):
        differ = [(stem(x), stem(y)) for x, y in zip(left, right, strict=True) if x != y]
        if 2 * len(differ) <= len(left):
            return [x for x, _ in differ], [y for _, y in differ], 0
    gone: list[str] = []
    come: list[str] = []
    loose = 0
    for op, i, j, k, m in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if op == "replace" and max(j - i, m - k) <= _PHRASE:
            gone += map(stem, left[i:j])
            come += map(stem, right[k:m])
        elif op != "equal":
            loose += j - i + m - k
    return gone, come, loose


def _exclusive(a: Reading, b: Reading) -> int:
    """Groups of which both texts name members that the other does not name."""
    members_a, members_b = _members(a.words.values()), _members(b.words.values())
    if not members_a or not members_b:
        return 0
    return len({group for group, _ in members_a - members_b} & {group for group, _ in members_b - members_a})


def _members(words: Iterable[str]) -> set[tuple[int, str]]:
    return {member for word in words if word in lexicon.EXCLUSIVE for member in lexicon.EXCLUSIVE[word]}


def _unmatched(only_a: set[str], only_b: set[str], a: _Side, b: _Side) -> tuple[float, float]:
    """Whether both sides hold some that the other lacks, and how many one side holds alone; both saturate at 1. What
    one text has beyond another that was cut off does not count."""
    if not only_a and not only_b:
        return 0.0, 0.0
    few, many = sorted((len(only_a), len(only_b)))
    beyond = b.is_cut if len(only_a) > len(only_b) else a.is_cut
    return 1 - 0.5**few, 0.0 if beyond else 1 - 0.5 ** (many - few)


def _names_without(own: Reading, other: Reading) -> set[str]:
    """Names of one text that the other does not mention in any form, initials included."""
    if not own.names:
        return set()
    starts = {word[:4] for word in other.words.values()}
    initials = "".join(other.initials)
    return {name for name in own.names if name[:4] not in starts and name not in initials}
