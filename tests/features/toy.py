"""A source whose features are known, and dictionaries made by hand."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from bvc.features.buffer import ActivationBatch
from bvc.features.dictionary import Dictionary

RATE = 0.03
NOISE = 0.02
CENTER = 3.0


def directions(features: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Random unit rows [features, width]."""
    rows = torch.randn(features, width, generator=generator)
    return rows / rows.norm(dim=-1, keepdim=True)


def strengths(rows: int, rates: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Feature values [rows, features]: 0, or between 1 and 3 with the probability `rates` [features]."""
    on = torch.rand(rows, len(rates), generator=generator) < rates
    return on * (1 + 2 * torch.rand(rows, len(rates), generator=generator))


class ToySource:
    """Sparse sums of `truth` [features, width] around a center that is not 0; each text has 250 tokens, of which the
    first is far too long (as the first token of a language model's text is) where `outliers` is set."""

    def __init__(self, *, features: int = 64, width: int = 32, texts: int = 200, outliers: bool = False) -> None:
        self.truth = directions(features, width, torch.Generator().manual_seed(77))
        self.width = width
        self._texts = texts
        self._outliers = outliers
        self.asked: list[int] = []

    def text(self, number: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(10_000 + number)
        values = strengths(250, torch.full((len(self.truth),), RATE), generator)
        noise = NOISE * torch.randn((250, self.width), generator=generator)
        vectors = CENTER + values @ self.truth + noise
        if self._outliers:
            vectors[0] *= 150
        return vectors

    def batches(self, skip_texts: int) -> Iterator[ActivationBatch]:
        self.asked.append(skip_texts)
        for start in range(skip_texts, self._texts, 4):
            numbers = range(start, min(start + 4, self._texts))
            yield ActivationBatch(torch.cat([self.text(n) for n in numbers]), len(numbers))


def cosines(dictionary: Dictionary, truth: torch.Tensor) -> torch.Tensor:
    """For each true direction the largest cosine of a decoder row, [features]."""
    best: torch.Tensor = (truth @ dictionary.weights["decoder"].T).max(1).values
    return best


def random_weights(width: int, latents: int, seed: int = 0, threshold: float = 0.5) -> dict[str, torch.Tensor]:
    """Arrays of a dictionary: random, with biases that are not 0."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "encoder": torch.randn((width, latents), generator=generator) / width**0.5,
        "encoder_bias": 0.1 * torch.randn(latents, generator=generator),
        "decoder": directions(latents, width, generator),
        "decoder_bias": torch.randn(width, generator=generator),
        "threshold": torch.full((latents,), threshold) + 0.1 * torch.rand(latents, generator=generator),
    }


def random_dictionary(kind: str = "jumprelu", *, width: int = 24, latents: int = 60, **settings: object) -> Dictionary:
    """A dictionary of random weights."""
    weights = random_weights(width, latents)
    if kind in ("relu", "topk"):
        weights["threshold"] = torch.zeros(latents)
    defaults = {"kind": kind, "layer": "layer.03", "model": "m" * 64, "k": 5, "scale": 0.7, "weights": weights}
    return Dictionary.build(**{**defaults, **settings})  # type: ignore[arg-type]
