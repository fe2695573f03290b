"""Log-prob sketches: what is kept of a next-token distribution so that commits compare without either model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from bvc.evidence import MASS_BUCKETS, NO_TOKEN, TOP_TOKENS

LOGPROB_FLOOR = -1.0e4
"""Stored instead of any smaller log-probability, minus infinity included: its exponential is 0, and 0 times it is 0."""
BLOCK_ROWS = 16
"""Positions sketched together; always this many, so that a row's sums do not depend on how many there are."""

Fields = dict[str, npt.NDArray[np.generic]]


class Sketcher:
    """Sketches next-token distributions over one tokenizer's buckets."""

    def __init__(self, buckets: npt.NDArray[np.uint8], device: torch.device) -> None:
        """`buckets` [v] uint8: the bucket of each token id."""
        self._vocabulary = len(buckets)
        self._members = torch.from_numpy(_members(buckets)).to(device)  # [256 * widest]

    def sketch(self, logits: torch.Tensor, targets: npt.NDArray[np.int64]) -> Fields:
        """logits [n, v] of n positions, targets [n] the reference's tokens there -> the LogprobBlock fields by name."""
        blocks = []
        for start in range(0, len(targets), BLOCK_ROWS):
            wanted = targets[start : start + BLOCK_ROWS]
            blocks.append(self._block(logits[start : start + BLOCK_ROWS], wanted))
        return {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]} if blocks else empty_fields()

    def _block(self, logits: torch.Tensor, targets: npt.NDArray[np.int64]) -> Fields:
        n = len(targets)
        scores = logits.new_zeros((BLOCK_ROWS, self._vocabulary), dtype=torch.float32)
        scores[:n] = logits
        logprobs = torch.log_softmax(scores, -1).clamp_(min=LOGPROB_FLOOR)  # [16, v]
        probabilities = logprobs.exp()
        entropy = -(probabilities * logprobs).sum(-1)
        top_logprobs, top_ids = _top(logprobs)  # [16, 64]
        probabilities.scatter_(1, top_ids[:, : self._vocabulary], 0.0)
        masses = self._masses(probabilities)  # [16, 256]
        residual = masses.sum(-1)
        spread = masses / residual[:, None].clamp(min=torch.finfo(torch.float32).tiny)
        chosen = torch.from_numpy(targets).to(logits.device)[:, None]
        return {
            "token_ids": targets.astype(np.uint32),
            "target": _host(logprobs[:n].gather(1, chosen)[:, 0], np.float32),
            "entropy": _host(entropy[:n], np.float32),
            "top_ids": _host(top_ids[:n], np.uint32),
            "top_logprobs": _host(top_logprobs[:n], np.float32),
            "residual": _host(residual[:n], np.float32),
            "buckets": _host(spread[:n], np.float16),
        }

    def _masses(self, probabilities: torch.Tensor) -> torch.Tensor:
        """The probability of each bucket, [16, v] -> [16, 256]. Gathered, since scattered sums vary on a GPU."""
        padded = torch.nn.functional.pad(probabilities, (0, 1))
        return padded.index_select(1, self._members).view(len(padded), MASS_BUCKETS, -1).sum(-1)


def _members(buckets: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The token ids of each bucket, flattened from [256, widest]; `len(buckets)` where a bucket has fewer."""
    counts = np.bincount(buckets, minlength=MASS_BUCKETS)
    table = np.full((MASS_BUCKETS, max(1, int(counts.max()))), len(buckets), np.int64)
    order = np.argsort(buckets, kind="stable")
    column = np.arange(len(buckets)) - np.repeat(np.cumsum(counts) - counts, counts)
    table[buckets[order], column] = order
    return table.reshape(-1)


def _top(logprobs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The 64 most probable tokens of each row, by id: [n, 64] log-probs and ids; NO_TOKEN fills a small vocabulary."""
    kept = min(TOP_TOKENS, logprobs.shape[-1])
    ids = torch.topk(logprobs, kept, sorted=False).indices.sort(-1).values
    values = logprobs.gather(1, ids)
    missing = TOP_TOKENS - kept
    pad = torch.nn.functional.pad
    return pad(values, (0, missing), value=LOGPROB_FLOOR), pad(ids, (0, missing), value=NO_TOKEN)


def _host(values: torch.Tensor, dtype: type[np.generic]) -> npt.NDArray[np.generic]:
    return values.cpu().numpy().astype(dtype)


def empty_fields() -> Fields:
    """The fields of no position at all."""
    shapes: Mapping[str, tuple[tuple[int, ...], type[np.generic]]] = {
        "token_ids": ((0,), np.uint32),
        "target": ((0,), np.float32),
        "entropy": ((0,), np.float32),
        "top_ids": ((0, TOP_TOKENS), np.uint32),
        "top_logprobs": ((0, TOP_TOKENS), np.float32),
        "residual": ((0,), np.float32),
        "buckets": ((0, MASS_BUCKETS), np.float16),
    }
    return {name: np.empty(shape, dtype) for name, (shape, dtype) in shapes.items()}
