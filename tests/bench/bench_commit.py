"""What commits cost: bytes on disk, time as history grows, and a checkpoint that was captured before.

    python -m tests.bench.bench_commit

Prints Markdown. Disk: synthetic commits with 1 % (and all) of the answers changed, beside the files a user would keep
of each checkpoint. The checkpoint is a tiny real model (4 blocks of width 32) with 1,000 probes, committed through the
command line; what is weighed is committing it again, and once more after ten probes were added.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.measure import BVC, CLICK, Cost, median, once, table, verdict
from tests.bench.plain_files import ROOT, plain_copy
from tests.bench.repositories import CACHE, Shape, repository

DISK = {
    "200 probes, texts only, 1 % changed": Shape(1_000, 200),
    "200 probes with arrays, 1 % changed": Shape(6, 200, 32),
    "200 probes with arrays, all changed": Shape(3, 200, 32, 1.0),
}
COMMITS, PROBE_COUNTS = (100, 300, 1_000), (100, 300, 1_000)
PROBES, ADDED, AGAIN = 1_000, 10, 5
CAPTURE = ("--max-new-tokens", "4", "--batch-size", "32", "--dtype", "float32", "--device", "cpu")
TINY = "import sys; from pathlib import Path; from tests.tiny_models import tiny_model; tiny_model(Path(sys.argv[1]))"
CHECK = """
import sys
from bvc.cli.program import run
code = run(sys.argv[1:])
sys.exit(code or "torch" in sys.modules or "transformers" in sys.modules)
"""
"""Fails when the command loaded a model stack."""


def disk() -> str:
    """Bytes per commit beyond the first, beside plain files."""
    rows = []
    for name, shape in DISK.items():
        one = Shape(1, shape.probes, shape.positions, shape.share)
        grown, first = repository(shape).folder, repository(one).folder
        data, index = ((_size(grown, part) - _size(first, part)) / (shape.commits - 1) for part in ("data", "index"))
        plain = plain_copy(grown, "HEAD")
        files = _bytes(plain, ".json") + _bytes(plain, ".npz")
        packed = _bytes(plain, ".json.gz") + _bytes(plain, ".npz")
        rows.append([name, _kib(data), _kib(index), _kib(files), _kib(packed), f"{data / packed:.3f}"])
    head = ("", "bvc, per commit", "and its index", ".json + .npz", ".json.gz + .npz", "bvc / .json.gz + .npz")
    return table(head, rows)


def _size(folder: Path, part: str) -> int:
    files = [path for path in (folder / ".bvc").rglob("*") if path.is_file() and path.name != "reserve"]
    return sum(path.stat().st_size for path in files if ("index" in path.parent.name) == (part == "index"))


def _bytes(plain: Path, suffix: str) -> int:
    path = plain.with_suffix(suffix)
    return path.stat().st_size if path.exists() else 0


def _kib(size: float) -> str:
    return f"{size / 1024:,.1f} KiB"


def growth() -> str:
    """CPU of one commit, the synthetic texts included, as commits and probes become more."""
    rows = []
    for commits in COMMITS:
        built = repository(Shape(commits, 200))
        rows.append(
            [
                f"the last tenth of {commits:,} commits of 200 probes",
                *_each(built.last_cpu, built.last_wall, commits // 10),
            ]
        )
    for probes in PROBE_COUNTS:
        built = repository(Shape(20, probes))
        rows.append([f"the last tenth of 20 commits of {probes:,} probes", *_each(built.last_cpu, built.last_wall, 2)])
    return table(("", "CPU per commit", "wall per commit"), rows)


def _each(cpu: float, wall: float, count: int) -> list[str]:
    return [f"{cpu / count * 1000:.0f} ms", f"{wall / count * 1000:.0f} ms"]


def again() -> str:
    """A checkpoint that was captured before, and once more with ten probes added."""
    folder = _project()
    commit = ["-C", str(folder), "commit", str(folder / "model"), *CAPTURE]
    first = once([BVC, *commit])
    repeat = median([once([sys.executable, "-c", CHECK, *commit]) for _ in range(AGAIN)])
    _write_suite(folder, PROBES + ADDED)
    more = json.loads(subprocess.run([BVC, *commit, "--json"], check=True, capture_output=True, text=True).stdout)
    click = once(CLICK)
    rows = [
        ['`python -c "import click"`', *_cost(click), "", ""],
        [f"first commit, {PROBES:,} probes", *_cost(first), "", ""],
        ["the same checkpoint again", *_cost(repeat), "1 s, no torch", verdict(repeat.cpu, 1.0)],
    ]
    lines = table(("", "CPU", "wall", "peak memory", "bar (CPU)", ""), rows)
    return f"{lines}\n\n{ADDED} probes added: {more['captured']} run, {more['reused']:,} taken from the earlier commit."


def _cost(cost: Cost) -> list[str]:
    return [f"{cost.cpu:.2f} s", f"{cost.wall:.2f} s", f"{cost.peak:.0f} MiB"]


def _project() -> Path:
    """A new project with a tiny model and a suite of 1,000 probes."""
    folder = CACHE / "again"
    shutil.rmtree(folder, ignore_errors=True)
    CACHE.mkdir(exist_ok=True)
    subprocess.run([BVC, "-C", str(CACHE), "init", "again"], check=True, capture_output=True)
    (folder / "probes" / "starter.jsonl").unlink()
    make = [sys.executable, "-c", TINY, str(folder / "model")]
    subprocess.run(make, check=True, capture_output=True, cwd=ROOT)
    _write_suite(folder, PROBES)
    return folder


def _write_suite(folder: Path, count: int) -> None:
    lines = [json.dumps({"prompt": f"What is the capital of country {i}?"}) for i in range(count)]
    (folder / "probes" / "bench.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    print("## Commits\n\nBytes on disk per commit (index: LMDB, can be rebuilt):\n")
    print(disk(), end="\n\n")
    print("Synthetic commits, as history and suite grow:\n")
    print(growth(), end="\n\n")
    print(f"A checkpoint that was captured before (tiny model, {PROBES:,} probes):\n")
    print(again(), flush=True)


if __name__ == "__main__":
    main()
