"""How often the tests of `bvc.compare` are wrong when nothing changed, and how often they find what did.

    python -m tests.bench.bench_calibration

Prints Markdown: the power table (600 simulated pairs a column), the null worlds (500 pairs each), false discoveries,
looks, and cost. All seeded; it takes some twelve minutes of CPU.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from bvc.compare.draw_evidence import draw_evidence
from bvc.compare.equivalence import paired_difference
from bvc.compare.global_test import global_test
from bvc.compare.localize import e_bh, localize
from bvc.compare.sequential import sequential_evidence, stream_log_e
from tests.bench.measure import table
from tests.compare import rivals, simulated
from tests.compare.simulated import COLUMNS, DRAWS, SAME, wilson_upper, world

RUNS, PAIRS = 600, 500
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


def main() -> None:
    print(f"## Cost\n\n{cost()}\n", flush=True)
    with ProcessPoolExecutor(WORKERS) as pool:
        print(f"## Share of pairs called changed ({RUNS} pairs, 200 probes, 8 draws a side)\n", flush=True)
        print(power(pool), flush=True)
        print(f"\n## False alarms ({PAIRS} pairs each)\n\n{nulls(pool)}", flush=True)
        print("\n## False discoveries among correlated probes (200 suites)\n", flush=True)
        print(plain("probes called changed at q ≤ .05", averages(pool, discovery_run, 200)), flush=True)
        print(f"\n## False alarms over many looks\n\n{plain('looks', averages(pool, look_run, PAIRS))}", flush=True)
        print("\n## Coverage of nominal 95 % intervals (2,000 suites each)\n", flush=True)
        covered: dict[str, float] = {}
        for probes in (5, 20, 200, 2_000):
            covered |= averages(pool, partial(interval_run, probes), 2_000)
        print(plain("difference of a suite", covered), flush=True)


if __name__ == "__main__":
    main()
