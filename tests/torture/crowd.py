"""Writers and readers as processes, for the tests of concurrency."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

from bvc.store.fsck import fsck
from bvc.store.store import Store
from tests.store.build import MAIN, git

_ACKNOWLEDGED = re.compile(r"^[0-9a-f]{40}$", re.MULTILINE)


def start_writer(root: Path, name: str, count: int) -> subprocess.Popen[str]:
    """A process that commits `count` times."""
    command = [sys.executable, "-m", "tests.torture.writer", str(root), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_reader(root: Path) -> subprocess.Popen[str]:
    """A process that reads and verifies until its input is closed."""
    command = [sys.executable, "-m", "tests.torture.reader", str(root)]
    pipes = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipes, stdout=pipes, stderr=pipes, text=True)


def end_writer(writer: subprocess.Popen[str]) -> list[str]:
    """Waits for a writer to end by itself; its acknowledged commits."""
    out, errors = writer.communicate(timeout=300)
    assert writer.returncode == 0, errors
    return acknowledged(out)


def end_reader(reader: subprocess.Popen[str]) -> int:
    """Lets a reader end; how often it went through."""
    out, errors = reader.communicate("", timeout=300)
    assert reader.returncode == 0, errors
    return int(out)


def kill_after(writer: subprocess.Popen[str], seconds: float) -> list[str]:
    """Kills a writer after a while; the commits that it had acknowledged by then."""
    try:
        out, errors = writer.communicate(timeout=seconds)
        assert writer.returncode == 0, errors
    except subprocess.TimeoutExpired:
        writer.kill()
        out, _ = writer.communicate()
    return acknowledged(out)


def acknowledged(out: str) -> list[str]:
    """The ids of whole lines."""
    return _ACKNOWLEDGED.findall(out)


def soak(root: Path, kills: int, seed: int) -> tuple[int, int, int]:
    """Four writers, killed at random and replaced, beside two readers; returns counts of acknowledged commits, of kills
    and of the readers' rounds, after checking that nothing acknowledged was lost."""
    generator = random.Random(seed)
    readers = [start_reader(root) for _ in range(2)]
    writers = [start_writer(root, f"w{n}", 10_000) for n in range(4)]
    found: list[str] = []
    for number in range(kills):
        slot = generator.randrange(4)
        found += kill_after(writers[slot], generator.uniform(0.2, 1.5))
        writers[slot] = start_writer(root, f"w{slot}-{number}", 10_000)
    for writer in writers:
        found += kill_after(writer, 0.1)
    rounds = sum(end_reader(reader) for reader in readers)
    check_all_reachable(root, found)
    return len(found), kills + 4, rounds


def check_all_reachable(root: Path, commits: list[str]) -> None:
    """Every acknowledged commit is in the branch's history, nothing is damaged, and the next commit works."""
    assert len(set(commits)) == len(commits)
    follower = end_writer(start_writer(root, "after", 1))
    with Store.open(root) as store:
        history = [info.id for info in store.history.walk([str(store.refs.get(MAIN))])]
        assert set(commits) <= set(history)
        assert history[0] == follower[0]
        assert fsck(store).problems == ()
    complaints = git(root, "fsck", "--strict", "--full").splitlines()
    assert [line for line in complaints if not line.startswith("dangling")] == []
