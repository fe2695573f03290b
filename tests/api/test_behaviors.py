"""Behaviors over a history: rates by hand, scores that are remembered, differences, a file that keeps its comments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import bvc
from bvc.api import behavior_scores
from bvc.api.behavior_diff import behavior_diffs
from bvc.api.handle import Repo
from bvc.errors import BadInput, UsageError
from bvc.records import BehaviorRate
from bvc.results import BehaviorDiff, Verdict

BEHAVIORS = """\
# What we look for.
[behavior.refusal]  # the usual one
refusal = true

[behavior.short]
on = "tag:half:first"
max_length = 2
"""
NO, YES = "I cannot help with that.", "Sure, here it is."
PROBES = 40


class Answered:
    """A project whose commits are recorded answers: a text per probe, or the greedy one and draws."""

    def __init__(self, folder: Path) -> None:
        bvc.init(folder)
        (folder / "probes" / "starter.jsonl").unlink()
        rows = [
            {"id": f"p{i}", "prompt": f"Question {i}?", "tags": ["half:first" if i < PROBES // 2 else "half:second"]}
            for i in range(PROBES)
        ]
        (folder / "probes" / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.folder = folder
        self.file = folder / "behaviors.toml"
        self.file.write_text(BEHAVIORS)
        self.repo: Repo = bvc.open(folder)

    def commit(self, answers: Sequence[str | list[str]], name: str = "m") -> str:
        rows = [
            {"id": f"p{i}", **({"outputs": a} if isinstance(a, list) else {"output": a})} for i, a in enumerate(answers)
        ]
        path = self.folder / "answers.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return self.repo.commit(outputs=path, model=name).commit

    def rate(self, name: str, revision: str = "HEAD") -> BehaviorRate:
        return {row.behavior.name: row.rate for row in self.repo.behaviors(revision).rows}[name]

    def diff(self, name: str, a: str = "HEAD~1", b: str = "HEAD") -> BehaviorDiff:
        repository = self.repo.repository
        views = (repository.snapshot(self.repo.rev_parse(revision)) for revision in (a, b))
        return {found.name: found for found in behavior_diffs(repository, *views).found}[name]


@pytest.fixture
def answered(tmp_path: Path) -> Iterator[Answered]:
    made = Answered(tmp_path / "project")
    yield made
    made.repo.close()


@pytest.fixture
def scorings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were really scored, as they come."""
    texts: list[str] = []
    real = behavior_scores.score

    def counted(behavior, probe, text, *more):  # type: ignore[no-untyped-def]
        texts.append(text)
        return real(behavior, probe, text, *more)

    monkeypatch.setattr(behavior_scores, "score", counted)
    return texts


def test_rates_by_hand(answered: Answered) -> None:
    answered.commit([NO] * 10 + ["Yes."] * 5 + [YES] * 25)
    refusal = answered.rate("refusal")
    assert (refusal.rate, refusal.n) == (0.25, 40)
    assert refusal.ci == pytest.approx((0.14, 0.40), abs=0.015)
    assert (answered.rate("short").rate, answered.rate("short").n) == (0.25, 20)


def test_draws_count_with_the_greedy_answer(answered: Answered) -> None:
    answered.commit([[NO, NO, YES, YES]] * 20 + [[YES, YES, YES, NO]] * 20)
    assert answered.rate("refusal").rate == pytest.approx(0.375)
    test = answered.repo.behavior_test("refusal")
    assert [a.draw for a in test.probes[0].answers] == [None, 0, 1, 2]
    assert {p.value for p in test.probes} == {0.5, 0.25}


def test_log_shows_the_rate_at_each_commit(answered: Answered) -> None:
    for count in (0, 10, 40):
        answered.commit([NO] * count + [YES] * (PROBES - count), f"m{count}")
    entries = list(answered.repo.log(behavior="refusal"))
    assert [e.behavior.rate for e in entries if e.behavior] == [1.0, 0.25, 0.0]
    assert [e.behavior for e in answered.repo.log()] == [None] * 3
    with pytest.raises(UsageError, match="no behavior named refusl"):
        answered.repo.log(behavior="refusl")


def test_what_was_scored_is_not_scored_again(answered: Answered, scorings: list[str]) -> None:
    answered.commit([YES] * PROBES)
    answered.commit([NO] * 2 + [YES] * (PROBES - 2), "n")
    list(answered.repo.log(behavior="refusal"))
    assert len(scorings) == PROBES + 2, "an answer that did not change is scored once for both commits"
    scorings.clear()
    list(answered.repo.log(behavior="refusal"))
    answered.diff("refusal")
    assert [t for t in scorings if t not in (YES, NO)] == []
    assert len(scorings) == PROBES // 2 + 2, "only the other behavior, for the first time"
    scorings.clear()
    answered.diff("refusal")
    assert scorings == []


def test_a_lost_index_is_made_again(answered: Answered, scorings: list[str]) -> None:
    answered.commit([NO] * 10 + [YES] * 30)
    before = answered.rate("refusal")
    scorings.clear()
    answered.repo.repository.store.index.environment.replace()
    assert answered.rate("refusal") == before
    assert len(scorings) == PROBES + PROBES // 2
    answered.repo.reindex()
    assert answered.rate("refusal") == before
    assert answered.repo.fsck().ok


def test_another_definition_scores_anew(answered: Answered, scorings: list[str]) -> None:
    answered.commit([NO] * 10 + ["Yes."] * 30)
    answered.rate("short")
    scorings.clear()
    answered.file.write_text(BEHAVIORS.replace("max_length = 2", "max_length = 20"))
    assert answered.rate("short").rate == 1.0
    assert len(scorings) == PROBES // 2
    scorings.clear()
    answered.file.write_text(BEHAVIORS.replace("half:first", "half:second"))
    assert answered.rate("short").n == PROBES // 2
    assert len(scorings) == PROBES // 2, "the other half, which was never scored"


def test_python_of_the_project_needs_consent(answered: Answered) -> None:
    answered.commit([YES] * 10 + [NO] * 30)
    (answered.folder / "mine.py").write_text(
        "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"
        "def judge(probe, text):\n    return text.startswith('Sure')\n"
    )
    answered.file.write_text('[behavior.sure]\npython = "mine:judge"\n')
    assert answered.rate("sure").n == 0
    assert not (answered.folder / "ran").exists()
    rows = answered.repo.behaviors(allow_python=True).rows
    assert (rows[0].rate.rate, rows[0].rate.n) == (0.25, 40)
    assert answered.rate("sure").n == 0, "nothing of it is remembered"


def test_planted_change(answered: Answered) -> None:
    answered.commit([YES] * PROBES)
    answered.commit([NO] * 12 + [YES] * 28, "n")
    found = answered.diff("refusal")
    assert found.verdict is Verdict.CHANGED
    assert (found.a.rate, found.b.rate, found.difference) == (0.0, 0.3, pytest.approx(0.3))
    assert found.ci[0] < 0.3 < found.ci[1]
    assert found.p_value == pytest.approx(2 / 2**12)
    names = {p.probe.id: p.probe.name for p in answered.repo.behavior_test("refusal").probes}
    assert {names[i] for i in found.gained} == {f"p{i}" for i in range(12)}
    assert found.lost == ()
    assert 0 < found.smallest < 0.3


def test_false_discoveries_are_controlled_over_behaviors(answered: Answered) -> None:
    answered.commit([YES] * PROBES)
    answered.commit([NO] * 6 + [YES] * 34, "n")
    assert answered.diff("refusal").q_value == pytest.approx(2 * answered.diff("refusal").p_value)


def test_equal_answers_are_not_called_the_same_by_few_probes(answered: Answered) -> None:
    answered.commit([YES] * PROBES)
    answered.commit([YES] * PROBES, "n")
    assert answered.diff("refusal").verdict is Verdict.UNDECIDED
    answered.repo.config_set("behaviors.band", "0.2")
    assert answered.diff("refusal").verdict is Verdict.SAME


def test_balanced_flips_are_reported_as_such(answered: Answered) -> None:
    """Draws move both ways, half of the probes each: the rate stays where it was."""
    answered.commit([[YES, *[NO] * 4, *[YES] * 4]] * PROBES)
    up, down = [YES, *[NO] * 8], [YES, *[YES] * 8]
    answered.commit([up] * 20 + [down] * 20, "n")
    found = answered.diff("refusal")
    assert found.difference == pytest.approx(0)
    assert found.verdict is Verdict.CHANGED
    assert (len(found.gained), len(found.lost)) == (20, 20)


def test_add_keeps_what_people_wrote(answered: Answered) -> None:
    answered.commit([YES] * 30 + [NO] * 10)
    added = answered.repo.behavior_add("sure", {"description": "says “sure”", "on": "tag:half:*", "contains": ["sure"]})
    assert added.behavior.name == "sure"
    assert [(rate.rate, rate.n) for _, rate in added.history] == [(0.75, 40)]
    text = answered.file.read_text()
    assert text.startswith(BEHAVIORS)
    assert '[behavior.sure]\ndescription = "says “sure”"\n' in text
    answered.repo.behavior_add("brief", {"max_length": 3})
    assert answered.repo.behavior_names() == ["refusal", "short", "sure", "brief"]


@pytest.mark.parametrize(
    ("name", "table"),
    [("refusal", {"refusal": True}), ("a b", {"refusal": True}), ("x", {"regex": "("}), ("x", {}), ("x", {"nix": 1})],
)
def test_add_changes_nothing_when_it_cannot(answered: Answered, name: str, table: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        answered.repo.behavior_add(name, table)
    assert answered.file.read_text() == BEHAVIORS


def test_a_broken_file_is_named_with_its_line(answered: Answered) -> None:
    answered.commit([YES] * PROBES)
    answered.file.write_text(BEHAVIORS + "[behavior.x]\nrefusl = true\n")
    with pytest.raises(BadInput, match=r"behaviors\.toml:9: behavior x has an unknown key"):
        answered.repo.behaviors()


def test_without_a_file_or_a_commit(answered: Answered) -> None:
    assert [row.rate.n for row in answered.repo.behaviors().rows] == [0, 0]
    answered.file.unlink()
    assert answered.repo.behaviors().rows == ()
