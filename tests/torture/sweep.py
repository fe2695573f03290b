"""Kills and starves a program (`commit_once`) at each of its file-changing system calls, and checks what is left.

Points are found by tracing one undisturbed run: every call that changes a file below the repository, by its number
among the calls of its kind. Then each point is a run of its own on a fresh copy, with one fault injected there.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bvc.store.fsck import fsck
from bvc.store.store import Store
from tests.store.build import MAIN, add_commit, array, git

CHANGING = (
    *("write", "writev", "pwrite64", "fsync", "fdatasync", "rename", "link", "unlink", "mkdir", "rmdir"),
    *("ftruncate", "fallocate", "openat", "unlinkat", "flock"),
)
FULL_DISK = ("write", "writev", "pwrite64", "mkdir", "link", "openat", "rename", "fallocate")
SYNCS = ("fsync", "fdatasync")
FAULTS = {"KILL": CHANGING, "ENOSPC": FULL_DISK, "EIO": SYNCS}
COMMIT_ONCE = ("tests.torture.commit_once", "swept", "7")
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")
_TIMEOUT = 120


@dataclass(frozen=True)
class Point:
    """One place for a fault: the `number`-th call of the kind `call`."""

    call: str
    number: int
    fault: str

    def __str__(self) -> str:
        return f"{self.fault} at {self.call} {self.number}"


@dataclass(frozen=True)
class Outcome:
    """What one run led to: whether the commit was acknowledged, whether it is there, and what is wrong."""

    point: Point
    acknowledged: bool
    recorded: bool
    failures: tuple[str, ...]


def can_trace() -> bool:
    """Whether strace is here and allowed to work."""
    strace = shutil.which("strace")
    return strace is not None and subprocess.run([strace, "-qq", "-o/dev/null", "true"], check=False).returncode == 0


def template(folder: Path) -> Path:
    """A repository with two acknowledged commits; returns its `.bvc`."""
    root = folder / ".bvc"
    with Store.create(root) as store:
        for number in range(2):
            add_commit(store, f"base-{number}", {"a": f"text {number}"}, [array(number)])
    return root


def find_points(
    root: Path, trace: Path, calls: tuple[str, ...], fault: str, program: Sequence[str] = COMMIT_ONCE
) -> list[Point]:
    """Where a run of `program` changes files below `root`."""
    _strace(root, program, ["-y", "-o", str(trace), "-e", f"trace={','.join(CHANGING)}"])
    seen: Counter[str] = Counter()
    points = []
    for line in trace.read_text(errors="replace").splitlines():
        found = _CALL.match(line)
        if found is None:
            continue
        call, rest = found.groups()
        seen[call] += 1
        if call in calls and str(root) in rest and (call != "openat" or "O_CREAT" in rest):
            points.append(Point(call, seen[call], fault))
    return points


def run_point(
    source: Path,
    folder: Path,
    point: Point,
    program: Sequence[str] = COMMIT_ONCE,
    check: Callable[[Path, str | None, Path], tuple[bool, list[str]]] | None = None,
) -> Outcome:
    """One faulty run on a copy of `source`, and everything that must hold after it (`check`, else `after_checks`)."""
    root = folder / ".bvc"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if source.exists():
        shutil.copytree(source, root)
    inject = "signal=KILL" if point.fault == "KILL" else f"error={point.fault}"
    expression = f"inject={point.call}:{inject}:when={point.number}"
    done = _strace(root, program, ["-o", "/dev/null", "-e", f"trace={point.call}", "-e", expression])
    acknowledged = re.fullmatch(r"[0-9a-f]{40}\n", done.stdout)
    failures = list(_bad_exit(point, done))
    found = None if acknowledged is None else acknowledged[0].strip()
    recorded, problems = (check or after_checks)(root, found, source)
    return Outcome(point, acknowledged is not None, recorded, (*failures, *problems))


def _strace(root: Path, program: Sequence[str], options: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", program[0], str(root), *program[1:]]
    return subprocess.run(
        ["strace", "-f", "-qq", *options, *command], capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )


def _bad_exit(point: Point, done: subprocess.CompletedProcess[str]) -> Iterator[str]:
    """A fault of the disk must end in success or in one clear error, never in a traceback."""
    if point.fault == "KILL":
        return
    if "Traceback" in done.stderr:
        yield f"a traceback: {done.stderr.splitlines()[-1]}"
    elif done.returncode not in (0, 10, 15):
        yield f"exit code {done.returncode}: {done.stderr.strip()}"


def after_checks(root: Path, acknowledged: str | None, source: Path) -> tuple[bool, list[str]]:
    """Nothing acknowledged is lost, nothing blocks the next commit, nothing is damaged. Returns whether the commit that
    was disturbed is there, and what does not hold."""
    failures = []
    before = _acknowledged_before(source)
    with Store.create(root) as store:
        tip = store.refs.head().commit
        found = [info.id for info in store.history.walk([tip])] if tip else []
        if {*before, *([acknowledged] if acknowledged else [])} - set(found):
            failures.append("an acknowledged commit is lost")
        failures += [f"fsck before: {p}" for p in fsck(store).problems]
        following = add_commit(store, "after", {"probe-0": "answer 0 of swept"}, [array(7), array(9)])
        found_after = [info.id for info in store.history.walk([following])]
        if found_after[1:] != found:
            failures.append("the next commit does not follow the ones before")
        failures += [f"fsck after: {p}" for p in fsck(store).problems]
    complaints = [line for line in git(root, "fsck", "--strict", "--full", check=False).splitlines() if line]
    failures += [f"git fsck: {line}" for line in complaints if not line.startswith("dangling")]
    return len(found) > len(before), failures


def _acknowledged_before(source: Path) -> list[str]:
    if not source.exists():
        return []
    with Store.open(source) as untouched:
        return [info.id for info in untouched.history.walk([str(untouched.refs.get(MAIN))])]


def thinned(points: Sequence[Point], samples: int | None) -> Sequence[Point]:
    """About `samples` points, evenly spread; all without."""
    assert len(points) >= 10, "the trace shows too few calls"
    step = 1 if samples is None else max(1, len(points) // samples)
    return points[step // 2 :: step]


def judge(outcomes: Sequence[Outcome], what: str, figures: list[str]) -> None:
    """Adds a line of figures that begins with `what`, and fails where something does not hold after a fault."""
    kinds = Counter((o.acknowledged, o.recorded) for o in outcomes)
    failures = [f"{o.point}: {f}" for o in outcomes for f in o.failures]
    figures.append(
        f"{what}: {len(outcomes)} points, {kinds[(True, True)]} acknowledged, "
        f"{kinds[(False, True)]} recorded but not acknowledged, {kinds[(False, False)]} without effect, "
        f"{len(failures)} failures"
    )
    assert not failures, "\n".join(failures)
    assert not kinds[(True, False)]
