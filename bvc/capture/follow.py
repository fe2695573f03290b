"""The reference pass: the model is forced along fixed continuations, and what it would have said is sketched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bvc.capture.forward import Context, Forward
from bvc.capture.hookpoints import Hookpoints
from bvc.capture.prompts import Path
from bvc.capture.sketch import Fields, Sketcher, empty_fields
from bvc.evidence import LogprobBlock

_CHUNK = 16
_CHUNK_LOGITS = 1 << 26
"""The most logits of one pass (a quarter of a GiB in float32): a wide vocabulary makes chunks shorter."""


@dataclass(frozen=True)
class Followed:
    """Evidence along one path: its sketch, and by layer the mean residual stream over the tokens read ([d] float32)."""

    logprob: LogprobBlock
    means: Mapping[str, npt.NDArray[np.float32]]


def chunk_width(rows: int, vocabulary: int) -> int:
    """Positions per pass. Fixed by the shape, so that long references cost memory in steps and short ones end early."""
    return max(1, min(_CHUNK, _CHUNK_LOGITS // (rows * vocabulary)))


class Follower:
    """Follows references with one model."""

    def __init__(self, forward: Forward, sketcher: Sketcher, hookpoints: Hookpoints | None) -> None:
        self._forward = forward
        self._sketcher = sketcher
        self._hookpoints = hookpoints

    def follow(
        self, context: Context, logits: torch.Tensor, paths: Sequence[Path], start: Mapping[str, torch.Tensor]
    ) -> list[Followed]:
        """The evidence along each of `paths`, which begin where `context` (used up) stands.

        `logits` [rows, v] are those after the prompts, `start` [rows, d] by layer the residual streams there, which
        stand in for the mean of a path without any token.
        """
        rows = len(logits)
        width = chunk_width(rows, logits.shape[-1])
        ids, real = _layout([p.read for p in paths], rows, width)
        targets = [np.array(p.scored, np.int64) for p in paths]
        pieces = [self._piece(logits[:, None], targets, 0)]
        sums: dict[str, torch.Tensor] = {}
        for begin in range(0, ids.shape[1], width):
            span = slice(begin, begin + width)
            scores = self._read(context, ids[:, span], real[:, span], sums)
            pieces.append(self._piece(scores, targets, begin + 1))
        blocks = _gather(pieces, paths)
        means = _means(sums or start, np.maximum(real.sum(1), 1), start, np.asarray(real.any(1)))
        return [Followed(block, {k: v[i] for k, v in means.items()}) for i, block in enumerate(blocks)]

    def _read(
        self, context: Context, ids: npt.NDArray[np.int64], real: npt.NDArray[np.bool_], sums: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """One pass: logits [rows, c, v]; adds the residual streams at real tokens to `sums` [rows, d] by layer."""
        if self._hookpoints is None:
            return self._forward.extend(context, ids)
        with self._hookpoints.recording() as streams:
            scores = self._forward.extend(context, ids)
        padding = torch.from_numpy(~real).to(scores.device)[:, :, None]
        for layer, stream in streams.items():
            part = stream.float().masked_fill(padding, 0.0).sum(1)
            sums[layer] = sums[layer] + part if layer in sums else part
        return scores

    def _piece(self, scores: torch.Tensor, targets: Sequence[npt.NDArray[np.int64]], first: int) -> _Piece:
        """Sketches scores [rows, c, v], the distributions at reference positions `first` and on."""
        wanted = [(r, c) for c in range(scores.shape[1]) for r, t in enumerate(targets) if first + c < len(t)]
        if not wanted:
            return _Piece(np.empty(0, np.int64), np.empty(0, np.int64), empty_fields())
        rows, columns = np.array(wanted, np.int64).T
        tokens = np.array([targets[r][first + c] for r, c in wanted], np.int64)
        chosen = scores[torch.from_numpy(rows), torch.from_numpy(columns)]
        return _Piece(rows, columns + first, self._sketcher.sketch(chosen, tokens))


@dataclass(frozen=True)
class _Piece:
    rows: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    fields: Fields


def _layout(
    reads: Sequence[Sequence[int]], rows: int, width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Right-padded ids [rows, whole chunks] and which of them are real."""
    longest = max((len(r) for r in reads), default=0)
    columns = -(-longest // width) * width
    ids, real = np.zeros((rows, columns), np.int64), np.zeros((rows, columns), np.bool_)
    for row, tokens in enumerate(reads):
        ids[row, : len(tokens)] = tokens
        real[row, : len(tokens)] = True
    return ids, real


def _gather(pieces: Sequence[_Piece], paths: Sequence[Path]) -> list[LogprobBlock]:
    """One block per path from pieces that lie across them."""
    rows = np.concatenate([p.rows for p in pieces])
    order = np.lexsort((np.concatenate([p.positions for p in pieces]), rows))
    fields: dict[str, Any] = {n: np.concatenate([p.fields[n] for p in pieces])[order] for n in pieces[0].fields}
    covered = np.array([n for p in paths for n in p.covered], np.uint16)
    lengths = np.bincount(rows, minlength=len(paths)).astype(np.int64)
    whole = LogprobBlock(lengths=lengths, characters=covered, **fields)
    return [whole.rows(i, i + 1) for i in range(len(paths))]


def _means(
    sums: Mapping[str, torch.Tensor],
    counts: npt.NDArray[np.int64],
    start: Mapping[str, torch.Tensor],
    any_read: npt.NDArray[np.bool_],
) -> dict[str, npt.NDArray[np.float32]]:
    """Means [rows, d] by layer; where nothing was read, the stream after the prompt."""
    out = {}
    for layer, total in sums.items():
        mean = total.cpu().numpy().astype(np.float32) / counts[:, None].astype(np.float32)
        out[layer] = np.where(any_read[:, None], mean, start[layer].cpu().numpy()).astype(np.float32)
    return out
