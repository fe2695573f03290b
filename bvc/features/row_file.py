"""Rows of activations in a file: written once in order, then read from anywhere, paged in by the system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bvc.features.paired import PairedActivations, usual_rows

_BYTES = 4


@dataclass(frozen=True)
class RowFile:
    """Float32 rows of one `width` at `path`. What a killed writer left is a number of whole rows and perhaps a part of
    one, which is not counted."""

    path: Path
    width: int

    @property
    def rows(self) -> int:
        """Whole rows in the file."""
        return self.path.stat().st_size // (_BYTES * self.width) if self.path.exists() else 0

    def cut(self, rows: int) -> None:
        """Keeps the first `rows` rows; makes the file where it is not there."""
        with self.path.open("ab") as file:
            file.truncate(rows * self.width * _BYTES)

    def append(self, rows: Tensor) -> None:
        """Adds rows [n, width]."""
        with self.path.open("ab") as file:
            file.write(rows.to("cpu", torch.float32).contiguous().numpy().tobytes())

    def tensor(self) -> Tensor:
        """All rows [rows, width], mapped from the file: not to be changed, and on the CPU."""
        rows = self.rows
        if not rows:
            return torch.zeros(0, self.width)
        flat: Tensor = torch.from_file(str(self.path), shared=False, size=rows * self.width)
        return flat.view(rows, self.width)


def paired_rows(
    files: Sequence[RowFile], lengths: Sequence[int], batch: int, device: str | None = None
) -> PairedActivations:
    """The rows of several files side by side, without those of outliers, in batches on `device`; `lengths` are the rows
    of each text."""
    sides = tuple(file.tensor() for file in files)
    texts = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return PairedActivations(sides, texts, batch, usual_rows(sides), device)
