"""What two models read side by side: texts whose tokens are paired where both models have read the same."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from bvc.capture.prompts import Prompts
from bvc.features.alignment import Tokenization, align
from bvc.records import Probe, Reference
from bvc.repository.snapshot_view import SnapshotView

if TYPE_CHECKING:
    from bvc.api.features_corpus import Corpus

CHARACTERS = 600
"""A longer text is read in pieces of so many characters, which are then some 150 tokens of English."""
_WORD = 80
"""Characters before the end of a piece among which it is cut at white space."""


@dataclass(frozen=True)
class PairedText:
    """One text as both models read it: `a` and `b` are its token ids, `at_a` and `at_b` the positions of the paired
    tokens, rising; `characters` is its length and `covered` how much of it the pairs span."""

    a: array[int]
    b: array[int]
    at_a: array[int]
    at_b: array[int]
    characters: int
    covered: float

    def __len__(self) -> int:
        return len(self.at_a)


def paired_texts(
    views: tuple[SnapshotView, SnapshotView], prompts: tuple[Prompts, Prompts], corpus: Corpus, suite: bool, tokens: int
) -> Iterator[PairedText]:
    """The common probes with both models' answers, then the corpus, until there are `tokens` pairs.

    The first token of a text is never in a pair: models put a huge vector there, whatever the token is.
    """
    left = tokens
    written = (piece for text in corpus.texts() for piece in pieces(text))
    for paired in chain(_probes(views, prompts) if suite else (), (_plain(t, prompts) for t in written)):
        if left <= 0:
            return
        if len(paired):
            left -= len(paired)
            yield paired


def pieces(text: str) -> Iterator[str]:
    """A text in pieces of up to CHARACTERS, cut at white space where there is some near the end of a piece."""
    start = 0
    while start < len(text):
        end = start + CHARACTERS
        if end < len(text):
            cut = max(text.rfind(space, end - _WORD, end) for space in " \n\t")
            end = cut if cut > start else end
        if text[start:end].strip():
            yield text[start:end]
        start = end


def _probes(views: tuple[SnapshotView, SnapshotView], prompts: tuple[Prompts, Prompts]) -> Iterator[PairedText]:
    """Each common probe with each of the answers that the two models gave."""
    other = {probe.id for _, probe in views[1].probes()}
    for _, probe in views[0].probes():
        if probe.id not in other:
            continue
        answers = dict.fromkeys(view.outputs(probe.id).greedy.text for view in views if probe.id in view.output_blobs)
        for answer in answers:
            yield _asked(probe, answer, prompts)


def _asked(probe: Probe, answer: str, prompts: tuple[Prompts, Prompts]) -> PairedText:
    """A probe as it was asked, where both models see it as the same tokens; else its words alone."""
    seen = [_chat(one, probe, answer) for one in prompts]
    if seen[0] == seen[1]:
        positions = array("q", range(1, len(seen[0])))
        ids = array("q", seen[0])
        return PairedText(ids, ids, positions, positions, len(answer), float(len(answer)))
    asked = probe.prompt if probe.messages is None else "\n\n".join(message.content for message in probe.messages)
    return _plain(f"{asked}\n\n{answer}", prompts)


def _chat(prompts: Prompts, probe: Probe, answer: str) -> list[int]:
    path = prompts.encode_reference(Reference(answer, end=False), chat=probe.messages is not None)
    return [*prompts.encode(probe), *path.text]


def _plain(text: str, prompts: tuple[Prompts, Prompts]) -> PairedText:
    (a, one), (b, other) = (_tokenized(text, each) for each in prompts)
    found = align(one, other)
    pairs = [pair for pair in found.pairs if min(pair) > 0]
    at_a, at_b = (array("q", (pair[side] for pair in pairs)) for side in (0, 1))
    return PairedText(array("q", a), array("q", b), at_a, at_b, len(text), found.share * len(text))


def _tokenized(text: str, prompts: Prompts) -> tuple[list[int], Tokenization]:
    ids, offsets = prompts.encode_text(text)
    return ids, Tokenization.from_offsets(text, offsets)
