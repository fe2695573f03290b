"""What a commit runs and what it takes from earlier commits, with references, draws, interruptions and short memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import bvc
from bvc.api.capture_plan import key_of, recaptured_ids
from bvc.errors import BvcError, EngineError, UsageError
from bvc.records import Capability, CommitInfo, Recipe, Reference
from bvc.repository.snapshot_view import SnapshotView
from tests.api.doubles import Project

ROOT = Path(__file__).parents[2]
ALL = [f"probe {n}" for n in range(6)]


def view(project: Project, revision: str = "HEAD") -> SnapshotView:
    return project.repo.repository.snapshot(project.repo.rev_parse(revision))


def info(project: Project, revision: str = "HEAD") -> CommitInfo:
    return view(project, revision).info


def reference(project: Project, label: str, revision: str = "HEAD") -> Reference | None:
    shown = project.repo.show(revision, label).probe
    assert shown is not None
    return shown.reference


def recipe(project: Project) -> Recipe:
    found = view(project).snapshot.recipe
    assert found is not None
    return found


def journals(project: Project) -> list[Path]:
    return list((project.folder / ".bvc" / "bvc" / "tmp" / "captures").glob("*/*.journal"))


def test_the_same_checkpoint_again_runs_nothing(project: Project) -> None:
    first = project.commit("a")
    assert (first.captured, first.reused, project.script.ran()) == (6, 0, ALL)
    second = project.commit("a")
    assert (second.captured, second.reused, project.script.ran()) == (0, 6, [])
    assert project.script.opened == project.script.closed == 1
    assert info(project).tree == info(project, "HEAD~1").tree
    assert journals(project) == []


def test_without_reuse_the_same_checkpoint_is_run_again(project: Project) -> None:
    project.commit("a")
    opened, batches = project.script.opened, len(project.script.batches)
    project.script.ran()
    again = project.commit("a", reuse=False)
    assert (project.script.opened, len(project.script.batches)) == (opened + 1, batches)  # both layouts
    assert (again.captured, again.reused, project.script.ran()) == (6, 0, ALL)
    assert info(project).tree == info(project, "HEAD~1").tree
    assert project.commit("a").captured == 0
    assert journals(project) == []


@pytest.mark.parametrize("other", [{"capture": False}, {"checkpoint": None, "outputs": "x.jsonl", "model": "m"}])
def test_running_again_is_about_a_model(other: dict[str, object], project: Project) -> None:
    options = {"checkpoint": project.checkpoint("a"), "reuse": False, **other}
    with pytest.raises(UsageError, match="and --no-reuse exclude each other"):
        project.repo.commit(**options)


def test_a_copy_elsewhere_is_the_same_checkpoint(project: Project) -> None:
    project.commit("a")
    moved = project.checkpoint("copy", weights="a")
    assert project.repo.commit(moved, engine=project.script.choice).captured == 0
    assert info(project).trailers["Bvc-Location"] == (str(moved),)


def test_a_checkpoint_of_another_branch_is_not_run_again_where_references_agree(project: Project) -> None:
    project.commit("a")
    project.repo.create_branch("side")
    project.commit("b")
    project.repo.switch("side")
    project.script.ran()
    assert project.commit("b").captured == 0
    assert project.script.ran() == []


def test_ten_added_probes_are_ten_run(project: Project) -> None:
    project.commit("a")
    project.script.ran()
    added = [f"new {n}" for n in range(10)]
    project.suite("sums", [*ALL[:3], *added, *ALL[3:]])
    result = project.commit("a")
    assert (result.captured, result.reused) == (10, 6)
    assert project.script.ran() == added
    for label in ALL:
        assert view(project).output_blob(_id(project, label)) == view(project, "HEAD~1").output_blob(
            _id(project, label)
        )
    project.suite("sums", ALL[1:4])
    assert (project.commit("a").captured, project.script.ran()) == (0, [])
    assert len(view(project).output_blobs) == 3


def _id(project: Project, label: str) -> str:
    return next(p.id for p in project.repo.suite("sums").probes if p.text == label)


def test_a_probe_in_two_suites_is_run_once(project: Project) -> None:
    project.suite("more", [ALL[0], "other"])
    result = project.commit("a")
    assert result.captured == 7 and len(project.script.ran()) == 7
    assert view(project).probe_blobs.keys() == {"more", "sums"}
    assert len(view(project).order) == 7
    assert [s.name for s in view(project).snapshot.suites] == ["more", "sums"]


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"max_new_tokens": 5}, {"batch_size": 2}, {"dtype": "bfloat16"}],
    ids=lambda change: next(iter(change)),
)
def test_another_recipe_runs_everything(change: dict[str, object], project: Project) -> None:
    project.commit("a")
    project.script.ran()
    assert project.commit("a", **change).captured == 6
    assert len(project.script.ran()) == 6
    assert project.commit("a").captured == 0


def test_more_draws_run_again_and_fewer_are_taken_from_more(project: Project) -> None:
    project.commit("a", draws=1)
    project.script.ran()
    assert project.commit("a", draws=3).captured == 6
    project.script.ran()
    fewer = project.commit("a", draws=1)
    assert (fewer.captured, project.script.ran()) == (0, [])
    assert info(project).tree == info(project, "HEAD~2").tree
    assert [len(view(project, f"HEAD~{n}").outputs(_id(project, ALL[0])).draws) for n in range(3)] == [1, 3, 1]


def test_references_are_frozen_at_the_root_and_inherited(project: Project) -> None:
    project.script.moved = frozenset({ALL[1]})
    root = project.commit("a")
    own = view(project).outputs(_id(project, ALL[1])).greedy.text
    assert reference(project, f"label {ALL[1]}") == Reference(own, end=True)
    project.commit("b")
    assert view(project).outputs(_id(project, ALL[1])).greedy.text != own
    assert reference(project, f"label {ALL[1]}") == Reference(own, end=True)
    assert view(project).folder("references") == view(project, root.commit).folder("references")
    project.suite("sums", [*ALL, "late"])
    project.commit("c")
    project.commit("d")
    assert reference(project, "label late") == reference(project, "label late", "HEAD~1") is not None


def test_references_come_through_merges_and_registered_commits(project: Project) -> None:
    project.script.moved = frozenset([ALL[0], "only here"])
    project.commit("a")
    project.repo.switch("side", create=True)
    project.suite("other", ["only here"])
    project.commit("b", suites=["other"])
    project.repo.switch("main")
    project.commit("c", capture=False)
    project.commit("d", parents=["HEAD", "side"])
    assert reference(project, "label only here") == reference(project, "label only here", "side") is not None
    assert reference(project, f"label {ALL[0]}") == reference(project, f"label {ALL[0]}", "HEAD~2") is not None


def test_a_suites_reference_wins_and_a_changed_one_runs_again(project: Project) -> None:
    project.commit("a")
    project.script.ran()
    project.suite("sums", ALL, reference="as the suite says")
    assert project.commit("a").captured == 6
    assert reference(project, f"label {ALL[0]}") == Reference("as the suite says", end=False)
    assert project.commit("a").captured == 0
    project.suite("sums", ALL, reference="as it says now")
    assert project.commit("a").captured == 6


def test_a_suites_reference_to_a_chat_ends_the_turn(project: Project) -> None:
    line = '{"messages": [{"role": "user", "content": "hi"}], "reference": "hello", "id": "chat"}\n'
    (project.folder / "probes" / "sums.jsonl").write_text(line)
    project.commit("a")
    assert reference(project, "chat") == Reference("hello", end=True)
    assert project.commit("a").captured == 0


def test_another_lineage_with_other_references_is_not_reused(project: Project) -> None:
    project.script.moved = frozenset(ALL[:2])
    project.commit("a")
    project.commit("b")
    project.repo.repository.store.refs.set_head_branch("fresh")
    project.script.ran()
    result = project.commit("b")
    assert result.parents == ()
    # `b` said something else than `a` to two probes: as a root it freezes its own words there.
    assert sorted(project.script.ran()) == ALL[:2] and (result.captured, result.reused) == (2, 4)


def test_recaptures_are_a_tenth_by_smallest_id_and_are_reused(project: Project) -> None:
    ids = [p.id for p in project.repo.suite("sums").probes]
    project.commit("a")
    again = view(project).recaptures
    assert again is not None and sorted(again.output_blobs) == sorted(ids)[:4]
    assert view(project).snapshot.noise.keys() == {"text", "logprob", "activation"}
    before = len(project.script.batches)
    project.commit("a")
    assert len(project.script.batches) == before
    assert [len(recaptured_ids(sorted(map(str, range(n))), 0.1)) for n in (2, 4, 40, 41, 100)] == [2, 4, 4, 5, 10]
    assert recaptured_ids(ids, 0) == []


def test_captures_without_activations_are_reused_too(project: Project) -> None:
    project.script.capability = Capability.LOGPROBS
    project.commit("a")
    assert view(project).signatures.manifests.keys() == {"logprob"}
    assert (project.commit("a").captured, project.script.opened) == (0, 1)


def test_ctrl_c_in_the_middle_keeps_what_was_captured(project: Project) -> None:
    project.script.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        project.commit("a", batch_size=2)
    assert project.script.ran() == ALL[:4]
    assert project.repo.status().interrupted == (("a", 4),)
    assert project.repo.repository.store.refs.head().commit is None
    project.script.stop_after = 1000
    result = project.commit("a", batch_size=2)
    assert project.script.ran() == ALL[4:]
    assert (result.captured, result.reused) == (6, 0) and any("interruption" in note for note in result.notes)
    assert project.repo.status().interrupted == () and journals(project) == []
    assert project.repo.fsck().ok


def test_a_failing_commit_keeps_the_captures_and_lets_go_of_the_lock(project: Project) -> None:
    project.commit("a")
    tip = info(project).id
    lock = project.folder / ".bvc" / "bvc" / "gc.lock"
    lock.unlink()
    lock.mkdir()
    with pytest.raises(BvcError, match="cannot write"):
        project.commit("b")
    lock.rmdir()
    project.script.ran()
    result = project.commit("b")
    assert (result.parents, result.captured, project.script.ran()) == ((tip,), 6, [])


def test_kill_9_in_the_middle_resumes(tmp_path: Path) -> None:
    project = Project(tmp_path / "p")
    project.repo.close()
    script = (
        "import os, signal, sys\n"
        "from tests.api.doubles import Project, Script, checkpoint\n"
        "import bvc\n"
        "from pathlib import Path\n"
        "class Deadly(Script):\n"
        "    def say(self, identity, probe):\n"
        "        if len(self.batches) == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().say(identity, probe)\n"
        "place = Path(sys.argv[1])\n"
        "bvc.open(place).commit(checkpoint(place.parent / 'm'), engine=Deadly().choice, batch_size=2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(project.folder)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with bvc.open(project.folder) as repo:
        assert repo.status().interrupted == (("m", 4),)
        result = repo.commit(project.folder.parent / "m", engine=project.script.choice, batch_size=2)
        assert project.script.ran() == ALL[4:] and result.captured == 6
        assert repo.fsck().ok


def test_short_memory_halves_the_batches_and_is_remembered(project: Project) -> None:
    project.script.rows_that_fit = 3
    result = project.commit("a")
    assert recipe(project).batch_rows == 2
    assert any("the recipe changed to batches of 2" in note for note in result.notes)
    project.script.ran()
    again = project.commit("a")
    assert (again.captured, project.script.ran()) == (0, [])
    assert any("did not fit into memory before" in note for note in again.notes)
    assert info(project).tree == info(project, "HEAD~1").tree
    project.suite("sums", [*ALL, "new"])
    assert project.commit("a").captured == 1
    project.script.rows_that_fit = 100
    assert project.commit("a", batch_size=8).captured == 7
    assert recipe(project).batch_rows == 8


def test_short_memory_after_some_were_held_keeps_recipes_apart(project: Project) -> None:
    project.commit("a")
    project.suite("sums", [*ALL, "new"])
    project.script.ran()
    project.script.rows_that_fit = 4
    result = project.commit("a")
    assert sorted(project.script.ran()) == sorted([*ALL, "new"])
    assert (result.captured, recipe(project).batch_rows) == (7, 4)
    assert project.repo.fsck().ok


def test_too_little_memory_for_one_probe_is_an_error(project: Project) -> None:
    project.script.rows_that_fit = 0
    with pytest.raises(EngineError, match="out of memory, even with one probe at a time") as caught:
        project.commit("a")
    assert caught.value.hint is not None
    project.script.rows_that_fit = 100
    assert project.commit("a").captured == 6


def test_a_lost_index_costs_time_and_nothing_else(project: Project) -> None:
    project.commit("a")
    tree = info(project).tree
    project.repo.reindex()
    project.script.ran()
    assert project.commit("a").captured == 0
    assert info(project).tree == tree


def test_a_damaged_earlier_commit_does_not_stand_in_the_way(project: Project) -> None:
    project.commit("a")
    project.commit("b")
    store = project.repo.repository.store
    model, found = view(project, "HEAD~1").snapshot.model, recipe(project)
    store.index.add_capture_source(key_of(model, found), "0" * 40)
    assert project.commit("a").captured == 0


def test_the_same_again_loads_no_torch(tmp_path: Path) -> None:
    project = Project(tmp_path / "p")
    project.commit("a")
    project.repo.close()
    script = (
        "import sys, bvc\n"
        "from bvc.api.commit_records import EngineChoice\n"
        "def never(model, recipe): raise AssertionError('opened')\n"
        "result = bvc.open(sys.argv[1]).commit(sys.argv[2], engine=EngineChoice('small', never))\n"
        "assert result.reused == 6\n"
        "print(sorted({'torch', 'transformers', 'peft', 'safetensors'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(project.folder), str(project.checkpoint("a"))],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_recipes_that_differ_only_in_draws_share_a_key() -> None:
    some = Recipe("small")
    assert some.digest == replace(some, draws=5).digest != replace(some, seed=5).digest
