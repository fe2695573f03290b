"""The texts that a dictionary is fitted on, and their streams as the fit takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from bvc.api.features_records import FitOptions
from bvc.capture.corpus import CorpusReader, CorpusText
from bvc.features.buffer import ActivationBatch
from bvc.repository.snapshot_view import SnapshotView
from bvc.suites.corpus import BUILTIN, builtin_texts, corpus_file, corpus_texts

if TYPE_CHECKING:
    from bvc.features.dictionary import Dictionary

_MIXED = 8192
"""Windows that are mixed with each other: of 128 tokens, a million tokens."""

_ALIKE = 8
"""Passes whose windows are sorted by length together."""

Window = tuple[int, ...]


@dataclass(frozen=True)
class Corpus:
    """Texts that can be gone through again: `names` says which (files by their SHA-256), `texts` opens them."""

    names: tuple[str, ...]
    texts: Callable[[], Iterator[str]]


@dataclass(frozen=True)
class FitTexts:
    """What a dictionary is fitted on, as `Corpus`: texts, and probes with what answers them."""

    names: tuple[str, ...]
    texts: Callable[[], Iterator[CorpusText]]


def corpus_of(paths: Sequence[Path]) -> Corpus:
    """The texts of files, or without any those that ship with Python. Raises BadInput for a file that cannot be
    read."""
    files = [corpus_file(path) for path in paths]
    if not files:
        return Corpus((BUILTIN,), builtin_texts)
    names = tuple(f"{file.path.name} sha256:{file.digest}" for file in files)
    return Corpus(names, lambda: chain.from_iterable(corpus_texts(file.path) for file in files))


def fitted_on(view: SnapshotView, options: FitOptions) -> FitTexts:
    """What a fit reads: the commit's own probes with their references, then the corpus. Raises BadInput for a file that
    cannot be read."""
    corpus = corpus_of(options.corpus)
    names = (*(["suites of the commit"] if options.suite else []), *corpus.names)

    def texts() -> Iterator[CorpusText]:
        plain = (CorpusText(text) for text in corpus.texts())
        return chain(_probes(view), plain) if options.suite else plain

    return FitTexts(names, texts)


def _probes(view: SnapshotView) -> Iterator[CorpusText]:
    for _, probe in view.probes():
        yield CorpusText(probe=probe, reference=view.reference(probe.id))


class Streams:
    """The corpus as a fit takes it: windows in shuffled order, up to `tokens` tokens."""

    def __init__(self, reader: CorpusReader, corpus: FitTexts, tokens: int, seed: int) -> None:
        self._reader = reader
        self._corpus = corpus
        self._tokens = tokens
        self._seed = seed
        self.width = reader.width

    def windows(self) -> Iterator[Window]:
        """The windows in order, as token ids."""
        left = self._tokens
        for window in _mixed(self._reader.windows(self._corpus.texts()), self._reader.rows, self._seed):
            if left <= 0:
                return
            left -= len(window) - 1
            yield window

    def batches(self, skip_texts: int) -> Iterator[ActivationBatch]:
        """See `bvc.features.buffer.ActivationSource`."""
        for batch in self._reader.read(self.windows(), skip_texts):
            yield ActivationBatch(batch.vectors, batch.texts)


def _mixed(windows: Iterator[Window], rows: int, seed: int) -> Iterator[Window]:
    """`windows` in random order within blocks, so that neighbors are of different texts and a long corpus is not held
    at once; each `rows` that share a pass are of similar length, so that it has little padding."""
    chance = Random(seed)
    while block := list(islice(windows, _MIXED)):
        chance.shuffle(block)
        for start in range(0, len(block), rows * _ALIKE):
            group = sorted(block[start : start + rows * _ALIKE], key=len)
            passes = [group[first : first + rows] for first in range(0, len(group), rows)]
            chance.shuffle(passes)
            yield from chain.from_iterable(passes)


def loss_kept(reader: CorpusReader, dictionary: Dictionary, windows: Sequence[Window]) -> float | None:
    """How much of what the stream does for the model's next-token loss its reconstruction does: 1 all of it, 0 as much
    as the dictionary's bias alone (a stream that says nothing). None where the stream does nothing."""
    own = reader.losses(windows, None).mean()
    rebuilt = reader.losses(windows, lambda x: dictionary.decode(dictionary.encode(x))).mean()
    nothing = reader.losses(windows, lambda x: dictionary.decode(dictionary.encode(x) * 0)).mean()
    return float((nothing - rebuilt) / (nothing - own)) if nothing > own else None
