"""Blame over real stores: behaviors and probes along lines and merges, attached captures, what is remembered."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import bvc
from bvc.api import behaviors
from bvc.api import blame as blame_module
from bvc.api.behavior_scores import Scorekeeper
from bvc.api.blame_records import BlameEntry, BlameResult, Turn
from bvc.api.handle import Repo
from bvc.errors import AmbiguousId, NotComparable, UnknownRevision, UsageError
from bvc.results import Kind
from tests.api.doubles import Project, checkpoint

PROBES, PLANTED = 60, 20
WORDS = ("sun", "rain", "wind", "cloud", "snow", "storm", "river", "hill", "tree", "field", "house", "road")
FRENCH = "Bonjour ! Il fait beau et le soleil brille aujourd'hui."
BEHAVIORS = """\
[behavior.french]
description = "greets in French"
contains = "Bonjour"

[behavior.half]
on = "tag:half:first"
contains = "Bonjour"
"""


class Lineage:
    """A project whose commits are recorded answers; `drift` rewords every answer a little, as an update does."""

    def __init__(self, folder: Path, probes: int = PROBES) -> None:
        bvc.init(folder)
        (folder / "probes" / "starter.jsonl").unlink()
        self.folder, self.probes = folder, probes
        rows = [
            {
                "id": f"p{i:02d}",
                "prompt": f"Question {i}?",
                "tags": [f"half:{'first' if i < probes // 2 else 'second'}"],
            }
            for i in range(probes)
        ]
        (folder / "probes" / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "behaviors.toml").write_text(BEHAVIORS)
        self.repo: Repo = bvc.open(folder)
        self.random = random.Random(1)
        self.answers = [" ".join(self.random.choices(WORDS, k=12)) for _ in range(probes)]
        self.made: list[str] = []

    def drift(self) -> None:
        for i, answer in enumerate(self.answers):
            if answer != FRENCH:
                words = answer.split()
                for place in self.random.sample(range(12), self.random.randint(1, 6)):
                    words[place] = self.random.choice(WORDS)
                self.answers[i] = " ".join(words)

    def commit(self, parents: Sequence[str] = (), name: str | None = None) -> str:
        path = self.folder / "answers.jsonl"
        rows = [{"id": f"p{i:02d}", "output": answer} for i, answer in enumerate(self.answers)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        label = name or f"m{len(self.made)}"
        self.made.append(self.repo.commit(outputs=path, model=label, message=label, parents=parents).commit)
        return self.made[-1]

    def drifted(self, commits: int) -> None:
        for _ in range(commits):
            self.drift()
            self.commit()

    def register(self) -> str:
        """A checkpoint without captures."""
        folder = checkpoint(self.folder / f"ckpt{len(self.made)}", f"w{len(self.made)}")
        self.made.append(self.repo.commit(folder, capture=False).commit)
        return self.made[-1]

    def plant(self, probes: range) -> None:
        for i in probes:
            self.answers[i] = FRENCH


@pytest.fixture
def lineage(tmp_path: Path) -> Iterator[Lineage]:
    made = Lineage(tmp_path / "project")
    yield made
    made.repo.close()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lineage]:
    """Eight commits that reword all; with the fifth a third of the answers turns French, with the seventh they turn
    back, but for the first of them."""
    made = Lineage(tmp_path_factory.mktemp("planted") / "project")
    made.commit()
    made.drifted(3)
    before = list(made.answers)
    made.drift()
    made.plant(range(PLANTED))
    made.commit()
    made.drifted(1)
    made.answers[1:PLANTED] = before[1:PLANTED]
    made.drift()
    made.commit()
    made.drifted(1)
    yield made
    made.repo.close()


def by_label(found: BlameResult) -> dict[str, BlameEntry]:
    return {entry.change.label: entry for entry in found.entries if entry.change is not None}


def test_a_behavior_that_comes_and_goes(planted: Lineage) -> None:
    found = planted.repo.blame(behavior="french")
    gone, came = found.entries
    assert (came.commit.id, came.kind) == (planted.made[4], Turn.APPEARED)
    assert (gone.commit.id, gone.kind) == (planted.made[6], Turn.VANISHED)
    assert came.step is not None
    assert gone.step is not None
    assert (came.step.before.rate, came.step.after.rate, came.step.after.n) == (0.0, pytest.approx(1 / 3), PROBES)
    assert came.step.difference == pytest.approx(1 / 3)
    assert {label for _, label in came.step.gained} == {f"p{i:02d}" for i in range(PLANTED)}
    assert {label for _, label in gone.step.lost} == {f"p{i:02d}" for i in range(1, PLANTED)}
    assert came.parents == (planted.made[3],)
    assert came.confidence is not None
    assert came.confidence > 0.95
    assert (found.commits, found.captured, found.probes, found.behavior) == (8, 8, PROBES, "french")
    assert found.rate is not None
    assert found.rate.rate == 1 / PROBES


def test_only_the_probes_that_a_behavior_speaks_of_count(planted: Lineage) -> None:
    assert planted.repo.blame(behavior="half").probes == PROBES // 2


def test_blame_can_begin_earlier(planted: Lineage) -> None:
    assert planted.repo.blame(behavior="french", revision="HEAD~5").entries == ()
    (came,) = planted.repo.blame(behavior="french", revision="HEAD~2").entries
    assert came.commit.id == planted.made[4]


def test_probes_by_their_last_real_change(planted: Lineage) -> None:
    found = planted.repo.blame(everything=True)
    assert (found.against, len(found.entries)) == ("steps", PROBES)
    entries = by_label(found)
    assert list(entries) == [f"p{i:02d}" for i in range(PROBES)]
    first = entries["p00"]
    assert (first.commit.id, first.kind) == (planted.made[4], Turn.CHANGED)
    assert first.change is not None
    assert first.change.new == FRENCH
    assert first.change.undone is None
    assert {entries[f"p{i:02d}"].commit.id for i in range(1, PLANTED)} == {planted.made[6]}, "A, B, and A again"
    others = [entries[f"p{i:02d}"] for i in range(PLANTED, PROBES)]
    rest = [entry for entry in others if entry.commit.id == planted.made[0]]
    assert len(rest) >= len(others) - 3, "one in twenty of those named may be false"
    assert {entry.kind for entry in rest} == {Turn.APPEARED}
    assert all(entry.change is not None and entry.change.reworded == planted.made[7] for entry in rest)
    assert all(entry.confidence is not None and 0.05 < entry.confidence <= 0.95 for entry in rest)


def test_what_is_undone_without_proof_is_said(tmp_path: Path) -> None:
    """Twenty of sixty answers turn French together; one of them turns back later, alone among answers that drift."""
    lineage = Lineage(tmp_path / "sixty")
    lineage.commit()
    lineage.drifted(3)
    before = list(lineage.answers)
    lineage.drift()
    lineage.plant(range(PLANTED))
    lineage.commit()
    lineage.drifted(1)
    lineage.answers[2] = FRENCH.replace("Bonjour", "Alors").replace("soleil", "vent")
    lineage.drift()
    lineage.commit()
    lineage.answers[5] = before[5]
    entries = by_label(lineage.repo.blame(["p02", "p03"]))
    assert {entry.commit.id for entry in entries.values()} == {lineage.made[4]}
    turned, kept = entries["p02"].change, entries["p03"].change
    assert turned is not None
    assert kept is not None
    assert (turned.mark, turned.undone) == (kept.mark, lineage.made[6])
    assert kept.undone is None
    lineage.repo.close()


def test_probes_are_chosen_by_label_id_abbreviation_and_suite(planted: Lineage) -> None:
    full = by_label(planted.repo.blame(everything=True))["p03"].change
    assert full is not None
    for name in ("p03", full.probe, full.probe[:12]):
        assert list(by_label(planted.repo.blame(name))) == ["p03"]
    assert list(by_label(planted.repo.blame(["p09", "p01"]))) == ["p01", "p09"]
    assert len(planted.repo.blame(suites="s").entries) == PROBES
    with pytest.raises(UnknownRevision, match="no probe p99"):
        planted.repo.blame("p99")
    with pytest.raises(UsageError, match="no suite named t"):
        planted.repo.blame(suites="t")
    with pytest.raises(UsageError, match="name the probes"):
        planted.repo.blame()
    with pytest.raises(UsageError, match="no behavior named frnch"):
        planted.repo.blame(behavior="frnch")
    with pytest.raises((AmbiguousId, UnknownRevision)):
        planted.repo.blame(full.probe[:3])


def test_a_second_look_computes_nothing(planted: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = planted.repo.blame(everything=True), planted.repo.blame(behavior="french")

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("bvc.api.blame_lineage.recorded_lineage", refused)
    assert (planted.repo.blame(everything=True), planted.repo.blame(behavior="french")) == first


def test_a_lost_index_gives_the_same_lines(planted: Lineage) -> None:
    first = planted.repo.blame(everything=True), planted.repo.blame(behavior="french")
    planted.repo.repository.store.index.environment.replace()
    assert (planted.repo.blame(everything=True), planted.repo.blame(behavior="french")) == first
    assert planted.repo.fsck().ok
    planted.repo.reindex()
    assert planted.repo.blame(behavior="french") == first[1]


def test_a_damaged_row_is_forgotten(planted: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = planted.repo.blame(behavior="french")
    monkeypatch.setattr(blame_module, "VERSION", "blame/test")
    monkeypatch.setattr(blame_module, "packed", lambda _: b'{"entries": [1]}')
    assert planted.repo.blame(behavior="french") == first
    assert planted.repo.blame(behavior="french") == first


def test_another_definition_or_setting_is_looked_at_anew(lineage: Lineage) -> None:
    lineage.commit()
    lineage.drifted(4)
    lineage.plant(range(PLANTED))
    lineage.commit()
    assert len(lineage.repo.blame(behavior="french").entries) == 1
    file = lineage.folder / "behaviors.toml"
    file.write_text(BEHAVIORS.replace('contains = "Bonjour"', 'contains = "Guten Tag"'))
    assert lineage.repo.blame(behavior="french").entries == ()
    file.write_text(BEHAVIORS)
    lineage.repo.config_set("behaviors.band", "0.6")
    again = bvc.open(lineage.folder)
    found = again.blame(behavior="french")
    assert (found.entries, found.immaterial) == ((), 1)
    again.close()


def test_a_merge_passes_on_what_it_inherits(lineage: Lineage) -> None:
    root = lineage.commit()
    lineage.drifted(3)
    base, plain = lineage.made[-1], list(lineage.answers)
    lineage.plant(range(PLANTED))
    french = lineage.commit()
    lineage.repo.create_branch("french")
    planted_answers = list(lineage.answers)
    lineage.repo.switch("other", create=True)
    lineage.answers = plain
    lineage.drift()
    other = lineage.commit([base])
    lineage.answers = planted_answers[:PLANTED] + lineage.answers[PLANTED:]
    merge = lineage.commit([other, french], "merge")
    lineage.drifted(1)
    (step,) = lineage.repo.blame(behavior="french").entries
    assert step.commit.id == french
    entries = by_label(lineage.repo.blame(everything=True))
    assert {entries[f"p{i:02d}"].commit.id for i in range(PLANTED)} == {french}
    assert {entries[f"p{i:02d}"].commit.id for i in range(PLANTED, PROBES)} == {root}
    assert merge not in {entry.commit.id for entry in entries.values()}


def test_commits_without_captures_are_named_as_possible(lineage: Lineage) -> None:
    lineage.commit()
    lineage.drifted(3)
    first, second = lineage.register(), lineage.register()
    lineage.plant(range(PLANTED))
    seen = lineage.commit()
    last = lineage.register()
    found = lineage.repo.blame(behavior="french")
    (step,) = found.entries
    assert (step.commit.id, step.between, step.parents) == (seen, (second, first), (lineage.made[3],))
    assert (found.commits, found.captured, found.start) == (8, 5, seen)
    assert found.head.id == last
    assert any("holds no answers" in note for note in found.notes)
    assert by_label(lineage.repo.blame("p03"))["p03"].between == (second, first)


def test_a_probe_that_came_later_is_blamed_on_its_commit(lineage: Lineage) -> None:
    lineage.commit()
    lineage.drifted(2)
    suite = lineage.folder / "probes" / "s.jsonl"
    suite.write_text(suite.read_text() + '{"id": "new", "prompt": "A new one?"}\n')
    path = lineage.folder / "answers.jsonl"
    path.write_text(path.read_text() + '{"id": "new", "output": "sun"}\n')
    with bvc.open(lineage.folder) as repo:
        added = repo.commit(outputs=path, model="more").commit
        entry = by_label(repo.blame("new"))["new"]
        assert (entry.commit.id, entry.kind, entry.confidence) == (added, Turn.APPEARED, 1.0)
        assert entry.change is not None
        assert entry.change.old is None


def test_too_few_probes_are_judged_by_what_is_stored(tmp_path: Path) -> None:
    lineage = Lineage(tmp_path / "few", probes=6)
    lineage.commit()
    lineage.commit()
    lineage.plant(range(1))
    changed = lineage.commit()
    lineage.commit()
    found = lineage.repo.blame(everything=True)
    entries = by_label(found)
    assert found.against is None
    assert (entries["p00"].commit.id, entries["p00"].confidence) == (changed, None)
    assert entries["p00"].change is not None
    assert entries["p00"].change.substance is not None
    assert entries["p00"].change.substance.kind is not Kind.IDENTICAL
    assert (entries["p01"].commit.id, entries["p01"].confidence) == (lineage.made[0], 1.0)
    lineage.repo.close()


def test_few_probes_with_captured_noise_are_judged_by_that(project: Project) -> None:
    project.script.moved = frozenset(["probe 1", "probe 4"])
    first = project.commit("a").commit
    project.commit("a")
    second = project.commit("b").commit
    found = project.repo.blame(everything=True)
    assert found.against == "N0"
    assert {entry.commit.id for entry in found.entries} <= {first, second}
    changed = [entry for entry in found.entries if entry.kind is Turn.CHANGED]
    assert [entry.change and entry.change.label for entry in changed] == ["label probe 1", "label probe 4"]
    assert all(entry.commit.id == second and (entry.confidence or 0) > 0.3 for entry in changed)


def test_nothing_is_recorded(tmp_path: Path) -> None:
    lineage = Lineage(tmp_path / "empty")
    with pytest.raises(UnknownRevision):
        lineage.repo.blame(everything=True)
    lineage.register()
    for options in ({"everything": True}, {"behavior": "french"}):
        with pytest.raises(NotComparable, match="holds answers"):
            lineage.repo.blame(**options)  # type: ignore[arg-type]
    lineage.repo.close()


def test_one_commit_brought_everything(lineage: Lineage) -> None:
    only = lineage.commit()
    assert {entry.commit.id for entry in lineage.repo.blame(everything=True).entries} == {only}
    assert lineage.repo.blame(behavior="french").entries == ()


def test_a_log_scored_along_its_changes_says_the_same(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    lineage.commit()
    lineage.drifted(2)
    lineage.register()
    lineage.plant(range(PLANTED))
    lineage.commit()
    suite = lineage.folder / "probes" / "s.jsonl"
    suite.write_text(suite.read_text().replace("half:second", "half:first"))
    lineage.commit()
    lineage.drifted(1)
    index = lineage.repo.repository.store.index.environment

    def rates() -> list[object]:
        index.replace()
        return [entry.behavior for name in ("french", "half") for entry in lineage.repo.log(behavior=name)]

    one_by_one = rates()
    monkeypatch.setattr(behaviors, "_MANY", 3)
    assert rates() == one_by_one
    asked: list[object] = []
    monkeypatch.setattr(Scorekeeper, "scored", lambda *arguments: asked.append(arguments))
    assert [entry.behavior for entry in lineage.repo.log(behavior="half")] == one_by_one[len(one_by_one) // 2 :]
    assert asked == []


def test_a_log_of_commits_without_answers_has_no_rates(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviors, "_MANY", 2)
    for _ in range(3):
        lineage.register()
    assert [entry.behavior for entry in lineage.repo.log(behavior="french")] == [None] * 3
