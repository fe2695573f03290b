"""Words and phrases in a text, in any script: counting, finding, comparing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from bvc.behaviors.records import Score, Span

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Scripts that put no space between words: each character counts as one, and none needs a border."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:['’-][^\W_{_UNSPACED}]+)*")
_SPACED_END = re.compile(rf"[^\W{_UNSPACED}]")
_SHOWN = 50


def word_count(text: str) -> int:
    """Words of `text`; scripts without spaces count by character."""
    return sum(1 for _ in _WORD.finditer(text))


def folded(text: str) -> str:
    """`text` without differences of case and of compatible characters. Its length may differ."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def phrase_pattern(phrase: str, *, whole: bool) -> str:
    """A pattern that finds `phrase` with any white space between its words, `whole` as words of their own.

    A number is not found inside a longer one: 4 is neither in 14 nor in 4.5 or 4,000.
    """
    body = r"\s+".join(re.escape(part) for part in phrase.split())
    if not whole or not body:
        return body
    first, last = phrase.strip()[0], phrase.strip()[-1]
    before = r"(?<!\w)" if _SPACED_END.match(first) else ""
    after = r"(?!\w)" if _SPACED_END.match(last) else ""
    if first.isdigit():
        before += r"(?<!\d[.,])"
    if last.isdigit():
        after += r"(?![.,]\d)"
    return before + body + after


def find_phrases(text: str, phrases: Sequence[str], *, ignore_case: bool = True, whole: bool = False) -> list[Span]:
    """Places of any of `phrases`, in order."""
    body = "|".join(pattern for phrase in phrases if (pattern := phrase_pattern(phrase, whole=whole)))
    if not body:
        return []
    found = re.compile(body, re.IGNORECASE if ignore_case else 0).finditer(text)
    return [match.span() for match, _ in zip(found, range(_SHOWN), strict=False)]


def contains(text: str, phrases: Sequence[str], *, ignore_case: bool, whole: bool) -> Score:
    """1 where any of `phrases` stands in the text."""
    spans = find_phrases(text, phrases, ignore_case=ignore_case, whole=whole)
    if not spans:
        return Score(0.0, "has none of the words")
    return Score(1.0, f"has “{text[slice(*spans[0])][:60]}”", tuple(spans))


def equals(text: str, wanted: Sequence[str], *, ignore_case: bool) -> Score:
    """1 where the text is one of `wanted`, white space at its ends and around words aside."""
    said = " ".join(text.split())
    here = folded(said) if ignore_case else said
    for choice in wanted:
        there = " ".join(choice.split())
        if here == (folded(there) if ignore_case else there):
            return Score(1.0, "is that text", ((0, len(text)),))
    return Score(0.0, "is another text")


def length(words: int, least: int | None, most: int | None, unit: str) -> Score:
    """1 where a length lies between two limits, both included."""
    fits = (least is None or words >= least) and (most is None or words <= most)
    return Score(float(fits), f"{words} {unit}")


def similarity(a: str, b: str) -> float:
    """How alike two texts are in their words and characters: the cosine of their counts of words and of runs of three
    characters, 0 to 1. Blind to meaning; the same in every language."""
    left, right = _counts(a), _counts(b)
    if not left or not right:
        return float(left == right)
    dot = sum(count * right.get(key, 0) for key, count in left.items())
    norm = sum(v * v for v in left.values()) * sum(v * v for v in right.values())
    return float(min(1.0, dot / norm**0.5))


def _counts(text: str) -> dict[str, int]:
    plain = folded(text)
    counts: dict[str, int] = {}
    for word in _WORD.findall(plain):
        padded = f" {word} "
        for key in (word, *(padded[i : i + 3] for i in range(len(padded) - 2))):
            counts[key] = counts.get(key, 0) + 1
    return counts
