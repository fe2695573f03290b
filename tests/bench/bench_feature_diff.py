"""Is the feature diff calibrated, what does it find, and what does it cost? All on made-up latents with known truth.

    python -m tests.bench.bench_feature_diff [nulls] [planted] [cost] [--worlds N]

Prints Markdown. `nulls`: nothing but noise, or nothing but drift; `planted`: four latents that fire on side b alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bvc.compare.feature_pairs import FeatureGather
from bvc.compare.feature_standing import LEVEL, LatentMoves, latent_moves, standing, stands_out
from bvc.compare.features import compare_features, null_pair
from bvc.compare.phrase_test import step_up
from bvc.quantiles import wilson
from tests.bench.measure import table
from tests.compare.feature_worlds import FREQUENCIES, POSITIONS, Counts, Table, World, block

DRIFT = 0.15
_BLOCK = 16


@dataclass(frozen=True)
class Setting:
    """A kind of step: benign pairs that are known, the shift all latents share, its size in benign steps, clusters,
    and the share of probes in which planted latents fire."""

    name: str
    pairs: int
    common: float = 0.0
    size: float = 1.0
    per: int = 5
    probes: int = 100
    share: float = 0.3


SETTINGS = (
    Setting("no benign pair known", 0),
    Setting("1 benign pair", 1),
    Setting("3 benign pairs", 3),
    Setting("6 benign pairs", 6),
    Setting("3, all latents rise by a third", 3, common=0.3),
    Setting("3, a step twice as large", 3, size=2.0),
    Setting("none, a step twice as large", 0, size=2.0),
    Setting("3, planted in 10 % of the probes", 3, share=0.1),
    Setting("3, twice as large, in 10 %", 3, size=2.0, share=0.1),
    Setting("3, 60 probes without clusters", 3, per=1, probes=60),
    Setting("3, 300 probes without clusters", 3, per=1, probes=300),
)


def moved(world: World, setting: Setting) -> tuple[Counts, list[LatentMoves]]:
    """One step, and the moves of the benign pairs known."""
    known = [latent_moves(pair) for pair in world.pairs(range(100, 100 + setting.pairs), drift=DRIFT)]
    return world.pair(1, drift=DRIFT * setting.size, common=setting.common), known


# Rivals


def by_token(counts: Counts) -> Table:
    """p-value of each latent by a test of two shares of positions, all of them taken for independent."""
    positions = counts.fired.shape[1] * POSITIONS
    a, b = counts.fired.sum(1)
    pooled = (a + b) / (2 * positions)
    error = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / positions, 1e-12))
    return _normal_p((b - a) / positions / error)


def by_prompt(counts: Counts) -> Table:
    """p-value of each latent by a paired t test over prompts (by the normal distribution), clusters not told."""
    difference = counts.total[1] - counts.total[0]
    error = difference.std(0, ddof=1) / np.sqrt(len(difference))
    return _normal_p(difference.mean(0) / np.maximum(error, 1e-12))


def _normal_p(score: Table) -> Table:
    from statistics import NormalDist

    return np.array([min(1.0, 2 * NormalDist().cdf(-abs(s))) for s in score.tolist()])


RIVALS: dict[str, Callable[[Counts], Table]] = {
    "shares of positions, BH": by_token,
    "paired test over prompts, BH": by_prompt,
}


# Sections


def nulls(worlds: int) -> str:
    """How often a pair between which nothing changed shows a latent."""
    rows = [_null_row(worlds, per) for per in (1, 5)]
    head = ["one model twice, 512 latents, 100 probes", *RIVALS, "different at all", "clusters not told", "stands out"]
    return table(head, rows)


def _null_row(worlds: int, per: int) -> list[str]:
    counted = np.zeros(len(RIVALS) + 3, int)
    for seed in range(worlds):
        world = World(seed, per=per)
        counts = world.pair(1)
        told = latent_moves(world.gathered(counts))
        untold = latent_moves(world.gathered(counts, told=False))
        flags = [bool((step_up(rival(counts)) <= LEVEL).any()) for rival in RIVALS.values()]
        flags += [bool(told.different().any()), bool(untold.different().any())]
        counted += [*flags, bool(stands_out(told, standing(told, [], trusted=False)).any())]
    name = "prompts on their own" if per == 1 else f"clusters of {per}"
    return [name, *(f"{c / worlds:.3f} (≤ {wilson(c / worlds, worlds)[1]:.3f})" for c in counted.tolist())]


def planted(worlds: int) -> str:
    """What is found of four latents that fire on side b alone, by their frequency."""
    head = ["known", "drift alone shows one", "false among found", *(f"{f:.1%}" for f in FREQUENCIES), "in first ten"]
    return table(head, [_planted_row(worlds, setting) for setting in SETTINGS])


def _planted_row(worlds: int, setting: Setting) -> list[str]:
    alarms, false, power, first = 0, [], np.zeros(len(FREQUENCIES)), 0
    for seed in range(worlds):
        world = World(seed, latents=1024, per=setting.per, probes=setting.probes)
        counts, known = moved(world, setting)
        moves = latent_moves(world.gathered(counts))
        alarms += bool(stands_out(moves, standing(moves, known, trusted=True)).any())
        chosen = world.planted(counts, 2, share=setting.share)
        moves = latent_moves(world.gathered(counts))
        stand = standing(moves, known, trusted=True)
        found = stands_out(moves, stand)
        power += found[chosen]
        false.append((found.sum() - found[chosen].sum()) / max(1, found.sum()))
        ranked = np.lexsort((-np.abs(stand.score), ~found, moves.p_value > LEVEL))[:10]
        first += int(np.isin(chosen, ranked).sum())
    shares = [f"{value / worlds:.2f}" for value in power]
    return [
        setting.name,
        f"{alarms / worlds:.3f} (≤ {wilson(alarms / worlds, worlds)[1]:.3f})",
        f"{np.mean(false):.3f} ± {np.std(false) / np.sqrt(worlds):.3f}",
        *shares,
        f"{first / worlds / len(FREQUENCIES):.2f}",
    ]


def cost(worlds: int) -> str:
    """CPU of one pair as it streams by, and of all that follows, with six steps known."""
    del worlds
    head = ["probes", "latents", "rows", "gather", "compare", "each null pair"]
    return table(head, [_cost_row(probes) for probes in (60, 500, 2_000)])


def _cost_row(probes: int) -> list[str]:
    world = World(0, latents=4096, probes=128, per=1)
    counts = world.pair(1, drift=DRIFT)
    sides = [
        [block(counts.fired[s, i : i + _BLOCK], counts.total[s, i : i + _BLOCK]) for i in range(0, 128, _BLOCK)]
        for s in (0, 1)
    ]
    started = time.process_time()
    gather = FeatureGather(world.latents)
    for number in range(-(-probes // _BLOCK)):
        ids = [f"{number} {row}" for row in range(_BLOCK)]
        gather.add(ids, sides[0][number % 8], sides[1][number % 8])
    pair = gather.finish()
    gathered = time.process_time()
    null = null_pair("step", "a", "b", pair)
    reduced = time.process_time()
    compare_features(pair, [null] * 6)
    done = time.process_time()
    spent = (gathered - started, done - reduced, reduced - gathered)
    return [f"{probes:,}", "4,096", f"{len(pair.latent):,}", *(f"{1000 * seconds:.0f} ms" for seconds in spent)]


SECTIONS: dict[str, Callable[[int], str]] = {"nulls": nulls, "planted": planted, "cost": cost}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION")
    parser.add_argument("--worlds", type=int, default=200)
    options = parser.parse_args(arguments)
    for name in options.sections or SECTIONS:
        print(f"\n## {name}\n\n{SECTIONS[name](options.worlds)}", flush=True)


if __name__ == "__main__":
    main()
