"""The languages of answers, remembered in the index: the identifier takes long to load."""

from __future__ import annotations

from dataclasses import dataclass, field

from bvc.behaviors.language import NAMES, recognized
from bvc.store.index import Index, score_key

_VERSION = "language/1"
"""Changes whenever the same text is recognized otherwise than before."""
_ENGLISH = frozenset(["the", "and", "to", "that", "with", "this", "you", "are", "your", "which", "from", "it", "they"])
"""Frequent words of English that hardly any other language has among its own."""
_PLAIN, _FEWEST_WORDS, _READ = 0.2, 8, 2_000
"""Share of such words in at least so many words, among so many characters, that settles the language."""
_SHARED = 0.4
"""Share of all different words of two texts that both have, from which on they are in one language."""


@dataclass
class Languages:
    """The names of the languages of texts. What had to be looked at is in the index after `flush`."""

    index: Index
    _waiting: dict[bytes, bytes] = field(default_factory=dict)

    def of_both(self, a: str, b: str) -> tuple[str | None, str | None]:
        """The languages of two texts; None for both where their words already show that it is the same."""
        words_a, words_b = (set(text[:_READ].lower().split()) for text in (a, b))
        common = len(words_a & words_b)
        if common >= _FEWEST_WORDS and common >= _SHARED * len(words_a | words_b):
            return None, None
        return self.of(a), self.of(b)

    def of(self, text: str) -> str | None:
        """The name of a text's language; None where it cannot be told. Plain English is told without any model."""
        words = text[:_READ].lower().split()
        if len(words) >= _FEWEST_WORDS and sum(word in _ENGLISH for word in words) >= _PLAIN * len(words):
            return NAMES["en"]
        key = score_key(_VERSION, text)
        known = self._waiting.get(key) or self.index.environment.get(key)
        if known is None:
            known = self._waiting[key] = recognized(text).encode()
        return NAMES.get(known.decode())

    def flush(self) -> None:
        """Writes what was found to the index, where that can be written."""
        waiting, self._waiting = self._waiting, {}
        self.index.environment.remember(waiting.items())
