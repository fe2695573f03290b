"""How often a bisect under noise is right, and what it costs: simulated lineages, beside other ways of bisecting.

    python -m tests.bench.bench_bisect [--quick] [--trials N] [--sections N…]

Prints Markdown. All seeded. The full run takes two hours of CPU, with `--trials 120` some forty minutes, `--quick`
about one. The peer's package is installed into .bench/rivals-bisect.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bvc.bisection import BisectPlan, BisectStatus, Conclusion, Observation, Span
from bvc.compare.bisect import conclude
from bvc.quantiles import wilson
from tests.bench.bisect_rivals import git_bayesect, install, visits_bound
from tests.bench.measure import table
from tests.compare.bisect_worlds import git_loads, git_rule, line, present, random_dag, run, run_exact

FOLDER = Path(".bench/rivals-bisect")
RATES = ((0.0, 1.0), (0.1, 0.9), (0.2, 0.8), (0.3, 0.7), (0.4, 0.6), (0.05, 0.5), (0.01, 0.2))
PAIRS = ((0.0, 1.0), (0.05, 0.95), (0.2, 0.8), (0.1, 0.4))
SIZES = (16, 128, 1024)
BARS = {(0.0, 1.0): 13, (0.05, 0.95): 17, (0.2, 0.8): 54, (0.1, 0.4): 163}
CLOSE = (0.4, 0.6)
LOADS = BisectPlan(draw_cost=0.0, smallest=0.15)
PLAIN = BisectPlan(draw_cost=0.0)
SINGLE = BisectPlan(load_cost=0.0, draw_cost=1.0, most_draws=1)


@dataclass(frozen=True)
class Runs:
    """Answers of many bisects: whether each was right, its loads and draws, how long a step took."""

    right: list[bool]
    loads: list[int]
    draws: list[int]
    seconds: float
    statuses: list[BisectStatus]

    @property
    def share(self) -> str:
        """Share that was right, with the lower end of its 95 % interval."""
        rate = float(np.mean(self.right))
        return f"{rate:.3f} (≥ {wilson(rate, len(self.right))[0]:.3f})"


def runs(
    trials: int,
    seed: Sequence[int],
    plan: BisectPlan,
    world: Callable[[np.random.Generator], tuple[Span, int]],
    rates: tuple[float, float],
) -> Runs:
    """Bisect so many worlds."""
    rng = np.random.default_rng(seed)
    right, loads, draws, statuses = [], [], [], []
    started = time.process_time()
    for _ in range(trials):
        span, culprit = world(rng)
        found, seen = run(span, plan, np.where(present(span, culprit), rates[1], rates[0]), rng)
        right.append(found.culprit == culprit)
        loads.append(len(seen))
        draws.append(sum(o.draws for o in seen))
        statuses.append(found.status)
    steps = sum(loads) + trials
    return Runs(right, loads, draws, (time.process_time() - started) / steps, statuses)


def on_line(commits: int) -> Callable[[np.random.Generator], tuple[Span, int]]:
    span = line(commits)
    return lambda rng: (span, int(rng.integers(1, commits + 1)))


def on_dag(commits: int) -> Callable[[np.random.Generator], tuple[Span, int]]:
    return lambda rng: (random_dag(commits, rng), int(rng.integers(1, commits + 1)))


def loads_table(trials: int, sizes: Sequence[int], plan: BisectPlan, pairs: Sequence[tuple[float, float]]) -> str:
    """64 draws a load, lines and DAGs."""
    rows = []
    for commits in sizes:
        for rates in pairs:
            number = RATES.index(rates)
            bound = visits_bound(commits, *rates, 64)
            cells = []
            for kind, world in enumerate((on_line(commits), on_dag(commits))):
                found = runs(trials, (kind, commits, number), plan, world, rates)
                cells += [found.share, f"{np.mean(found.loads):.1f}"]
            rng = np.random.default_rng((7, commits, number))
            git = float(np.mean([_git_right(commits, rates, rng) for _ in range(trials)]))
            name = f"{commits:,} · {rates[0]:g} / {rates[1]:g}"
            rows.append([name, *cells, f"{bound:.1f} + 3", f"{1000 * found.seconds:.1f} ms", f"{git:.2f}"])
    head = (
        "commits · rates",
        "right, line",
        "loads",
        "right, DAG",
        "loads",
        "bar",
        "a step",
        "git's rule right, 1 draw",
    )
    return table(head, rows)


def _git_right(commits: int, rates: tuple[float, float], rng: np.random.Generator) -> bool:
    span, culprit = on_line(commits)(rng)
    has = present(span, culprit)
    return git_rule(span, lambda node: bool(rng.random() < rates[int(has[node])]))[0] == culprit


def draws_table(trials: int, cells: Sequence[tuple[int, tuple[float, float]]], bars: bool) -> str:
    """One draw a load, beside git_bayesect on worlds of the same kind."""
    rows = []
    for commits, rates in cells:
        found = runs(trials, (2, commits, int(100 * rates[1])), SINGLE, on_line(commits), rates)
        rng = np.random.default_rng((3, commits, int(100 * rates[1])))
        theirs = []
        for _ in range(trials):
            culprit = int(rng.integers(1, commits + 1))
            named, drawn = git_bayesect(commits, np.where(np.arange(commits + 1) >= culprit, rates[1], rates[0]), rng)
            theirs.append((named == culprit, drawn))
        right, drawn = (float(np.mean(column)) for column in zip(*theirs, strict=True))
        bar = f"{BARS[rates]}" if bars else f"{drawn + 64:.0f}"
        name = f"{commits:,} · {rates[0]:g} / {rates[1]:g}"
        rows.append([name, found.share, f"{np.mean(found.draws):.1f}", f"{right:.3f}", f"{drawn:.1f}", bar])
    return table(("commits · rates", "right", "draws", "git_bayesect right", "its draws", "bar"), rows)


def null_table(trials: int) -> str:
    """Nothing changed."""
    rows = []
    for rate in (0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 0.9):
        cells = []
        for plan in (PLAIN, LOADS):
            found = runs(trials, (4, int(100 * rate)), plan, on_line(128), (rate, rate))
            quiet = np.mean([s is BisectStatus.NOT_REPRODUCIBLE for s in found.statuses])
            within = [np.mean(np.array(found.loads) <= most) for most in (2, 3)]
            cells += [f"{quiet:.3f}", f"{within[0]:.2f}", f"{within[1]:.2f}", f"{np.mean(found.loads):.1f}"]
        rows.append([f"{rate:g}", *cells])
    least = f"least {LOADS.smallest:g}:"
    head = (
        "rate",
        "not reproducible",
        "2 loads",
        "3 or fewer",
        "loads",
        f"{least} not reproducible",
        "2 loads",
        "3 or fewer",
        "loads",
    )
    return table(head, rows)


def ramp_table(trials: int, sizes: Sequence[int]) -> str:
    """A change that comes over so many commits, in a straight line."""
    rows = []
    for commits in sizes:
        for old, new in ((0.0, 1.0), (0.1, 0.9), (0.2, 0.8)):
            for width in (1, 2, 4, 8, 16, 32):
                covered, wide, loads, ranges = ramp_runs(trials, commits, (old, new), width)
                name = f"{commits:,} · {old:g} / {new:g} · {width}"
                rows.append([name, f"{covered:.3f}", f"{ranges:.2f}", f"{wide:.0f}", f"{loads:.1f}"])
    return table(
        ("commits · rates · width", "middle covered", "told as a range", "commits in it (median)", "loads"), rows
    )


def ramp_runs(trials: int, commits: int, rates: tuple[float, float], width: int) -> tuple[float, float, float, float]:
    """Share in which the answer covers the ramp's middle, the answer's width, loads, and the share of ranges."""
    rng = np.random.default_rng((5, commits, width))
    out = []
    for _ in range(trials):
        start = int(rng.integers(0, commits - width + 1))
        risen = np.clip((np.arange(commits + 1) - start) / width, 0, 1)
        found, seen = run(line(commits), PLAIN, rates[0] + (rates[1] - rates[0]) * risen, rng)
        low, high = extent(found)
        covers = low - 0.5 <= start + (width + 1) / 2 <= high + 0.5
        out.append((covers, high - low + 1, len(seen), found.status is BisectStatus.RANGE))
    columns = np.array(out, float)
    return (
        float(columns[:, 0].mean()),
        float(np.median(columns[:, 1])),
        float(columns[:, 2].mean()),
        float(columns[:, 3].mean()),
    )


def extent(found: Conclusion) -> tuple[int, int]:
    """First and last commit of an answer; none of a refusal to answer."""
    if found.culprit is not None:
        return found.culprit, found.culprit
    if found.status is not BisectStatus.RANGE:
        return 10**9, 0
    nodes = [node for node, _ in found.candidates]
    return min(nodes), max(nodes)


def turns_table(trials: int, sizes: Sequence[int]) -> str:
    """A behavior that came, went and came back, by how long each stretch is at least; live, and with all stored."""
    rows = []
    for commits in sizes:
        for rates in ((0.0, 1.0), (0.1, 0.9), (0.2, 0.8)):
            for least in (4, 6, 8, 16):
                live, loads = turn_runs(trials, commits, rates, least, stored=False)
                kept, _ = turn_runs(max(5, trials // 5), commits, rates, least, stored=True)
                name = f"{commits:,} · {rates[0]:g} / {rates[1]:g} · 1/{least}"
                rows.append([name, f"{live:.3f}", f"{loads:.1f}", f"{kept:.3f}"])
    return table(("commits · rates · shortest stretch", "a culprit named, live", "loads", "named, all stored"), rows)


def turn_runs(
    trials: int, commits: int, rates: tuple[float, float], least: int, *, stored: bool
) -> tuple[float, float]:
    """Share in which a single culprit was named, and loads."""
    rng = np.random.default_rng((6, commits, least))
    named, loads = [], []
    for _ in range(trials):
        turns = np.searchsorted(_turns(commits, commits // least, rng), np.arange(commits + 1), side="right") % 2
        at = np.where(turns, rates[1], rates[0])
        if stored:
            seen = [_stored(i, int(rng.binomial(16, rate))) for i, rate in enumerate(at)]
            found = conclude(line(commits), BisectPlan(available=dict.fromkeys(range(commits + 1), 0)), seen)
        else:
            found, seen = run(line(commits), PLAIN, at, rng)
        named.append(found.culprit is not None)
        loads.append(len(seen))
    return float(np.mean(named)), float(np.mean(loads))


def _turns(commits: int, least: int, rng: np.random.Generator) -> np.ndarray:
    """Three places, all stretches between them and the ends at least so long."""
    spare = commits + 1 - 4 * least
    cuts = np.sort(rng.integers(0, spare + 1, 3))
    return cuts + least * np.arange(1, 4)


def _stored(node: int, hits: int) -> Observation:
    return Observation(node, 16, hits, source="stored", load=False)


def exact_table(count: int) -> str:
    """Answers that do not vary, on small DAGs, every commit in turn the culprit."""
    rng = np.random.default_rng(8)
    ours, theirs, more, worst = 0.0, 0.0, 0, 0
    for _ in range(count):
        span = random_dag(int(rng.integers(4, 24)), rng)
        culprits = range(1, len(span.parents))
        a, b = [len(run_exact(span, c)[1]) for c in culprits], [git_loads(span, c) for c in culprits]
        ours, theirs = ours + float(np.mean(a)), theirs + float(np.mean(b))
        more += sum(a) > sum(b)
        worst += max(a) > max(b)
    row = [f"{count} DAGs", f"{ours / count:.3f}", f"{theirs / count:.3f}", f"{more}", f"{worst}"]
    return table(("", "loads", "git's rule", "DAGs with more on average", "with more at worst"), [row])


def coverage_table(trials: int) -> str:
    """Sets of bisects that were stopped early: how often the culprit is among the commits named."""
    rows = []
    for confidence in (0.5, 0.8, 0.95):
        for old, new in ((0.1, 0.9), (0.3, 0.7), (0.01, 0.2)):
            rng = np.random.default_rng((9, int(100 * confidence), int(100 * new)))
            inside, claimed = [], []
            for _ in range(trials):
                culprit = int(rng.integers(1, 129))
                plan = BisectPlan(
                    confidence=confidence, most_draws=16, draw_cost=0.0, max_loads=int(rng.integers(4, 9))
                )
                found, _ = run(line(128), plan, np.where(np.arange(129) >= culprit, new, old), rng)
                if found.status in (BisectStatus.FOUND, BisectStatus.RANGE):
                    named = [found.culprit] if found.culprit is not None else [node for node, _ in found.candidates]
                    inside.append(culprit in named)
                    claimed.append(found.confidence)
            rows.append(
                [
                    f"{confidence:.2f} · {old:g} / {new:g}",
                    f"{np.mean(claimed):.3f}",
                    f"{np.mean(inside):.3f}",
                    f"{len(inside)}",
                ]
            )
    return table(("confidence · rates", "claimed", "held", "sets"), rows)


def speed_table() -> str:
    """1,000 commits with a stored observation each."""
    rng = np.random.default_rng(10)
    rows = []
    for name, rates in (
        ("a step", np.where(np.arange(1001) >= 400, 0.7, 0.2)),
        ("a ramp", 0.1 + 0.8 * np.clip((np.arange(1001) - 400) / 64, 0, 1)),
        ("came and went", np.where(np.searchsorted([200, 500, 800], np.arange(1001)) % 2, 0.8, 0.1)),
    ):
        seen = [_stored(i, int(rng.binomial(16, rate))) for i, rate in enumerate(rates)]
        span, plan = line(1000), BisectPlan(available=dict.fromkeys(range(1001), 0))
        started = time.perf_counter()
        found = conclude(span, plan, seen)
        rows.append([name, f"{1000 * (time.perf_counter() - started):.0f} ms", found.status.value])
    return table(("1,000 commits, 16 draws stored of each", "conclude", "answer"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute")
    parser.add_argument("--trials", type=int, default=400, help="bisects a cell of the full run")
    parser.add_argument("--sections", type=int, nargs="+", metavar="N", help="only the Nth of the tables")
    arguments = parser.parse_args()
    quick = arguments.quick
    install(FOLDER)
    sizes, trials = (SIZES[:2], 20) if quick else (SIZES, arguments.trials)
    singles = [(n, r) for n in sizes for r in RATES if not quick or r[1] - r[0] > 0.5]
    sections = {
        f"64 draws a load ({trials} bisects a cell)": lambda: loads_table(trials, sizes, LOADS, RATES),
        "64 draws a load, no least difference given": lambda: loads_table(trials, sizes, PLAIN, [CLOSE]),
        "One draw a load": lambda: draws_table(trials, singles, bars=False),
        "One draw a load, 64 commits": lambda: draws_table(
            20 if quick else trials, [(64, r) for r in PAIRS], bars=True
        ),
        "Nothing changed": lambda: null_table(25 if quick else trials),
        "Ramps": lambda: ramp_table(5 if quick else trials // 2, sizes[1:]),
        "Came and went": lambda: turns_table(3 if quick else trials // 4, sizes[1:]),
        "Answers that do not vary": lambda: exact_table(40 if quick else 200),
        "Sets of commits": lambda: coverage_table(30 if quick else trials),
        "Time": speed_table,
    }
    for number, (title, section) in enumerate(sections.items(), 1):
        if arguments.sections and number not in arguments.sections:
            continue
        print(f"\n## {title}\n\n{section()}", flush=True)


if __name__ == "__main__":
    main()
