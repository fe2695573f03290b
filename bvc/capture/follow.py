"""The reference pass: the model is forced along fixed continuations, and what it would have said is sketched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass
class Streams:
    """The residual streams of one layer while a batch is read: after the prompts [rows, d], then at each token that
    follows, pass by pass [rows, c, d]."""

    layer: str
    prompt: torch.Tensor
    passes: list[torch.Tensor] = field(default_factory=list)

    def along(self, row: int, path: Path) -> torch.Tensor:
        """The stream [1, positions, d] (float32) of one path where its log-prob sketch describes the next token; for a
        path that scores nothing, after the prompt. Padding is no part of it."""
        whole = torch.cat([self.prompt[row : row + 1], *(piece[row] for piece in self.passes)])
        return whole[None, : max(1, len(path.scored))].float()


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
        self,
        context: Context,
        logits: torch.Tensor,
        paths: Sequence[Path],
        start: Mapping[str, torch.Tensor],
        kept: Streams | None = None,
    ) -> list[Followed]:
        """The evidence along each of `paths`, which begin where `context` (used up) stands.

        `logits` [rows, v] are those after the prompts, `start` [rows, d] by layer the residual streams there, which
        stand in for the mean of a path without any token; of its layers the means are taken. `kept` is filled with the
        streams of its layer.
        """
        rows = len(logits)
        width = chunk_width(rows, logits.shape[-1])
        ids, real = _layout([p.read for p in paths], rows, width)
        targets = [np.array(p.scored, np.int64) for p in paths]
        pieces = [self._piece(logits[:, None], targets, 0)]
        sums: dict[str, torch.Tensor] = {}
        for begin in range(0, ids.shape[1], width):
            span = slice(begin, begin + width)
            scores, streams = self._read(context, ids[:, span])
            _add(sums, {layer: streams[layer] for layer in start}, real[:, span])
            if kept is not None:
                kept.passes.append(streams[kept.layer])
            pieces.append(self._piece(scores, targets, begin + 1))
        blocks = _gather(pieces, paths)
        means = _means(sums or start, np.maximum(real.sum(1), 1), start, np.asarray(real.any(1)))
        return [Followed(block, {k: v[i] for k, v in means.items()}) for i, block in enumerate(blocks)]

    def _read(self, context: Context, ids: npt.NDArray[np.int64]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """One pass: logits [rows, c, v], and the residual streams [rows, c, d] by layer."""
        if self._hookpoints is None:
            return self._forward.extend(context, ids), {}
        with self._hookpoints.recording() as streams:
            return self._forward.extend(context, ids), streams

    def _piece(self, scores: torch.Tensor, targets: Sequence[npt.NDArray[np.int64]], first: int) -> _Piece:
        """Sketches scores [rows, c, v], the distributions at reference positions `first` and on."""
        wanted = [(r, c) for c in range(scores.shape[1]) for r, t in enumerate(targets) if first + c < len(t)]
        if not wanted:
            return _Piece(np.empty(0, np.int64), np.empty(0, np.int64), empty_fields())
        rows, columns = np.array(wanted, np.int64).T
        tokens = np.array([targets[r][first + c] for r, c in wanted], np.int64)
        chosen = scores[torch.from_numpy(rows), torch.from_numpy(columns)]
        return _Piece(rows, columns + first, self._sketcher.sketch(chosen, tokens))


def read_streams(
    forward: Forward, hookpoints: Hookpoints, context: Context, paths: Sequence[Path], kept: Streams
) -> None:
    """Reads `paths` from where `context` (used up) stands, in the passes of `Follower.follow`, for nothing but the
    streams of one layer, with which `kept` is filled; no pass goes further than that."""
    rows = len(kept.prompt)
    width = chunk_width(rows, forward.vocabulary)
    ids, _ = _layout([p.read for p in paths], rows, width)
    for begin in range(0, ids.shape[1], width):
        with hookpoints.stopping() as streams:
            forward.extend(context, ids[:, begin : begin + width], keep=1)
        kept.passes.append(streams[kept.layer])


def _add(sums: dict[str, torch.Tensor], streams: Mapping[str, torch.Tensor], real: npt.NDArray[np.bool_]) -> None:
    """Adds the streams [rows, c, d] at real tokens to `sums` [rows, d] by layer."""
    for layer, stream in streams.items():
        padding = torch.from_numpy(~real).to(stream.device)[:, :, None]
        part = stream.float().masked_fill(padding, 0.0).sum(1)
        sums[layer] = sums[layer] + part if layer in sums else part


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
