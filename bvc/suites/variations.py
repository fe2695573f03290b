"""New probes made from old ones by rule: what a person would try who wants to know what an answer depends on.

Nothing here looks at a model. Every function is deterministic, and none gives the probe that it was given back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from bvc.records import Message, Probe

LEFT_OUT, REWORDED, SHORTENED, SWAPPED, INSERTED, SAMPLED = (
    "left out",
    "reworded",
    "shortened",
    "swapped",
    "inserted",
    "sampled",
)
"""The rules by which a variation can have been made."""

_WORD = re.compile(r"\S+")
_EDGES = re.compile(r"^\W+|\W+$")
_FINAL = ".?!"
_JOINTS = ",;:-"
_CONTENT = 4
"""Letters from which on a word counts as one of content."""
_FRAMES = (
    ("after a greeting", "Hello! {}"),
    ("as a question about it", "Can you tell me: {}"),
    ("with thanks after it", "{} Thanks."),
)


@dataclass(frozen=True)
class Variation:
    """A proposed probe: the `rule` that made it, `how` in words, the id of the probe it was made from (None for a
    sampled one), and for a word that was left out or inserted that `word`."""

    probe: Probe
    rule: str
    how: str
    source: str | None = None
    word: str | None = None


def core(word: str) -> str:
    """A word as it is compared: without the punctuation around it, in lower case."""
    return _EDGES.sub("", word).casefold()


def with_text(probe: Probe, text: str) -> Probe:
    """The same probe asking `text`: its prompt, or its last user message (else last message), replaced.

    The user's label and reference belong to the old text and are dropped; tags stay, and the cluster is the source's,
    because the answers to variations of one prompt are not independent.
    """
    changed = replace(probe, name=None, reference=None, cluster=probe.cluster or probe.name or probe.id[:10])
    if probe.messages is None:
        return replace(changed, prompt=text)
    messages = list(probe.messages)
    asked = [i for i, message in enumerate(messages) if message.role == "user"]
    place = asked[-1] if asked else len(messages) - 1
    messages[place] = Message(messages[place].role, text)
    return replace(changed, messages=tuple(messages))


def leave_out(probe: Probe, most: int = 16) -> list[Variation]:
    """The probe with one word missing, for each of its words; of a long one runs of words, `most` in all.

    What the removal changes names the word that an answer hangs on.
    """
    words = _WORD.findall(probe.text)
    if len(words) < 2:
        return []
    run = math.ceil(len(words) / most)
    out = []
    for start in range(0, len(words), run):
        gone = " ".join(words[start : start + run])
        if core(gone):
            text = _rejoin(words[:start], words[start + run :], gone)
            out.append(_made(probe, text, LEFT_OUT, f"without '{core(gone)}'", core(gone)))
    return distinct(out, [probe])


def _rejoin(before: Sequence[str], after: Sequence[str], gone: str) -> str:
    """What is left; a sentence that lost its last word keeps its final mark."""
    kept = list(before)
    if kept and not after and gone[-1] in _FINAL and kept[-1][-1] not in _FINAL:
        kept[-1] = kept[-1].rstrip(_JOINTS) + gone[-1]
    return " ".join([*kept, *after])


def reword(probe: Probe) -> list[Variation]:
    """The probe in other case and punctuation, and in a frame of a few polite words."""
    text = probe.text
    bare = " ".join(word for part in _WORD.findall(text) if (word := _EDGES.sub("", part)))
    made = [
        _made(probe, text.lower(), REWORDED, "in lower case"),
        _made(probe, bare, REWORDED, "without punctuation"),
        _made(probe, text.upper(), REWORDED, "in capitals"),
        *(_made(probe, frame.format(text), REWORDED, how) for how, frame in _FRAMES),
    ]
    return distinct((v for v in made if core(v.probe.text)), [probe])


def shorten(probe: Probe) -> list[Variation]:
    """The first and the second half of the probe's words."""
    words = _WORD.findall(probe.text)
    middle = (len(words) + 1) // 2
    halves = (("first half", words[:middle]), ("second half", words[middle:]))
    made = [_made(probe, " ".join(part), SHORTENED, f"its {name}") for name, part in halves if part]
    return distinct(made, [probe])


def swap(probe: Probe, others: Sequence[Probe], most: int = 2) -> list[Variation]:
    """The probe with its longest word exchanged for that of another probe of the same tag (else of any)."""
    own = _longest(probe.text)
    if own is None:
        return []
    kin = [p for p in others if set(p.tags) & set(probe.tags)] or list(others)
    new = dict.fromkeys(word for p in kin if (word := _longest(p.text)) is not None and core(word) != core(own))
    made = [
        _made(probe, probe.text.replace(own, word), SWAPPED, f"'{core(own)}' became '{core(word)}'")
        for word in list(new)[:most]
    ]
    return distinct(made, [probe, *others])


def insert(word: str, probe: Probe, *, first: bool) -> Variation:
    """The probe with `word` before its text, or behind it."""
    text = f"{word} {probe.text}" if first else f"{probe.text} {word}"
    return _made(probe, text, INSERTED, f"with '{core(word) or word}' inserted", core(word) or word)


def words_of_content(text: str) -> list[str]:
    """The words of `text` that say something by themselves: the long ones, without punctuation, as they are written."""
    return [bare for word in _WORD.findall(text) if len(bare := _EDGES.sub("", word)) >= _CONTENT]


def _longest(text: str) -> str | None:
    return max(words_of_content(text), key=len, default=None)


def _made(probe: Probe, text: str, rule: str, how: str, word: str | None = None) -> Variation:
    return Variation(with_text(probe, text), rule, how, probe.id, word)


def variations(seeds: Sequence[Probe], others: Sequence[Probe]) -> list[Variation]:
    """Everything the rules make of `seeds`, words left out first, seed by seed in turn, so that any beginning of the
    list says something about each of them. `others` are probes that already exist: their words may be swapped in, and a
    variation may ask what one of them asks (what is left without a word may be its control)."""
    first = [leave_out(seed) for seed in seeds]
    rest = [[*shorten(seed), *swap(seed, others), *reword(seed)] for seed in seeds]
    made = [v for group in (first, rest) for v in _in_turn(group)]
    return distinct(made, seeds)


def _in_turn(groups: Sequence[Sequence[Variation]]) -> Iterator[Variation]:
    for row in zip_longest(*groups):
        yield from (v for v in row if v is not None)


def distinct(made: Iterable[Variation], known: Iterable[Probe]) -> list[Variation]:
    """Those of `made` that ask what none of `known` and no earlier one asks, and ask anything at all."""
    seen = {probe.id for probe in known}
    out = []
    for variation in made:
        if variation.probe.id not in seen and variation.probe.text.strip():
            seen.add(variation.probe.id)
            out.append(variation)
    return out


def diverse(ranked: Sequence[Variation], per_source: int = 3, overlap: float = 0.7) -> list[int]:
    """Places in `ranked`, best first, of variations that are not nearly what a better one asks already: they share less
    than `overlap` of their words with it (Jaccard), and at most `per_source` come from one probe."""
    kept: list[int] = []
    texts: list[frozenset[str]] = []
    counts: dict[str | None, int] = {}
    for place, variation in enumerate(ranked):
        words = frozenset(core(w) for w in _WORD.findall(variation.probe.text))
        crowded = variation.source is not None and counts.get(variation.source, 0) >= per_source
        if crowded or any(len(words & t) >= overlap * len(words | t) for t in texts):
            continue
        kept.append(place)
        texts.append(words)
        counts[variation.source] = counts.get(variation.source, 0) + 1
    return kept
