"""Bisecting recorded lineages by a behavior, by a person's marks and by commands; the log, undo and replay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bvc.api.behaviors import find_behavior
from bvc.api.bisect_behavior import BehaviorJudge
from bvc.api.bisect_session import Means, Session
from bvc.api.bisect_settings import BisectSettings
from bvc.bisection import BisectStatus
from bvc.errors import BadInput, BvcError, Locked, NotComparable, UnknownRevision, UsageError
from tests.api.bisect_worlds import PROBES, Recorded, by_behavior

FULL = PROBES
MERGED = (
    ("root", 1, ()),
    ("left1", 1, ("root",)),
    ("left2", 7, ("left1",)),
    ("right1", 3, ("root",)),
    ("merge", 7, ("right1", "left2")),
    ("tip", 5, ("merge",)),
)
"""Commits, how many answers show it, and parents."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Recorded]:
    """An empty project of recorded answers."""
    made = Recorded(tmp_path / "project")
    yield made
    made.repo.close()


@pytest.fixture
def line(world: Recorded) -> Recorded:
    """c0 … c9, with salt water from c6 on."""
    world.line([0, 0, 1, 0, 0, 0, FULL, FULL - 1, FULL, FULL])
    return world


# A behavior judges


def test_stored_answers_find_the_culprit_at_once(line: Recorded) -> None:
    result = line.bisection.start("HEAD", ["HEAD~9"], by_behavior())
    assert (result.status, line.name(result.first_bad and result.first_bad.id)) == (BisectStatus.FOUND, "c6")
    assert result.confidence > 0.95
    assert (result.loads, result.draws) == (0, 0)
    assert {visit.source for visit in result.observations} == {"stored"}
    assert [v.hits for v in result.observations] == [0, 0, 1, 0, 0, 0, FULL, FULL - 1, FULL, FULL]
    assert result.conclusion.old is not None and result.conclusion.old < 0.1
    assert result.changed, "what the culprit changed is told"
    assert line.bisection.view().changed == result.changed
    assert line.bisection.view(changed=False).changed == (), "a look at the lineage alone compares nothing"


def test_a_step_inside_a_branch_is_found_across_a_merge(world: Recorded) -> None:
    world.commit("root", 0)
    world.commit("left1", 0, ["root"])
    world.commit("left2", FULL, ["left1"])
    world.commit("right1", 0, ["root"])
    world.commit("right2", 0, ["right1"])
    world.commit("merge", FULL, ["left2", "right2"])
    world.commit("tip", FULL, ["merge"])
    result = world.bisection.start("HEAD", [world.ids["root"]], by_behavior())
    assert world.name(result.first_bad and result.first_bad.id) == "left2"
    shares = {world.name(c.commit.id): c.posterior for c in result.lineage}
    assert shares["right2"] < 0.01 < shares["left2"]


def test_nothing_changed(world: Recorded) -> None:
    world.line([3, 4, 3, 2, 4, 3])
    result = world.bisection.start("HEAD", ["HEAD~5"], by_behavior())
    assert result.status is BisectStatus.NOT_REPRODUCIBLE
    assert result.first_bad is None
    assert result.conclusion.smallest is not None and 0 < result.conclusion.smallest < 1


def test_an_expression_judges(line: Recorded) -> None:
    settings = BisectSettings(expr='contains = "SALT", ignore_case = true, on = "!p0"')
    result = line.bisection.start("HEAD", ["HEAD~9"], settings)
    assert line.name(result.first_bad and result.first_bad.id) == "c6"
    assert max(visit.draws for visit in result.observations) == FULL - 1, "p0 is left out"


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        ("contains", "TOML"),
        ('contians = "x"', "unknown key 'contians'"),
        ('contains = "x", regex = "y"', "two scorers"),
        ('regex = "("', "missing )"),
        ('contains = "x", on = "tag:none"', "no probe"),
        ('contains = "a" }, other = { contains = "b"', "--expr"),
        ('contains = "a"\non = "p1"', "one line"),
    ],
)
def test_expressions_that_are_refused(expr: str, words: str, line: Recorded) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(").replace(")", r"\)")):
        line.bisection.start("HEAD", ["HEAD~9"], BisectSettings(expr=expr))
    assert not line.bisection.in_progress()


def test_like_bad_needs_no_predicate(line: Recorded) -> None:
    result = line.bisection.start("HEAD", ["HEAD~9"], BisectSettings(like_bad=True, probes=("p1", "p2", "p3", "p4")))
    assert line.name(result.first_bad and result.first_bad.id) == "c6"
    assert "bvc bisect pick" in line.bisection.log()


def test_likeness_must_be_the_surer_the_more_steps_there_are(line: Recorded) -> None:
    for settings, sure in ((BisectSettings(like_bad=True, probes=("p1", "p2")), 0.98125), (by_behavior(), 0.95)):
        line.bisection.start("HEAD", ["HEAD~9"], settings)
        session = Session(line.repo.repository, Means())
        assert session.situation(session.state()).plan.confidence == pytest.approx(sure)


def test_many_commits_show_what_each_does(world: Recorded) -> None:
    for name, hits, parents in MERGED:
        world.commit(name, hits, parents)
    repository, made = world.repo.repository, list(world.ids.values())
    behavior = find_behavior(repository, "salt")
    judges = [BehaviorJudge(repository, behavior, made[-1]) for _ in range(4)]
    each = {commit: judges[0].shown(commit) for commit in made}
    assert [shown and shown.total for shown in each.values()] == [hits for _, hits, _ in MERGED]
    some = judges[1].shown_of(made[2:], lambda _: None)
    assert some == {commit: each[commit] for commit in made[2:]}, "also where what came before is not among them"
    assert judges[2].shown_of(made, lambda _: None) == each
    judges[2].flush()
    assert judges[3].shown_of(made, lambda _: pytest.fail("read again")) == each


def test_commits_of_recorded_answers_cannot_be_asked_more(world: Recorded) -> None:
    world.line([0, 0, 2, 0, 3])
    result = world.bisection.run_between("HEAD", [world.ids["c0"]], by_behavior())
    assert result.status is not BisectStatus.RUNNING
    assert result.loads == 0


def test_ends_that_stored_captures_lack(line: Recorded, tmp_path: Path) -> None:
    from tests.api.doubles import checkpoint

    line.repo.commit(checkpoint(tmp_path / "m"), capture=False)
    with pytest.raises(NotComparable, match="--stored loads no model"):
        line.bisection.start("HEAD", ["HEAD~9"], by_behavior(stored=True))


# A person judges


def marked_until_found(world: Recorded, culprit: int) -> tuple[str | None, int]:
    """Marks as a person would; the commit found and the number of marks."""
    for count in range(20):
        result = world.bisection.view()
        if result.next is None:
            return world.name(result.first_bad and result.first_bad.id), count
        number = int(str(world.name(result.next[0].id))[1:])
        world.bisection.mark(number >= culprit)
    raise AssertionError("no end")


@pytest.mark.parametrize("culprit", [1, 4, 9])
def test_marks_halve_the_line(culprit: int, line: Recorded) -> None:
    line.bisection.start("HEAD", ["HEAD~9"])
    found, marks = marked_until_found(line, culprit)
    assert found == f"c{culprit}"
    assert marks <= 4


def test_ends_may_be_marked_later_and_by_other_words(line: Recorded) -> None:
    settings = BisectSettings(terms=("fast", "slow"))
    result = line.bisection.start(None, [], settings)
    assert "waiting for a slow commit" in result.notes[0]
    line.bisection.mark(True, ["HEAD"])
    result = line.bisection.mark(False, ["HEAD~9"])
    assert result.terms == ("fast", "slow") and result.next is not None
    assert "bvc bisect slow " in line.bisection.log() and "bvc bisect fast " in line.bisection.log()
    assert marked_until_found(line, 7)[0] == "c7"
    replayed = line.folder / "log"
    replayed.write_text(line.bisection.log())
    again = line.bisection.replay(replayed)
    assert line.name(again.first_bad and again.first_bad.id) == "c7"


@pytest.mark.parametrize(
    ("terms", "words"),
    [(("a", "a"), "both a"), (("skip", "x"), "cannot be"), (("x y", "z"), "cannot be"), (("bad", "good"), "cannot be")],
)
def test_words_that_cannot_be(terms: tuple[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        BisectSettings(terms=terms).check()


def test_skipped_commits_are_not_asked(line: Recorded) -> None:
    line.bisection.start("HEAD", ["HEAD~9"])
    first = line.bisection.view().next
    assert first is not None
    second = line.bisection.skip().next
    assert second is not None and second[0].id != first[0].id
    result = line.bisection.skip([f"{line.ids['c0']}..{line.ids['c8']}"])
    assert result.status is BisectStatus.ONLY_SKIPPED
    assert {line.name(c.commit.id) for c in result.candidates} == {f"c{n}" for n in range(1, 10)}
    _, result = line.bisection.undo()
    assert result.next is not None


def test_a_mark_takes_a_skipped_commit_in_again(line: Recorded) -> None:
    line.bisection.start("HEAD", ["HEAD~9"])
    line.bisection.skip([line.ids["c5"]])
    line.bisection.mark(True, [line.ids["c5"]])
    assert marked_until_found(line, 5)[0] == "c5"


def test_undo_takes_back_the_last_mark(line: Recorded) -> None:
    line.bisection.start("HEAD", ["HEAD~9"])
    before = line.bisection.view().next
    line.bisection.mark(False)
    text, result = line.bisection.undo()
    assert text.startswith("bvc bisect good ") and result.next == before
    line.bisection.mark(True)
    line.bisection.mark(True)
    line.bisection.undo()
    assert line.bisection.undo()[1].next == before
    with pytest.raises(UsageError, match="nothing to undo"):
        line.bisection.undo()


def test_contradictions_are_refused_and_not_kept(line: Recorded) -> None:
    line.bisection.start("HEAD", ["HEAD~9"])
    line.bisection.mark(True, [line.ids["c6"]])
    kept = line.bisection.log()
    with pytest.raises(UsageError, match="already bad"):
        line.bisection.mark(False, [line.ids["c6"]])
    with pytest.raises(UsageError, match="contradict"):
        line.bisection.mark(False, [line.ids["c8"]])
    with pytest.raises(UsageError, match="already good"):
        line.bisection.mark(True, [line.ids["c0"]])
    assert line.bisection.log() == kept


def test_ends_that_make_no_sense(line: Recorded) -> None:
    with pytest.raises(UsageError, match="is an ancestor of the good commit") as turned:
        line.bisection.start("HEAD~9", ["HEAD"])
    assert turned.value.hint is not None and "--term-old" in turned.value.hint
    with pytest.raises(UsageError, match="is given as good and as bad"):
        line.bisection.start("HEAD", ["HEAD"])
    with pytest.raises(UnknownRevision):
        line.bisection.start("nowhere", ["HEAD"])
    with pytest.raises(UsageError, match="no behavior named sweet"):
        line.bisection.start("HEAD", ["HEAD~9"], BisectSettings(behavior="sweet"))
    assert not line.bisection.in_progress()
    for verb in (line.bisection.view, line.bisection.next, line.bisection.undo, line.bisection.log):
        with pytest.raises(BvcError, match="no bisect is in progress"):
            verb()


def test_a_merge_base_stands_for_a_commit_beside(world: Recorded) -> None:
    """root - a1 - a2 - a3 and root - b1: b1 is good, a3 is bad."""
    world.commit("root", 0)
    world.commit("a1", 0, ["root"])
    world.commit("a2", FULL, ["a1"])
    world.commit("a3", FULL, ["a2"])
    world.commit("b1", 0, ["root"])
    start = world.bisection.start(world.ids["a3"], [world.ids["b1"]])
    assert start.next is not None and world.name(start.next[0].id) == "root", "it must be tested"
    assert any("is no ancestor" in note for note in start.notes)
    fixed = world.bisection.mark(True, [world.ids["root"]])
    assert fixed.status is BisectStatus.NOT_REPRODUCIBLE and "after they parted" in fixed.conclusion.reason
    world.bisection.undo()
    world.bisection.mark(False, [world.ids["root"]])
    world.bisection.mark(False, [world.ids["a1"]])
    found = world.bisection.mark(True, [world.ids["a2"]])
    assert world.name(found.first_bad and found.first_bad.id) == "a2"
    by_answers = world.bisection.start(world.ids["a3"], [world.ids["b1"]], by_behavior())
    assert world.name(by_answers.first_bad and by_answers.first_bad.id) == "a2"


def test_an_unfinished_bisect_is_not_thrown_away(line: Recorded) -> None:
    line.bisection.start("HEAD", ["HEAD~9"])
    line.bisection.start("HEAD", ["HEAD~8"])  # nothing was said yet
    line.bisection.mark(True)
    with pytest.raises(BvcError, match="a bisect is in progress"):
        line.bisection.start("HEAD", ["HEAD~9"])
    kept = line.bisection.log()
    last = line.bisection.reset()
    assert last is not None and last.read_text() == kept
    assert line.bisection.reset() is None
    line.bisection.replay(last)
    marked_until_found(line, 6)
    line.bisection.start("HEAD", ["HEAD~9"])  # the one before came to its end


# The log


def test_an_edited_log_gives_the_edited_result(line: Recorded) -> None:
    line.bisection.start("HEAD", ["HEAD~9"])
    assert marked_until_found(line, 6)[0] == "c6"
    text = line.bisection.log()
    file = line.folder / "edited.log"
    file.write_text(text)
    assert line.name((line.bisection.replay(file).first_bad or line).id) == "c6"  # type: ignore[union-attr]
    kept = [row for row in text.splitlines() if line.ids["c6"] not in row and line.ids["c5"] not in row]
    file.write_text("\n".join([*kept, "bvc bisect bad HEAD~4", f"bvc bisect good {line.ids['c4'][:9]}", ""]))
    assert line.name((line.bisection.replay(file).first_bad or line).id) == "c5"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("rows", "number", "words"),
    [
        (["bvc bisect good HEAD"], 1, "begins with `bvc bisect start`"),
        (["# hello", "bvc bisect start HEAD HEAD~3", "bvc bisect sell HEAD"], 3, "nothing that a log holds"),
        (["bvc bisect start HEAD HEAD~3", "bvc bisect bad nowhere"], 2, "unknown revision"),
        (["bvc bisect start HEAD HEAD~3", "bvc bisect good HEAD"], 2, "already bad"),
        (["bvc bisect start HEAD HEAD~3", "bvc bisect bad 'HEAD"], 2, "quotation"),
        (["bvc bisect start HEAD HEAD~3", "bvc bisect good"], 2, "needs 1 argument"),
        (["bvc bisect start --confidence high HEAD HEAD~3"], 1, "is a number"),
        (["bvc bisect start --confidence 2 HEAD HEAD~3"], 1, "at least 0.5"),
        (["bvc bisect start --size 2 HEAD HEAD~3"], 1, "no option"),
        (["bvc bisect start HEAD HEAD~3", "bvc bisect visit HEAD 3..1"], 2, "FIRST..END"),
        (["bvc bisect start HEAD HEAD~3", "bvc bisect answer HEAD perhaps"], 2, "old or new"),
        (["# log of bvc bisect, version 9"], 1, "another version"),
        (["rm -rf /"], 1, "no line of"),
        ([""], None, "no line"),
    ],
)
def test_a_log_that_cannot_be_names_its_line(rows: list[str], number: int | None, words: str, line: Recorded) -> None:
    file = line.folder / "wrong.log"
    file.write_text("\n".join(rows))
    with pytest.raises(BadInput, match=words) as refused:
        line.bisection.replay(file)
    assert (refused.value.file, refused.value.line) == (str(file), number)
    assert not line.bisection.in_progress()


def test_a_torn_line_never_was(line: Recorded) -> None:
    line.bisection.start("HEAD", ["HEAD~9"])
    line.bisection.mark(True)
    whole = line.bisection.view()
    path = line.folder / ".bvc" / "bisect" / "log"
    with path.open("ab") as file:
        file.write(b"bvc bisect good 0123")
    assert line.bisection.view() == whole
    line.bisection.mark(False)
    assert "0123" not in path.read_text()


def test_a_second_process_is_kept_out(line: Recorded) -> None:
    line.bisection.start("HEAD", ["HEAD~9"])
    from bvc.api.bisect_log import BisectFile

    with BisectFile(line.folder / ".bvc").lock():
        with pytest.raises(Locked, match="a bisect is running"):
            line.bisection.mark(True)
        assert line.bisection.view().next is not None, "reading needs no lock"


def test_hostile_subjects_stay_on_their_line(world: Recorded) -> None:
    evil = "x\x1b[2J‮ $(reboot) `id` 'bvc bisect bad HEAD"
    world.commit("c0", 0, subject=evil)
    world.commit("c1", FULL, subject=evil)
    world.commit("c2", FULL, subject=evil)
    world.bisection.start("HEAD", [world.ids["c0"]])
    text = world.bisection.log()
    assert "\x1b" not in text and "‮" not in text
    file = world.folder / "log"
    file.write_text(text)
    assert world.bisection.replay(file).next is not None


# What is no single step


def test_it_came_and_went(world: Recorded) -> None:
    world.line([0, 0, 0, FULL, FULL, FULL, 0, 0, 0, FULL, FULL, FULL])
    result = world.bisection.start("HEAD", [world.ids["c0"]], by_behavior())
    assert (result.status, result.first_bad) == (BisectStatus.INTERMITTENT, None)
    assert [(world.name(commit.id), kind) for commit, kind in result.steps] == [
        ("c3", "appeared"), ("c6", "vanished"), ("c9", "appeared"),
    ]  # fmt: skip
    assert not any(candidate.posterior for candidate in result.lineage), "there is no single culprit to be sure of"


def test_it_came_gradually(tmp_path: Path) -> None:
    world = Recorded(tmp_path / "ramp", probes=24)
    world.line([0, 0, 1, 3, 6, 9, 12, 15, 18, 21, 24, 24])
    result = world.bisection.start("HEAD", [world.ids["c0"]], by_behavior())
    world.repo.close()
    assert (result.status, result.first_bad) == (BisectStatus.RANGE, None)
    names = {world.name(candidate.commit.id) for candidate in result.candidates}
    assert {"c5", "c6", "c7"} <= names and not names & {"c0", "c11"}
    assert {world.name(c.commit.id) for c in result.lineage if c.posterior} == names
