"""A checkpoint that was committed under another layout is the same model, which no statistics have to find."""

from __future__ import annotations

from bvc.results import Verdict
from tests.api.doubles import Project

SOURCE = "the same weights in both commits, captured in another layout"
FAR = 2000
"""Rows of a batch at which the engine's numbers are far off those of 16: much farther than a re-capture's."""


def test_another_layout_of_the_same_weights_is_the_same(project: Project) -> None:
    project.commit("one")
    project.commit("one", batch_size=FAR)
    found = project.repo.diff()
    assert found.overall.drift > 0
    assert found.overall.verdict is Verdict.SAME
    assert found.null_sources["N0"] == SOURCE


def test_other_weights_in_another_layout_are_not(project: Project) -> None:
    project.commit("one")
    project.commit("two", batch_size=FAR)
    found = project.repo.diff()
    assert found.overall.verdict is not Verdict.SAME
    assert found.null_sources["N0"] == "re-captures of both commits"


def test_another_length_of_the_same_weights_is_judged_as_before(project: Project) -> None:
    project.commit("one")
    project.commit("one", max_new_tokens=7, batch_size=FAR)
    assert SOURCE not in project.repo.diff().null_sources.values()
