"""Wording or substance: how far the meaning of an answer changed, not how many of its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.contrast import contrast
from bvc.compare.embedding import Encode
from bvc.compare.text import text_distance
from bvc.results import Kind, Substance

THRESHOLD = 0.5
"""Distance from which a change is one of meaning."""

_FACT_SHARE = 0.9
"""Least distance of a changed fact: language, refusal or right answer."""
_KEPT_WORDS = 0.5
"""Word edit distance below which a differing language is a slip of whoever told it."""
_LEAST = 1e-3
"""Distance of texts that differ in nothing that counts."""


@dataclass(frozen=True)
class Facts:
    """What others know of an answer; None where nobody does. `language`: its name. `refuses`: it declines to answer.
    `right`: it holds the probe's right answer. `cut`: the token limit stopped it."""

    language: str | None = None
    refuses: bool | None = None
    right: bool | None = None
    cut: bool | None = None


@dataclass(frozen=True)
class Embed:
    """A way to weigh meaning: a weight for each of `contrast.SIGNS` (≥ 0), so scaled that the weighted sum is 1 where
    wording turns into meaning; `encode` gives sentence vectors, None the weighted means of the shipped word vectors."""

    name: str
    weights: tuple[float, ...]
    encode: Encode | None = None


BUILTIN_WEIGHTS = (0.76, 1.13, 1.13, 1.44, 1.44, 0.18, 2.6, 0.82, 1.83, 0.47)
MINILM_WEIGHTS = (1.44, 0.77, 0.93, 1.39, 1.34, 0.09, 2.53, 0.62, 1.58, 0.47)
"""Fitted by `tests/bench/bench_substance.py --fit` on the development half of the labelled pairs."""

builtin = Embed("builtin", BUILTIN_WEIGHTS)
"""The default: the word vectors that ship with bvc."""


def minilm(encode: Encode) -> Embed:
    """The sentence vectors of all-MiniLM-L6-v2 beside the other signs."""
    return Embed("minilm", MINILM_WEIGHTS, encode)


def substances(
    pairs: Sequence[tuple[str, str]],
    *,
    embed: Embed = builtin,
    facts: Sequence[tuple[Facts, Facts]] | None = None,
) -> list[Substance]:
    """The kind of change and its distance (0 to 1) for each pair of answers (before, after).

    A known fact that changed decides the kind: the right answer, then a refusal, then the language; its distance is at
    least .9. Else the distance alone: wording below `THRESHOLD`, meaning from there. It grows with the signs of changed
    substance (`contrast`), whatever the number of changed words, and is 0 for equal texts only. Symmetric in a and b up
    to the reason. The first 20,000 characters of a text are looked at; time is linear in their number.
    """
    known = [(Facts(), Facts())] * len(pairs) if facts is None else facts
    distances = substance_distances(pairs, embed=embed, cuts=[(a.cut, b.cut) for a, b in known])
    return [_judge(pair, both, float(d)) for pair, both, d in zip(pairs, known, distances, strict=True)]


def substance_distances(
    pairs: Sequence[tuple[str, str]],
    *,
    embed: Embed = builtin,
    cuts: Sequence[tuple[bool | None, bool | None]] | None = None,
) -> npt.NDArray[np.float64]:
    """The distances alone, without facts: [n], in [0, 1]."""
    found = contrast(pairs, [(None, None)] * len(pairs) if cuts is None else cuts, embed.encode)
    strength = found @ np.array(embed.weights)
    least = np.array([0.0 if a == b else _LEAST for a, b in pairs])
    distances: npt.NDArray[np.float64] = np.maximum(strength**2 / (1 + strength**2), least)
    return distances


def with_facts(pair: tuple[str, str], facts: tuple[Facts, Facts], judged: Substance) -> Substance:
    """`judged` (by whatever means), unless the texts are equal or a known fact changed, which decides."""
    if pair[0] == pair[1]:
        return Substance(Kind.IDENTICAL, 0.0)
    changed = _changed_fact(pair, *facts)
    if changed is None:
        return judged
    kind, reason = changed
    return Substance(kind, _FACT_SHARE + (1 - _FACT_SHARE) * judged.distance, reason)


def by_distance(distance: float, reason: str = "") -> Substance:
    """Wording or meaning, whichever `distance` says."""
    return Substance(Kind.MEANING if distance >= THRESHOLD else Kind.WORDING, distance, reason)


def _judge(pair: tuple[str, str], facts: tuple[Facts, Facts], distance: float) -> Substance:
    return with_facts(pair, facts, by_distance(distance))


def _changed_fact(pair: tuple[str, str], a: Facts, b: Facts) -> tuple[Kind, str] | None:
    if a.right is not None and b.right is not None and a.right != b.right:
        return Kind.ANSWER, "right to wrong" if a.right else "wrong to right"
    if a.refuses is not None and b.refuses is not None and a.refuses != b.refuses:
        return Kind.REFUSAL, "answers now" if a.refuses else "refuses now"
    if a.language and b.language and a.language != b.language and text_distance(*pair) >= _KEPT_WORDS:
        return Kind.LANGUAGE, f"{a.language} to {b.language}"
    return None
