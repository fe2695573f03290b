"""How a counted gram is shown: extended as far as its answers agree, in their own spelling, or named as a pattern."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bvc.compare.grams import CAPITALS, EDGE, EMPTY, SMALL, Gram
from bvc.compare.text import word_spans

PHRASE, PATTERN = "phrase", "pattern"
_ALIKE = 0.8
"""Share of a gram's places that must agree on the next word for the gram to be extended by it."""
_PLACES = 64
_LONGEST = 16
"""Words of the longest phrase shown."""
CASES = {CAPITALS: "all in capital letters", SMALL: "no capital letters"}


@dataclass(frozen=True)
class Wording:
    """`text` as shown and its `kind`: the phrase itself, or a sentence about a "pattern"; `words` are the case-folded
    words that it consists of."""

    text: str
    kind: str
    words: Gram


@dataclass(frozen=True)
class _Place:
    """One occurrence: an answer, its words (case-folded, with EDGE at both ends), the span in characters of each, and
    the words `start` to `stop` that are the gram."""

    answer: str
    words: Sequence[str]
    spans: Sequence[tuple[int, int]]
    start: int
    stop: int

    def text(self) -> str:
        inner = [span for span in self.spans[self.start : self.stop] if span[0] < span[1]]
        return self.answer[inner[0][0] : inner[-1][1]] if inner else ""


def wording(gram: Gram, answers: Sequence[str]) -> Wording:
    """How to show `gram`, which `answers` hold."""
    if gram[0] in CASES:
        return Wording(CASES[gram[0]], PATTERN, gram)
    places = [place for answer in answers[:_PLACES] for place in _places(gram, answer)[:2]]
    if not places:
        return Wording(" ".join(gram).strip(EDGE + " "), PHRASE, gram)
    places = _extended(places)
    shown = Counter(place.text() for place in places).most_common(1)[0][0]
    words = tuple(places[0].words[places[0].start : places[0].stop])
    return _named(words, shown)


def _named(words: Gram, shown: str) -> Wording:
    inner = [word for word in words if word != EDGE and word.strip()]
    if not inner:
        text = "empty answer" if words == EMPTY else "line break" if words.count("\n") < 2 else "paragraphs"
        return Wording(text, PATTERN, words)
    shown = shown.strip()
    if words[0] == EDGE and words[-1] == EDGE:
        return Wording(f"the whole answer is “{shown}”", PATTERN, words)
    if words[0] == EDGE:
        return Wording(f"begins with “{shown}”", PATTERN, words)
    if words[-1] == EDGE:
        return Wording(f"ends with “{shown}”", PATTERN, words)
    if words[0] == "\n" and len(inner) <= 2 and not inner[0].isalpha():
        return Wording(f"lines that begin with “{shown}”", PATTERN, words)
    return Wording(shown, PHRASE, words)


def _places(gram: Gram, answer: str) -> list[_Place]:
    spans = word_spans(answer)
    words = [EDGE, *(answer[i:j].casefold() for i, j in spans), EDGE]
    edges = [(0, 0), *spans, (len(answer), len(answer))]
    size = len(gram)
    return [
        _Place(answer, words, edges, i, i + size)
        for i in range(len(words) - size + 1)
        if words[i] == gram[0] and tuple(words[i : i + size]) == gram
    ]


def _extended(places: list[_Place]) -> list[_Place]:
    """The places grown by words to the right, then to the left, while nearly all of them agree; EDGE ends a phrase."""
    for step in (1, -1):
        while places[0].stop - places[0].start < _LONGEST and (grown := _grow(places, step)):
            places = grown
    return places


def _grow(places: list[_Place], step: int) -> list[_Place]:
    following = [_next_word(place, step) for place in places]
    word, count = Counter(following).most_common(1)[0]
    if word in (None, EDGE, "\n") or count < 2 or count < _ALIKE * len(places):
        return []
    kept = [place for place, other in zip(places, following, strict=True) if other == word]
    return [_Place(p.answer, p.words, p.spans, p.start - (step < 0), p.stop + (step > 0)) for p in kept]


def _next_word(place: _Place, step: int) -> str | None:
    at = place.stop if step > 0 else place.start - 1
    return place.words[at] if 0 <= at < len(place.words) else None
