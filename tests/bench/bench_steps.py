"""How often steps of a behavior are named rightly, by `bvc blame` and by `bvc bisect --like-bad`, on made-up lineages.

    python -m tests.bench.bench_steps [--trials N]

Prints the tables of docs/blame.md and the sentence of docs/bisect.md as Markdown. All seeded; some minutes of CPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product

import numpy as np

from bvc.api.bisect_like import asked_of, place, squashed
from bvc.bisection import BisectPlan, Conclusion, Observation
from bvc.compare.bisect import next_step
from bvc.compare.steps import Step, find_steps
from tests.bench.measure import table
from tests.compare import bisect_worlds
from tests.compare.step_worlds import Scores, World, flickering, lasting, line, steps, unlike

PLANTED = ((8, 4), (32, 10), (128, 50))
RATES = ((0.02, 0.3), (0.2, 0.5), (0.2, 0.35), (0.6, 0.4))
PROBES, SURE = 60, 0.9
DIRECTIONS, PLACES, JUMPS = 10, 40, (3.0, 5.0)
"""Of `--like-bad`: probes, coordinates that a probe moves along, and sizes of the step beside the drift's."""


def nulls(trials: int) -> str:
    """How often a step is named where there is none."""
    rows = []
    for world in (flickering, lasting, unlike):
        cells = []
        for commits, probes, rate in product((8, 16), (20, PROBES), (0.02, 0.2, 0.5)):
            rng = np.random.default_rng(1)
            rates = np.full(commits, rate)
            cells.append(np.mean([bool(steps(world(rng, rates, probes)).found) for _ in range(trials)]))
        rows.append([world.__name__, f"{len(cells)}", f"{100 * min(cells):.1f} %", f"{100 * max(cells):.1f} %"])
    return table(("answers", "cases", "named a step, least", "most"), rows)


def planted(trials: int) -> str:
    """Found, right and stated, by case; then the lines that are sure."""
    rows = []
    named: list[tuple[Step, int]] = []
    for (commits, at), world, (low, high) in product(PLANTED, (flickering, lasting), RATES):
        found = list(_found(world, commits, at, (low, high), trials))
        here = [(step, at) for each in found for step in each]
        named += here
        right = np.mean([step.node == at for step, _ in here]) if here else 0.0
        stated = np.mean([step.confidence for step, _ in here]) if here else 0.0
        shares = (np.mean([bool(each) for each in found]), right, stated)
        rows.append([f"{commits}", world.__name__, f"{low:g} → {high:g}", *(f"{100 * x:.0f} %" for x in shares)])
    sure = [step.node == at for step, at in named if step.confidence > SURE]
    head = ("commits", "answers", "rates", "found", "right", "stated")
    return f"{table(head, rows)}\n\n{len(sure):,} lines above {100 * SURE:.0f} %: {100 * np.mean(sure):.1f} % right."


def _found(world: World, commits: int, at: int, rates: tuple[float, float], trials: int) -> Iterator[tuple[Step, ...]]:
    rng = np.random.default_rng(5)
    for _ in range(trials):
        yield steps(world(rng, np.where(np.arange(commits) < at, *rates), PROBES)).found


def unrest(trials: int) -> str:
    """How often a step is named where the rates of all probes swing from commit to commit."""
    rows = []
    for commits, probes in ((8, 60), (16, 60), (64, 60), (64, 200), (64, 1_000)):
        cells = []
        for spread in (0.03, 0.08):
            rng = np.random.default_rng(2)
            runs = (steps(flickering(rng, 0.3 + rng.normal(0, spread, commits), probes)) for _ in range(trials))
            cells.append(f"{100 * np.mean([bool(one.found) for one in runs]):.0f} %")
        rows.append([f"{commits}", f"{probes:,}", *cells])
    return table(("commits", "probes", "3 points", "8 points"), rows)


def clusters(trials: int) -> str:
    """Twelve clusters of five equal probes without a step: declared, and not."""
    rng = np.random.default_rng(3)
    names = [str(i // 5) for i in range(60)]
    declared, alone = [], []
    for _ in range(trials):
        scores = np.repeat(lasting(rng, np.full(8, 0.3), 12), 5, axis=1)
        declared.append(bool(find_steps(line(8), scores, names, band=0.0).found))
        alone.append(bool(steps(scores).found))
    return table(
        ("clusters", "named a step"),
        [[n, f"{100 * np.mean(x):.0f} %"] for n, x in (("declared", declared), ("not declared", alone))],
    )


def like_bad(trials: int) -> str:
    """What `--like-bad` says of drift with and without a step that is larger."""
    rows = []
    for moves, jump in product((7, 12, 24), (0.0, *JUMPS)):
        rng = np.random.default_rng(5)
        found = [_asked(_places(moves, jump, rng)) for _ in range(trials)]
        right = np.mean([one.culprit == moves // 2 + 1 for one in found])
        named = np.mean([one.culprit is not None for one in found])
        what = f"one {jump:g} times as large" if jump else "drift alone"
        rows.append([f"{moves}", what, f"{100 * named:.0f} %", f"{100 * right:.0f} %" if jump else ""])
    return table(("steps", "of which", "a commit named", "the right one"), rows)


def _places(moves: int, jump: float, rng: np.random.Generator) -> Scores:
    """[commits, probes], where each stands between the ends after a walk of steps that probes partly share."""
    size = np.exp(rng.normal(0, 0.4, moves))[:, None, None]
    shared, own = rng.normal(size=(moves, 1, PLACES)) * 0.7, rng.normal(size=(moves, DIRECTIONS, PLACES))
    walk = (shared + own) * size
    walk[moves // 2] += jump * rng.normal(size=(DIRECTIONS, PLACES))
    at = np.concatenate([np.zeros((1, DIRECTIONS, PLACES)), walk.cumsum(0)])
    old, new = (((at - at[end]) ** 2).sum(-1) for end in (0, -1))
    rows = [[squashed(place(*cell)) for cell in zip(*row, old[-1], strict=True)] for row in zip(old, new, strict=True)]
    return np.array(rows)


def _asked(places: Scores) -> Conclusion:
    span = bisect_worlds.line(len(places) - 1)
    sure = asked_of(BisectPlan().confidence, len(places) - 1)
    plan = BisectPlan(confidence=sure, available=dict.fromkeys(range(len(places)), 0))
    rows = (tuple(row) for row in places.tolist())
    seen = [Observation(i, len(row), 0, values=row, source="stored", load=False) for i, row in enumerate(rows)]
    found = next_step(span, plan, seen)
    assert isinstance(found, Conclusion)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="lineages of a case")
    trials = parser.parse_args().trials
    sections = {
        f"Nothing changed ({5 * trials} lineages a case)": lambda: nulls(5 * trials),
        f"One step planted ({trials})": lambda: planted(trials),
        f"Unrest ({trials})": lambda: unrest(trials),
        f"Clusters ({trials})": lambda: clusters(trials),
        f"`--like-bad` ({5 * trials})": lambda: like_bad(5 * trials),
    }
    for title, section in sections.items():
        print(f"\n## {title}\n\n{section()}", flush=True)


if __name__ == "__main__":
    main()
