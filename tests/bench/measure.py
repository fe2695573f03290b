"""Running commands and weighing them: CPU (user and system) and peak memory of a child, as the kernel counts them.

Commands that are compared run in turn, so that a busy machine slows all of them alike; a figure is the median of its
runs, or where a bar is stated against another command, the ratio of the two medians. Nothing here imports numpy: a
child's peak is never less than what its parent held when it started it.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BVC = str(Path(sys.executable).with_name("bvc"))
CLICK = (sys.executable, "-c", "import click")
RUNS = 9


@dataclass(frozen=True)
class Cost:
    """Seconds of CPU and of wall clock, and peak memory in MiB."""

    cpu: float
    wall: float
    peak: float


def once(command: Sequence[str]) -> Cost:
    """One run with standard output to a pipe that is read to its end. Exits when the command fails."""
    reading, writing = os.pipe()
    started = time.perf_counter()
    actions = [(os.POSIX_SPAWN_DUP2, writing, 1), (os.POSIX_SPAWN_CLOSE, reading)]
    child = os.posix_spawn(command[0], command, _environment(), file_actions=actions)
    os.close(writing)
    while os.read(reading, 1 << 16):
        pass
    os.close(reading)
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / 1024)


def weigh(commands: Mapping[str, Sequence[str]], runs: int = RUNS) -> dict[str, Cost]:
    """The median cost of each command over `runs` rounds, after one that warms the page cache."""
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            cost = once(command)
            if number:
                found[name].append(cost)
    return {name: median(costs) for name, costs in found.items()}


def median(costs: Sequence[Cost]) -> Cost:
    """Each number's median; of the peaks the largest."""
    return Cost(
        statistics.median(c.cpu for c in costs), statistics.median(c.wall for c in costs), max(c.peak for c in costs)
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its first column to the left and the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdict(value: float, bar: float) -> str:
    """How a figure stands to the bar that it must not exceed."""
    return "held" if value <= bar else f"**missed by {value / bar - 1:.0%}**"


def _environment() -> dict[str, str]:
    """One thread: CPU time of threads that wait for each other says nothing."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
