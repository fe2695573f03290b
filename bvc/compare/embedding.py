"""Word vectors that ship with bvc, and sentence vectors made of them: no model, no download, numpy only.

The vectors are those of all-MiniLM-L6-v2 for each entry of its WordPiece vocabulary (`data/README.md`), as in Model2Vec
(Tulkens and van Dongen 2024); sentences are means weighted by smooth inverse frequency (Arora, Liang and Ma 2017), the
frequency taken from the rank by Zipf's law. Words that the vocabulary cannot spell get a vector of their character
n-grams, so that other scripts compare by shared spelling.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from itertools import chain

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Floats]
"""Turns n texts into n unit vectors [n, d]."""

_LONGEST_WORD = 40
"""Characters of a word that are looked at."""
_SMOOTH = 1e-3
"""Smoothing constant of the inverse frequency (Arora et al. use 1e-3 to 1e-4)."""
_NO_ENTRY = -1


@dataclass(frozen=True)
class WordVectors:
    """The shipped table: `ids` by entry ("##" before entries that continue a word), `vectors` [n, d] int8, `weights`
    [n] float32, the smooth inverse frequency of each entry (0 to 1)."""

    ids: dict[str, int]
    vectors: npt.NDArray[np.int8]
    weights: Floats

    def of(self, words: Sequence[str]) -> tuple[Floats, Floats]:
        """Unit vectors [n, d] and weights [n] of lower-case words; a word of several pieces has the mean of its
        pieces' vectors, and the weight of its rarest piece."""
        pieces = [self._pieces(word) for word in words]
        lengths = np.array([len(p) for p in pieces], np.int64)
        flat = np.fromiter(chain.from_iterable(pieces), np.int64, int(lengths.sum()))
        vectors = np.zeros((len(words), self.vectors.shape[1]), np.float32)
        weights = np.ones(len(words), np.float32)
        spelled = np.flatnonzero(lengths)
        if len(spelled):
            starts = (np.cumsum(lengths) - lengths)[spelled]
            rows = _unit(self.vectors[flat].astype(np.float32))
            vectors[spelled] = np.add.reduceat(rows, starts, axis=0)
            weights[spelled] = np.maximum.reduceat(self.weights[flat], starts)
        for i in np.flatnonzero(lengths == 0).tolist():
            vectors[i] = spelling(words[i][:_LONGEST_WORD], self.vectors.shape[1])
        return _unit(vectors), weights

    def _pieces(self, word: str) -> list[int]:
        """The longest entries that spell `word` from its start (greedy WordPiece); empty if it cannot be spelled."""
        whole = self.ids.get(word)
        if whole is not None:
            return [whole]
        plain = _without_accents(word[:_LONGEST_WORD])
        found: list[int] = []
        at = 0
        while at < len(plain):
            head = "##" if at else ""
            ends = range(len(plain), at, -1)
            end = next((e for e in ends if head + plain[at:e] in self.ids), _NO_ENTRY)
            if end == _NO_ENTRY:
                return []
            found.append(self.ids[head + plain[at:end]])
            at = end
        return found


@lru_cache(maxsize=1)
def word_vectors() -> WordVectors:
    """The table that ships with bvc; read once."""
    folder = files("bvc.compare").joinpath("data")
    entries = folder.joinpath("vocabulary.txt").read_text(encoding="utf-8").split("\n")[:-1]
    with as_file(folder.joinpath("vectors.npy")) as path:
        vectors: npt.NDArray[np.int8] = np.load(path, allow_pickle=False)
    rank = np.arange(1, len(entries) + 1)
    frequency = 1 / (rank * np.log(len(entries)))
    weights: Floats = (_SMOOTH / (_SMOOTH + frequency)).astype(np.float32)
    return WordVectors(dict(zip(entries, range(len(entries)), strict=True)), vectors, weights)


def mean_vectors(table: Floats, weights: Floats, rows: Sequence[npt.NDArray[np.int64]]) -> Floats:
    """Unit vectors [n, d] of texts, each given as the rows of its words in `table` [words, d] (weighted by `weights`
    [words]); zero for a text without words."""
    out = np.zeros((len(rows), table.shape[1]), np.float32)
    for i, members in enumerate(rows):
        if len(members):
            out[i] = weights[members] @ table[members]
    return _unit(out)


def _unit(vectors: Floats) -> Floats:
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    scaled: Floats = vectors / np.maximum(norms, np.float32(1e-12))
    return scaled


def spelling(word: str, dimensions: int) -> Floats:
    """Signed counts of the character 1-, 2- and 3-grams of `word`, folded into `dimensions` by a hash: [dimensions]."""
    framed = f"^{word}$"
    out = np.zeros(dimensions, np.float32)
    for size in (1, 2, 3):
        for start in range(size == 1, len(framed) - size + 1 - (size == 1)):
            key = zlib.crc32(framed[start : start + size].encode("utf-8", "surrogatepass"))
            out[key % dimensions] += 1 if key >> 16 & 1 else -1
    return out


@lru_cache(maxsize=4096)
def _without_accents(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
