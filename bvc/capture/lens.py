"""The logit lens: which tokens a direction of the residual stream raises, read through the final normalization's
weights and the unembedding (nostalgebraist 2020)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

_ROWS = 256
"""Directions that are read at a time: their logits over the vocabulary are held."""


class LogitLens:
    """Reads directions of one model. Holds its unembedding and nothing else of it."""

    def __init__(self, model: Any, width: int, decode: Callable[[Sequence[int]], str]) -> None:
        """`width` is that of the stream, `decode` makes text of token ids."""
        self._weight = model.get_output_embeddings().weight.detach()  # [v, d]
        self._gain = final_gain(model, width)
        self._decode = decode

    def promoted(self, directions: torch.Tensor, count: int) -> list[list[tuple[str, float]]]:
        """The `count` tokens whose logits each of `directions` [n, d] raises most, with the logits."""
        weight = self._weight.float()
        scaled = directions.to(weight.device, torch.float32) * (1 if self._gain is None else self._gain)
        out = []
        for rows in torch.split(scaled, _ROWS):
            values, tokens = (rows @ weight.T).topk(count, dim=-1)
            out += [
                [(self._decode([int(t)]), float(v)) for t, v in zip(ts, vs, strict=True)]
                for ts, vs in zip(tokens.tolist(), values.tolist(), strict=True)
            ]
        return out


def final_gain(model: Any, width: int) -> torch.Tensor | None:
    """What the last normalization of the model's own width multiplies by, [width]: found by what it makes of a vector
    of mean 0 and size 1, since some makers store the weight and some the weight less 1."""
    norms = [m for m in model.modules() if "norm" in type(m).__name__.lower() and hasattr(m, "weight")]
    fitting = [m for m in norms if m.weight is not None and m.weight.shape == (width,)]
    if not fitting:
        return None
    weight = fitting[-1].weight
    signs = torch.ones(width, device=weight.device, dtype=weight.dtype)
    signs[1::2] = -1
    with torch.inference_mode():
        gain: torch.Tensor = (fitting[-1](signs[None]) - fitting[-1](-signs[None]))[0] * signs / 2
    return gain.float()
