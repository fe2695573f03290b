"""Shifts and axes over stored commits: what is compared, what `log --stat` remembers, what cannot be said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import bvc
from bvc.api.handle import Repo
from bvc.api.shift_log import logged_shift
from bvc.errors import NotComparable, UsageError
from bvc.records import LogShift
from bvc.store.index import SCORES
from tests.api.doubles import Project

SITES = {f"layer.0{n}/{place}" for n in (1, 2) for place in ("prompt", "reference")}


@pytest.fixture
def lineage(tmp_path: Path) -> Iterator[Project]:
    """Three models that answer all twelve probes in their own way, of which the second was committed twice."""
    made = Project(tmp_path / "project", probes=12)
    made.script.moved = frozenset(f"probe {n}" for n in range(12))
    for name in ("one", "two", "two", "three"):
        made.commit(name)
    yield made
    made.repo.close()


def stats(project: Project) -> list[LogShift | None]:
    """What `log --stat` says of shifts, oldest first, of all commits but the first."""
    entries = list(project.repo.log(stat=True))[:-1]
    return [entry.summary.shift for entry in reversed(entries) if entry.summary is not None]


def test_a_range_is_its_two_ends(lineage: Project) -> None:
    found = lineage.repo.features_shift("HEAD~3..HEAD~1")
    assert (found.a.id, found.b.id) == (lineage.repo.rev_parse("HEAD~3"), lineage.repo.rev_parse("HEAD~1"))
    assert found.sites.keys() == found.adjusted.keys() == SITES and found.tokens is None
    default = lineage.repo.features_shift()
    assert (default.a.id, default.b.id) == (lineage.repo.rev_parse("HEAD~1"), lineage.repo.rev_parse("HEAD"))
    assert list(found.sites) == list(lineage.repo.shift("HEAD~3", "HEAD~1"))
    with pytest.raises(UsageError, match="is a range"):
        lineage.repo.features_shift("HEAD~3..HEAD", "HEAD")


def test_probes_with_other_references_count_at_the_prompt_alone(lineage: Project) -> None:
    rows = [{"id": f"label probe {n}", "prompt": f"probe {n}", "reference": "Given."} for n in range(4)]
    rows += [{"id": f"label probe {n}", "prompt": f"probe {n}"} for n in range(4, 12)]
    (lineage.folder / "probes" / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lineage.commit("four")
    found = lineage.repo.features_shift().sites
    assert {site: one.probes for site, one in found.items()} == {
        site: 8 if site.endswith("/reference") else 12 for site in SITES
    }


def test_the_log_says_where_the_shift_is_or_that_there_is_none(lineage: Project) -> None:
    first, again, third = stats(lineage)
    assert first is not None and third is not None and again is not None
    assert (again.site, again.relative, again.ci, again.p_value, again.sites) == (None, None, None, 1.0, 4)
    adjusted = lineage.repo.features_shift("HEAD~1", "HEAD").adjusted
    assert third.p_value == min(adjusted.values()) and third.sites == 4
    assert all(entry.summary is None for entry in lineage.repo.log())


def test_what_the_log_measured_is_in_the_index_and_comes_back_without_it(lineage: Project) -> None:
    index = lineage.repo.repository.store.index.environment
    assert index.scan(SCORES) == []
    told = stats(lineage)
    kept = index.scan(SCORES)
    assert len(kept) == 3
    row = kept[0][0]
    index.put([(row, json.dumps(["layer.09/prompt", 0.5, [0.4, 0.6], 0.001, 4]).encode())])
    assert LogShift("layer.09/prompt", 0.5, (0.4, 0.6), 0.001, 4) in stats(lineage)  # it is read, not measured again
    index.replace()
    assert stats(lineage) == told


def test_a_log_without_arrays_says_the_rest_and_the_shift_once_they_are_there(lineage: Project) -> None:
    packs, aside = lineage.folder / ".bvc" / "bvc" / "packs", lineage.folder / "aside"
    shutil.move(packs, aside)
    packs.mkdir()
    lineage.repo.close()
    with bare(lineage) as repo:
        entry = next(iter(repo.log(stat=True)))
        assert entry.summary is not None and entry.summary.shift is None and entry.summary.changed_text == 12
    packs.rmdir()
    shutil.move(aside, packs)
    with bare(lineage) as repo:
        entry = next(iter(repo.log(stat=True)))
        assert entry.summary is not None and entry.summary.shift is not None


def bare(project: Project) -> Repo:
    return bvc.open(project.folder)


def test_few_probes_and_none_in_common_have_no_shift_and_are_not_measured_again(tmp_path: Path) -> None:
    made = Project(tmp_path / "few", probes=4)
    made.script.moved = frozenset(f"probe {n}" for n in range(4))
    made.commit("one")
    made.commit("two")
    made.suite("sums", [f"question {n}" for n in range(6)])
    made.commit("three")
    assert stats(made) == [None, None]
    assert [row for _, row in made.repo.repository.store.index.environment.scan(SCORES)] == [b"null", b"null"]
    made.repo.close()


def test_commits_without_activations_say_so(lineage: Project) -> None:
    lineage.commit("four", capture=False)
    with pytest.raises(NotComparable, match="holds no activations") as caught:
        lineage.repo.features_shift()
    assert "bvc capture" in str(caught.value.hint)
    info = lineage.repo.repository.store.history.info(lineage.repo.rev_parse("HEAD"))
    assert logged_shift(lineage.repo.repository, info) is None
    with pytest.raises(NotComparable, match="holds no activations"):
        lineage.repo.axis("a", "b")


# Axes


@pytest.fixture
def tagged(tmp_path: Path) -> Iterator[Project]:
    """Five probes of each of two tags, three models, the second of which was registered without a capture."""
    made = Project(tmp_path / "axes", probes=0)
    (made.folder / "probes" / "sums.jsonl").unlink()
    made.suite("harm", [f"bad {n}" for n in range(5)], tags=["harmful"])
    made.suite("other", [f"good {n}" for n in range(5)], tags=["harmless", "both"])
    made.script.moved = frozenset(f"bad {n}" for n in range(5))
    made.commit("one")
    made.commit("two", capture=False)
    made.commit("three")
    made.commit("four")
    yield made
    made.repo.close()


def test_a_range_moves_by_each_of_its_commits_oldest_first(tagged: Project) -> None:
    ids = [tagged.repo.rev_parse(f"HEAD~{n}") for n in (3, 2, 1, 0)]
    found = tagged.repo.axis("harmful", "harmless", "HEAD~3", ["HEAD~3..HEAD", "HEAD"])
    assert [commit.id for commit, _ in found.moved] == ids[2:]
    assert [commit.id for commit in found.left_out] == [ids[1]]
    assert found.probes == (5, 5) and found.axes.keys() == SITES
    assert all(moved.keys() == SITES for _, moved in found.moved)
    assert tagged.repo.axis("harmful", "harmless").moved == ()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("harmful", "nothing"), NotComparable, r"from 'nothing' to 'harmful' \(0 and 5 probes\)"),
        (("both", "harmless"), NotComparable, "in one group, in the other, or in none"),
        (("harmful", "harmless", "HEAD", "HEAD..HEAD"), UsageError, "HEAD..HEAD holds no commit"),
        (("harmful", "harmless", "HEAD", "HEAD~2"), NotComparable, "holds no activations"),
    ],
)
def test_axes_that_cannot_be(tagged: Project, arguments: tuple[str, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        tagged.repo.axis(*arguments)
