"""The model's public forward on left-padded batches of fixed shape, with its key-value cache.

What is fixed: every pass of a batch has the same number of rows, and widths that follow from the batch's shape alone.
What is always there: at least one padding token in each row (see `batching.padded_length`).
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from bvc.errors import EngineError

_GROWN_BY_COPY = (DynamicLayer, DynamicSlidingWindowLayer)
"""Cache layers whose update makes new tensors, so that a shallow copy is a snapshot."""


@dataclass
class Context:
    """What the model has read: its cache, which slots hold tokens (mask [rows, seen]) and each row's next position."""

    cache: Any
    mask: torch.Tensor
    position: torch.Tensor

    def fork(self, copies: int) -> Context:
        """A context of its own with each row `copies` times, neighbors first; this one stays as it is."""
        return Context(
            _repeat(_snapshot(self.cache), copies),
            self.mask.repeat_interleave(copies, dim=0),
            self.position.repeat_interleave(copies, dim=0),
        )


def _snapshot(cache: Any) -> Any:
    layers = getattr(cache, "layers", None)
    if type(cache) is not DynamicCache or any(type(layer) not in _GROWN_BY_COPY for layer in layers or ()):
        return copy.deepcopy(cache)
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    return twin


def _repeat(cache: Any, copies: int) -> Any:
    if copies == 1:
        return cache
    if not hasattr(cache, "batch_repeat_interleave"):
        raise EngineError(f"draws are not supported with this model's cache ({type(cache).__name__})")
    cache.batch_repeat_interleave(copies)
    return cache


class Forward:
    """Calls one causal language model."""

    def __init__(self, model: torch.nn.Module, *, accepts: torch.nn.Module, fill: int, vocabulary: int) -> None:
        """`accepts` is the module whose signature says which arguments are known (the base of an adapter); `fill` the
        id that stands in padding and dummy rows."""
        parameters = inspect.signature(accepts.forward).parameters
        self._model = model
        self._positions = "position_ids" in parameters
        self._keeps = "logits_to_keep" in parameters
        self._fill = fill
        self.vocabulary = vocabulary
        self.device = next(model.parameters()).device

    def prefill(self, prompts: Sequence[Sequence[int]], rows: int, length: int) -> tuple[torch.Tensor, Context]:
        """Reads `prompts` (each shorter than `length`), left-padded; dummy rows fill up to `rows`.

        -> logits after each prompt [rows, v], context of `length` slots.
        """
        ids = np.full((rows, length), self._fill, np.int64)
        mask = np.zeros((rows, length), np.int64)
        for row in range(rows):
            prompt = prompts[row] if row < len(prompts) else [self._fill]
            ids[row, length - len(prompt) :] = prompt
            mask[row, length - len(prompt) :] = 1
        held = torch.from_numpy(mask).to(self.device)
        positions = (held.cumsum(-1) - 1).clamp_(min=0)
        logits, cache = self._call(torch.from_numpy(ids).to(self.device), held, positions, None, keep=1)
        return logits[:, -1], Context(cache, held, held.sum(-1))

    def extend(self, context: Context, ids: npt.NDArray[np.int64], keep: int | None = None) -> torch.Tensor:
        """Reads ids [rows, c] after what `context` holds, which grows by them -> logits [rows, c, v]; with `keep` those
        of the last positions are enough, and models that can tell give no others."""
        rows, width = ids.shape
        context.mask = torch.cat([context.mask, context.mask.new_ones((rows, width))], dim=1)
        positions = context.position[:, None] + torch.arange(width, device=self.device)
        context.position = context.position + width
        tokens = torch.from_numpy(np.ascontiguousarray(ids)).to(self.device)
        logits, context.cache = self._call(tokens, context.mask, positions, context.cache, keep=keep or width)
        return logits

    def _call(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any, keep: int
    ) -> tuple[torch.Tensor, Any]:
        arguments: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "use_cache": True}
        if self._positions:
            arguments["position_ids"] = positions
        if self._keeps:
            arguments["logits_to_keep"] = keep
        out = self._model(**arguments, past_key_values=cache)
        if out.logits.shape[-1] != self.vocabulary:
            raise EngineError(f"the model gives {out.logits.shape[-1]} logits, its config says {self.vocabulary}")
        return out.logits, out.past_key_values
