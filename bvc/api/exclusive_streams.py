"""The streams of two models at paired tokens, as files that an interrupted search goes on with."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from bvc.api.exclusive_texts import PairedText
from bvc.capture.corpus import CorpusReader
from bvc.features.paired import PairedActivations
from bvc.features.row_file import RowFile, paired_rows

BATCH = 1024
"""Rows of one step of a fit."""
Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Side:
    """The texts as one model reads them: `ids` and the positions `at` of the paired tokens, text by text."""

    ids: Sequence[Sequence[int]]
    at: Sequence[Sequence[int]]

    @classmethod
    def first(cls, texts: Sequence[PairedText]) -> Side:
        """Side a of the pairs."""
        return cls([text.a for text in texts], [text.at_a for text in texts])

    @classmethod
    def second(cls, texts: Sequence[PairedText]) -> Side:
        """Side b of the pairs."""
        return cls([text.b for text in texts], [text.at_b for text in texts])

    def __len__(self) -> int:
        return sum(map(len, self.at))


def read_streams(reader: CorpusReader, side: Side, file: RowFile, step: Step) -> None:
    """Writes the stream at every paired token, in order; what the file has of it already is not read again."""
    starts = [0, *accumulate(map(len, side.at))]
    whole = bisect_right(starts, file.rows) - 1
    if whole < len(side.ids):
        whole -= whole % reader.rows  # the same texts share a pass as in an uninterrupted reading
        file.cut(starts[whole])
        for batch in reader.read((tuple(ids) for ids in side.ids), whole):
            file.append(batch.at(side.at.__getitem__))
            step(starts[max(batch.windows) + 1], starts[-1])


def source_of(files: Sequence[RowFile], texts: Sequence[PairedText], device: str | None = None) -> PairedActivations:
    """The rows of two files side by side, without those of outliers, in batches on `device`."""
    return paired_rows(files, [len(text) for text in texts], BATCH, device)
