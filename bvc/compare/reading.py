"""What one text says, as far as words show it: content words, numbers, names, and what it denies or takes a side on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from bvc.compare import lexicon

LONGEST = 20_000
"""Characters of a text that are looked at."""
POSITIVE, NEGATED = 1, 2
STANCE = "yes/no"

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(
    rf"\d+(?:[.,:]\d+)*|[{_UNSPACED}]|[^\W\d_{_UNSPACED}](?:[^\W_{_UNSPACED}])*(?:'[^\W\d_]+)?|[.!?;:,\n]"
)
_MARKER = re.compile(r"(?m)^[ \t]*(?:\d{1,2}[.)]|[-*•#>]+)[ \t]+")
_OPENING = re.compile(
    r"\s*(?:(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|great question|good question|no problem|"
    r"happy to help)\s*[!.,:]\s*)?(?:(?:here(?:'s| is| are)|below is|the following is)[^.:!?\n]{0,80}:\s*)?",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"\b(?:i hope (?:this|that) helps|let me know if|feel free to|please let me know|is there anything else)"
    r"[^\n]{0,120}$",
    re.IGNORECASE,
)
_ENDINGS = ("ingly", "edly", "ness", "ing", "ies", "ed", "es", "ly", "s")
_COPULAS = frozenset({"is", "are", "was", "were", "has", "had", "will", "can", "does"})
_LINKS = frozenset({"of", "the", "and"})
"""Words within the name of one thing."""
_TURNS = lexicon.CLAUSE_ENDS | {"than"}
_PASSED_OVER = lexicon.STOP | lexicon.NUMBER_WORDS.keys() | lexicon.SCALES.keys()
_SENTENCE_ENDS = frozenset(".!?\n:")
_NUMERAL = frozenset(lexicon.NUMBER_WORDS)
_MOSTLY_CAPITALS = 0.5


@dataclass
class Reading:
    """What a text says.

    `words`: its content words in order of their first place, by stem (all words where none has content). `sequence`:
    all words in lower case. `numbers`: normalized. `names`: capitalized words inside sentences, in lower case;
    `initials`: the first letters of runs of capitalized words. `signs`: for each stem, axis of opposites or `STANCE`
    whether it is asserted (1), denied (2) or both (3). `compared_to`: the stems that follow "than". `denials` counts
    negating words, `open_end` is whether the text stops within a sentence.
    """

    words: dict[str, str] = field(default_factory=dict)
    sequence: list[str] = field(default_factory=list)
    numbers: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    initials: set[str] = field(default_factory=set)
    signs: dict[str, int] = field(default_factory=dict)
    compared_to: set[str] = field(default_factory=set)
    denials: int = 0
    open_end: bool = False

    def sign(self, key: str, negated: bool) -> None:
        """Notes that `key` is asserted or denied."""
        self.signs[key] = self.signs.get(key, 0) | (NEGATED if negated else POSITIVE)


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """`word` without a common English ending; at least three letters stay."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if word.endswith(("e", "y")) and len(word) > 3 else word


def read(text: str) -> Reading:
    """What `text` says; courtesies at its ends, list marks and everything beyond `LONGEST` characters are left out."""
    body = text[:LONGEST].replace("\u2019", "'")
    body = _CLOSING.sub("", body[_opening(body) :])
    reading = Reading(open_end=bool(body.strip()) and body.rstrip()[-1:].isalnum())
    tokens: list[str] = _TOKEN.findall(_MARKER.sub("\n", body))
    _Reader(reading, tokens).run()
    if not _NUMERAL.isdisjoint(reading.sequence) or re.search(r"\d", body):
        reading.numbers = set(_numbers(tokens))
    return reading


def _opening(body: str) -> int:
    """Where a courtesy at the start ends; 0 where nothing would be left."""
    found = _OPENING.match(body)
    return found.end() if found and found.end() < len(body) else 0


class _Reader:
    """One pass over the tokens of a text."""

    def __init__(self, reading: Reading, tokens: list[str]) -> None:
        self.reading, self.tokens = reading, tokens
        self.scope = 0
        self.comparing = False
        self.capitals: list[str] = []
        self.run_of_names = ""
        self.inside = 0

    def run(self) -> None:
        """Fills the reading."""
        starts = True
        for i, token in enumerate(self.tokens):
            if token[0].isalpha():
                self._word(token, i, starts)
                starts = False
            else:
                self.scope = 0 if token in lexicon.CLAUSE_ENDS else self.scope
                starts = token in _SENTENCE_ENDS or (starts and not token[0].isdigit())
                self._end_names()
        self._end_names()
        self._stance()
        if not self.reading.words:
            self.reading.words = {word: word for word in self.reading.sequence}
        if len(self.capitals) <= _MOSTLY_CAPITALS * max(self.inside, 4):
            self.reading.names.update(self.capitals)

    def _word(self, token: str, at: int, starts: bool) -> None:
        word, _, tail = token.lower().partition("'")
        self.reading.sequence.append(word)
        self.inside += not starts
        if token[0].isupper() and word not in lexicon.STOP:
            self._capital(token, word, at, starts)
        elif self.run_of_names and word not in _LINKS:
            self._end_names()
        if tail == "t" or word in lexicon.NEGATORS:
            self._deny(word, at)
        elif word in _TURNS:
            self.scope = 0 if word in lexicon.CLAUSE_ENDS else self.scope
            self.comparing = self.comparing or word == "than"
        elif word not in _PASSED_OVER:
            self._content(word)

    def _content(self, word: str) -> None:
        root = stem(word)
        self.reading.words.setdefault(root, word)
        if self.comparing:
            self.reading.compared_to.add(root)
            self.comparing = False
        negated = self.scope > 0
        self.reading.sign(root, negated)
        for axis, end in lexicon.OPPOSITES.get(word, ()):
            self.reading.sign(axis, negated == (end > 0))
        self.scope = lexicon.SCOPE if word in lexicon.WITHHOLDERS else self.scope - 1

    def _deny(self, word: str, at: int) -> None:
        follower = self.tokens[at + 1].lower() if at + 1 < len(self.tokens) else ""
        if follower in lexicon.MERELY or (word == "no" and not follower[:1].isalpha()):
            return
        self.reading.denials += 1
        self.scope = lexicon.SCOPE

    def _stance(self) -> None:
        """What the first word answers, where it stands by itself ("Yes, …", "No.")."""
        first = next((i for i, found in enumerate(self.tokens) if found != "\n"), None)
        if first is None:
            return
        word, follower = self.tokens[first].lower(), "".join(self.tokens[first + 1 : first + 2]).lower()
        if follower[:1].isalnum() and follower not in ("not", "it", "you", "they", "that"):
            return
        if word in lexicon.ASSENT:
            self.reading.sign(STANCE, follower == "not")
        elif word in lexicon.DISSENT:
            self.reading.sign(STANCE, True)

    def _capital(self, token: str, word: str, at: int, starts: bool) -> None:
        self.run_of_names += word[:1]
        follower = self.tokens[at + 1].lower() if at + 1 < len(self.tokens) else ""
        if not starts or follower in _COPULAS or token.isupper():
            self.capitals.append(word)

    def _end_names(self) -> None:
        if len(self.run_of_names) > 1:
            self.reading.initials.add(self.run_of_names)
        self.run_of_names = ""


def _numbers(tokens: list[str]) -> Iterator[str]:
    """The numbers of a text in figures or words, each in one form; a compound such as "two hundred" is one."""
    held: float | None = None
    tens = False
    for token in tokens:
        word = token.lower()
        if token[0].isdigit():
            if held is not None:
                yield _shown(held)
            held, tens = None, False
            value = _figure(token)
            if value is None:
                yield token
            held = value
        elif word in lexicon.SCALES and held is not None:
            held, tens = held * lexicon.SCALES[word], False
        elif word in lexicon.NUMBER_WORDS:
            value = lexicon.NUMBER_WORDS[word]
            if held is not None and not (tens and value < 10):
                yield _shown(held)
                held = None
            held, tens = (held or 0) + value, 20 <= value < 100
        elif held is not None:
            yield _shown(held)
            held, tens = None, False
    if held is not None:
        yield _shown(held)


def _figure(token: str) -> float | None:
    """The value of a number in figures; None for times, dates and numbers too long to mean a quantity."""
    plain = re.sub(r",(?=\d{3}(?:\D|$))", "", token).removesuffix(":00")
    if not re.fullmatch(r"\d{1,15}(?:\.\d{1,15})?", plain):
        return None
    return float(plain)


def _shown(value: float) -> str:
    return f"{value:.12g}"
