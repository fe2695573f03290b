"""Behaviors that ask for a latent: rates by hand, what is left out, what is remembered, diff, blame, bisect, errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bvc
from bvc.api import latent_scores
from bvc.api.behavior_diff import behavior_diffs
from bvc.api.behavior_scores import Scorekeeper
from bvc.api.bisect_settings import BisectSettings
from bvc.bisection import BisectStatus
from bvc.capture.engine import FeatureEncoder, ProbeRequest
from bvc.errors import BadInput, NotComparable, UsageError
from bvc.evidence import AnswerFeatures, Features
from bvc.records import BehaviorRate, ModelIdentity, Recipe
from bvc.results import BehaviorDiff, Verdict
from tests.api.doubles import Project
from tests.api.encoding import Encoding, EncodingScript
from tests.api.feature_histories import FeatureHistory, dictionary
from tests.compare.feature_worlds import POSITIONS, Table, World
from tests.dictionaries import put_random

PROBES, LATENTS, CHOSEN = 40, 16, 3
BEHAVIORS = f"""\
[behavior.fires]
description = "latent {CHOSEN} fires"
latent = {CHOSEN}

[behavior.strongly]
latent = "lineage:{CHOSEN}"
min_strength = 2.5
min_positions = 2

[behavior.read]
latent = {CHOSEN}
along = "reference"

[behavior.both]
all = ["fires", {{contains = "q1"}}]
"""


def table(probes: int, value: float = 1.0) -> Table:
    """The chosen latent in the first `probes`."""
    out = np.zeros((PROBES, LATENTS))
    out[:probes, CHOSEN] = value
    return out


NONE = table(0), table(0)


def said(probes: int, times: int = 2, strength: float = 3.0) -> tuple[Table, Table]:
    """Counts and strengths along the answers."""
    return table(probes, times), table(probes, strength)


class Latents(FeatureHistory):
    """A project with a dictionary and behaviors, whose commits say of how many probes the latent fires."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, World(1, latents=LATENTS, probes=PROBES, per=1))
        self.store_dictionary()
        self.file = folder / "behaviors.toml"
        self.file.write_text(BEHAVIORS)

    def line(self, firing: Sequence[int]) -> list[str]:
        return [self.commit(table(0), answers=said(count)) for count in firing]

    def rate(self, name: str, revision: str = "HEAD") -> BehaviorRate:
        return {row.behavior.name: row.rate for row in self.repo.behaviors(revision).rows}[name]

    def why(self, name: str, revision: str = "HEAD") -> set[str]:
        test = self.repo.behavior_test(name, revision)
        return {probe.answers[0].score.why for probe in test.probes if probe.value is None}

    def diff(self, name: str, a: str, b: str) -> BehaviorDiff:
        repository = self.repo.repository
        found = behavior_diffs(repository, repository.snapshot(a), repository.snapshot(b)).found
        return {one.name: one for one in found}[name]


@pytest.fixture
def latents(tmp_path: Path) -> Iterator[Latents]:
    made = Latents(tmp_path / "project")
    yield made
    made.repo.close()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commits whose features were really read, as they come."""
    commits: list[str] = []
    real = latent_scores._firings_of

    def counted(signatures, behavior):  # type: ignore[no-untyped-def]
        commits.append(signatures.view.info.id)
        return real(signatures, behavior)

    monkeypatch.setattr(latent_scores, "_firings_of", counted)
    return commits


# Scores


def test_rates_by_hand(latents: Latents) -> None:
    latents.commit(table(4), answers=said(10))
    assert (latents.rate("fires").rate, latents.rate("fires").n) == (0.25, PROBES)
    assert latents.rate("strongly").rate == 0.25
    assert latents.rate("read").rate == 0.1
    latents.commit(table(0), answers=said(10, times=1))
    assert (latents.rate("fires").rate, latents.rate("strongly").rate) == (0.25, 0.0), "at one position alone"
    latents.commit(table(0), answers=said(10, strength=2.4))
    assert (latents.rate("fires").rate, latents.rate("strongly").rate) == (0.25, 0.0), "not so strongly"
    latents.commit(table(0), answers=said(10, strength=2.5))
    assert latents.rate("strongly").rate == 0.25


def test_why_says_strength_positions_and_where(latents: Latents) -> None:
    latents.commit(table(1), answers=said(1))
    row = {p.probe.name: p.answers[0] for p in latents.repo.behavior_test("fires").probes}
    first = row["q0"].score
    assert first.why == f"latent 3 fires at 2 of {POSITIONS} positions, up to 3, most after “answer”"
    assert [row["q0"].text[a:b] for a, b in first.spans] == ["answer"]
    assert row["q1"].score.why == "latent 3 does not fire"
    (along,) = (p for p in latents.repo.behavior_test("read").probes if p.value)
    assert along.answers[0].score.why.endswith("most at position 3 of the reference")
    assert along.answers[0].score.spans == ()


def test_combinations_with_texts(latents: Latents) -> None:
    """`both` holds of q1 and q10 to q19; the latent fires in the first 12."""
    latents.commit(table(0), answers=said(12))
    assert latents.rate("both").rate == 3 / PROBES
    latents.commit(None)
    assert latents.rate("both").n == 0, "the text alone decides nothing: no rate is compared with the one before"


def test_log_has_the_rate_at_each_commit(latents: Latents) -> None:
    latents.line([0, 20])
    latents.commit(None)
    latents.line([40])
    entries = list(latents.repo.log(behavior="fires"))
    assert [e.behavior and e.behavior.rate for e in entries] == [1.0, None, 0.5, 0.0]


# Left out


def test_a_commit_without_features_is_left_out_and_says_how_to_add_them(latents: Latents) -> None:
    made = latents.commit(None)[:10]
    assert latents.rate("fires").n == 0
    assert latents.why("fires") == {
        f"commit {made}: no features along its answers (`bvc capture {made} --features` adds them)"
    }
    assert "no features along its references" in latents.why("read").pop()
    latents.commit(table(10))
    assert latents.rate("fires").n == 0, "an older commit has them along the references alone"
    assert latents.rate("read").rate == 0.25
    other, _ = dictionary(LATENTS, seed=1)
    latents.commit(table(10), answers=said(10), spec=other)
    assert "its features are not of dictionary lineage" in latents.why("fires").pop()
    row = next(row for row in latents.repo.behaviors().rows if row.behavior.name == "fires")
    assert (row.rate.n, row.left_out) == (0, PROBES)
    assert row.why is not None and row.why.startswith("commit ")


def test_recorded_outputs_have_no_features(latents: Latents, tmp_path: Path) -> None:
    (tmp_path / "o.jsonl").write_text('{"prompt": "Question 0?", "output": "Oslo"}\n')
    (tmp_path / "project" / "probes" / "starter.jsonl").write_text('{"prompt": "Question 0?"}\n')
    latents.repo.commit(outputs=tmp_path / "o.jsonl", model="m")
    assert "holds recorded outputs, which have no features" in latents.why("fires").pop()


def test_without_the_dictionary_lists_leave_out_and_names_fail(tmp_path: Path) -> None:
    """As in a clone that did not bring it."""
    made = Latents(tmp_path / "project")
    a, b = made.line([0, 20])
    made.file.write_text('[behavior.x]\nlatent = "nowhere:3"\n')
    (row,) = made.repo.behaviors().rows
    assert (row.rate.n, row.why) == (0, "no dictionary is called 'nowhere'")
    assert made.repo.diff(a, b).unscored == (("x", "no dictionary is called 'nowhere'"),)
    for ask in (
        lambda: list(made.repo.log(behavior="x")),
        lambda: made.repo.behavior_test("x"),
        lambda: made.repo.blame(behavior="x"),
        lambda: made.repo.bisect(b, a, behavior="x"),
    ):
        with pytest.raises(BadInput, match=r"behaviors\.toml:2: behavior x cannot be scored: no dictionary is called"):
            ask()
    made.repo.close()


WRONG = {
    "out of range": (f"[behavior.x]\nlatent = {LATENTS}", 2, "lineage has no latent 16", "0 to 15"),
    "in a part": (f'[behavior.x]\ndescription = "d"\nany = [{{latent = {LATENTS}}}]', 3, "has no latent 16", "0 to 15"),
    "misspelled": ('[behavior.x]\nlatent = "linage:3"', 2, "no dictionary is called 'linage'", "mean 'lineage'"),
    "a path": ('[behavior.x]\nlatent = "../../heads/main:3"', 2, "'../../heads/main'", "lineage"),
    "escapes": ('[behavior.x]\nlatent = "\\u001b[31mred\\u202e:3"', 2, r"'\x1b[31mred\u202e'", "lineage"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_there_is_named_with_file_and_line(name: str, latents: Latents) -> None:
    text, line, words, hint = WRONG[name]
    latents.line([1])
    latents.file.write_text(text)
    with pytest.raises(BadInput) as caught:
        latents.repo.behavior_test("x")
    assert caught.value.line == line
    assert words in caught.value.message and hint in (caught.value.hint or "")


def test_several_dictionaries_and_no_setting(latents: Latents) -> None:
    latents.line([20])
    put_random(latents.repo.repository, "other", width=4, latents=8)
    assert latents.rate("strongly").rate == 0.5, "it names one"
    with pytest.raises(BadInput, match="does not say which dictionary is meant"):
        latents.repo.behavior_test("fires")
    latents.repo.config_set("features.dictionary", "lineage")
    assert latents.rate("fires").rate == 0.5


def test_add_checks_the_latent_before_it_writes(latents: Latents) -> None:
    latents.line([20])
    with pytest.raises(UsageError, match="behavior far cannot be scored: lineage has no latent 99"):
        latents.repo.behavior_add("far", {"latent": 99})
    assert latents.file.read_text() == BEHAVIORS
    added = latents.repo.behavior_add("third", {"latent": CHOSEN, "min_strength": 1.0})
    assert [rate.rate for _, rate in added.history] == [0.5]


def test_steered_answers_have_no_features(latents: Latents) -> None:
    latents.line([20])
    with pytest.raises(UsageError, match="steered answers record no features"):
        latents.repo.features_steer(CHOSEN, behavior="fires")


# What is remembered


def test_what_was_read_is_not_read_again(latents: Latents, reads: list[str]) -> None:
    made = latents.line([0, 20, 40])
    for _ in range(2):
        assert [e.behavior.rate for e in latents.repo.log(behavior="fires") if e.behavior] == [1.0, 0.5, 0.0]
    assert reads == made[::-1]
    latents.diff("fires", made[0], made[1])
    others = [commit for commit in reads[3:] if commit != made[2]]
    assert sorted(others) == sorted([made[0], made[1]] * 3), "only the other three behaviors, for the first time"
    reads.clear()
    latents.diff("fires", made[0], made[1])
    assert reads == []


def test_equal_answers_with_other_features_are_scored_anew(latents: Latents) -> None:
    """Answers of commits are unlike by a number; here they are the same records of the same probes."""
    first = latents.commit(table(0), answers=said(10))
    latents.count = 0
    second = latents.commit(table(0), answers=said(30))
    blobs = [latents.repo.repository.snapshot(commit).output_blobs for commit in (first, second)]
    assert blobs[0] == blobs[1]
    assert [latents.rate("fires", commit).rate for commit in (first, second)] == [0.25, 0.75]
    assert latents.repo.blame(behavior="fires").entries[0].commit.id == second


def test_another_dictionary_of_the_name_forgets_the_scores(latents: Latents) -> None:
    latents.line([20])
    assert latents.rate("strongly").n == PROBES
    put_random(latents.repo.repository, "lineage", width=4, latents=LATENTS)
    assert latents.rate("strongly").n == 0
    assert "not of dictionary lineage" in latents.why("strongly").pop()


# Differences, blame, bisect


def test_a_diff_of_a_planted_latent(latents: Latents) -> None:
    a, b = latents.line([0, 12])
    found = latents.diff("fires", a, b)
    assert (found.verdict, found.difference) == (Verdict.CHANGED, 0.3)
    assert found.p_value == pytest.approx(2 / 2**12)
    assert len(found.gained) == 12 and found.lost == ()


def test_balanced_flips_are_held_against_the_recaptures(latents: Latents) -> None:
    """20 of 40 probes flip, as many each way; of 20 captured a second time none did, or every second one."""
    calm = said(20)[0][:20], said(20)[1][:20]
    shaky = calm[0].copy(), calm[1].copy()
    shaky[0][::2], shaky[1][::2] = 0, 0
    other = tuple(np.roll(each, 10, axis=0) for each in said(20))
    p_values = []
    for again in (calm, shaky):
        a = latents.commit(table(0), answers=said(20), again=(table(0)[:20], table(0)[:20]), answers_again=again)
        b = latents.commit(table(0), answers=(other[0], other[1]))
        found = latents.diff("fires", a, b)
        assert found.difference == 0 and len(found.gained) == len(found.lost) == 10
        p_values.append(found.p_value)
    assert p_values[0] < 0.001 and p_values[1] == 1.0


def test_a_diff_leaves_out_what_a_side_lacks_and_says_so(latents: Latents) -> None:
    a = latents.commit(None)
    (b,) = latents.line([12])
    found = latents.repo.diff(a, b)
    assert found.behaviors == ()
    assert {name for name, _ in found.unscored} == {"fires", "strongly", "read", "both"}
    assert dict(found.unscored)["fires"].startswith(f"commit {a[:10]}: no features along its answers")


def test_blame_names_the_step(latents: Latents) -> None:
    made = latents.line([0, 1, 0, 14, 13, 14, 14])
    (entry,) = latents.repo.blame(behavior="fires").entries
    assert (entry.commit.id, entry.kind.value) == (made[3], "appeared")
    assert entry.confidence is not None and entry.confidence > 0.95
    assert entry.between == ()


def test_blame_passes_over_commits_without_features(latents: Latents) -> None:
    before = latents.line([0, 1, 0])
    gap = [latents.commit(None), latents.commit(None)]
    (culprit, *_) = latents.line([14, 13, 14, 14])
    found = latents.repo.blame(behavior="fires")
    (entry,) = found.entries
    assert (entry.commit.id, entry.parents, set(entry.between)) == (culprit, (before[-1],), set(gap))
    assert (found.featureless, found.captured, found.commits) == (2, 7, 9)
    latents.commit(None)
    assert "holds no features to go by: blame begins at" in latents.repo.blame(behavior="fires").notes[0]


def test_blame_where_no_commit_has_features(latents: Latents) -> None:
    latents.commit(None)
    with pytest.raises(NotComparable, match="no features along its answers"):
        latents.repo.blame(behavior="fires")


def test_bisect_of_stored_captures(latents: Latents, reads: list[str]) -> None:
    made = latents.line([0, 1, 0, 1, 30, 31, 30, 29])
    result = latents.repo.bisect(made[-1], made[0], behavior="fires", stored=True)
    assert result.first_bad is not None and result.first_bad.id == made[4]
    assert (result.status, result.loads, result.draws) == (BisectStatus.FOUND, 0, 0)
    assert {seen.draws for seen in result.observations} == {PROBES}, "one answer of each probe"
    reads.clear()
    again = latents.repo.bisect(made[-1], made[0], expr=f"latent = {CHOSEN}", stored=True)
    assert again.first_bad == result.first_bad and reads == [], "the same scorer, remembered"
    with pytest.raises(UsageError, match="has no latent 77"):
        latents.repo.bisect(made[-1], made[0], expr="latent = 77", stored=True)


def test_a_bisect_whose_end_lacks_features_says_so(latents: Latents) -> None:
    old = latents.commit(None)
    made = latents.line([0, 30, 30])
    for stored in (True, False):
        with pytest.raises(NotComparable, match=f"the ends cannot be judged: commit {old[:10]}: no features"):
            latents.repo.bisect(made[-1], old, behavior="fires", stored=stored)


# Captured live


@dataclass
class LineOfLatents(EncodingScript):
    """Checkpoints mN, of which from N = `culprit` on the chosen latent fires in every answer; texts are all alike."""

    culprit: int = 5

    def _open_encoding(self, identity: ModelIdentity, recipe: Recipe, encoder: FeatureEncoder) -> Encoding:
        self.opened += 1
        return _Firing(identity, recipe, self, encoder)


class _Firing(Encoding):
    def _features(self, request: ProbeRequest, recipe: Recipe) -> Features:
        assert isinstance(self.script, LineOfLatents)
        found = super()._features(request, recipe)
        fires = int(self.identity.name[1:]) >= self.script.culprit
        return replace(found, answer=_with_chosen(found.answer, fires=fires))


def _with_chosen(block: AnswerFeatures, *, fires: bool) -> AnswerFeatures:
    """The chosen latent as the only one, or none."""
    count = int(fires)
    ones = np.ones(count, np.float32)
    return replace(
        block, lengths=np.array([count], np.int64), latent=np.full(count, CHOSEN, np.uint32),
        fired=np.ones(count, np.uint16), strongest=ones, total=ones, peak=np.zeros(count, np.uint16),
        reached=np.zeros(count, np.uint32),
    )  # fmt: skip


@pytest.fixture
def registered(project: Project) -> Project:
    """A project for checkpoints m0 … m7; the latent fires from m5 on. There is no dictionary yet."""
    project.script = LineOfLatents()
    (project.folder / "bvc.toml").write_text("[recipe]\nbatch_rows = 4\ndraws = 2\n")
    (project.folder / "behaviors.toml").write_text(BEHAVIORS.replace('"lineage:', '"other:'))
    project.repo.close()
    project.repo = bvc.open(project.folder)
    return project


def live(project: Project, **settings: Any) -> Any:
    found = project.repo.bisection(engine=project.script.choice)
    return found.run_between("HEAD", ["HEAD~7"], BisectSettings(behavior="fires", **settings))


def put_line(project: Project, *, captured: bool = False) -> None:
    for number in range(8):
        project.commit(f"m{number}", capture=captured)
    put_random(project.repo.repository, latents=64)


def test_a_live_bisect_judges_by_the_features_that_it_captures(registered: Project) -> None:
    put_line(registered)
    result = live(registered)
    assert result.status is BisectStatus.FOUND and result.first_bad.snapshot.model.name == "m5"
    assert {seen.source for seen in result.observations} == {"live"}
    assert result.loads == registered.script.opened
    assert {seen.draws for seen in result.observations} == {6}, "draws have no features: none is asked for or counted"


def test_a_live_bisect_adds_features_to_captures_that_lack_them(registered: Project) -> None:
    put_line(registered, captured=True)
    registered.script.ran()
    result = live(registered)
    assert result.first_bad.snapshot.model.name == "m5"
    assert registered.script.ran() == [], "answers are not asked for again"
    script = registered.script
    assert isinstance(script, LineOfLatents) and script.encoded_then()


def test_a_commit_whose_model_cannot_be_read_is_not_judged(registered: Project) -> None:
    for number in range(8):
        place = registered.checkpoint(f"m{number}")
        if 0 < number < 7:
            (place / "config.json").write_text('{"model_type": "small", "hidden_size": 99}')
        registered.repo.commit(place, capture=False)
    put_random(registered.repo.repository, latents=64)
    with pytest.raises(NotComparable, match=r"commit \w{10} cannot be judged: its features cannot be read") as caught:
        live(registered)
    assert "bvc bisect skip" in (caught.value.hint or "")
    assert caught.value.code == 17


def test_captures_that_record_another_dictionary_cannot_be_asked_for(registered: Project) -> None:
    put_line(registered)
    put_random(registered.repo.repository, "other", latents=64, seed=1)
    registered.repo.config_set("features.dictionary", "lineage")
    found = registered.repo.bisection(engine=registered.script.choice)
    with pytest.raises(NotComparable, match="captures record features of another dictionary"):
        found.run_between("HEAD", ["HEAD~7"], BisectSettings(behavior="strongly"))


def test_draws_are_not_counted(registered: Project) -> None:
    put_random(registered.repo.repository, latents=64)
    registered.commit("m6")
    test = registered.repo.behavior_test("fires")
    assert {len(probe.answers) for probe in test.probes} == {3}
    assert {probe.value for probe in test.probes} == {1.0}, "of the greedy answer alone"
    assert {answer.score.value for probe in test.probes for answer in probe.answers[1:]} == {None}
    assert "greedy answers" in test.probes[0].answers[1].score.why
    repository = registered.repo.repository
    scores = Scorekeeper(repository).scores(repository.snapshot(test.commit.id), test.behavior)
    assert {row.draws for row in scores.values()} == {()}, "so that re-captures say how often a score flips, not draws"


def test_features_added_later_are_scored(registered: Project) -> None:
    registered.commit("m6")
    put_random(registered.repo.repository, latents=64)
    assert [row.rate.n for row in registered.repo.behaviors().rows if row.behavior.name == "fires"] == [0]
    assert [e.behavior for e in registered.repo.log(behavior="fires")] == [None]
    registered.repo.capture(["HEAD"], engine=registered.script.choice, features=True)
    assert [e.behavior.rate for e in registered.repo.log(behavior="fires") if e.behavior] == [1.0]
