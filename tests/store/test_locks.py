"""Locks between processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bvc.errors import Locked
from bvc.store.locks import FileLock, holder, try_folder

HOLD = """
import sys
from pathlib import Path
from bvc.store.locks import FileLock
with FileLock(Path(sys.argv[1]), "it", shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_holder(path: Path, kind: str = "exclusive") -> Iterator[int]:
    """A process that holds the lock; yields its id."""
    command = [sys.executable, "-c", HOLD, str(path), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.kill()


def test_a_held_lock_is_refused_with_who_holds_it(tmp_path: Path) -> None:
    with another_holder(tmp_path / "lock") as pid:
        with pytest.raises(Locked, match=f"the thing is locked by process {pid} \\(python") as refused:
            FileLock(tmp_path / "lock", "the thing", timeout=0.0).acquire()
        assert refused.value.code == 15


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with another_holder(tmp_path / "lock") as pid:
        os.kill(pid, signal.SIGKILL)
        with FileLock(tmp_path / "lock", "it", timeout=10.0):
            assert holder(tmp_path / "lock") is not None
    assert holder(tmp_path / "lock") is None


def test_shared_locks_stand_side_by_side_and_keep_exclusive_ones_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with another_holder(path, "shared"):
        with FileLock(path, "it", shared=True, timeout=0.0):
            pass
        with pytest.raises(Locked):
            FileLock(path, "it", timeout=0.0).acquire()


def test_waiting_ends_when_the_lock_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with another_holder(path) as pid:
        os.kill(pid, signal.SIGTERM)
        with FileLock(path, "it", timeout=30.0):
            assert str(os.getpid()) in str(holder(path))


def test_a_folder_is_taken_once(tmp_path: Path) -> None:
    first = try_folder(tmp_path)
    assert first is not None
    assert try_folder(tmp_path) is None
    os.close(first)
    again = try_folder(tmp_path)
    assert again is not None
    os.close(again)
    assert try_folder(tmp_path / "none") is None
