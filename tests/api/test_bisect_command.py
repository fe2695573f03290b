"""Bisecting by a command: each commit once as Git does, or again and again where its answers are random."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bvc.api.bisect_settings import BisectSettings
from bvc.bisection import BisectResult, BisectStatus
from bvc.errors import UsageError
from tests.api.bisect_worlds import Recorded, registered

NAMES = [f"c{n}" for n in range(20)]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """c0 … c19; what they answer does not matter here."""
    world = Recorded(tmp_path_factory.mktemp("command") / "project", probes=1)
    world.line([0] * len(NAMES))
    yield world
    world.repo.close()


class Runs:
    """A command that answers by the number of the commit; `codes` by commit win, `asked` are those run."""

    def __init__(self, world: Recorded, culprit: int, codes: dict[str, int] | None = None) -> None:
        self.world, self.culprit, self.codes = world, culprit, codes or {}
        self.asked: list[str] = []

    def __call__(self, commit: str, checkpoint: str) -> int:
        name = str(self.world.name(commit))
        self.asked.append(name)
        return self.codes.get(name, int(int(name[1:]) >= self.culprit))


def judge(world: Recorded, execute: Callable[[str, str], int], **options: object) -> BisectResult:
    noisy = bool(options.pop("noisy", False))
    settings = BisectSettings(**options)  # type: ignore[arg-type]
    bisection = world.bisection
    if bisection.in_progress():
        bisection.reset()
    return bisection.run_command_between("HEAD", [world.ids["c0"]], settings, ("judge",), execute, noisy=noisy)


@pytest.mark.parametrize("culprit", [1, 7, 13, 19])
def test_each_commit_is_asked_once_as_git_does(culprit: int, line: Recorded) -> None:
    runs = Runs(line, culprit)
    result = judge(line, runs)
    assert line.name(result.first_bad and result.first_bad.id) == f"c{culprit}"
    assert len(runs.asked) == len(set(runs.asked)) <= 5
    assert not {"c0", "c19"} & set(runs.asked), "the ends are trusted"
    assert result.loads == len(runs.asked)


def test_125_skips(line: Recorded) -> None:
    runs = Runs(line, 7, dict.fromkeys(["c9", "c10", "c4"], 125))
    result = judge(line, runs)
    assert line.name(result.first_bad and result.first_bad.id) == "c7"
    assert "c10" in runs.asked or "c9" in runs.asked


def test_only_skipped_commits_are_left(line: Recorded) -> None:
    result = judge(line, Runs(line, 7, dict.fromkeys(["c6", "c7", "c8"], 125)))
    assert result.status is BisectStatus.ONLY_SKIPPED
    assert {line.name(c.commit.id) for c in result.candidates} == {"c6", "c7", "c8", "c9"}


@pytest.mark.parametrize("code", [128, 255, -9, -15])
def test_a_command_that_dies_aborts_and_the_next_run_goes_on(code: int, line: Recorded) -> None:
    runs = Runs(line, 13, {"c12": code, "c14": code})
    result = judge(line, runs)
    assert result.status is BisectStatus.ABORTED
    assert ("signal" if code < 0 else str(code)) in result.conclusion.reason
    asked = list(runs.asked)
    runs.codes = {}
    result = line.bisection.run_command(("judge",), runs)
    assert line.name(result.first_bad and result.first_bad.id) == "c13"
    again = set(asked[:-1]) & set(runs.asked[len(asked) :])
    assert again == set(), "what was answered before is not asked again"


@pytest.mark.parametrize("code", [126, 127])
def test_a_command_that_cannot_be_run(code: int, line: Recorded) -> None:
    everywhere = Runs(line, 7, dict.fromkeys(NAMES, code))
    with pytest.raises(UsageError, match="cannot be run"):
        judge(line, everywhere)
    assert len(everywhere.asked) == 2 and everywhere.asked[1] == "c0"
    bad = Runs(line, 7, {f"c{n}": code for n in range(7, 20)})
    result = judge(line, bad)
    assert line.name(result.first_bad and result.first_bad.id) == "c7", "a real answer, the good commit says"


def test_random_answers_are_asked_for_again(line: Recorded) -> None:
    chance = random.Random(3)

    def execute(commit: str, checkpoint: str) -> int:
        return int(chance.random() < (0.9 if int(str(line.name(commit))[1:]) >= 8 else 0.1))

    result = judge(line, execute, noisy=True, confidence=0.9)
    assert line.name(result.first_bad and result.first_bad.id) == "c8"
    assert result.draws > 10 and result.confidence >= 0.9
    assert {visit.source for visit in result.observations} == {"command"}
    log = line.folder / "noisy.log"
    log.write_text(line.bisection.log())
    again = line.bisection.replay(log)
    assert (again.status, again.first_bad, again.draws) == (result.status, result.first_bad, result.draws)


def test_a_noisy_run_that_aborts_keeps_its_answers(line: Recorded) -> None:
    count = iter(range(1000))

    def execute(commit: str, checkpoint: str) -> int:
        return 200 if next(count) == 7 else int(int(str(line.name(commit))[1:]) >= 8)

    result = judge(line, execute, noisy=True)
    assert result.status is BisectStatus.ABORTED and result.draws == 7
    with pytest.raises(UsageError, match="--noisy"):
        line.bisection.run_command(("judge",), execute)
    result = line.bisection.run_command(("judge",), execute, noisy=True)
    assert line.name(result.first_bad and result.first_bad.id) == "c8"


def test_a_command_and_captures_do_not_mix(line: Recorded) -> None:
    if line.bisection.in_progress():
        line.bisection.reset()
    line.bisection.start("HEAD", [line.ids["c0"]])
    with pytest.raises(UsageError, match="nothing says how to judge"):
        line.bisection.run()
    line.bisection.reset()
    line.bisection.start("HEAD", [line.ids["c0"]], BisectSettings(expr='contains = "x"'))
    with pytest.raises(UsageError, match="a command cannot too"):
        line.bisection.run_command(("judge",), Runs(line, 3))


def test_commands_get_the_place_of_the_checkpoint(tmp_path: Path) -> None:
    project = registered(tmp_path / "project", 4, culprit=2)
    places: dict[str, str] = {}

    def execute(commit: str, checkpoint: str) -> int:
        places[commit] = checkpoint
        return int(int(Path(checkpoint).name[1:]) >= 2)

    settings = BisectSettings()
    bisection = project.repo.bisection()
    result = bisection.run_command_between("HEAD", ["HEAD~3"], settings, ("judge",), execute)
    assert result.first_bad is not None and result.first_bad.id == project.repo.rev_parse("HEAD~1")
    assert places and all(Path(place).is_dir() for place in places.values())
