"""Where commits go: parents, siblings, merges, detached HEAD, several processes; branches, tags and switching."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bvc
from bvc.errors import BvcError, NotComparable, UnknownRevision, UsageError
from bvc.records import CommitInfo
from tests.api.doubles import Project, checkpoint
from tests.store.build import git

ROOT = Path(__file__).parents[2]


def head(project: Project) -> CommitInfo:
    found = project.repo.status().head
    assert found is not None
    return found


def names(project: Project) -> dict[str, str]:
    return {entry.name: entry.commit for entry in project.repo.branches()}


def test_the_first_commit_has_no_parent_and_the_next_has_it(project: Project) -> None:
    first = project.commit("a", message="First\n\nMore words.")
    second = project.commit("b")
    assert (first.parents, first.branch, first.subject) == ((), "main", "First")
    assert (second.parents, second.subject) == ((first.commit,), "b")
    trailers = head(project).trailers
    assert trailers["Bvc-Model"] == (f"b sha256:{second.model.fingerprint}",)
    assert trailers["Bvc-Location"] == (str(project.checkpoint("b")),)
    assert trailers["Bvc-Suite"] == (f"sums sha256:{project.repo.suite('sums').digest}",)
    assert trailers["Bvc-Root"][0].startswith("sha256:")


def test_a_message_cannot_forge_trailers(project: Project) -> None:
    project.commit("a", message="Mine\n\nBvc-Model: forged sha256:0\nBvc-Root: sha256:0")
    assert all("forged" not in value for value in head(project).trailers["Bvc-Model"])
    assert len(head(project).trailers["Bvc-Root"]) == 1
    assert project.repo.fsck().ok


def test_a_path_with_strange_characters_stays_on_one_line(project: Project) -> None:
    place = checkpoint(project.folder.parent / "two  spaces\nand a line")
    project.repo.commit(place, engine=project.script.choice)
    assert head(project).trailers["Bvc-Location"] == (str(place).replace("\n", " "),)
    assert project.repo.fsck().ok


def test_a_sibling_keeps_the_former_tip_on_a_branch(project: Project) -> None:
    root = project.commit("a").commit
    tip = project.commit("b").commit
    result = project.commit("c", parents=["HEAD~1"])
    assert result.parents == (root,)
    kept = f"main-{tip[:7]}"
    assert names(project) == {"main": result.commit, kept: tip}
    assert any(kept in note for note in result.notes)
    assert {entry.commit.id for entry in project.repo.log(["main", kept])} == {root, tip, result.commit}
    # The tip that another branch or tag holds needs no branch of its own.
    project.repo.create_tag("here")
    assert project.commit("d", parents=[root]).notes == ()
    assert len(names(project)) == 2


def test_a_merge_has_the_parents_in_order(project: Project) -> None:
    root = project.commit("a").commit
    project.repo.switch("side", create=True)
    side = project.commit("b").commit
    project.repo.switch("main")
    main = project.commit("c").commit
    merge = project.commit("d", parents=["main", "side", "main"])
    assert merge.parents == (main, side) and merge.notes == ()
    assert project.repo.merge_base(["main", "side"]) == [side]
    assert project.repo.merge_base([main, side]) == [root]
    assert [entry.commit.subject for entry in project.repo.log(["side..main"])] == ["d", "c"]
    assert [entry.commit.subject for entry in project.repo.log([main, f"^{root}"])] == ["c"]
    assert {e.commit.subject for e in project.repo.log([f"{main}...{side}"])} == {"b", "c"}


def test_a_detached_head_moves_alone(project: Project) -> None:
    root = project.commit("a").commit
    tip = project.commit("b").commit
    assert project.repo.switch("HEAD~1", detach=True).branch is None
    result = project.commit("c")
    assert (result.branch, result.parents) == (None, (root,))
    assert head(project).id == result.commit and names(project) == {"main": tip}
    assert project.repo.reflog()[0].new == result.commit
    project.repo.create_branch("found", "HEAD")
    project.repo.switch("main")
    assert head(project).id == tip


def test_an_unborn_branch_begins_a_new_lineage(project: Project) -> None:
    assert list(project.repo.branches()) == []
    with pytest.raises(UnknownRevision, match="there is no commit"):
        list(project.repo.log())
    with pytest.raises(UnknownRevision):
        project.repo.diff()
    assert project.repo.switch("start", create=True).branch == "start"
    assert project.commit("a").branch == "start"
    assert list(names(project)) == ["start"]


def test_an_unknown_parent_is_refused_before_anything_runs(project: Project) -> None:
    with pytest.raises(UnknownRevision):
        project.commit("a", parents=["nothing"])
    assert project.script.opened == 0


def test_options_that_contradict_each_other(project: Project) -> None:
    for options in (
        {},
        {"checkpoint": "x", "outputs": "y"},
        {"outputs": "y"},
        {"outputs": "y", "model": "m", "capture": False},
        {"checkpoint": "x", "draws": -1},
        {"checkpoint": "x", "batch_size": 0},
    ):
        with pytest.raises(UsageError):
            project.repo.commit(**options)  # type: ignore[arg-type]


def test_registering_runs_nothing_and_compares_with_nothing(project: Project) -> None:
    project.commit("a")
    project.script.ran()
    result = project.commit("b", capture=False)
    assert (result.captured, result.reused, project.script.ran()) == (0, 0, [])
    shown = project.repo.show()
    assert shown.commit.snapshot is not None and shown.commit.snapshot.capability is None
    assert shown.commit.snapshot.counts == {"probes": 6} and shown.stat is not None
    for act in (project.repo.diff, lambda: project.repo.show("HEAD", "label probe 1")):
        with pytest.raises(NotComparable, match="registered without capture") as caught:
            act()
        assert caught.value.hint is not None
    assert project.commit("b").captured == 6
    assert project.repo.diff("HEAD~2").summary.probes == 6


def test_processes_that_commit_at_once_lose_nothing(project: Project) -> None:
    project.commit("root")
    script = (
        "import sys, bvc\n"
        "from pathlib import Path\n"
        "from tests.api.doubles import Script, checkpoint\n"
        "place, name = Path(sys.argv[1]), sys.argv[2]\n"
        "with bvc.open(place) as repo:\n"
        "    for n in range(3):\n"
        "        made = checkpoint(place.parent / f'{name}{n}', f'{name}{n}')\n"
        "        print(repo.commit(made, engine=Script().choice).commit)\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(project.folder), name], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for name in "xyz"
    ]
    told = [line for process in started for line in process.communicate()[0].split()]
    assert [process.returncode for process in started] == [0, 0, 0] and len(told) == 9
    listed = [entry.commit for entry in project.repo.log()]
    assert set(told) <= {info.id for info in listed} and len(listed) == 10
    assert all(len(info.parents) == 1 for info in listed[:-1])
    assert project.repo.fsck().ok
    assert "error" not in git(project.folder / ".bvc", "fsck", "--strict")


# Lineage facts


def test_an_adapter_off_its_base_is_remarked(project: Project) -> None:
    base = project.commit("base")
    adapter = project.folder.parent / "adapter"
    checkpoint(adapter)
    (adapter / "model.safetensors").rename(adapter / "adapter_model.safetensors")
    (adapter / "config.json").unlink()
    config = {"peft_type": "LORA", "base_model_name_or_path": str(project.checkpoint("base"))}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    result = project.repo.commit(adapter, engine=project.script.choice)
    assert result.notes == () and result.subject == "adapter on base"
    assert result.model.base is not None and result.model.facts["base"] == base.model.fingerprint
    project.repo.repository.store.refs.set_head_branch("elsewhere")
    notes = project.repo.commit(adapter, engine=project.script.choice).notes
    assert notes == (
        f"this adapter's base is commit {base.commit[:10]}, which is not an ancestor: "
        f"use --parent {base.commit[:10]} if it should be",
    )


def test_the_steps_of_a_trainers_run_are_recognized(project: Project) -> None:
    run = project.folder.parent / "run"
    for step in (50, 100, 150):
        checkpoint(run / f"checkpoint-{step}", f"weights {step}", step=step)
    engine = project.script.choice
    first = project.repo.commit(run / "checkpoint-50", engine=engine)
    assert first.model.facts == {"trainer_step": 50} and first.model.name == "run/checkpoint-50"
    second = project.repo.commit(run / "checkpoint-100", engine=engine)
    assert second.model.facts == {"trainer_step": 100, "trainer_previous": "checkpoint-50"} and second.notes == ()
    other = project.repo.commit(run / "checkpoint-150", engine=engine, parents=first.commit)
    assert [note for note in other.notes if note.startswith(f"the run's earlier step is commit {second.commit[:10]}")]
    snapshot = project.repo.show().commit.snapshot
    assert snapshot is not None and snapshot.model.facts["trainer_step"] == 150


def test_status_lists_checkpoints_that_no_branch_holds(project: Project) -> None:
    models = project.folder.parent / "models"
    for name in ("one", "two", "three"):
        project.checkpoint(name)
    project.commit("one")
    project.repo.switch("side", create=True)
    project.commit("two")
    project.repo.switch("main")
    assert project.repo.status().uncommitted == (str(models / "three"),)


# Branches, tags, switching


def test_branches_are_made_moved_renamed_and_deleted(project: Project) -> None:
    root, tip = project.commit("a").commit, project.commit("b").commit
    repo = project.repo
    assert repo.create_branch("side", "HEAD~1").commit == root
    for refused in (lambda: repo.create_branch("side"), lambda: repo.create_branch("main", "HEAD~1", force=True)):
        with pytest.raises(UsageError):
            refused()
    assert repo.create_branch("side", force=True).commit == tip
    assert repo.rename_branch("main", "trunk").current
    assert repo.status().branch == "trunk"
    for refused in (
        lambda: repo.delete_branch("trunk"),
        lambda: repo.rename_branch("side", "trunk"),
        lambda: repo.create_branch("side/below"),
    ):
        with pytest.raises(UsageError):
            refused()
    repo.switch("side")
    project.commit("c")
    repo.switch("trunk")
    with pytest.raises(UsageError, match="does not reach"):
        repo.delete_branch("side")
    assert repo.delete_branch("side", force=True).name == "side"
    assert list(names(project)) == ["trunk"]
    assert project.repo.fsck().ok


@pytest.mark.parametrize(
    "name",
    ["", "-x", "a b", "a..b", "a~1", "a^", "a:b", "HEAD", "@", "a@{1}", ".a", "a/", "/a", "a.lock", "a/.b", "é\x7f"],
)
def test_names_that_git_refuses_are_refused(name: str, project: Project) -> None:
    project.commit("a")
    for act in (
        lambda: project.repo.create_branch(name),
        lambda: project.repo.create_tag(name),
        lambda: project.repo.rename_branch("main", name),
        lambda: project.repo.switch(name, create=True),
    ):
        with pytest.raises(UsageError):
            act()
    assert list(names(project)) == ["main"] and project.repo.tags() == []


def test_a_name_that_reads_as_an_id_is_refused(project: Project) -> None:
    commit = project.commit("a").commit
    with pytest.raises(UsageError):
        project.repo.create_branch(commit.upper())


@pytest.mark.parametrize("name", ["é", "a/b", "a-b_c.d", "日本"])
def test_names_that_git_takes_are_taken(name: str, project: Project) -> None:
    commit = project.commit("a").commit
    project.repo.create_branch(name)
    project.repo.create_tag(name)
    assert project.repo.rev_parse(f"heads/{name}") == commit
    assert git(project.folder / ".bvc", "rev-parse", f"refs/heads/{name}").strip() == commit


def test_tags_light_and_annotated(project: Project) -> None:
    root, tip = project.commit("a").commit, project.commit("b").commit
    repo = project.repo
    repo.create_tag("light", "HEAD~1")
    repo.create_tag("heavy", message="Kept.")
    assert {tag.name: tag.commit for tag in repo.tags()} == {"light": root, "heavy": tip}
    assert repo.cat_file("heavy").kind == "tag" and repo.rev_parse("heavy^{}") == tip
    assert repo.show("heavy").commit.id == tip and set(repo.show("heavy").refs) == {"HEAD -> main", "tag: heavy"}
    with pytest.raises(UsageError):
        repo.create_tag("light")
    repo.create_tag("light", force=True)
    assert repo.delete_tag("light").commit == tip
    with pytest.raises(UnknownRevision):
        repo.delete_tag("light")


def test_switching_moves_head_and_says_so_in_the_reflog(project: Project) -> None:
    root, tip = project.commit("a").commit, project.commit("b").commit
    repo = project.repo
    repo.create_branch("side", root)
    repo.create_tag("there", root)
    assert repo.switch("side").branch == "side" and head(project).id == root
    assert repo.reflog()[0].message == "checkout: moving from main to side"
    assert repo.switch("new", create=True).branch == "new"
    assert repo.switch("there", detach=True).branch is None
    with pytest.raises(BvcError, match="not a branch") as caught:
        repo.switch("there")
    assert caught.value.hint == "`bvc switch --detach there` stands on its commit"
    with pytest.raises(UnknownRevision):
        repo.switch("nothing")
    with pytest.raises(UsageError):
        repo.switch("side", create=True)
    with pytest.raises(UsageError):
        repo.switch("side", create=True, detach=True)
    repo.switch("main")
    assert head(project).id == tip
    # What plain Git makes of it.
    assert git(project.folder / ".bvc", "symbolic-ref", "HEAD").strip() == "refs/heads/main"
    assert len(git(project.folder / ".bvc", "reflog", "HEAD").splitlines()) == len(repo.reflog())


def test_switching_sets_a_damaged_head_right(project: Project) -> None:
    project.commit("a")
    (project.folder / ".bvc" / "HEAD").write_text("ref: refs/heads/gone\n")
    with pytest.raises(BvcError, match="has no commit"):
        project.commit("b")
    assert project.repo.switch("main").branch == "main"


def test_a_reflog_has_every_step(project: Project) -> None:
    commits = [project.commit(name).commit for name in "ab"]
    assert [entry.new for entry in project.repo.reflog("main")] == commits[::-1]
    assert project.repo.reflog("@") == project.repo.reflog()
    assert project.repo.rev_parse("main@{1}") == commits[0]
    with pytest.raises(UnknownRevision):
        project.repo.reflog("nothing")


def test_the_python_api_finds_makes_and_closes_projects(tmp_path: Path) -> None:
    made = bvc.init(tmp_path / "new")
    assert made.root == (tmp_path / "new").resolve() and set(made.created) >= {".bvc/", "bvc.toml"} and made.kept == ()
    assert bvc.init(tmp_path / "new").created == ()
    inner = tmp_path / "new" / "deep" / "inside"
    inner.mkdir(parents=True)
    with bvc.open(inner) as repo:
        assert repo.root == made.root and repo.author == "unknown <unknown@localhost>"
        assert repo.suites()[0].name == "starter"
        repo.config_set("author", "Ada <ada@example.org>")
        assert repo.author == "Ada <ada@example.org>"
        repo.default_author = "Caller <c@example.org>"
        assert repo.author == "Caller <c@example.org>"
    with pytest.raises(BvcError) as caught:
        bvc.open(tmp_path)
    assert caught.value.code == 11
    assert not hasattr(bvc, "nothing")


def test_recorded_outputs_are_committed_as_text(project: Project) -> None:
    rows = [{"prompt": f"probe {n}", "output": f"answer {n}"} for n in range(6)]
    path = project.folder / "answers.json"
    path.write_text(json.dumps(rows))
    result = project.repo.commit(outputs=str(path), model="served", suites="sums")
    assert (result.captured, result.reused, result.model.kind) == (6, 0, "recorded")
    tree = head(project).tree
    project.repo.commit(outputs=path, model="served", suites=["sums"])
    assert head(project).tree == tree
    project.commit("a")
    found = project.repo.diff()
    assert found.capability == "text" and found.summary.probes == 6
