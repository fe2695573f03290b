"""Bisecting a lineage of registered checkpoints: only those visited are captured, and nothing is asked twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bvc.api.bisect import Bisection
from bvc.api.bisect_settings import BisectSettings
from bvc.bisection import BisectResult, BisectStatus
from bvc.errors import BadInput, BvcError, EngineError
from bvc.repository.notes import CAPTURES
from tests.api.bisect_worlds import LineScript, by_behavior, line_script, registered
from tests.api.doubles import Project

COMMITS, CULPRIT = 16, 11


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """m0 … m15, none captured; salt water from m11 on."""
    return registered(tmp_path / "project", COMMITS, CULPRIT)


def bisection(project: Project) -> Bisection:
    return project.repo.bisection(engine=project.script.choice)


def culprit(project: Project, result: BisectResult) -> str | None:
    found = result.first_bad
    return None if found is None else project.repo.show(found.id).commit.subject.split()[-1]


def model_of(result: BisectResult) -> str:
    assert result.first_bad is not None and result.first_bad.snapshot is not None
    return result.first_bad.snapshot.model.name


def captured(project: Project) -> list[str]:
    """The models of commits that hold captures now."""
    snapshots = [entry.commit.snapshot for entry in project.repo.log()]
    return [s.model.name for s in snapshots if s is not None and s.capability is not None]


def asked_twice(script: LineScript) -> list[object]:
    """What a model was asked more than once."""
    return [what for what, count in Counter([*script.ran_by, *script.asked]).items() if count > 1]


def test_only_visited_commits_are_captured(project: Project) -> None:
    result = bisection(project).run_between("HEAD", [f"HEAD~{COMMITS - 1}"], by_behavior())
    assert (result.status, model_of(result)) == (BisectStatus.FOUND, f"m{CULPRIT}")
    visited = {visit.commit.snapshot.model.name for visit in result.observations if visit.commit.snapshot is not None}
    assert set(captured(project)) == visited and 4 <= len(visited) < COMMITS // 2
    assert {visit.source for visit in result.observations} == {"live"}
    assert result.loads == line_script(project).opened == line_script(project).closed
    assert result.draws == sum(visit.draws for visit in result.observations)
    assert asked_twice(line_script(project)) == []
    assert project.repo.repository.store.refs.get(CAPTURES) is not None
    assert project.repo.diff("HEAD~15", "HEAD").summary.probes == 6, "other commands see the captures"
    assert project.repo.fsck().ok


def test_a_second_bisect_uses_what_the_first_captured(project: Project) -> None:
    first = bisection(project).run_between("HEAD", ["HEAD~15"], by_behavior())
    opened = line_script(project).opened
    again = bisection(project).run_between("HEAD", ["HEAD~14"], by_behavior())
    assert model_of(again) == model_of(first)
    assert line_script(project).opened - opened < first.loads / 2
    assert "stored" in {visit.source for visit in again.observations}


def test_next_makes_one_visit(project: Project) -> None:
    start = bisection(project).start("HEAD", ["HEAD~15"], by_behavior())
    assert (start.loads, line_script(project).opened, captured(project)) == (0, 0, [])
    assert start.next is not None and start.settings["bad"] == project.repo.rev_parse("HEAD")
    for visits in range(1, 30):
        result = bisection(project).next()
        assert (result.loads, line_script(project).opened) == (visits, visits)
        if result.status is not BisectStatus.RUNNING:
            break
    assert model_of(result) == f"m{CULPRIT}"
    settled = bisection(project).next()
    assert (settled.loads, line_script(project).opened) == (visits, visits), "there is nothing left to ask"


@pytest.mark.parametrize("batches", range(1, 12))
def test_a_run_that_is_interrupted_anywhere_goes_on(batches: int, project: Project) -> None:
    script = line_script(project)
    script.stop_after = batches
    for _ in range(40):
        try:
            result = bisection(project).run_between("HEAD", ["HEAD~15"], by_behavior())
            break
        except KeyboardInterrupt:
            script.stop_after = batches + len(script.batches)
    assert model_of(result) == f"m{CULPRIT}"
    assert asked_twice(script) == []
    assert len({v.commit.id for v in result.observations}) == len(captured(project))


def test_captures_attached_just_before_a_kill_count_as_a_visit(project: Project) -> None:
    """The process dies between attaching and noting it."""
    bisection(project).start("HEAD", ["HEAD~15"], by_behavior())
    bisection(project).next()
    path = project.folder / ".bvc" / "bisect" / "log"
    lines = path.read_text().splitlines(keepends=True)
    assert lines[-1].startswith("bvc bisect visit ")
    path.write_text("".join(lines[:-2]))
    opened = line_script(project).opened
    result = bisection(project).next()
    assert (line_script(project).opened, result.loads) == (opened + 1, 2)
    assert path.read_text().count("bvc bisect visit ") == 2
    assert asked_twice(line_script(project)) == []


def test_an_undone_visit_does_not_count(project: Project) -> None:
    bisection(project).start("HEAD", ["HEAD~15"], by_behavior())
    before = bisection(project).next()
    bisection(project).next()
    line, result = bisection(project).undo()
    assert line.startswith("bvc bisect visit ")
    assert result.loads == 1 and result.observations == before.observations
    assert result.next is not None and before.next is not None
    assert (result.next[0].id, result.next[1]) == (before.next[0].id, before.next[1])


def test_budgets_end_the_search(project: Project) -> None:
    result = bisection(project).run_between("HEAD", ["HEAD~15"], by_behavior(max_loads=3))
    assert (result.status, result.loads, line_script(project).opened) == (BisectStatus.RANGE, 3, 3)
    assert "budget of 3 loads" in result.conclusion.reason
    assert f"m{CULPRIT}" in {c.commit.snapshot.model.name for c in result.candidates if c.commit.snapshot is not None}


def test_nothing_changed_takes_two_loads_or_three(tmp_path: Path) -> None:
    project = registered(tmp_path / "project", 8, culprit=100)
    result = bisection(project).run_between("HEAD", ["HEAD~7"], by_behavior())
    assert result.status is BisectStatus.NOT_REPRODUCIBLE
    assert line_script(project).opened <= 3


def test_few_probes_are_asked_for_draws(tmp_path: Path) -> None:
    project = registered(tmp_path / "project", 8, culprit=3, probes=2)
    result = bisection(project).run_between("HEAD", ["HEAD~7"], by_behavior())
    assert model_of(result) == "m3"
    assert line_script(project).asked, "two answers decide nothing"
    assert max(visit.draws for visit in result.observations) > 8


def test_like_bad_captures_both_ends_first(project: Project) -> None:
    start = bisection(project).start("HEAD", ["HEAD~15"], BisectSettings(like_bad=True))
    assert "both ends have to be captured" in start.notes[0]
    result = bisection(project).run()
    assert model_of(result) == f"m{CULPRIT}"
    assert result.loads == line_script(project).opened < COMMITS // 2 + 2
    assert asked_twice(line_script(project)) == []


def test_a_checkpoint_that_is_gone_is_not_asked(project: Project) -> None:
    import shutil

    gone = range(4, 9)
    for number in gone:
        shutil.rmtree(project.checkpoint(f"m{number}"))
    result = bisection(project).run_between("HEAD", ["HEAD~15"], by_behavior())
    assert model_of(result) == f"m{CULPRIT}"


def test_a_checkpoint_that_became_another_stops_the_run(project: Project) -> None:
    from tests.api.doubles import checkpoint

    checkpoint(project.folder.parent / "models" / "m0", "other weights")
    with pytest.raises(BadInput, match="is not the checkpoint of commit") as refused:
        bisection(project).run_between("HEAD", ["HEAD~15"], by_behavior())
    assert refused.value.hint is not None and "bvc bisect skip" in refused.value.hint


def test_a_model_that_fails_is_skipped_by_hand(project: Project) -> None:
    bisection(project).start("HEAD", ["HEAD~15"], by_behavior())
    result = bisection(project).next()
    result = bisection(project).next()
    assert result.next is not None
    line_script(project).rows_that_fit = 0
    with pytest.raises(EngineError) as failed:
        bisection(project).next()
    assert failed.value.hint is not None and f"bvc bisect skip {result.next[0].id[:10]}" in failed.value.hint
    line_script(project).rows_that_fit = 1000
    skipped = bisection(project).skip([result.next[0].id])
    assert skipped.next is not None and skipped.next[0].id != result.next[0].id
    assert model_of(bisection(project).run()) == f"m{CULPRIT}"


def test_stored_alone_loads_nothing(project: Project) -> None:
    project.repo.capture(["HEAD", "HEAD~15", "HEAD~3", "HEAD~5"], engine=project.script.choice)
    opened = line_script(project).opened
    result = bisection(project).run_between("HEAD", ["HEAD~15"], by_behavior(stored=True))
    assert line_script(project).opened == opened
    assert result.status is BisectStatus.RANGE
    assert {c.commit.snapshot.model.name for c in result.candidates if c.commit.snapshot} == {"m11", "m12"}


def test_the_suspects_may_be_weighed_by_drift(project: Project) -> None:
    project.repo.capture([f"HEAD~{n}" for n in range(16)], engine=project.script.choice)
    result = bisection(project).run_between("HEAD", ["HEAD~15"], by_behavior(prior="drift", stored=True))
    assert model_of(result) == f"m{CULPRIT}"


def test_marks_settle_what_models_would_be_asked(project: Project) -> None:
    bisection(project).start("HEAD", ["HEAD~15"], by_behavior())
    with pytest.raises(BvcError):
        bisection(project).mark(True, ["HEAD~15"])
        bisection(project).mark(False, ["HEAD~15"])
    bisection(project).undo()
    bisection(project).mark(False, ["HEAD~6"])
    bisection(project).mark(True, ["HEAD~3"])
    result = bisection(project).run()
    assert model_of(result) == f"m{CULPRIT}"
