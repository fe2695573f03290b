"""kill -9 at moments of a live bisect over real (tiny) models: `next` and `run` go on, and nothing is asked twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bvc
from tests.end_to_end.conftest import Shell
from tests.store.build import git
from tests.tiny_models import tiny_adapter, tiny_model

COMMITS, CULPRIT, PROBES = 8, 5, 6
PATIENCE = 120.0
TOML = "[recipe]\nmax_new_tokens = 8\nbatch_rows = 1\n[noise]\nrecapture = 0.0\n"
START = ("--good", f"HEAD~{COMMITS - 1}", "--bad", "HEAD", "--like-bad")


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Adapters that hardly change anything: on one base up to the culprit, from there on on another."""
    folder = tmp_path_factory.mktemp("lineage")
    bases = [tiny_model(folder / f"base{seed}", seed=seed) for seed in (1, 2)]
    return [tiny_adapter(folder / f"m{n}", bases[n >= CULPRIT], seed=n, scale=0.0005) for n in range(COMMITS)]


@pytest.fixture
def shell(tmp_path: Path, lineage: list[Path]) -> Shell:
    """The lineage, registered without a single capture."""
    made = Shell(tmp_path / "project", probes=PROBES)
    made.write("bvc.toml", TOML)
    with bvc.open(made.folder) as repo:
        for place in lineage:
            repo.commit(place, capture=False, message=place.name)
    return made


def log(shell: Shell) -> str:
    path = shell.folder / ".bvc" / "bisect" / "log"
    return path.read_text() if path.exists() else ""


def journal(shell: Shell) -> int:
    """Bytes of captures that wait to be attached."""
    found = list((shell.folder / ".bvc" / "bvc" / "tmp" / "captures").glob("*/captures.journal"))
    return max((path.stat().st_size for path in found if path.exists()), default=0)


def attached(shell: Shell) -> int:
    """Captures that were attached, one after the other."""
    return len(git(shell.folder / ".bvc", "rev-list", "refs/notes/captures", check=False).split())


def kill_when(process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        os.sched_yield()
    process.send_signal(signal.SIGKILL)
    process.communicate()


def document(shell: Shell, *arguments: str) -> dict[str, Any]:
    done = shell.run("bisect", *arguments, "--json")
    assert done.code == 0, done
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_a_killed_run_goes_on(shell: Shell) -> None:
    kill_when(shell.start("bisect", "run", *START), lambda: journal(shell) > 40_000)
    assert "bvc bisect ask " in log(shell) and "bvc bisect visit " not in log(shell)
    with bvc.open(shell.folder) as repo:
        ((_, done),) = repo.status().interrupted
        assert done > 0
    kill_when(shell.start("bisect", "run", *START), lambda: "bvc bisect visit " in log(shell))
    assert log(shell).count("bvc bisect start ") == 1, "the same command goes on"
    seen = log(shell).count("bvc bisect visit ")
    kill_when(
        shell.start("bisect", "next"),
        lambda: journal(shell) > 20_000 or log(shell).count("bvc bisect visit ") > seen,
    )
    result = document(shell, "next")
    while result["status"] == "running":
        before = attached(shell)
        result = document(shell, "next")
        assert attached(shell) <= before + 2, "one visit, or both ends at first"
    assert result["status"] == "found"
    subjects = {c["commit"]: c["subject"] for c in result["candidates"]}
    assert subjects[result["first_bad"]] == f"m{CULPRIT}"
    visited = {seen["commit"] for seen in result["observations"]}
    assert attached(shell) == result["loads"] == len(visited) < COMMITS
    with bvc.open(shell.folder) as repo:
        assert repo.status().interrupted == ()
        assert repo.fsck().ok
        assert sum(
            e.commit.snapshot is not None and e.commit.snapshot.capability is not None for e in repo.log()
        ) == len(visited)


def test_one_process_at_a_time_and_ctrl_c(shell: Shell) -> None:
    process = shell.start("bisect", "run", *START)
    limit = time.monotonic() + PATIENCE
    while journal(shell) < 20_000 and process.poll() is None:
        assert time.monotonic() < limit
        os.sched_yield()
    assert "a bisect is running" in shell.refuse(15, "bisect", "next")
    assert shell.run("bisect", "view").code == 0, "looking is allowed"
    process.send_signal(signal.SIGINT)
    err = process.communicate()[1]
    if process.returncode == 0:  # it had come to its end
        return
    assert process.returncode == 130
    assert "error: interrupted" in err and "`bvc bisect run` goes on" in err
    assert "Traceback" not in err
