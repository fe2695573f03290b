"""Distance and word-level differences of two texts, in time that is bounded whatever a model wrote."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Characters of scripts that put no space between words: each counts as a word."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]|[^\S ]|  +")
_PIECE = re.compile(rf"(?:[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s])[^\S\n]*|\s")

_EXACT_CELLS = 400_000_000
"""Largest product of word counts for which the edit distance is exact: 0.1 s."""
_BLOCK_CELLS = 250_000
"""Largest product of piece counts that is matched at once for display."""
_TOTAL_CELLS = 1_000_000


def words(text: str) -> list[str]:
    """The words of `text`: runs of letters and digits, single marks, line breaks, runs of spaces; scripts without
    spaces count by character. Single spaces are left out."""
    return _WORD.findall(text)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where each of `words(text)` begins and ends."""
    return [match.span() for match in _WORD.finditer(text)]


def text_distance(a: str, b: str) -> float:
    """Word-level edit distance (Levenshtein) over the longer text's count of words: 0 equal, 1 nothing shared.

    Different texts never have distance 0: those that differ only in single spaces count half an edit. Beyond some
    20,000 changed words a side the words' order is no longer looked at (a lower bound of the edit distance).
    """
    if a == b:
        return 0.0
    words_a, words_b = words(a), words(b)
    longest = max(len(words_a), len(words_b), 1)
    return (_edits(words_a, words_b) or 0.5) / longest


def _edits(a: list[str], b: list[str]) -> int:
    head, tail = _shared_ends(a, b)
    a, b = a[head : len(a) - tail], b[head : len(b) - tail]
    if not a or not b:
        return len(a) + len(b)
    if len(a) * len(b) > _EXACT_CELLS:
        return max(len(a), len(b)) - (Counter(a) & Counter(b)).total()
    return _levenshtein(a, b)


def _shared_ends(a: Sequence[str], b: Sequence[str]) -> tuple[int, int]:
    """Lengths of the longest common head, and of the longest common tail of what is left."""
    shortest = min(len(a), len(b))
    head = next((i for i in range(shortest) if a[i] != b[i]), shortest)
    tail = next((i for i in range(shortest - head) if a[-1 - i] != b[-1 - i]), shortest - head)
    return head, tail


def _levenshtein(a: list[str], b: list[str]) -> int:
    """Edit distance of two non-empty sequences by bit-parallel columns (Myers 1999, in the form of Hyyrö 2003)."""
    if len(a) < len(b):
        a, b = b, a
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    mask, last = (1 << len(a)) - 1, 1 << len(a) - 1
    rises, falls, distance = mask, 0, len(a)
    for word in b:
        match = places.get(word, 0)
        level = (((match & rises) + rises) ^ rises) | match | falls
        up, down = falls | ~(level | rises) & mask, level & rises
        distance += bool(up & last) - bool(down & last)
        up, down = up << 1 | 1, down << 1
        rises, falls = (down | ~(level | up)) & mask, up & level & mask
    return distance


def first_difference(a: str, b: str) -> int | None:
    """Index of the first character where two texts part; None when they are equal."""
    if a == b:
        return None
    low, high = 0, min(len(a), len(b))
    while low < high:  # bisection over slice comparisons: a megabyte of equal text costs no Python loop
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low


@dataclass(frozen=True)
class Edit:
    """One step of a difference: `op` is "equal", "replace", "delete" or "insert"; the words keep their spaces, so the
    `a` words of all edits joined are text a, and the `b` words text b."""

    op: str
    a: tuple[str, ...]
    b: tuple[str, ...]


def word_edits(a: str, b: str) -> list[Edit]:
    """The difference of two texts word by word, for display; lines are matched first, then words within them.

    Where matching would take too long, a whole passage is one "replace".
    """
    budget = [_TOTAL_CELLS]
    return list(_join(_by_lines(a, b, budget)))


def _by_lines(a: str, b: str, budget: list[int]) -> Iterator[Edit]:
    for edit in _match(a.splitlines(keepends=True), b.splitlines(keepends=True), budget):
        if edit.op == "replace":
            yield from _match(_PIECE.findall("".join(edit.a)), _PIECE.findall("".join(edit.b)), budget)
        else:
            yield edit


def _match(a: Sequence[str], b: Sequence[str], budget: list[int]) -> Iterator[Edit]:
    head, tail = _shared_ends(a, b)
    yield Edit("equal", tuple(a[:head]), tuple(b[:head]))
    middle_a, middle_b = a[head : len(a) - tail], b[head : len(b) - tail]
    cells = len(middle_a) * len(middle_b)
    if cells > min(_BLOCK_CELLS, budget[0]):
        yield Edit("replace", tuple(middle_a), tuple(middle_b))
    else:
        budget[0] -= cells
        for op, i, j, k, m in SequenceMatcher(None, middle_a, middle_b, autojunk=False).get_opcodes():
            yield Edit(op, tuple(middle_a[i:j]), tuple(middle_b[k:m]))
    yield Edit("equal", tuple(a[len(a) - tail :]), tuple(b[len(b) - tail :]))


def _join(edits: Iterator[Edit]) -> Iterator[Edit]:
    """Neighbors with the same operation as one; empty ones dropped."""
    held: Edit | None = None
    for edit in edits:
        if not edit.a and not edit.b:
            continue
        if held is not None and held.op == edit.op:
            held = Edit(held.op, held.a + edit.a, held.b + edit.b)
            continue
        if held is not None:
            yield held
        held = edit
    if held is not None:
        yield held
