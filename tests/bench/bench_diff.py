"""What a diff costs with all channels: every probe's texts, eight draws, log-prob sketches and activations changed.

    python -m tests.bench.bench_diff

Prints Markdown: the diff of 2,000 probes beside its bar and beside a script that only loads the same numbers and texts
from `.npz` and JSON files in the same rounds, then how time and memory grow with the number of probes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bench.measure import BVC, CLICK, RUNS, Cost, table, verdict, weigh
from tests.bench.plain_files import plain_copy
from tests.bench.repositories import Shape, repository

PROBES, POSITIONS, DRAWS = 2_000, 32, 8
GROWTH = (250, 500, 1_000, 2_000)
LOAD = """
import json, sys
import numpy as np
for name in sys.argv[1:]:
    json.load(open(name + ".json"))
    with np.load(name + ".npz") as arrays:
        for key in arrays.files:
            arrays[key].sum()
"""
"""The least that any comparison of kept files does."""


def shape(probes: int) -> Shape:
    """Two commits between which everything changes."""
    return Shape(2, probes, POSITIONS, 1.0, DRAWS)


def commands(folder: Path) -> dict[str, list[str]]:
    """The diff in its forms."""
    bvc = [BVC, "-C", str(folder)]
    return {
        "diff": [*bvc, "diff"],
        "diff --json": [*bvc, "diff", "--json"],
        "text": [*bvc, "diff", "--channel", "text"],
    }


def bars() -> str:
    """The diff of 2,000 probes beside its bars."""
    built = repository(shape(PROBES))
    names = [str(plain_copy(built.folder, revision)) for revision in ("HEAD~1", "HEAD")]
    load = {"load": [sys.executable, "-c", LOAD, *names], "numpy": [sys.executable, "-c", "import numpy"]}
    costs = weigh({"click": list(CLICK), **load, **commands(built.folder)})
    rows = [
        _row('`python -c "import numpy"`', costs["numpy"], costs["load"]),
        _row("script that loads both snapshots from .npz and .json", costs["load"], costs["load"]),
        [*_row("`bvc diff`", costs["diff"], costs["load"])[:-2], "2 s", verdict(costs["diff"].wall, 2.0)],
        _row("`bvc diff --json`", costs["diff --json"], costs["load"]),
        _row("`bvc diff --channel text`", costs["text"], costs["load"]),
    ]
    return table(("", "CPU", "× loading script", "wall", "peak memory", "bar (wall)", ""), rows)


def _row(name: str, cost: Cost, load: Cost) -> list[str]:
    seconds = (f"{cost.cpu * 1000:.0f} ms", f"{cost.cpu / load.cpu:.2f}", f"{cost.wall * 1000:.0f} ms")
    return [name, *seconds, f"{cost.peak:.0f} MiB", "", ""]


def growth() -> str:
    """Time and memory for ever more probes."""
    rows = []
    for probes in GROWTH:
        costs = weigh(commands(repository(shape(probes)).folder), runs=5)
        cells = [f"{costs[name].cpu * 1000:.0f} ms" for name in ("diff", "text")]
        rows.append([f"{probes:,}", *cells, *(f"{costs[name].peak:.0f} MiB" for name in ("diff", "text"))])
    return table(("probes", "`diff`", "`diff --channel text`", "peak of `diff`", "peak of `--channel text`"), rows)


def main() -> None:
    print(f"## Diff: {PROBES:,} probes with arrays, all changed\n")
    print(
        f"{POSITIONS} positions, {DRAWS} draws and eight activation vectors a probe; scores of behaviors are known.\n"
        f"Medians of {RUNS} interleaved runs.\n"
    )
    print(bars(), end="\n\n")
    print("Growth with the number of probes (CPU):\n")
    print(growth(), flush=True)


if __name__ == "__main__":
    main()
