"""Diff mining of a suite while its blocks stream by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from bvc.compare.measure import aligned, select
from bvc.compare.mining import TokenMiner
from bvc.compare.pairing import LOGPROB, PairedBlock, Terms
from bvc.results import PhraseDiff


class Mined:
    """What is gathered of the tokens; nothing where log-probs do not compare position by position."""

    def __init__(self, terms: Terms) -> None:
        self._references = terms.references
        compared = LOGPROB in terms.channels and terms.table is not None
        self._miner = TokenMiner(len(terms.table)) if compared and terms.table is not None else None

    def watch(self, blocks: Iterable[PairedBlock]) -> Iterator[PairedBlock]:
        """`blocks` as they are, after a look at their tokens."""
        for block in blocks:
            self._look(block)
            yield block

    def _look(self, block: PairedBlock) -> None:
        a, b = block.a.logprob, block.b.logprob
        if self._miner is None or a is None or b is None:
            return
        kept = np.array([p in self._references for p in block.ids], bool)
        ids = [p for p, k in zip(block.ids, kept, strict=True) if k]
        left, right, along = aligned(select(a, kept), select(b, kept), ids)
        if along:
            self._miner.add(left, right, along)

    def tokens(self, texts: Mapping[int, str], clusters: Mapping[str, str] | None = None) -> tuple[PhraseDiff, ...]:
        """The tokens that one side over-produces, those whose text is known."""
        return () if self._miner is None else self._miner.finish(texts, clusters=clusters)
