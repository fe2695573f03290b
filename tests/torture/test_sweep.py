"""P1, P2 and P9 at system calls: killed, disk full, fsync failing. A sample always, all of them under `-m torture`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bvc.store.store import Store
from tests.store.build import MAIN
from tests.torture.sweep import (
    FAULTS,
    Outcome,
    after_checks,
    can_trace,
    find_points,
    judge,
    run_point,
    template,
    thinned,
)

pytestmark = pytest.mark.skipif(not can_trace(), reason="strace is missing or not allowed")

SAMPLES = {"KILL": 5, "ENOSPC": 3, "EIO": 2}


def sweep(tmp_path: Path, fault: str, samples: int | None, *, new: bool = False) -> list[Outcome]:
    """Faults in a third commit, or (`new`) in the making of a store and its first commit."""
    source = tmp_path / "source" / ".bvc" if new else template(tmp_path / "source")
    traced = tmp_path / "traced" / ".bvc" if new else template(tmp_path / "traced")
    points = find_points(traced, tmp_path / "trace", FAULTS[fault], fault)
    return [run_point(source, tmp_path / "run", point) for point in thinned(points, samples)]


@pytest.mark.parametrize("fault", FAULTS)
def test_sample_of_points(tmp_path: Path, fault: str, figures: list[str]) -> None:
    judge(sweep(tmp_path, fault, SAMPLES[fault]), fault, figures)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_point(tmp_path: Path, fault: str, figures: list[str]) -> None:
    judge(sweep(tmp_path, fault, None), fault, figures)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_point_of_a_new_store(tmp_path: Path, fault: str, figures: list[str]) -> None:
    judge(sweep(tmp_path, fault, None, new=True), f"{fault} in a new store", figures)


def test_a_lost_commit_would_be_noticed(tmp_path: Path) -> None:
    source = template(tmp_path / "source")
    with Store.open(source) as store:
        tip = str(store.refs.get(MAIN))
        shutil.copytree(source, tmp_path / "run")
        store.refs.update(MAIN, str(store.history.info(tip).parents[0]), tip, "reset", "A <a@b>", 0)
    shutil.copytree(source, tmp_path / "lost")
    assert after_checks(tmp_path / "lost", tip, tmp_path / "run")[1] == ["an acknowledged commit is lost"]
