"""What looking at history costs: 1,000 commits of 200 probes, about 1 % of the answers changed in each.

    python -m tests.bench.bench_history

Prints Markdown: each command beside its bar and beside `python -c "import click"` in the same rounds, and how `log`
grows with the number of commits. The repositories are built once, in `.bench/`.
"""

from __future__ import annotations

from tests.bench.measure import BVC, CLICK, RUNS, Cost, table, verdict, weigh
from tests.bench.repositories import Shape, repository

COMMITS, PROBES = 1_000, 200
GROWTH = (100, 300, 1_000)


def commands(folder: str) -> dict[str, list[str]]:
    """The commands that have a bar."""
    bvc = [BVC, "-C", folder]
    return {
        "log -n 20": [*bvc, "log", "-n", "20"],
        "log": [*bvc, "log"],
        "diff --stat": [*bvc, "diff", "--stat"],
        "show": [*bvc, "show"],
    }


def bars(costs: dict[str, Cost]) -> str:
    """Every command beside its bar."""
    click = costs["import click"]
    rows = [_row('`python -c "import click"`', click, click, "", "")]
    ratio = costs["log -n 20"].cpu / click.cpu
    rows.append(_row("`bvc log -n 20`", costs["log -n 20"], click, "1.8 × `import click`", verdict(ratio, 1.8)))
    for name, bar in (("log", 0.5), ("diff --stat", 0.3), ("show", 0.15)):
        shown = f"`bvc {name}`" + (" (all commits)" if name == "log" else "")
        rows.append(_row(shown, costs[name], click, f"{bar:g} s", verdict(costs[name].cpu, bar)))
    return table(("", "CPU", "× `import click`", "wall", "peak memory", "bar (CPU)", ""), rows)


def _row(name: str, cost: Cost, click: Cost, bar: str, held: str) -> list[str]:
    seconds = (f"{cost.cpu * 1000:.0f} ms", f"{cost.cpu / click.cpu:.2f}", f"{cost.wall * 1000:.0f} ms")
    return [name, *seconds, f"{cost.peak:.0f} MiB", bar, held]


def growth() -> str:
    """`log` over ever longer histories."""
    rows = []
    for commits in GROWTH:
        built = repository(Shape(commits, PROBES))
        costs = weigh(commands(str(built.folder)), runs=5)
        seconds = [f"{costs[name].cpu * 1000:.0f} ms" for name in ("log -n 20", "log", "diff --stat", "show")]
        rows.append([f"{commits:,}", *seconds, f"{costs['log'].peak:.0f} MiB"])
    return table(("commits", "`log -n 20`", "`log`", "`diff --stat`", "`show`", "peak of `log`"), rows)


def main() -> None:
    folder = str(repository(Shape(COMMITS, PROBES)).folder)
    costs = weigh({"import click": list(CLICK), **commands(folder)})
    print(f"## History: {COMMITS:,} commits of {PROBES} probes, 1 % of the answers changed in each\n")
    print(f"Medians of {RUNS} interleaved runs; output into a pipe.\n")
    print(bars(costs), end="\n\n")
    print(f"Growth with the number of commits (CPU, {PROBES} probes):\n")
    print(growth())


if __name__ == "__main__":
    main()
