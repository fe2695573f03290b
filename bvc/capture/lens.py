"""The logit lens: what directions of the residual stream say, read through the unembedding alone. Runs no model.

A direction goes through the final normalization's weights and the unembedding (nostalgebraist 2020): the logits are
what it would add to those of a stream whose root mean square is 1, were there no block left to pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bvc.capture.load import Loaded
from bvc.capture.transformers_engine import prompts_of
from bvc.errors import EngineError

_ROWS = 256
"""Directions that are read at once."""


class Lens:
    """Reads directions with the unembedding of one loaded model. Tokens are those that its tokenizer has: rows of the
    unembedding beyond are padding.

    Raises EngineError for a model without an unembedding.
    """

    def __init__(self, loaded: Loaded) -> None:
        head = loaded.model.get_output_embeddings()
        if head is None:
            raise EngineError("the model has no unembedding: it names no tokens")
        self._weight = head.weight.detach()[: len(loaded.tokenizer)]  # [v, d]
        self._gain = _final_gain(loaded.model, self._weight.shape[1])
        self._prompts = prompts_of(loaded)

    def logits(self, directions: torch.Tensor) -> Iterator[torch.Tensor]:
        """The logits [m, v] of some of `directions` [n, d] after the others. Raises EngineError for another width."""
        if directions.shape[1] != self._weight.shape[1]:
            widths = f"{directions.shape[1]} numbers, and the unembedding reads {self._weight.shape[1]}"
            raise EngineError(f"the model's stream has {widths}: tokens cannot be read from it")
        scaled = directions.to(self._weight.device, torch.float32)
        weight = self._weight.float()
        for rows in torch.split(scaled if self._gain is None else scaled * self._gain, _ROWS):
            yield rows @ weight.T

    def arrays(self, directions: npt.NDArray[np.floating[Any]]) -> Iterator[npt.NDArray[np.float32]]:
        """`logits` for those who do without torch."""
        for found in self.logits(torch.from_numpy(directions)):
            yield found.cpu().numpy()

    def promoted(self, directions: torch.Tensor, count: int) -> list[list[tuple[str, float]]]:
        """The `count` tokens whose logits each of `directions` [n, d] raises most, with the logits."""
        out = []
        for found in self.logits(directions):
            values, tokens = found.topk(count, dim=-1)
            out += [
                [(self.text(int(t)), float(v)) for t, v in zip(ts, vs, strict=True)]
                for ts, vs in zip(tokens.tolist(), values.tolist(), strict=True)
            ]
        return out

    def text(self, token: int) -> str:
        """The text of a token."""
        return self._prompts.decode([token])


def _final_gain(model: Any, width: int) -> torch.Tensor | None:
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
