"""P1, P2 and P9 at system calls: killed, disk full, fsync failing. A sample always, all of them under `-m torture`."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from bvc.store.store import Store
from tests.store.build import MAIN
from tests.torture.sweep import (
    CHANGING,
    FULL_DISK,
    SYNCS,
    Outcome,
    after_checks,
    can_trace,
    find_points,
    run_point,
    template,
)

pytestmark = pytest.mark.skipif(not can_trace(), reason="strace is missing or not allowed")

FAULTS = {"KILL": CHANGING, "ENOSPC": FULL_DISK, "EIO": SYNCS}
SAMPLES = {"KILL": 5, "ENOSPC": 3, "EIO": 2}


def sweep(tmp_path: Path, fault: str, samples: int | None, *, new: bool = False) -> list[Outcome]:
    """Faults in a third commit, or (`new`) in the making of a store and its first commit."""
    source = tmp_path / "source" / ".bvc" if new else template(tmp_path / "source")
    traced = tmp_path / "traced" / ".bvc" if new else template(tmp_path / "traced")
    points = find_points(traced, tmp_path / "trace", FAULTS[fault], fault)
    assert len(points) >= 10, "the trace shows too few calls"
    step = 1 if samples is None else max(1, len(points) // samples)
    return [run_point(source, tmp_path / "run", point) for point in points[step // 2 :: step]]


def judge(outcomes: list[Outcome], fault: str, figures: list[str]) -> None:
    kinds = Counter((o.acknowledged, o.recorded) for o in outcomes)
    failures = [f"{o.point}: {f}" for o in outcomes for f in o.failures]
    figures.append(
        f"{fault}: {len(outcomes)} points, {kinds[(True, True)]} acknowledged, "
        f"{kinds[(False, True)]} recorded but not acknowledged, {kinds[(False, False)]} without effect, "
        f"{len(failures)} failures"
    )
    assert not failures, "\n".join(failures)
    assert not kinds[(True, False)]


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
