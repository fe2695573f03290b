"""The choice of latents by which BatchTopK coders are trained through autograd, and the help for their dead latents.

Bussmann et al., "BatchTopK Sparse Autoencoders" (2412.06410); the auxiliary loss is that of Gao et al. (2406.04093).
The autoencoder of a lineage (`bvc.features.sae`) has its gradients written out and shares none of this.
"""

from __future__ import annotations

import torch
from torch import Tensor


def batch_top_k(values: Tensor, count: int) -> Tensor:
    """`values` [n, m] with all but its `count` largest entries 0, and none below 0.

    The budget is that of the batch, so a row may use more or fewer latents than another. Exactly `count` entries are
    kept where that many are positive, ties included. The gradient flows to the kept entries.
    """
    flat = values.flatten()
    if count >= flat.numel():
        return values.relu()
    kept, places = flat.topk(count, sorted=False)
    return torch.zeros_like(flat).scatter(0, places, kept.relu()).view_as(values)


def least_kept(values: Tensor, count: int) -> float:
    """The smallest positive entry that `batch_top_k` keeps of `values` [n, m]; infinity where none is positive.

    Its mean over batches is the threshold that stands in for the batch when rows are encoded one at a time.
    """
    kept = values.flatten().topk(min(count, values.numel()), sorted=False).values
    positive = kept[kept > 0]
    return float(positive.min()) if positive.numel() else float("inf")


def auxiliary_loss(error: Tensor, pre: Tensor, dead: Tensor, decoder: Tensor, k: int, least: float = 0.0) -> Tensor:
    """How badly the dead latents alone explain what the living ones leave, as a share of its energy (1: not at all).

    `error` [n, d] is taken as it is (no gradient flows to what made it), `pre` [n, m] are the values before the choice,
    `dead` [m] says which latents count as dead, `decoder` [m, d]. Each row uses its `k` strongest dead latents. Where
    none is dead, or no more energy than `least` is left to explain, the loss is 0.
    """
    target = error.detach()
    energy = target.square().sum()
    asleep = int(dead.sum())
    if not asleep or float(energy) <= least:
        return error.new_zeros(())
    silenced = pre.masked_fill(~dead, float("-inf"))
    kept, places = silenced.topk(min(k, asleep), dim=-1, sorted=False)
    latents = torch.zeros_like(pre).scatter(-1, places, kept.relu())
    return (target - latents @ decoder).square().sum() / energy
