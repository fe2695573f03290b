"""Trusted pairs, the steps of the lineage, and their distances: what is remembered, measured again, and used."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bvc
from bvc.api.bands import BenignPairs, PairReader, benign_pairs, drift_of, pair_distances
from bvc.api.noise_pairs import pairs_of
from bvc.errors import NotComparable, UsageError
from bvc.results import NoiseResult
from tests.api.doubles import Project

ALL = [f"probe {n}" for n in range(6)]


def lineage(project: Project, names: str, **options: Any) -> list[str]:
    """One commit for each letter, each answering in words of its own; the ids."""
    project.script.moved = frozenset(ALL)
    return [project.commit(name, **options).commit for name in names]


def pairs(project: Project, left: str, right: str) -> BenignPairs:
    return benign_pairs(project.repo.repository, left, right)


def forget_index(project: Project) -> None:
    project.repo.close()
    shutil.rmtree(project.folder / ".bvc" / "bvc" / "index")
    project.repo = bvc.open(project.folder)


# Steps of the lineage


def test_steps_are_nearest_first_without_the_pair_itself(project: Project) -> None:
    a, b, c, d, e = lineage(project, "abcde")
    assert pairs(project, c, d).steps == ((b, c), (a, b), (d, e)), "ancestors first, then others near by"
    assert pairs(project, d, c).steps == pairs(project, c, d).steps, "in either direction the same pair"
    assert pairs(project, d, e).steps == ((c, d), (b, c), (a, b))
    assert pairs(project, a, b).steps == ((b, c), (c, d), (d, e))
    assert pairs(project, b, d).steps == ((c, d), (a, b), (b, c), (d, e))


def test_steps_are_limited(project: Project) -> None:
    commits = lineage(project, "abcdefghijklmnopqrstu")
    steps = pairs(project, commits[-2], commits[-1]).steps
    assert len(steps) == 16 and steps[0] == (commits[-3], commits[-2]) and steps[-1] == (commits[3], commits[4])


def test_steps_of_side_branches_count(project: Project) -> None:
    a, b = lineage(project, "ab")
    project.repo.switch("side", create=True)
    project.repo.repository.store.refs.update("refs/heads/side", a, b, "reset", "A <a@b>", 0)
    side = project.commit("s").commit
    assert set(pairs(project, a, b).steps) == {(a, side)}


def test_steps_without_captures_or_of_another_kind_are_left_out(project: Project) -> None:
    a, b, c = lineage(project, "abc")
    registered = project.commit("d", capture=False).commit
    e = project.commit("e").commit
    other = project.commit("f", seed=5).commit
    project.suite("sums", [*ALL, "late"])
    g = project.commit("g").commit
    h = project.commit("h").commit
    assert pairs(project, a, b).steps == ((b, c),)
    assert pairs(project, g, h).steps == ()
    project.repo.capture(registered, engine=project.script.choice)
    assert set(pairs(project, a, b).steps) == {(b, c), (c, registered), (registered, e)}
    assert other not in {end for step in pairs(project, a, b).steps for end in step}


def test_pairs_do_not_depend_on_the_index(project: Project) -> None:
    commits = lineage(project, "abcd")
    project.repo.noise_learn([("HEAD~3", "HEAD~1")])
    before = pairs(project, commits[1], commits[2])
    forget_index(project)
    assert pairs(project, commits[1], commits[2]) == before
    assert before.learned == (("N1", commits[0], commits[2]),)


# Distances


def test_distances_are_measured_once_and_the_same_without_the_index(project: Project) -> None:
    a, b = lineage(project, "ab", draws=2)
    repository = project.repo.repository
    first = pair_distances(repository, a, b)
    assert first.channels.keys() == {"text", "logprob", "activation"}
    assert all(len(table) == 6 for table in first.channels.values()) and len(first.sites) == 4
    assert len(first.first) == len(first.beyond_shift) == 6
    read = repository.store.chunks
    read.get = lambda sha: pytest.fail("an array was read")  # type: ignore[method-assign, assignment]
    assert pair_distances(repository, a, b) == first
    drift = drift_of(repository, a, b)
    assert drift == np.median(list(first.channels["logprob"].values())) > 0
    forget_index(project)
    again = pair_distances(project.repo.repository, a, b)
    assert again == first
    assert [list(t) for t in again.channels.values()] == [list(t) for t in first.channels.values()]


def test_distances_agree_with_the_diff_of_the_same_pair(project: Project) -> None:
    from bvc.api.sides import shared_blocks, two_sides
    from bvc.compare.measure import measure
    from bvc.compare.terms import settle_terms

    a, b = lineage(project, "ab")
    views = [project.repo.repository.snapshot(commit) for commit in (a, b)]
    left, right = two_sides(*views)
    texts = {p: (side.outputs, right.probes[p].outputs) for p, side in left.probes.items()}
    assert pair_distances(project.repo.repository, a, b) == measure(
        texts, shared_blocks(*views), settle_terms(left, right)
    )


def test_pairs_that_share_a_commit_have_the_distances_of_each_alone(project: Project) -> None:
    a, b, c, d = lineage(project, "abcd")
    repository = project.repo.repository
    chosen = [(c, d), (b, c), (a, b), (d, a), (b, c)]
    reader = PairReader(repository)
    found = [reader.distances(*pair) for pair in chosen]
    assert found == [pair_distances(repository, *pair) for pair in chosen]
    forget_index(project)
    reader = PairReader(project.repo.repository)
    reader.distances(c, d)
    reader.flush()
    project.repo.repository.store.chunks.get = lambda sha: pytest.fail("an array was read")  # type: ignore[method-assign, assignment]
    assert pair_distances(project.repo.repository, c, d) == found[0]


def test_numbers_that_are_not_finite_are_kept_as_broken(project: Project) -> None:
    from bvc.api.bands import _packed, _unpacked
    from bvc.compare.measure import Distances

    ids = ["ab" * 32, "cd" * 32]
    odd = Distances({"logprob": {}, "text": {ids[0]: 0.5}}, {}, {ids[1]: 0.25}, broken={ids[1]})
    assert _unpacked(_packed(odd)) == odd
    assert _unpacked(_packed(Distances())) == Distances()
    assert _unpacked(b"") is None and _unpacked(b"[]\n\x09\0\0\0abc") is None


def test_attached_captures_are_measured_anew(project: Project) -> None:
    project.script.moved = frozenset([*ALL, "late"])
    a, b = (project.commit(name).commit for name in "ab")
    repository = project.repo.repository
    assert len(pair_distances(repository, a, b).channels["text"]) == 6
    project.suite("sums", [*ALL, "late"])
    project.repo.capture([a, b], engine=project.script.choice, suites=["sums"])
    assert len(pair_distances(repository, a, b).channels["text"]) == 7


def test_a_commit_without_captures_has_no_distances(project: Project) -> None:
    a = project.commit("a").commit
    b = project.commit("b", capture=False).commit
    with pytest.raises(NotComparable):
        pair_distances(project.repo.repository, a, b)


def test_a_cached_pair_of_200_probes_is_read_in_milliseconds(tmp_path: Path) -> None:
    project = Project(tmp_path / "large", probes=200)
    project.script.moved = frozenset(f"probe {n}" for n in range(200))
    a, b = (project.commit(name).commit for name in "ab")
    repository = project.repo.repository
    pair_distances(repository, a, b)
    times = []
    for _ in range(20):
        started = time.thread_time()
        pair_distances(repository, a, b)
        times.append(time.thread_time() - started)
    project.repo.close()
    assert min(times) < 0.005


# The user's pairs


def test_learned_pairs_show_their_bands(project: Project) -> None:
    a, b, c = lineage(project, "abc")
    result = project.repo.noise_learn([(a, b)], "N1")
    assert result.nulls.keys() == {"N0", "N1", "steps"}
    band = result.nulls["N1"]["logprob"]
    values = pair_distances(project.repo.repository, a, b).channels["logprob"].values()
    assert (band.n, band.pairs, band.max) == (6, 1, max(values)) and band.coverage == 6 / 7
    shown = project.repo.noise()
    assert shown.commit.id == c and shown.used == ((a, b),)
    assert [(p.level, p.drift, p.probes) for p in shown.pairs] == [("N1", drift_of(project.repo.repository, a, b), 6)]
    assert shown.steps == tuple((*s, drift_of(project.repo.repository, *s)) for s in ((b, c), (a, b)))
    assert shown.nulls["steps"]["text"].pairs == 2
    project.repo.noise_learn([(b, a)], "N2")
    assert [(p.level, _id(p.a), _id(p.b)) for p in project.repo.noise().pairs] == [("N2", b, a)]
    project.repo.noise_forget([(a, b)])
    assert project.repo.noise().pairs == ()
    assert project.repo.fsck().problems == ()


def _id(end: Any) -> str:
    return end if isinstance(end, str) else str(end.id)


def test_the_compared_pair_is_no_null_of_itself(project: Project) -> None:
    a, b, c = lineage(project, "abc")
    project.repo.noise_learn([(a, b), (b, c)])
    assert pairs(project, a, b).learned == (("N1", b, c),)
    assert pairs(project, c, b).learned == (("N1", a, b),)


def test_pairs_of_another_recipe_are_remembered_and_not_used(project: Project) -> None:
    a, b = lineage(project, "ab", seed=3)
    c, d = lineage(project, "cd")
    project.repo.noise_learn([(a, b)])
    assert pairs(project, c, d).learned == ()
    shown = project.repo.noise()
    assert len(shown.pairs) == 1 and shown.used == () and "N1" not in shown.nulls


def test_what_cannot_be_learned(project: Project) -> None:
    a, b = lineage(project, "ab")
    twin = project.commit("b").commit
    other = project.commit("c", seed=3).commit
    registered = project.commit("d", capture=False).commit
    for pair, error in (
        ((b, twin), UsageError),
        ((a, other), NotComparable),
        ((a, registered), NotComparable),
    ):
        with pytest.raises(error):
            project.repo.noise_learn([pair])
    with pytest.raises(UsageError, match="N1 or N2"):
        project.repo.noise_learn([(a, b)], "N0")
    with pytest.raises(UsageError, match="not a trusted pair"):
        project.repo.noise_forget([(a, b)])
    assert project.repo.repository.store.refs.get("refs/notes/noise") is None


def test_pairs_survive_losing_the_index_and_reindex(project: Project) -> None:
    a, b = lineage(project, "ab")
    before = project.repo.noise_learn([(a, b)])
    forget_index(project)
    assert _numbers(project.repo.noise()) == _numbers(before)
    project.repo.reindex()
    assert _numbers(project.repo.noise()) == _numbers(before)


def _numbers(result: NoiseResult) -> Any:
    return result.nulls, result.used, result.steps, [(p.level, p.drift) for p in result.pairs]


def test_pairs_as_they_are_written() -> None:
    assert pairs_of(["a", "b"]) == [("a", "b")]
    assert pairs_of(["a..b", "c", "d", "e.."]) == [("a", "b"), ("c", "d"), ("e", "HEAD")]
    for bad in (["a"], ["a", "b", "c"], ["a...b"], ["a", "b..c"], [], ["a..b..c"]):
        with pytest.raises(UsageError):
            pairs_of(bad)
