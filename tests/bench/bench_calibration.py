"""How often the tests of `bvc.compare` are wrong when nothing changed, and how often they find what did.

    python -m tests.bench.bench_calibration [SECTION...]

Prints Markdown, of all sections or those named: `cost`, `power` (600 simulated pairs a column), `verdict` (the power at
the level of the verdict), `nulls` (500 pairs each), `discoveries`, `looks`, `added` (draws added and looked at again),
`intervals`. All seeded; it takes some three quarters of an hour of CPU.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from bvc.compare.draw_evidence import draw_evidence
from bvc.compare.drawn import Drawn, draw_tests
from bvc.compare.global_test import global_test
from bvc.compare.intervals import paired_difference
from bvc.compare.localize import e_bh, localize
from bvc.compare.sequential import sequential_evidence, stream_log_e
from bvc.compare.verdict import SUITE_LEVEL
from bvc.records import Generation, Outputs
from tests.bench.measure import table
from tests.compare import rivals, simulated
from tests.compare.simulated import COLUMNS, DRAWS, SAME, World, wilson_upper, world

RUNS, PAIRS, GROWN = 600, 500, 900
WORKERS = 4
LEVEL = 0.05
BARS: Mapping[str, float | None] = dict(zip(COLUMNS, (None, 0.847, 0.543, 0.620, 0.730, 0.712), strict=True))
"""Power that the best valid one of the other rules was reported to have for each kind of change."""

Called = Mapping[str, bool]


def power_run(change: str, seed: int) -> Called:
    """Every rule on one pair."""
    drawn = world(change, seed)
    found = global_test(drawn.evidence())
    assert found is not None
    parts = {f"· its part “{name}” alone": p <= LEVEL for name, p in found.parts.items()}
    return {**rivals.verdicts(drawn), "bvc": found.p_value <= LEVEL, **parts}


def verdict_run(change: str, seed: int) -> Called:
    """The global test on one pair, at the nominal level and at that of the verdict."""
    found = global_test(world(change, seed).evidence())
    assert found is not None
    return {f"p ≤ {level}": found.p_value <= level for level in (LEVEL, SUITE_LEVEL)}


def looked(drawn: World, draws: int, first: int | None) -> Drawn:
    """What is said of the first `draws` of each side, of which `first` were there at first (None: all)."""
    texts = {str(i): (_outputs(a[:draws]), _outputs(b[:draws])) for i, (a, b) in enumerate(drawn.texts())}
    scores = {str(i): (a[:draws], b[:draws]) for i, (a, b) in enumerate(drawn.scores())}
    return draw_tests(texts, scores=scores, first=(first, first))


def _outputs(draws: Sequence[str]) -> Outputs:
    return Outputs(Generation("", "stop"), tuple(Generation(text, "stop") for text in draws))


def added_run(seed: int) -> Called:
    """Whether a suite of 20 probes is called changed at any of ten looks at 4, 8, … 40 draws, though one model made
    them all."""
    drawn = world(SAME, seed, 20, 40)
    looks = range(4, 41, 4)
    again = [looked(drawn, draws, 4) for draws in looks]
    plain = [looked(drawn, draws, None) for draws in looks]
    return {
        "all draws, tested anew at each look": any(_changed(found) for found in plain),
        "bvc, told how many there were at first": any(_changed(found) for found in again),
        "any probe at q ≤ .05, tested anew": any(min(f.q_values.values()) <= LEVEL for f in plain),
        "any probe at q ≤ .05, bvc": any(min(f.q_values.values()) <= LEVEL for f in again),
    }


def _changed(found: Drawn) -> bool:
    return found.p_value is not None and found.p_value <= SUITE_LEVEL


def grown_run(change: str, seed: int) -> Called:
    """What finds a change in 100 probes after 8 draws became 16."""
    drawn = world(change, seed, 100, 16)
    again, plain = looked(drawn, 16, 8), looked(drawn, 16, None)
    return {
        "8 draws, none added": _changed(looked(drawn, 8, None)),
        "8, then 16: bvc": _changed(again),
        "8, then 16: the e-process alone": again.any_look is not None and again.any_look <= SUITE_LEVEL,
        "16 at once": _changed(plain),
    }


def null_run(kind: str, seed: int) -> Called:
    """What is called changed although one model made all draws."""
    shifts: list[float] = []
    permutations = 999
    if kind.endswith("probes"):
        probes = int(kind.split()[0].replace(",", ""))
        drawn, permutations = world(SAME, seed, probes), 199 if probes > 1_000 else 999
    elif kind in (CLUSTERED, IGNORED):
        drawn = simulated.clustered_null(seed)
    else:
        drawn, shifts = simulated.offset_null(seed)
    evidence = drawn.evidence(clustered=kind != IGNORED)
    found = global_test(
        evidence, permutations=permutations, replicate_shifts=shifts[: REPLICATES[kind]] if kind in REPLICATES else None
    )
    assert found is not None
    return {kind: found.p_value <= LEVEL}


CLUSTERED, IGNORED = "clusters of ICC .7", "the same, clusters not told"
REPLICATES = {"offset of a capture, 5 re-captures": 5, "offset of a capture, 2 re-captures": 2}
BLIND = "the same, no re-captures"
NULLS = ("20 probes", "200 probes", "2,000 probes", CLUSTERED, IGNORED, *REPLICATES, BLIND)


def discovery_run(seed: int) -> Mapping[str, float]:
    """Shares of false discoveries in suites of correlated probes of which a fifth, or none, changed."""
    drawn = simulated.clustered_null(seed, 100)
    quiet = localize(drawn.evidence())
    changed = np.arange(100) % 5 == seed % 5
    rng = np.random.default_rng(seed)
    drawn.right[changed, :DRAWS] = rng.random((20, DRAWS)) < 0.9
    drawn.right[changed, DRAWS:] = rng.random((20, DRAWS)) < 0.1
    found = localize(drawn.evidence())
    out = {"any, nothing changed": float((quiet.q_values <= LEVEL).any())}
    for name, called in (("BH", found.q_values <= LEVEL), ("e-BH", e_bh(found.e_values))):
        out[f"{name}: false among discoveries"] = (called & ~changed).sum() / max(called.sum(), 1)
        out[f"{name}: found of those changed"] = float(called[changed].mean())
    return out


def look_run(seed: int) -> Called:
    """Whether any of many looks raises an alarm."""
    rng = np.random.default_rng(seed)
    drawn = rng.binomial(1, rng.beta(0.6, 0.6), (2, 2_000)).astype(float)
    suite = world(SAME, seed, 40)
    texts, scores = suite.texts(), suite.scores()
    looks = (
        draw_evidence([(a[:k], b[:k]) for a, b in texts], scores=[(a[:k], b[:k]) for a, b in scores], coupled=False)
        for k in range(1, DRAWS + 1)
    )
    return {
        "2,000 looks at one stream": bool(stream_log_e(drawn[1] - drawn[0]).max() >= np.log(1 / LEVEL)),
        "8 looks at a suite of 40 probes": any(sequential_evidence(e).p_value <= LEVEL for e in looks),
    }


def interval_run(probes: int, seed: int) -> Called:
    """Whether the interval of a suite's mean difference covers the truth."""
    rng = np.random.default_rng([probes, seed])
    rates = rng.beta(0.6, 0.6, probes)
    after = np.where(rng.random(probes) < 0.1, 0, rates)
    a, b = rng.binomial(8, rates) / 8, rng.binomial(8, after) / 8
    low, high = paired_difference(a, b).ci
    flips = (rng.random(probes) < 0.03).astype(float)
    own = paired_difference(np.zeros(probes), flips).ci
    name = f"{probes:,} probes"
    return {f"{name}, 8 draws": low <= -0.05 <= high, f"{name}, 3 % flips": own[0] <= 0.03 <= own[1]}


def averages(pool: ProcessPoolExecutor, run: Callable[[int], Mapping[str, float]], runs: int) -> dict[str, float]:
    """Mean of each figure over seeds."""
    found = list(pool.map(run, range(runs), chunksize=10))
    return {name: float(np.mean([row[name] for row in found])) for name in found[0]}


def power(pool: ProcessPoolExecutor) -> str:
    """The table of rules by kinds of change."""
    found = {change: averages(pool, partial(power_run, change), RUNS) for change in COLUMNS}
    rows = [[name, *(f"{found[change][name]:.3f}" for change in COLUMNS)] for name in found[SAME]]
    bars = [
        "*best valid rule as reported − .02*",
        *("≤ .05" if b is None else f"{b - 0.02:.3f}" for b in BARS.values()),
    ]
    return table(("rule", *COLUMNS), [*rows, bars])


def by_change(pool: ProcessPoolExecutor, run: Callable[[str, int], Called], runs: int) -> list[list[str]]:
    """Rows of shares by kind of change, each with its standard error."""
    found = {change: averages(pool, partial(run, change), runs) for change in COLUMNS}
    error = {change: {name: np.sqrt(p * (1 - p) / runs) for name, p in row.items()} for change, row in found.items()}
    return [[name, *(f"{found[c][name]:.3f} ± {error[c][name]:.3f}" for c in COLUMNS)] for name in found[SAME]]


def at_verdict(pool: ProcessPoolExecutor) -> str:
    """Power at the level of the verdict, with standard errors."""
    return table(("called changed at", *COLUMNS), by_change(pool, verdict_run, RUNS))


def added(pool: ProcessPoolExecutor) -> str:
    """False alarms of looks after each addition of draws, and the power after one."""
    found = averages(pool, added_run, GROWN)
    rows = [[name, f"{p:.3f}", f"{wilson_upper(round(p * GROWN), GROWN):.3f}"] for name, p in found.items()]
    alarms = table((f"ten looks at draws of one model ({GROWN} suites)", "ever called", "upper 95 % bound"), rows)
    power = table((f"100 probes, {GROWN // 6} suites", *COLUMNS), by_change(pool, grown_run, GROWN // 6))
    return f"{alarms}\n\n{power}"


def nulls(pool: ProcessPoolExecutor) -> str:
    """The table of worlds without change."""
    rows = []
    for kind in NULLS:
        share = averages(pool, partial(null_run, kind), PAIRS)[kind]
        rows.append([kind, f"{share:.3f}", f"{wilson_upper(round(share * PAIRS), PAIRS):.3f}"])
    return table(("one model made all draws", "called changed", "upper 95 % bound"), rows)


def plain(title: str, found: Mapping[str, float]) -> str:
    return table((title, "share"), [[name, f"{share:.3f}"] for name, share in found.items()])


def cost() -> str:
    """CPU and memory for ever more probes with answers of 40 words, all different."""
    rng = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(3_000)])
    rows = []
    for probes in (200, 500, 2_000):
        texts = [[" ".join(row) for row in words[rng.integers(3_000, size=(16, 40))]] for _ in range(probes)]
        scores = rng.integers(0, 2, (probes, 16)).astype(float).tolist()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        pairs = [(t[:8], t[8:]) for t in texts]
        evidence = draw_evidence(pairs, scores=[(s[:8], s[8:]) for s in scores])
        middle = time.process_time()
        global_test(evidence)
        tested = time.process_time()
        localize(evidence)
        done = time.process_time()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        times = (f"{1000 * t:.0f} ms" for t in (middle - start, tested - middle, done - tested))
        rows.append([f"{probes:,}", *times, f"{grown:.0f} MiB"])
    return table(("probes × 8 draws a side", "evidence", "global test", "localization", "memory above the texts"), rows)


def discoveries(pool: ProcessPoolExecutor) -> str:
    return plain("probes called changed at q ≤ .05", averages(pool, discovery_run, 200))


def many_looks(pool: ProcessPoolExecutor) -> str:
    return plain("looks", averages(pool, look_run, PAIRS))


def intervals(pool: ProcessPoolExecutor) -> str:
    covered: dict[str, float] = {}
    for probes in (5, 20, 200, 2_000):
        covered |= averages(pool, partial(interval_run, probes), 2_000)
    return plain("difference of a suite", covered)


SECTIONS: Mapping[str, tuple[str, Callable[[ProcessPoolExecutor], str]]] = {
    "cost": ("Cost", lambda _: cost()),
    "power": (f"Share of pairs called changed ({RUNS} pairs, 200 probes, 8 draws a side)", power),
    "verdict": (f"The same at the level of the verdict ({RUNS} pairs, ± standard error)", at_verdict),
    "nulls": (f"False alarms ({PAIRS} pairs each)", nulls),
    "discoveries": ("False discoveries among correlated probes (200 suites)", discoveries),
    "looks": ("False alarms over many looks", many_looks),
    "added": ("Draws added after a look", added),
    "intervals": ("Coverage of nominal 95 % intervals (2,000 suites each)", intervals),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="How often the tests of sampled answers are right and wrong.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"one of {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--workers", type=int, default=WORKERS, metavar="N", help="processes (default: %(default)s)")
    given = parser.parse_args()
    if unknown := set(given.sections) - SECTIONS.keys():
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    with ProcessPoolExecutor(given.workers) as pool:
        for name in given.sections or SECTIONS:
            title, section = SECTIONS[name]
            print(f"## {title}\n\n{section(pool)}\n", flush=True)


if __name__ == "__main__":
    main()
