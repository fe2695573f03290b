"""Synthetic repositories of known shape, built once and kept in `.bench/` (`make clean` removes them).

    python -m tests.bench.repositories COMMITS PROBES POSITIONS SHARE

builds one. It runs in a process of its own, so that a benchmark's own process stays small: the peak memory that the
kernel reports for a child is never less than what its parent held when it started it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import astuple, dataclass
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".bench"


@dataclass(frozen=True)
class Shape:
    """`commits` of `probes` probes with `positions` sketches each (0: texts only) and `draws`; from one commit to the
    next, `share` of the answers change."""

    commits: int
    probes: int
    positions: int = 0
    share: float = 0.01
    draws: int = 0

    @property
    def name(self) -> str:
        return f"{self.commits}x{self.probes}p{self.positions}c{self.share:g}d{self.draws}"


@dataclass(frozen=True)
class Built:
    """A repository in `folder`; `seconds` of CPU (user and system) and of wall clock its commits took in all, and those
    of its last tenth alone."""

    folder: Path
    cpu: float
    wall: float
    last_cpu: float
    last_wall: float


def repository(shape: Shape) -> Built:
    """The repository of this shape, built if it is not there yet."""
    place = CACHE / f"{shape.name}-{_version()}"
    if not (place / "built.json").exists():
        arguments = [str(value) for value in astuple(shape)]
        subprocess.run(
            [sys.executable, "-m", "tests.bench.repositories", *arguments], check=True, cwd=HERE.parent.parent
        )
    return Built(place, **json.loads((place / "built.json").read_text(encoding="utf-8")))


def changes(shape: Shape, number: int) -> dict[int, int]:
    """Which probes get which new answers in commit `number`: index to seed."""
    if number == 0:
        return {}
    count = max(1, round(shape.share * shape.probes))
    chosen = random.Random(number).sample(range(shape.probes), count)
    return {index: number * shape.probes + index for index in chosen}


def _version() -> str:
    """Changes when the makers of synthetic data do."""
    sources = (HERE / "synthetic.py", Path(__file__))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]


def _build(shape: Shape) -> None:
    from tests.bench.synthetic import History

    CACHE.mkdir(exist_ok=True)
    target = CACHE / f"{shape.name}-{_version()}"
    unfinished = CACHE / f"unfinished-{os.getpid()}"
    history = History(unfinished, shape.probes, shape.positions, shape.draws)
    started = wall, cpu = time.perf_counter(), time.process_time()
    for number in range(shape.commits):
        if number == shape.commits * 9 // 10:
            wall, cpu = time.perf_counter(), time.process_time()
        history.commit(changes(shape, number))
    history.repository.close()
    done = time.perf_counter(), time.process_time()
    took = {"wall": done[0] - started[0], "cpu": done[1] - started[1]}
    took |= {"last_wall": done[0] - wall, "last_cpu": done[1] - cpu}
    (unfinished / "built.json").write_text(json.dumps(took), encoding="utf-8")
    unfinished.rename(target)


if __name__ == "__main__":
    commits, probes, positions, share, draws = sys.argv[1:]
    _build(Shape(int(commits), int(probes), int(positions), float(share), int(draws)))
