"""Texts as short vectors whose inner products stand for the words and word pairs that two texts share."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, count

import numpy as np
import numpy.typing as npt

from bvc.compare.text import words

WIDTH = 128
"""Components of a sketch: an inner product of two unit sketches is off by about 1 / sqrt(WIDTH)."""
_AT_ONCE = 1024
"""Texts whose words are in memory at once."""
_PAIR = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")

Sketches = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint64]


def sketch(texts: Sequence[str]) -> Sketches:
    """Unit vectors [texts, WIDTH] (0 for an empty text): counts of words and of word pairs, each added with a random
    sign to one of WIDTH components (Charikar, Chen and Farach-Colton 2002). Equal texts have equal sketches."""
    numbers: defaultdict[str, int] = defaultdict(count(1).__next__)
    out = np.zeros((len(texts), WIDTH), np.float32)
    for start in range(0, len(texts), _AT_ONCE):
        split = [_tokens(text) for text in texts[start : start + _AT_ONCE]]
        out[start : start + len(split)] = _sketched(split, numbers)
    return out


def _sketched(split: Sequence[list[str]], numbers: defaultdict[str, int]) -> Sketches:
    sizes = np.fromiter(map(len, split), np.int64, len(split))
    flat = np.fromiter(map(numbers.__getitem__, chain.from_iterable(split)), np.uint64, int(sizes.sum()))
    rows = np.repeat(np.arange(len(split)), sizes)
    inside = rows[1:] == rows[:-1]
    pairs = (flat[:-1] * _PAIR + flat[1:])[inside]
    table = _added(np.concatenate([flat, pairs]), np.concatenate([rows, rows[1:][inside]]), len(split))
    norms = np.linalg.norm(table, axis=1)
    out: Sketches = (table / np.where(norms > 0, norms, 1)[:, None]).astype(np.float32)
    return out


def _tokens(text: str) -> list[str]:
    """Words between white space, which is fast; single characters for scripts that do not separate words."""
    return words(text) if not text.isascii() and _SPACELESS.search(text) else text.split()


def _added(codes: Codes, rows: npt.NDArray[np.int64], texts: int) -> Sketches:
    """Each code's sign, added at its place in its row: one count of the places with a plus, one of those with a
    minus."""
    mixed = _mixed(codes)
    places = rows * (2 * WIDTH) + (mixed % np.uint64(2 * WIDTH)).astype(np.int64)
    counts = np.bincount(places, minlength=texts * 2 * WIDTH).reshape(texts, 2, WIDTH)
    return (counts[:, 0] - counts[:, 1]).astype(np.float32)


def _mixed(codes: Codes) -> Codes:
    """The finalizer of SplitMix64: neighboring numbers become unrelated bits."""
    out = (codes ^ (codes >> np.uint64(30))) * _MIX[0]
    out = (out ^ (out >> np.uint64(27))) * _MIX[1]
    return out ^ (out >> np.uint64(31))
