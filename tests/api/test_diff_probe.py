"""One probe of a diff: its draws, and its log-probs token by token."""

from __future__ import annotations

import json

import pytest

from bvc.errors import UnknownRevision
from bvc.results import ProbeDetail
from tests.api.doubles import Project


def detail(project: Project, label: str) -> ProbeDetail:
    return project.repo.diff_probe(None, None, label)[1]


def test_tokens_and_draws_of_both_sides(project: Project) -> None:
    project.script.moved = frozenset({"probe 2"})
    project.commit("a", draws=2)
    project.commit("b", draws=2)
    chosen, found = project.repo.diff_probe("HEAD~1", "HEAD", "label probe 2")
    assert chosen.probe.text == "probe 2"
    assert (len(found.draws_a), len(found.draws_b)) == (2, 2)
    assert found.draws_a[0].startswith("An answer to probe 2, says ")
    assert found.draws_a != found.draws_b
    assert len(found.tokens) == len(found.delta) == len(found.kl) > 0
    assert any(value != 0 for value in found.delta)
    assert all(value > 0 for value in found.kl)
    view = [project.repo.show(revision, "label probe 2").probe for revision in ("HEAD~1", "HEAD")]
    before, after = (list(side.logprobs) for side in view if side is not None)
    assert list(found.delta) == pytest.approx([b - a for a, b in zip(before, after, strict=True)], abs=1e-6)


def test_a_probe_that_did_not_move(project: Project) -> None:
    project.commit("a")
    project.commit("b")
    found = detail(project, "label probe 1")
    assert set(found.delta) == set(found.kl) == {0.0}
    assert (found.draws_a, found.draws_b) == ((), ())


def test_texts_alone_have_no_strip(project: Project) -> None:
    file = project.folder / "answers.jsonl"
    for model in ("one", "two"):
        file.write_text(json.dumps({"prompt": "probe 1", "outputs": ["greedy", f"drawn by {model}"]}) + "\n")
        project.repo.commit(outputs=file, model=model)
    assert detail(project, "label probe 1") == ProbeDetail(draws_a=("drawn by one",), draws_b=("drawn by two",))


def test_different_references_have_no_strip(project: Project) -> None:
    project.suite("sums", ["probe 1"], reference="one")
    project.commit("a")
    project.suite("sums", ["probe 1"], reference="another")
    project.commit("b")
    assert detail(project, "label probe 1").tokens == ()


def test_an_unknown_probe(project: Project) -> None:
    project.commit("a")
    project.commit("b")
    with pytest.raises(UnknownRevision, match="no probe nothing in this diff"):
        detail(project, "nothing")
