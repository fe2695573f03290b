"""The notes ref under the same attacks as a branch: killed, disk full, fsync failing at system calls; many at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bvc.repository.notes import CAPTURES, read_attached
from bvc.store.fsck import fsck
from bvc.store.store import Store
from tests.store.build import MAIN, add_commit, git
from tests.torture.attach_once import attach
from tests.torture.sweep import FAULTS, Outcome, can_trace, find_points, judge, run_point, template, thinned

SAMPLES = {"KILL": 5, "ENOSPC": 2, "EIO": 2}
ATTACH = ("tests.torture.attach_once", "7")
traced = pytest.mark.skipif(not can_trace(), reason="strace is missing or not allowed")


def attached_template(folder: Path) -> Path:
    """A repository with two commits, the first of which has attached captures."""
    root = template(folder)
    with Store.open(root) as store:
        attach(store, store.history.info(str(store.refs.get(MAIN))).parents[0], 3)
    return root


def check(root: Path, acknowledged: str | None, source: Path) -> tuple[bool, list[str]]:
    """Nothing acknowledged is lost, nothing is damaged, and the next one attaches."""
    failures = []
    with Store.open(source) as untouched:
        before = dict(read_attached(untouched).trees)
    with Store.open(root) as store:
        tip = store.refs.get(CAPTURES)
        log = [info.id for info in store.history.walk([str(tip)])]
        if acknowledged is not None and acknowledged not in log:
            failures.append("an acknowledged note is lost")
        found = dict(read_attached(store).trees)
        if before.items() - found.items():
            failures.append("what was attached before is lost")
        failures += [f"fsck before: {p}" for p in fsck(store).problems]
        attach(store, str(store.refs.get(MAIN)), 7)
        if read_attached(store).trees.keys() != {*before, str(store.refs.get(MAIN))}:
            failures.append("the next note is not there")
        failures += [f"fsck after: {p}" for p in fsck(store).problems]
    complaints = [line for line in git(root, "fsck", "--strict", "--full", check=False).splitlines() if line]
    failures += [f"git fsck: {line}" for line in complaints if not line.startswith("dangling")]
    return len(found) > len(before), failures


def sweep(tmp_path: Path, fault: str, samples: int | None) -> list[Outcome]:
    source, twin = attached_template(tmp_path / "source"), attached_template(tmp_path / "traced")
    points = find_points(twin, tmp_path / "trace", FAULTS[fault], fault, ATTACH)
    return [run_point(source, tmp_path / "run", point, ATTACH, check) for point in thinned(points, samples)]


@traced
@pytest.mark.parametrize("fault", FAULTS)
def test_sample_of_points(tmp_path: Path, fault: str, figures: list[str]) -> None:
    judge(sweep(tmp_path, fault, SAMPLES[fault]), f"notes, {fault}", figures)


@traced
@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_point(tmp_path: Path, fault: str, figures: list[str]) -> None:
    judge(sweep(tmp_path, fault, None), f"notes, {fault}", figures)


def test_many_attach_at_once(tmp_path: Path) -> None:
    """Processes that attach to commits of their own, all moving one ref: every acknowledged note stays."""
    root = tmp_path / ".bvc"
    with Store.create(root) as store:
        commits = [add_commit(store, f"model {n}") for n in range(12)]
    command = [sys.executable, "-m", "tests.torture.attach_once", str(root)]
    processes = [
        subprocess.Popen([*command, str(n), *commits[n::3]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    acknowledged: list[str] = []
    for process in processes:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        acknowledged += out.split()
    with Store.open(root) as store:
        assert read_attached(store).trees.keys() == set(commits)
        log = {info.id for info in store.history.walk([str(store.refs.get(CAPTURES))])}
        assert len(acknowledged) == 12 and set(acknowledged) == log
        assert fsck(store).problems == ()


def test_a_lost_note_would_be_noticed(tmp_path: Path) -> None:
    source = attached_template(tmp_path / "source")
    root = attached_template(tmp_path / "lost")
    with Store.open(root) as store:
        note = attach(store, str(store.refs.get(MAIN)), 9)
        first = store.history.info(note).parents[0]
        store.refs.update(CAPTURES, first, note, "reset", "A <a@b>", 0)
    assert "an acknowledged note is lost" in check(root, note, source)[1]
