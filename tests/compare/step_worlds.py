"""Made-up scores of a behavior along a lineage: what stays, flickers, or differs from probe to probe."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from bvc.compare.steps import Steps, find_steps

Scores = npt.NDArray[np.float64]
World = Callable[[np.random.Generator, Scores, int], Scores]


def line(commits: int) -> list[tuple[int, ...]]:
    return [(), *((i,) for i in range(commits - 1))]


def flickering(rng: np.random.Generator, rates: Scores, probes: int) -> Scores:
    """Every commit answers anew: what comes with one step goes with the next."""
    return (rng.random((len(rates), probes)) < rates[:, None]).astype(float)


def lasting(rng: np.random.Generator, rates: Scores, probes: int) -> Scores:
    """A tenth of the answers is drawn anew in each step, the others stay."""
    drawn, out = rng.random(probes), np.zeros((len(rates), probes))
    for number, rate in enumerate(rates):
        drawn = np.where(rng.random(probes) < 0.1, rng.random(probes), drawn)
        out[number] = drawn < rate
    return out


def unlike(rng: np.random.Generator, rates: Scores, probes: int) -> Scores:
    """Most probes nearly always or hardly ever show the behavior."""
    own = rng.beta(0.3, 0.3, probes)
    return (rng.random((len(rates), probes)) < np.clip(own + rates[:, None] - rates[0], 0, 1)).astype(float)


def steps(scores: Scores, parents: Sequence[Sequence[int]] | None = None, **options: float) -> Steps:
    clusters = [str(i) for i in range(scores.shape[1])]
    return find_steps(line(len(scores)) if parents is None else parents, scores, clusters, **{"band": 0.0, **options})
