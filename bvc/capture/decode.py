"""Greedy answers and coupled draws of a batch, decoded together from one prefill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from bvc.capture.gumbel import CoupledSampler, noise_key
from bvc.errors import EngineError

_GREEDY = -1
_TOGETHER = 4
"""Draws of each probe that share a forward pass, always as many, also where fewer are wanted: passes of one shape give
a row the same bits whatever else is in them, so no draw depends on how many there are, nor does the greedy answer."""


@dataclass(frozen=True)
class Answer:
    """Generated ids without the token that ended the turn; `finished` says whether there was one."""

    tokens: list[int]
    finished: bool


@dataclass(frozen=True)
class Asked:
    """What one row of a batch is asked: the probe, how an error names it, and the most tokens it may answer."""

    probe_id: str
    name: str
    limit: int


@dataclass(frozen=True)
class Decoding:
    """How a batch is decoded: draws per probe, their seed, and the tokens that end an answer."""

    draws: int
    seed: int
    stops: frozenset[int]


class Branching(Protocol):
    """What was read so far (`bvc.capture.forward.Context`, or several of them)."""

    def fork(self, copies: int) -> Any:
        """A context of its own with each row `copies` times, neighbors first."""
        ...


class Reader(Protocol):
    """What says which token comes next (`bvc.capture.forward.Forward`, or a mixture of several)."""

    def extend(self, context: Any, ids: npt.NDArray[np.int64]) -> torch.Tensor:
        """Reads ids [rows, c] after what `context` holds, which grows by them -> logits [rows, c, v]."""
        ...


class Decoder:
    """Decodes batches of one recipe."""

    def __init__(self, forward: Reader, sampler: CoupledSampler, how: Decoding) -> None:
        self._forward = forward
        self._sampler = sampler
        self._how = how
        self._stops = np.array(sorted(how.stops), np.int64)

    def answer(self, context: Branching, logits: torch.Tensor, asked: Sequence[Asked]) -> list[list[Answer]]:
        """For each of `asked` its greedy answer and its draws.

        `logits` [rows, v] follow the prompts in `context` (which is left as it is); rows beyond `asked` are dummies.
        Stops when every answer has ended. Raises EngineError for logits that are not finite.
        """
        greedy, draws = self._decode(context, logits, asked, (_GREEDY,)), self.draw(context, logits, asked, 0)
        return [one + more for one, more in zip(greedy, draws, strict=True)]

    def draw(self, context: Branching, logits: torch.Tensor, asked: Sequence[Asked], first: int) -> list[list[Answer]]:
        """As `answer`, the draws from number `first` on alone: to the bit what they are when all are made at once."""
        out: list[list[Answer]] = [[] for _ in asked]
        for start in range(first, self._how.draws, _TOGETHER):
            group = self._decode(context, logits, asked, range(start, start + _TOGETHER))
            for answers, more in zip(out, group, strict=True):
                answers += more[: self._how.draws - start]
        return out

    def _decode(
        self, context: Branching, logits: torch.Tensor, asked: Sequence[Asked], ways: Sequence[int]
    ) -> list[list[Answer]]:
        """One answer a way, a way being a draw's number or `_GREEDY`; draws that nobody asked for stay empty."""
        rows, count = len(logits), len(ways)
        limits = np.zeros((rows, count), np.int64)
        limits[: len(asked)] = np.outer([a.limit for a in asked], [way < self._how.draws for way in ways])
        tokens = np.zeros((rows, count, int(limits.max())), np.int64)
        lengths, alive = np.zeros_like(limits), limits > 0
        branch, scores = context.fork(count), logits[:, None].expand(rows, count, -1)
        for step in range(tokens.shape[-1]):
            tokens[:, :, step] = self._choose(scores, alive, asked, ways, step)
            stopped = np.isin(tokens[:, :, step], self._stops)
            lengths += alive & ~stopped
            alive = alive & ~stopped & (lengths < limits)
            if not alive.any():
                break
            scores = self._forward.extend(branch, tokens[:, :, step].reshape(-1, 1)).view(rows, count, -1)
        return [
            [Answer(tokens[r, w, : lengths[r, w]].tolist(), bool(lengths[r, w] < limits[r, w])) for w in range(count)]
            for r in range(len(asked))
        ]

    def _choose(
        self,
        scores: torch.Tensor,
        alive: npt.NDArray[np.bool_],
        asked: Sequence[Asked],
        ways: Sequence[int],
        step: int,
    ) -> npt.NDArray[np.int64]:
        """The next token of each answer: scores [rows, ways, v] -> [rows, ways]; any where an answer has ended."""
        peaks = scores.amax(-1).isfinite().cpu().numpy()
        bad = np.flatnonzero((alive & ~peaks).any(-1))
        if len(bad):
            raise not_finite(asked[int(bad[0])].name)
        if ways[0] == _GREEDY:
            return np.asarray(scores.argmax(-1).cpu().numpy(), np.int64)
        chosen = np.zeros(alive.shape, np.int64)
        rows, columns = np.nonzero(alive)
        who: list[tuple[int, int]] = list(zip(rows.tolist(), columns.tolist(), strict=True))
        keys = [noise_key(self._how.seed, asked[row].probe_id, ways[column], step) for row, column in who]
        running = scores[torch.from_numpy(rows), torch.from_numpy(columns)]  # [running draws, v]
        chosen[rows, columns] = self._sampler.choose(running, keys)
        return chosen


def not_finite(name: str) -> EngineError:
    """The error for a model whose numbers overflow or are not numbers, on the probe named."""
    return EngineError(
        f"the model gives numbers that are not finite (NaN or infinity) for probe {name}",
        hint="the weights may be damaged, or overflow in this dtype: try --dtype float32",
    )
