"""How good a dictionary is on activations, and the threshold at which it fires as often as asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from bvc.features.dictionary import Dictionary

_ROWS = 1024


@dataclass(frozen=True)
class Quality:
    """`explained`: share of the variance around the mean that reconstructions explain; `active`: mean number of latents
    that fire at a token; `dead`: latents that never fire; all over `tokens` activations. `rates` [m] float64 is the
    share of tokens at which each latent fires."""

    explained: float
    active: float
    dead: int
    tokens: int
    rates: torch.Tensor


@torch.no_grad()
def measure(dictionary: Dictionary, vectors: torch.Tensor) -> Quality:
    """The quality on activations `vectors` [n, d], n > 1. Raises ValueError for fewer."""
    if len(vectors) < 2:
        raise ValueError("quality needs two activations at least")
    center = vectors.double().mean(0).float().to(dictionary.device)
    missed = torch.zeros((), dtype=torch.float64, device=dictionary.device)
    energy = missed.clone()
    fired = torch.zeros(dictionary.spec.latents, dtype=torch.int64, device=dictionary.device)
    for x in _chunks(vectors, dictionary.device):
        latents = dictionary.encode(x)
        missed += (x - dictionary.decode(latents)).double().square().sum()
        energy += (x - center).double().square().sum()
        fired += (latents > 0).sum(0)
    rates = fired.cpu().double() / len(vectors)
    explained = 1 - float(missed) / float(energy) if float(energy) else 0.0
    return Quality(explained, float(rates.sum()), int((rates == 0).sum()), len(vectors), rates)


@torch.no_grad()
def firing_threshold(preactivations: Callable[[torch.Tensor], torch.Tensor], vectors: torch.Tensor, k: float) -> float:
    """The threshold above which a mean of `k` latents per activation lie over `vectors` [n, d], 0 at least.

    It takes the place of the batch of BatchTopK, so that an activation is encoded by itself (2412.06410, 2.3).
    """
    wanted = round(k * len(vectors)) + 1
    largest = vectors.new_empty(0)
    for x in _chunks(vectors, vectors.device):
        found = preactivations(x).flatten()
        if len(largest) == wanted:
            found = found[found > largest.min()]
        largest = torch.cat([largest, found])
        largest = largest.topk(min(wanted, len(largest)), sorted=False).values
    return max(0.0, float(largest.min())) if len(largest) == wanted else 0.0


def _chunks(vectors: torch.Tensor, device: torch.device) -> Iterator[torch.Tensor]:
    for chunk in vectors.split(_ROWS):  # type: ignore[no-untyped-call]
        yield chunk.to(device, torch.float32)
