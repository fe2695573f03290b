"""What every BatchTopK coder is trained with: choice of latents, schedules, help for dead latents, unit rows.

Bussmann et al., "BatchTopK Sparse Autoencoders" (2412.06410); the auxiliary loss is that of Gao et al. (2406.04093).
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


def annealed(step: int, first: float, last: float, over: int) -> float:
    """The value at `step` (0, 1, …) of a straight line from `first` to `last` that ends after `over` steps."""
    return last if step >= over else first + (last - first) * step / over


def rate_factor(step: int, steps: int, warmup: float = 0.05, decay: float = 0.2) -> float:
    """What the learning rate is multiplied by: up over the first `warmup` share of the steps, down to 0 over the last
    `decay` share, 1 between."""
    rising = (step + 1) / max(1.0, warmup * steps)
    falling = (steps - step) / max(1.0, decay * steps)
    return min(1.0, rising, falling)


def auxiliary_loss(error: Tensor, pre: Tensor, dead: Tensor, decoder: Tensor, k: int) -> Tensor:
    """How badly the dead latents alone explain what the living ones leave, as a share of its energy (1: not at all).

    `error` [n, d] is taken as it is (no gradient flows to what made it), `pre` [n, m] are the values before the choice,
    `dead` [m] says which latents count as dead, `decoder` [m, d]. Each row uses its `k` strongest dead latents. Where
    none is dead, or nothing is left to explain, the loss is 0.
    """
    target = error.detach()
    energy = target.square().sum()
    asleep = int(dead.sum())
    if not asleep or not float(energy):
        return error.new_zeros(())
    silenced = pre.masked_fill(~dead, float("-inf"))
    kept, places = silenced.topk(min(k, asleep), dim=-1, sorted=False)
    latents = torch.zeros_like(pre).scatter(-1, places, kept.relu())
    return (target - latents @ decoder).square().sum() / energy


@torch.no_grad()
def unit_rows(decoder: Tensor) -> None:
    """Scale each row of `decoder` [m, d] to length 1, in place; a row of zeros stays."""
    decoder.div_(decoder.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(decoder.dtype).tiny))


@torch.no_grad()
def drop_radial(decoder: Tensor, gradient: Tensor) -> None:
    """Take out of `gradient` [m, d], in place, what would only change the lengths of the unit rows of `decoder`."""
    gradient.sub_((gradient * decoder).sum(dim=-1, keepdim=True) * decoder)
