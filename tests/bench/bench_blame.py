"""What blame and the history of a behavior cost: 1,000 commits of 1,000 probes, 1 % of the answers changed in each.

    python -m tests.bench.bench_blame

Prints Markdown: each command for the first time, when all that is derived from answers has to be made, and again,
beside its bar. The repository is built once, in `.bench/`; it is copied, so that the first time is one.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.bench.measure import BVC, CLICK, RUNS, Cost, once, table, verdict, weigh
from tests.bench.repositories import Shape, repository

COMMITS, PROBES = 1_000, 1_000
BAR = 0.3
"""Seconds of wall clock from the second time on."""
BEHAVIOR = '\n[behavior.clear]\ndescription = "says clear"\ncontains = "clear"\n'


def commands(folder: Path) -> dict[str, list[str]]:
    """The commands that are timed, each of which finds nothing of another's work."""
    bvc = [BVC, "-C", str(folder)]
    return {
        "blame --behavior clear": [*bvc, "blame", "--quiet", "--behavior", "clear"],
        "blame --all": [*bvc, "blame", "--quiet", "--all"],
        "log --behavior clear": [*bvc, "log", "--quiet", "--behavior", "clear"],
    }


def first_time(built: Path) -> dict[str, Cost]:
    """Each command in a copy of its own."""
    found: dict[str, Cost] = {}
    for name in commands(built):
        with tempfile.TemporaryDirectory() as place:
            found[name] = once(commands(copied(built, Path(place)))[name])
    return found


def copied(built: Path, place: Path) -> Path:
    """A copy of the repository with a behavior to look for."""
    folder = place / "copy"
    shutil.copytree(built, folder)
    with (folder / "behaviors.toml").open("a", encoding="utf-8") as file:
        file.write(BEHAVIOR)
    return folder


def main() -> None:
    built = repository(Shape(COMMITS, PROBES)).folder
    first = first_time(built)
    with tempfile.TemporaryDirectory() as place:
        again = weigh({"import click": list(CLICK), **commands(copied(built, Path(place)))})
    rows = [
        [
            f"`bvc {name}`",
            f"{cost.wall:.1f} s",
            f"{cost.cpu:.1f} s",
            f"{cost.peak:.0f} MiB",
            f"{again[name].wall * 1000:.0f} ms",
            f"{again[name].cpu * 1000:.0f} ms",
            verdict(again[name].wall, BAR),
        ]
        for name, cost in first.items()
    ]
    print(f"## Blame: {COMMITS:,} commits of {PROBES:,} probes, 1 % of the answers changed in each\n")
    print(f"First in a fresh copy, once; then the medians of {RUNS} interleaved runs; output into a pipe.\n")
    head = ("", "first: wall", "CPU", "peak memory", "again: wall", "CPU", f"bar {BAR:g} s (wall)")
    print(table(head, rows), end="\n\n")
    print(f'`python -c "import click"` took {again["import click"].wall * 1000:.0f} ms in the same rounds.')


if __name__ == "__main__":
    main()
