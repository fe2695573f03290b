"""What steering claims by chance and what it finds, on simulated answers whose effects are known.

    python -m tests.bench.bench_steering [--worlds N]

Prints Markdown: the tables of docs/steering.md.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from bvc.compare.steering import Steers
from bvc.quantiles import wilson
from tests.bench.measure import table
from tests.compare.steering_worlds import judged

CHANCE = [(base, scatter) for base in (0.02, 0.4) for scatter in (0.0, 0.3, 1.0, 2.0)]
RISES = [(0.02, 0.55), (0.1, 0.7), (0.3, 0.7)]
_SIGNED = np.array([-1.0, 1.0, 2.0])
_RISING = np.array([0.25, 0.5, 0.75, 1.0])


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=1000)
    worlds = parser.parse_args().worlds
    rows = [_chance(base, scatter, worlds) for base, scatter in CHANCE]
    print(table(["rate", "scatter of log odds", "moves more, by chance"], rows), end="\n\n")
    print(table(["rate from, to", "4 directions", "8", "20"], [_found(*rise, worlds) for rise in RISES]))


def _chance(base: float, scatter: float, worlds: int) -> list[str]:
    """How often one more random direction is said to move the behavior, over three strengths together."""
    rng = np.random.default_rng(5)
    false = sum(
        any(e.verdict in (Steers.MORE, Steers.BREAKS) for e in judged(rng, _SIGNED, scatter=scatter, base=base))
        for _ in range(worlds)
    )
    return [f"{base:g}", f"{scatter:g}", _share(false, worlds)]


def _found(base: float, target: float, worlds: int) -> list[str]:
    """How often a direction that moves the rate from `base` to `target` is said to move it more than random ones."""
    shift = _logit(target) - _logit(base)
    cells = []
    for directions in (4, 8, 20):
        rng = np.random.default_rng(11)
        hits = sum(
            any(e.verdict is Steers.MORE for e in judged(rng, _RISING, shift, base=base, directions=directions))
            for _ in range(worlds)
        )
        cells.append(_share(hits, worlds))
    return [f"{base:g}, {target:g}", *cells]


def _logit(rate: float) -> float:
    return math.log(rate / (1 - rate))


def _share(hits: int, worlds: int) -> str:
    low, high = wilson(hits / worlds, worlds)
    return f"{hits / worlds:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
