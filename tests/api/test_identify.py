"""identify on a real store: by weights without a model, by a capture that is not committed, by answers alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bvc.api.identify_records import IdentifyResult
from bvc.errors import BadInput, NotComparable, UsageError
from tests.api.doubles import Project

ALL = frozenset(f"probe {n}" for n in range(12))


@pytest.fixture
def lineage(tmp_path: Path) -> Iterator[Project]:
    """Three models that answer all twelve probes in their own way, of which the second was committed twice."""
    made = Project(tmp_path / "project", probes=12)
    made.script.moved = ALL
    for name in ("one", "two", "two", "three"):
        made.commit(name)
    yield made
    made.repo.close()


def identify(project: Project, name: str, weights: str | None = None, **options: object) -> IdentifyResult:
    return project.repo.identify(project.checkpoint(name, weights), engine=project.script.choice, **options)


def subjects(result: IdentifyResult) -> set[str]:
    return {commit.snapshot.model.name for commit in result.commits if commit.snapshot is not None}


def answers(folder: Path, texts: dict[str, str]) -> Path:
    path = folder / "answers.jsonl"
    path.write_text("".join(json.dumps({"prompt": p, "output": t}) + "\n" for p, t in texts.items()))
    return path


def said(project: Project, revision: str) -> dict[str, str]:
    """The greedy answers of a commit by prompt."""
    view = project.repo.repository.snapshot(project.repo.rev_parse(revision))
    return {probe.text: view.outputs(probe.id).greedy.text for _, probe in view.probes()}


def test_recorded_weights_are_known_without_running_them(lineage: Project) -> None:
    opened = lineage.script.opened
    found = identify(lineage, "a copy", "two")
    assert (found.answer, found.method, found.confidence, found.asked) == ("same", "weights", 1.0, 0)
    assert len(found.commits) == 2 and subjects(found) == {"two"}
    assert lineage.script.opened == opened


def test_another_model_is_none_of_them_and_nothing_is_committed(lineage: Project) -> None:
    before = [entry.commit.id for entry in lineage.repo.log()]
    found = identify(lineage, "four")
    assert (found.answer, found.method, found.asked) == ("new", "capture", 12)
    assert found.none > 0.95 and len(found.candidates) == 3
    assert sum(c.probability for c in found.candidates) + found.none == pytest.approx(1)
    assert found.nearest is not None and found.nearest.by == "activation"
    assert [entry.commit.id for entry in lineage.repo.log()] == before
    assert lineage.repo.status().interrupted == ()


def test_a_model_that_behaves_as_a_recorded_one_is_that_one(lineage: Project) -> None:
    """Other weights, bit for bit the same behavior: say a reordered or renamed file."""
    lineage.script.moved = frozenset()
    lineage.commit("plain")
    found = identify(lineage, "renamed")
    assert (found.answer, found.method) == ("same", "capture") and subjects(found) == {"plain"}
    assert found.candidates[0].equal == 1.0 and found.candidates[0].distance == 0.0


def test_the_other_batch_layout_is_the_same_model(lineage: Project) -> None:
    lineage.script.moved = frozenset()
    lineage.commit("plain")
    found = identify(lineage, "renamed", batch_size=3)
    assert found.answer == "same" and subjects(found) == {"plain"}
    assert found.candidates[0].distance is not None and 0 < found.candidates[0].distance < 1e-6


def test_asking_again_runs_no_model(lineage: Project) -> None:
    first = identify(lineage, "four")
    opened = lineage.script.opened
    again = identify(lineage, "four")
    assert lineage.script.opened == opened and again.asked == 0
    assert again.candidates == first.candidates


def test_captures_of_unknown_models_are_kept_up_to_a_few(lineage: Project) -> None:
    for name in ("four", "five", "six", "seven", "eight", "nine"):
        identify(lineage, name, probes=2)
    kept = list((lineage.repo.repository.captures_folder.parent / "identify").iterdir())
    assert len(kept) == 4
    opened = lineage.script.opened
    identify(lineage, "nine", probes=2)
    assert lineage.script.opened == opened


def test_fewer_probes_are_asked(lineage: Project) -> None:
    lineage.script.ran()
    found = identify(lineage, "four", probes=5)
    assert len(lineage.script.ran()) == 5 and found.asked == 5
    assert {candidate.probes for candidate in found.candidates} == {5}


def test_only_what_is_named_is_compared(lineage: Project) -> None:
    one = identify(lineage, "two", against="HEAD")
    assert one.answer == "new" and [c.commit.snapshot.model.name for c in one.candidates if c.commit.snapshot] == [
        "three"
    ]
    several = identify(lineage, "two", against="HEAD~3..HEAD")
    assert several.answer == "same" and subjects(several) == {"two"}


def test_answers_alone_tell_a_model(lineage: Project) -> None:
    path = answers(lineage.folder, said(lineage, "HEAD"))
    found = lineage.repo.identify(outputs=path)
    assert (found.answer, found.method, found.fingerprint) == ("same", "outputs", None) and subjects(found) == {"three"}
    assert found.nearest is not None and found.nearest.by == "text"


def test_answers_of_nobody_are_none_of_them_or_undecided(lineage: Project) -> None:
    texts = {p: f"Nothing that was said of {n}" for n, p in enumerate(said(lineage, "HEAD"))}
    found = lineage.repo.identify(outputs=answers(lineage.folder, {**texts, "asked of nobody": "x"}))
    assert found.answer in ("new", "undecided") and found.none > 0.8
    assert "1 row asks what no recorded probe asks" in found.notes


def test_few_answers_decide_nothing(lineage: Project) -> None:
    prompt, text = next(iter(said(lineage, "HEAD").items()))
    found = lineage.repo.identify(outputs=answers(lineage.folder, {prompt: text}))
    assert found.answer == "undecided" and found.commits == ()
    assert found.candidates[0].commit.id == lineage.repo.rev_parse("HEAD")


def test_what_cannot_be_compared_says_so(lineage: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a checkpoint, or recorded answers"):
        lineage.repo.identify()
    with pytest.raises(UsageError, match="--probes"):
        identify(lineage, "four", probes=0)
    with pytest.raises(BadInput, match="nothing-here"):
        lineage.repo.identify(tmp_path / "nothing-here")
    with pytest.raises(NotComparable, match="no row of"):
        lineage.repo.identify(outputs=answers(lineage.folder, {"asked of nobody": "x"}))
    with pytest.raises(TypeError, match="unknown option"):
        identify(lineage, "four", prbes=3)


def test_a_project_without_captures_says_so(project: Project) -> None:
    with pytest.raises(NotComparable, match="no model is recorded"):
        identify(project, "one")
    project.commit("one", capture=False)
    assert identify(project, "one").answer == "same"
    with pytest.raises(NotComparable, match="no recorded commit was captured"):
        identify(project, "two")


def test_an_interrupted_capture_goes_on(lineage: Project) -> None:
    lineage.script.ran()
    lineage.script.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        identify(lineage, "four", batch_size=4)
    lineage.script.stop_after = 1_000_000
    lineage.script.ran()
    found = identify(lineage, "four", batch_size=4)
    assert len(lineage.script.ran()) == 8 and found.answer == "new"
    assert "4 probes were captured before an interruption" in found.notes


def test_an_axis_between_tags_and_movement_along_it(tmp_path: Path) -> None:
    made = Project(tmp_path / "axes", probes=0)
    made.suite("harm", [f"bad {n}" for n in range(5)], tags=["harmful"])
    made.suite("other", [f"good {n}" for n in range(5)], tags=["harmless"])
    (made.folder / "probes" / "sums.jsonl").unlink()
    made.script.moved = frozenset(f"bad {n}" for n in range(5))
    made.commit("one")
    made.commit("two")
    found = made.repo.axis("harmful", "harmless", "HEAD~1", "HEAD")
    assert set(found.axes) == {f"layer.0{n}/{place}" for n in (1, 2) for place in ("prompt", "reference")}
    ((commit, moved),) = found.moved
    assert commit.id == made.repo.rev_parse("HEAD")
    assert all(one.probes == 10 and one.ci is not None for one in moved.values())
    with pytest.raises(NotComparable, match="no axis from 'harmless' to 'nothing'"):
        made.repo.axis("nothing", "harmless")
    made.repo.close()


def test_the_mean_shift_between_two_commits(lineage: Project) -> None:
    moved = lineage.repo.shift("HEAD~3", "HEAD")
    assert set(moved) == {f"layer.0{n}/{place}" for n in (1, 2) for place in ("prompt", "reference")}
    assert all(site.probes == 12 and site.mean.any() for site in moved.values())
    still = lineage.repo.shift("HEAD~2", "HEAD~1")  # the same model twice
    assert all(site.norm == 0 and not site.mean.any() for site in still.values())


# Sampled answers

QUESTIONS = [f"probe {n}" for n in range(12)]


def sampled_rows(seed: int, model: int, answers: int) -> list[dict[str, object]]:
    """What a model answers to each probe, sampled: a few words of its own choice among all."""
    rng = np.random.default_rng([seed, model])
    words = {q: rng_of(q, model) for q in QUESTIONS}
    return [
        {"prompt": q, "outputs": [" ".join(words[q][n] for n in rng.integers(0, 12, 15)) for _ in range(answers)]}
        for q in QUESTIONS
    ]


def rng_of(question: str, model: int) -> list[str]:
    """The words with which a model answers a question; half of them are every model's."""
    own = np.random.default_rng([QUESTIONS.index(question), model])
    return [f"word{n}" for n in range(6)] + [f"word{n}" for n in own.integers(6, 60, 6)]


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def drawn(tmp_path: Path) -> Iterator[Project]:
    """Three models with eight draws of each probe, and a last one with a greedy answer alone."""
    made = Project(tmp_path / "project", probes=12)
    for number in range(3):
        rows = sampled_rows(0, number, 9)  # the first counts as the greedy one
        made.repo.commit(outputs=written(tmp_path / f"m{number}.jsonl", rows), model=f"m{number}")
    yield made
    made.repo.close()


def test_sampled_answers_are_compared_with_draws(drawn: Project, tmp_path: Path) -> None:
    path = written(tmp_path / "unknown.jsonl", sampled_rows(1, 1, 6))
    found = drawn.repo.identify(outputs=path, sampled=True, confidence=0.51)
    assert found.answer == "same" and subjects(found) == {"m1"} and found.method == "outputs"
    assert {(c.channel, c.equal, c.probes) for c in found.candidates} == {("draws", None, 12)}
    assert sum(c.probability for c in found.candidates) + found.none == pytest.approx(1)
    first, *others = found.candidates
    assert first.distance is not None and first.distance < 0.05 < min(c.distance or 0 for c in others)
    assert found.nearest is not None and (found.nearest.by, found.nearest.commit) == ("draws", first.commit)
    assert found.nearest.confidence > 0.95


def test_sampled_answers_of_a_stranger_are_none_of_them(drawn: Project, tmp_path: Path) -> None:
    path = written(tmp_path / "unknown.jsonl", sampled_rows(1, 7, 6))
    found = drawn.repo.identify(outputs=path, sampled=True)
    assert (found.answer, found.commits) == ("new", ()) and found.none > 0.95
    # As greedy answers, the first of each probe says that nothing is equal, whoever is asked.
    path = written(tmp_path / "known.jsonl", sampled_rows(1, 1, 6))
    assert drawn.repo.identify(outputs=path).candidates[0].equal == 0.0


def test_one_answer_a_probe_is_enough_beside_several_draws(drawn: Project, tmp_path: Path) -> None:
    path = written(tmp_path / "unknown.jsonl", sampled_rows(1, 1, 1))
    found = drawn.repo.identify(outputs=path, sampled=True, probes=10)
    assert found.candidates[0].probes == 10 and subjects_of(found)[0] == "m1"


def subjects_of(found: IdentifyResult) -> list[str]:
    return [c.commit.snapshot.model.name for c in found.candidates if c.commit.snapshot is not None]


def test_models_without_draws_are_named_and_left_out(drawn: Project, tmp_path: Path) -> None:
    rows = sampled_rows(0, 3, 1)
    drawn.repo.commit(outputs=written(tmp_path / "m3.jsonl", rows), model="m3")
    path = written(tmp_path / "unknown.jsonl", sampled_rows(1, 3, 6))
    found = drawn.repo.identify(outputs=path, sampled=True)
    assert "m3" not in subjects_of(found) and found.answer == "new"
    assert any("1 recorded model has no draws" in note and "--more-draws" in note for note in found.notes)
    with pytest.raises(NotComparable, match="no recorded commit has draws") as refused:
        drawn.repo.identify(outputs=path, sampled=True, against="HEAD")
    assert refused.value.hint is not None and "bvc capture" in refused.value.hint


def test_draws_of_checkpoints_and_their_temperature(lineage: Project, tmp_path: Path) -> None:
    """Commits of a run model say at which temperature they drew; draws that are added count."""
    rows = [{"prompt": p, "outputs": [f"{t} {n}" for n in range(4)]} for p, t in said(lineage, "HEAD").items()]
    path = written(tmp_path / "unknown.jsonl", rows)
    with pytest.raises(NotComparable, match="no recorded commit has draws"):
        lineage.repo.identify(outputs=path, sampled=True)
    lineage.repo.capture("HEAD", engine=lineage.script.choice, more_draws=4)
    found = lineage.repo.identify(outputs=path, sampled=True)
    assert subjects_of(found) == ["three"]
    assert "the commits' draws are of temperature 1: answers at another one look like another model's" in found.notes
    assert any("2 recorded models have no draws" in note for note in found.notes)


def test_what_sampled_answers_cannot_be_says_so(drawn: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--sampled speaks of answers in a file"):
        identify(drawn, "two", sampled=True)
    made = Project(tmp_path / "few", probes=12)
    made.repo.commit(outputs=written(tmp_path / "m.jsonl", sampled_rows(0, 0, 2)), model="m")
    path = written(tmp_path / "unknown.jsonl", sampled_rows(1, 0, 1))
    with pytest.raises(NotComparable, match="no probe has 3 draws"):
        made.repo.identify(outputs=path, sampled=True)
    made.repo.close()
