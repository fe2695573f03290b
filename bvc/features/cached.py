"""A source of activations that is read once from the model and from then on from a file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import torch

from bvc.features.buffer import ActivationBatch, ActivationSource

_FRAME = struct.Struct("<qq")
_END = _FRAME.pack(0, -1)


class CachedSource:
    """Serves the batches of `source`, bit for bit, and keeps them at `path`: several passes run the model once.

    The file grows by tokens x d float32. What a killed process left is gone on with; a batch that was cut off is made
    again.
    """

    def __init__(self, source: ActivationSource, path: Path) -> None:
        self._source = source
        self._path = path
        self.width = source.width

    def batches(self, skip_texts: int) -> Iterator[ActivationBatch]:
        """See `ActivationSource.batches`."""
        self._path.touch()
        texts = 0
        with self._path.open("r+b") as file:
            while (batch := self._stored(file)) is not None:
                texts += batch.texts
                if texts > skip_texts:
                    yield batch
            if self._ended(file):
                return
            file.truncate()
            for batch in self._source.batches(texts):
                file.write(_FRAME.pack(batch.texts, len(batch.vectors)))
                file.write(batch.vectors.to("cpu", torch.float32).contiguous().numpy().tobytes())
                file.flush()
                texts += batch.texts
                if texts > skip_texts:
                    yield batch
            file.write(_END)

    def _stored(self, file: BinaryIO) -> ActivationBatch | None:
        """The next whole batch of the file; None (and the file where that one would begin) at its end."""
        start = file.tell()
        head = file.read(_FRAME.size)
        if len(head) == _FRAME.size and head != _END:
            texts, rows = _FRAME.unpack(head)
            data = bytearray(file.read(rows * self.width * 4))
            if len(data) == rows * self.width * 4:
                vectors = torch.frombuffer(data, dtype=torch.float32) if data else torch.empty(0)
                return ActivationBatch(vectors.reshape(rows, self.width), texts)
        file.seek(start)
        return None

    @staticmethod
    def _ended(file: BinaryIO) -> bool:
        start = file.tell()
        ended = file.read(_FRAME.size) == _END
        file.seek(start)
        return ended
