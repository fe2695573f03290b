"""Greedy answers and coupled draws of a batch, decoded together from one prefill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from bvc.capture.forward import Context, Forward
from bvc.capture.gumbel import CoupledSampler, noise_key
from bvc.errors import EngineError


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


class Decoder:
    """Decodes batches of one recipe."""

    def __init__(self, forward: Forward, sampler: CoupledSampler, how: Decoding) -> None:
        self._forward = forward
        self._sampler = sampler
        self._how = how
        self._stops = np.array(sorted(how.stops), np.int64)

    def answer(self, context: Context, logits: torch.Tensor, asked: Sequence[Asked]) -> list[list[Answer]]:
        """For each of `asked` its greedy answer and its draws.

        `logits` [rows, v] follow the prompts in `context` (which is left as it is); rows beyond `asked` are dummies.
        Stops when every answer has ended. Raises EngineError for logits that are not finite.
        """
        rows, ways = len(logits), 1 + self._how.draws
        limits = np.zeros((rows, ways), np.int64)
        limits[: len(asked)] = np.array([a.limit for a in asked])[:, None]
        tokens = np.zeros((rows, ways, int(limits.max())), np.int64)
        lengths, alive = np.zeros_like(limits), limits > 0
        branch, scores = context.fork(ways), logits[:, None].expand(rows, ways, -1)
        for step in range(tokens.shape[-1]):
            tokens[:, :, step] = self._choose(scores, alive, asked, step)
            stopped = np.isin(tokens[:, :, step], self._stops)
            lengths += alive & ~stopped
            alive = alive & ~stopped & (lengths < limits)
            if not alive.any():
                break
            scores = self._forward.extend(branch, tokens[:, :, step].reshape(-1, 1)).view(rows, ways, -1)
        return [
            [Answer(tokens[r, w, : lengths[r, w]].tolist(), bool(lengths[r, w] < limits[r, w])) for w in range(ways)]
            for r in range(len(asked))
        ]

    def _choose(
        self, scores: torch.Tensor, alive: npt.NDArray[np.bool_], asked: Sequence[Asked], step: int
    ) -> npt.NDArray[np.int64]:
        """The next token of each answer: scores [rows, ways, v] -> [rows, ways]; 0 where an answer has ended."""
        peaks = scores.amax(-1).isfinite().cpu().numpy()
        bad = np.flatnonzero((alive & ~peaks).any(-1))
        if len(bad):
            raise not_finite(asked[int(bad[0])].name)
        chosen = np.zeros(alive.shape, np.int64)
        chosen[:, 0] = scores[:, 0].argmax(-1).cpu().numpy()
        rows, draws = np.nonzero(alive[:, 1:])
        who: list[tuple[int, int]] = list(zip(rows.tolist(), draws.tolist(), strict=True))
        keys = [noise_key(self._how.seed, asked[row].probe_id, draw, step) for row, draw in who]
        running = scores[torch.from_numpy(rows), torch.from_numpy(1 + draws)]  # [running draws, v]
        chosen[rows, 1 + draws] = self._sampler.choose(running, keys)
        return chosen


def not_finite(name: str) -> EngineError:
    """The error for a model whose numbers overflow or are not numbers, on the probe named."""
    return EngineError(
        f"the model gives numbers that are not finite (NaN or infinity) for probe {name}",
        hint="the weights may be damaged, or overflow in this dtype: try --dtype float32",
    )
