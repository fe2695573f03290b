"""What is known of draws: how scores shifted between other captures, and how many draws a commit had at first."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from bvc.api.bands import BenignPairs, benign_pairs, known_shifts, pair_shifts
from bvc.api.draws import first_draws
from tests.api.doubles import Project

PROMPTS = [f"probe {n}" for n in range(6)]


@pytest.fixture
def asked(project: Project) -> Project:
    """The project with a suite whose right answers say who says them."""
    (project.folder / "probes" / "sums.jsonl").unlink()
    project.suite("questions", PROMPTS, tags=["answer:says"])
    return project


def commit(project: Project, name: str, right: int, **options: Any) -> str:
    """Commits the checkpoint `name`, which answers the first `right` probes rightly."""
    project.script.moved = frozenset(PROMPTS[:right])
    made: str = project.commit(name, **{"draws": 2, **options}).commit
    return made


def shifts(project: Project, a: str, b: str) -> list[float]:
    return sorted(pair_shifts(project.repo.repository, a, b).values())


def first(project: Project, revision: str = "HEAD") -> int | None:
    repository = project.repo.repository
    return first_draws(repository, repository.snapshot(project.repo.rev_parse(revision)))


def test_shifts_of_a_pair_are_kept(asked: Project) -> None:
    a, b = commit(asked, "a", 1), commit(asked, "b", 3)
    assert shifts(asked, a, b) == [0, 0, 0, 0, 1, 1]
    assert shifts(asked, b, a) == [-1, -1, 0, 0, 0, 0]
    repository = asked.repo.repository
    repository.store.objects.read = lambda oid: pytest.fail("an object was read")  # type: ignore[method-assign, assignment]
    assert shifts(asked, a, b) == [0, 0, 0, 0, 1, 1]


def test_pairs_without_draws_or_answers_have_no_shifts(asked: Project) -> None:
    a, b = commit(asked, "a", 1), commit(asked, "b", 3, draws=0)
    assert shifts(asked, a, b) == []
    registered = asked.commit("c", capture=False).commit
    pairs = BenignPairs(learned=(("N1", a, b), ("N2", a, registered)))
    assert known_shifts(asked.repo.repository, pairs) == {}


def test_shifts_by_the_null_that_they_stand_for(asked: Project) -> None:
    a, b, c = (commit(asked, name, right) for name, right in zip("abc", (0, 1, 2), strict=True))
    repository = asked.repo.repository
    assert known_shifts(repository, benign_pairs(repository, b, c)) == {}, "one step is too little"
    d, e = commit(asked, "d", 0), commit(asked, "e", 3)

    def found() -> dict[str, list[float]]:
        known = known_shifts(repository, benign_pairs(repository, d, e))
        return {null: [sum(table.values()) for table in tables] for null, tables in known.items()}

    assert found() == {"N1": [-2, 1, 1]}, "three steps of the lineage"
    asked.repo.noise_learn([(a, c)], "N2")
    assert found() == {"N1": [-2, 1, 1], "N2": [2]}
    asked.repo.noise_learn([(b, c)], "N1")
    assert found() == {"N1": [1], "N2": [2]}


def test_commits_of_one_model_under_both_recipes_are_twins(asked: Project) -> None:
    old, new = commit(asked, "a", 1), commit(asked, "a", 3, seed=5)
    other, again = commit(asked, "b", 2), commit(asked, "c", 2, seed=5)
    repository = asked.repo.repository
    assert benign_pairs(repository, other, again).twins == ((old, new),)
    assert benign_pairs(repository, again, other).twins == ((new, old),)
    assert benign_pairs(repository, old, other).twins == (), "under one recipe there is nothing to look for"
    assert benign_pairs(repository, old, new).twins == (), "never the pair itself"
    assert known_shifts(repository, benign_pairs(repository, other, again))["N0"] == [pair_shifts(repository, old, new)]


def test_the_diff_names_the_pairs_that_it_holds_a_shift_against(asked: Project) -> None:
    a, b, c = commit(asked, "a", 0), commit(asked, "b", 1), commit(asked, "c", 4)
    asked.repo.noise_learn([(a, b)])
    found = asked.repo.diff(b, c)
    assert found.overall.tests["shift beyond N1"] > 0.05, "one pair is little"
    assert found.null_sources["N1"] == "1 benign pair; the draws' shift: 1 pair of captures"
    assert "shift beyond N1" not in asked.repo.diff(b, c, channels=["text"]).overall.tests


# How many there were at first


def test_draws_of_the_commit_itself_come_first(asked: Project) -> None:
    commit(asked, "a", 1)
    assert first(asked) is None, "nothing was added"
    more(asked, 3)
    assert first(asked) == 2
    more(asked, 1)
    assert first(asked) == 2


def test_a_commit_without_draws_begins_with_those_attached_first(asked: Project) -> None:
    commit(asked, "a", 1, draws=0)
    other = commit(asked, "b", 1)
    more(asked, 3, "HEAD~1")
    assert first(asked, "HEAD~1") == 3
    more(asked, 1, other)
    more(asked, 4, "HEAD~1")
    assert (first(asked, "HEAD~1"), first(asked)) == (3, 2)


def test_a_registered_commit_begins_with_its_first_capture(asked: Project) -> None:
    asked.commit("a", capture=False)
    more(asked, 3)
    assert first(asked) == 3
    more(asked, 3)
    assert first(asked) == 3


def test_draws_of_single_probes_alone_have_no_first_number(asked: Project) -> None:
    commit(asked, "a", 1, draws=0)
    more(asked, 2, probes=[f"label {PROMPTS[0]}"])
    assert first(asked) == 0


def more(project: Project, draws: int, revision: str = "HEAD", probes: Collection[str] = ()) -> None:
    project.repo.capture(revision, engine=project.script.choice, more_draws=draws, probes=list(probes))


def test_the_diff_tells_the_looks_apart(asked: Project) -> None:
    a, b = commit(asked, "a", 0), commit(asked, "b", 6)
    at_first = asked.repo.diff(a, b).overall.tests
    for revision in (a, b):
        more(asked, 2, revision)
    again = asked.repo.diff(a, b).overall.tests
    assert again["draws, the first 2"] == at_first["draws"]
    assert "draws, the first 4" in again and "draws, the first 8" not in again
    assert again["draws"] == pytest.approx(
        min(
            1.0,
            at_first["draws"] / 0.8,
            again["draws, the first 4"] / 0.1,
            again["draws, at any look"] / 0.06,
        )
    )
