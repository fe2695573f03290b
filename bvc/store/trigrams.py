"""Runs of three characters, as postings know them: a text that holds some words holds all of their trigrams.

The idea is old: R. Cox, "Regular Expression Matching with a Trigram Index" (2012). A trigram is filed under one of
65,536 slots, so that two may share one: what a slot says is only "maybe", and is looked up in the text.
"""

from __future__ import annotations

import zlib

SLOTS = 1 << 16

_UPPER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_PARTNERS = {0x130: ord("i"), 0x131: ord("i"), 0x17F: ord("s"), 0x212A: ord("k")}
"""What else stands for an ASCII letter where case is ignored: dotted and dotless i, the long s, the sign of the
kelvin."""
_FOLD = _UPPER | _PARTNERS
_REMEMBERED = 200_000
_slots: dict[str, int] = {}


def fold(text: str) -> str:
    """`text`, character by character, with ASCII letters (and what stands for one) in lower case.

    A part of a text folds to the same part of the folded text, so folded trigrams serve searches with and without case.
    """
    return text.lower() if text.isascii() else text.translate(_FOLD)


def text_slots(text: str) -> set[int]:
    """The slots of all trigrams of a text."""
    folded = fold(text)
    if len(_slots) > _REMEMBERED:
        _slots.clear()
    return {_slot(folded[i : i + 3]) for i in range(len(folded) - 2)}


def word_slots(literal: str, *, ignore_case: bool) -> set[int]:
    """The slots that every text with `literal` in it has.

    Where case is ignored, only trigrams of ASCII: other letters have partners that `fold` does not know.
    """
    parts = (literal[i : i + 3] for i in range(len(literal) - 2))
    return {_slot(fold(part)) for part in parts if part.isascii() or not ignore_case}


def _slot(trigram: str) -> int:
    found = _slots.get(trigram)
    if found is None:
        found = _slots[trigram] = zlib.crc32(trigram.encode("utf-8", "surrogatepass")) & (SLOTS - 1)
    return found
