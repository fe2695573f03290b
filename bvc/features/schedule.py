"""What a sparse coder is trained with beside its loss: schedules, and decoder rows that stay of length 1."""

from __future__ import annotations

import torch
from torch import Tensor


def annealed(step: int, first: float, last: float, over: int) -> float:
    """The value at `step` (0, 1, …) of a straight line from `first` to `last` that ends after `over` steps."""
    return last if step >= over else first + (last - first) * step / over


def rate_factor(step: int, steps: int, warmup: float = 0.05, decay: float = 0.2) -> float:
    """What the learning rate is multiplied by: up over the first `warmup` share of the steps, down to 0 over the last
    `decay` share, 1 between."""
    rising = (step + 1) / max(1.0, warmup * steps)
    falling = (steps - step) / max(1.0, decay * steps)
    return min(1.0, rising, falling)


@torch.no_grad()
def unit_rows(decoder: Tensor) -> None:
    """Scale each row of `decoder` [m, d] to length 1, in place; a row of zeros stays."""
    decoder.div_(decoder.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(decoder.dtype).tiny))


@torch.no_grad()
def drop_radial(decoder: Tensor, gradient: Tensor) -> None:
    """Take out of `gradient` [m, d], in place, what would only change the lengths of the unit rows of `decoder`."""
    gradient.sub_((gradient * decoder).sum(dim=-1, keepdim=True) * decoder)
