"""Searching a history: `bvc grep` and `bvc log -S`, first (building the index) and again, beside Git's own.

    python -m tests.bench.bench_search [PROBES]...

Prints Markdown for 1,000 commits of 200 and of 1,000 probes. The repositories are built once, in `.bench/`, and copied:
the first search of a copy builds what later ones use.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.measure import BVC, Cost, once, table, verdict, weigh
from tests.bench.repositories import Shape, changes, repository

HERE = Path(__file__).parents[2]
COMMITS, SIZES = 1_000, (200, 1_000)
RUNS = 5
BAR = 0.3
"""Seconds of CPU that a search for something rare may take, once the index is there."""
COMMON = "the"


def rare_text(shape: Shape) -> str:
    """Seven words that an answer of the middle commit begins with; made in another process, which loads numpy."""
    seed = next(iter(changes(shape, shape.commits // 2).values()))
    code = f"from tests.bench.synthetic import text; print(text({seed}))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HERE)
    return " ".join(made.stdout.split(" ")[:7])


def searches(folder: Path, rare: str) -> dict[str, list[str]]:
    """The commands that are timed once the index is there."""
    bvc = [BVC, "-C", str(folder)]
    return {
        "grep RARE": [*bvc, "grep", rare],
        "grep -i RARE": [*bvc, "grep", "-i", rare.upper()],
        "grep -F RARE": [*bvc, "grep", "-F", rare],
        "grep REGEX (no words)": [*bvc, "grep", "-c", "^[ab].*t$"],
        "grep -c COMMON": [*bvc, "grep", "-c", COMMON],
        "grep COMMON": [*bvc, "grep", COMMON],
        "log -S RARE": [*bvc, "log", "--oneline", "-S", rare],
        "log -G RARE": [*bvc, "log", "--oneline", "-G", rare],
        "log -S COMMON": [*bvc, "log", "--oneline", "-S", COMMON],
    }


def rivals(folder: Path, rare: str) -> dict[str, list[str]]:
    """What plain Git does on the same objects."""
    git = [str(shutil.which("git")), "--git-dir", str(folder / ".bvc")]
    commits = subprocess.run([*git, "rev-list", "HEAD"], capture_output=True, text=True, check=True).stdout.split()
    return {
        "log -S RARE": [*git, "log", "--oneline", "-S", rare, "--", "outputs"],
        "grep -F RARE": [*git, "grep", "-lF", rare, *commits, "--", "outputs"],
    }


def index_sizes(folder: Path) -> tuple[int, int, int]:
    """Bytes of the rows of posting lists with texts, and of changes, and of the index file."""
    import bvc
    from bvc.store.changes import CHANGES
    from bvc.store.postings import POSTINGS

    with bvc.open(folder) as repo:
        scan = repo.repository.store.index.environment.scan
        postings, changed = (sum(len(k) + len(v) for k, v in scan(prefix)) for prefix in (POSTINGS, CHANGES))
    return postings, changed, (folder / ".bvc" / "bvc" / "index" / "data.mdb").stat().st_size


def row(name: str, cost: Cost, rival: Cost | None, held: str) -> list[str]:
    ratio = "" if rival is None else f"{rival.cpu / cost.cpu:,.0f} × less"
    git = "" if rival is None else f"{rival.cpu:.2f} s"
    return [f"`{name}`", f"{cost.cpu:.2f} s", f"{cost.wall:.2f} s", f"{cost.peak:.0f} MiB", git, ratio, held]


def measure(probes: int) -> None:
    shape = Shape(COMMITS, probes)
    rare = rare_text(shape)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "copy"
        shutil.copytree(repository(shape).folder, folder)
        before = (folder / ".bvc" / "bvc" / "index" / "data.mdb").stat().st_size
        first = once([BVC, "-C", str(folder), "grep", "-F", rare])
        costs = weigh(searches(folder, rare), runs=RUNS)
        git = {name: once(command) for name, command in rivals(folder, rare).items()}
        postings, changed, after = index_sizes(folder)
    print(f"## {COMMITS:,} commits of {probes:,} probes, 1 % of the answers changed in each\n")
    rows = [row("grep RARE", first, None, "first call")]
    for name, cost in costs.items():
        bar = verdict(cost.cpu, BAR) if "RARE" in name else ""
        rows.append(row(name, cost, git.get(name), bar))
    print(table(("", "CPU", "wall", "peak memory", "Git", "", f"bar {BAR:g} s"), rows), end="\n\n")
    print(
        f"Index: {postings / COMMITS:,.0f} bytes a commit for texts and posting lists, {changed / COMMITS:,.0f} for "
        f"changes; the file grew from {before / 2**20:.1f} to {after / 2**20:.1f} MiB.\n"
    )


def main(arguments: Sequence[str]) -> None:
    for probes in map(int, arguments or map(str, SIZES)):
        measure(probes)


if __name__ == "__main__":
    main(sys.argv[1:])
