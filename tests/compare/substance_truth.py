"""Pairs of answers with known truth (`substance_pairs.jsonl`): does the second say something else than the first?

The file holds groups: a text, others of the `same` substance, and others whose substance `changed`, each with its kind.
Written by hand for this test. Groups, not pairs, are split into halves, so that no text is in both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("substance_pairs.jsonl")
_LONG = 18
"""Words from which a text is also tried cut off."""


@dataclass(frozen=True)
class Pair:
    """Two answers; `changed` is the truth, `kind` how the second came about, `half` "development" or "held out"."""

    group: str
    kind: str
    a: str
    b: str
    changed: bool
    half: str


def all_pairs() -> list[Pair]:
    """Every pair that the groups give."""
    groups = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    found = [pair for group in groups for pair in _pairs(group)]
    for half in ("development", "held out"):
        members = [g for g in groups if _half(g["group"]) == half]
        found += [_pair(g, "unrelated", g["text"], h["text"], True) for g, h in pairwise(members)]
    return found


def _half(group: str) -> str:
    digest = hashlib.sha256(f"substance/1/{group}".encode()).digest()
    return "development" if digest[0] % 2 else "held out"


def _pair(group: dict[str, Any], kind: str, a: str, b: str, changed: bool) -> Pair:
    return Pair(group["group"], kind, a, b, changed, _half(group["group"]))


def _pairs(group: dict[str, Any]) -> Iterator[Pair]:
    text, same = group["text"], group["same"]
    yield from (_pair(group, kind, text, other, False) for kind, other in same)
    yield from (_pair(group, "two paraphrases", a, b, False) for (_, a), (_, b) in combinations(same, 2))
    yield from (_pair(group, kind, text, other, True) for kind, other in group["changed"])
    yield from (_pair(group, f"reworded, {kind}", same[-1][1], other, True) for kind, other in group["changed"])
    if len(text.split()) >= _LONG:
        yield _pair(group, "one cut off", text, _cut(text, 0.6), False)
        yield from (_pair(group, "both cut off", _cut(text, 0.75), _cut(other, 0.75), False) for _, other in same)


def _cut(text: str, share: float) -> str:
    """The first `share` of the words, the last one broken in the middle, as a token limit leaves them."""
    words = text.split(" ")
    kept = words[: max(int(len(words) * share), 2)]
    return " ".join([*kept[:-1], kept[-1][: max(len(kept[-1]) // 2, 1)]])
