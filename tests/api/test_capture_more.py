"""What commits lack is captured later and attached: whole captures, suites, draws; nothing is run twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bvc.api.commit_records import EngineChoice
from bvc.capture.engine import Batch, EngineOutOfMemory
from bvc.errors import BadInput, BvcError, EngineError, ExitCode, NotComparable, UsageError
from bvc.records import Capability, Generation, ModelIdentity, Outputs, Recipe
from bvc.repository.notes import CAPTURES
from bvc.repository.snapshot_view import SnapshotView
from bvc.results import CaptureEntry, CaptureResult, Progress
from bvc.store.refs import ConcurrentUpdate
from tests.api.doubles import Project, Script, SmallEngine
from tests.store.build import git

ALL = [f"probe {n}" for n in range(6)]


@dataclass
class DrawingScript(Script):
    """Opens engines that can draw alone, and remembers what they drew."""

    drawn: list[tuple[str, int, int]] = field(default_factory=list)
    draws_that_fit: int = 1000

    @property
    def choice(self) -> EngineChoice:
        return EngineChoice("small", self._open_drawing)

    def _open_drawing(self, identity: ModelIdentity, recipe: Recipe) -> Drawing:
        self.opened += 1
        return Drawing(identity, recipe, self)


@dataclass
class Drawing(SmallEngine):
    """The small engine, which can draw alone."""

    script: DrawingScript

    def draw(self, batch: Batch, first: int) -> list[tuple[Generation, ...]]:
        if len(self.script.drawn) >= self.script.stop_after:
            raise KeyboardInterrupt
        if batch.recipe.draws > self.script.draws_that_fit:
            raise EngineOutOfMemory("out of memory")
        self.script.drawn += [(r.probe.text, first, batch.recipe.draws) for r in batch.requests]
        return [self._capture(request, batch.recipe).outputs.draws[first:] for request in batch.requests]


@pytest.fixture
def drawing(project: Project) -> Iterator[Project]:
    """A project whose engine draws alone, four probes at a time."""
    project.script = DrawingScript()
    (project.folder / "bvc.toml").write_text("[recipe]\nbatch_rows = 4\n")
    return project


def capture(project: Project, *revisions: str, **options: Any) -> CaptureResult:
    return project.repo.capture(revisions, engine=project.script.choice, **options)


def only(result: CaptureResult) -> CaptureEntry:
    (entry,) = result.commits
    return entry


def view(project: Project, revision: str = "HEAD") -> SnapshotView:
    return project.repo.repository.snapshot(project.repo.rev_parse(revision))


def outputs(project: Project, revision: str = "HEAD") -> dict[str, Outputs]:
    found = view(project, revision)
    return {p: found.outputs(p) for p in found.output_blobs}


def script(project: Project) -> DrawingScript:
    assert isinstance(project.script, DrawingScript)
    return project.script


# Everything


def test_a_registered_commit_is_captured_as_if_it_had_been_at_once(project: Project) -> None:
    project.commit("a", capture=False)
    assert project.repo.show().commit.snapshot.capability is None  # type: ignore[union-attr]
    entry = only(capture(project, "HEAD"))
    assert (entry.captured, entry.reused, entry.drawn, entry.notes) == (6, 0, 0, ())
    assert entry.commit.snapshot is not None and entry.commit.snapshot.capability is Capability.ACTIVATIONS
    history = [e.commit.id for e in project.repo.log()]
    project.repo.switch("twin", create=True)
    project.script.ran()
    direct = project.commit("a", parents=[])
    assert (direct.captured, direct.reused, project.script.ran()) == (0, 6, []), "the next commit uses what is attached"
    assert view(project).tree == view(project, "HEAD~1").tree, "byte for byte what a commit would have held"
    assert [e.commit.id for e in project.repo.log("HEAD~1")] == history
    assert project.repo.fsck().problems == ()


def test_every_command_sees_what_is_attached(project: Project) -> None:
    project.script.moved = frozenset({ALL[1]})
    project.commit("a", capture=False)
    project.commit("b", capture=False)
    with pytest.raises(NotComparable, match="registered without capture") as refused:
        project.repo.diff()
    assert refused.value.hint is not None and "bvc capture" in refused.value.hint
    capture(project, "HEAD~1", "HEAD")
    assert project.repo.show().commit.snapshot == view(project).snapshot
    assert project.repo.show("HEAD", f"label {ALL[1]}").probe is not None
    assert [e.commit.snapshot.capability for e in project.repo.log(stat=True)] == [Capability.ACTIVATIONS] * 2  # type: ignore[union-attr]
    assert [e.summary.changed_text for e in project.repo.log(stat=True) if e.summary] == [1]
    assert project.repo.diff().summary.probes == 6
    assert project.repo.rev_parse(f"HEAD:probe/label {ALL[1]}") == view(project).output_blob(_id(project, ALL[1]))


def _id(project: Project, text: str) -> str:
    return next(p.id for p in project.repo.suite("sums").probes if p.text == text)


def test_nothing_missing_runs_nothing_and_attaches_nothing(project: Project) -> None:
    project.commit("a")
    shutil.rmtree(project.checkpoint("a"))
    opened = project.script.opened
    entry = only(capture(project, "HEAD"))
    assert (entry.attached, entry.notes, project.script.opened) == (None, ("nothing is missing",), opened)
    assert project.repo.repository.store.refs.get(CAPTURES) is None


def test_several_commits_load_each_model_once(drawing: Project) -> None:
    for name in ("a", "b", "a"):
        drawing.commit(name, capture=False)
    result = capture(drawing, "HEAD", "HEAD~1", "HEAD~2")
    assert [e.commit.id for e in result.commits] == [drawing.repo.rev_parse(f"HEAD~{n}") for n in range(3)]
    assert sorted(e.captured for e in result.commits) == [0, 6, 6]
    assert script(drawing).opened == script(drawing).closed == 2
    capture(drawing, "HEAD", "HEAD~2", more_draws=2)
    assert script(drawing).opened == script(drawing).closed == 3
    assert len(script(drawing).drawn) == 6, "the second commit of the model takes the first one's draws"


def test_references_come_from_relatives_so_that_commits_compare(project: Project) -> None:
    project.script.moved = frozenset(ALL)
    project.commit("a", capture=False)
    project.commit("b")
    capture(project, "HEAD~1")
    assert view(project, "HEAD~1").folder("references") == view(project).folder("references")


def test_settings_come_from_relatives_so_that_commits_compare(project: Project) -> None:
    project.commit("a", max_new_tokens=7, draws=1)
    project.commit("b", capture=False)
    entry = only(capture(project, "HEAD"))
    recipe = entry.commit.snapshot.recipe if entry.commit.snapshot else None
    assert recipe == view(project, "HEAD~1").snapshot.recipe
    assert entry.notes == (f"captured under the settings of commit {project.repo.rev_parse('HEAD~1')[:10]}, "
                           "so that they compare",)  # fmt: skip


def test_the_checkpoint_is_looked_for_where_it_was_and_must_be_the_same(project: Project) -> None:
    project.commit("a", capture=False)
    moved = project.checkpoint("a").rename(project.folder.parent / "elsewhere")
    with pytest.raises(BadInput) as gone:
        capture(project, "HEAD")
    assert gone.value.hint is not None and "--checkpoint PATH" in gone.value.hint
    other = project.checkpoint("other")
    with pytest.raises(BadInput, match="is not the checkpoint of commit"):
        capture(project, "HEAD", checkpoint=str(other))
    assert project.script.opened == 0
    assert only(capture(project, "HEAD", checkpoint=str(moved))).captured == 6


def test_recorded_outputs_cannot_be_gone_on_with(project: Project) -> None:
    rows = ",".join(f'{{"prompt": "{p}", "output": "x"}}' for p in ALL)
    (project.folder / "answers.json").write_text(f"[{rows}]")
    project.repo.commit(outputs=project.folder / "answers.json", model="m")
    with pytest.raises(UsageError, match="recorded outputs"):
        capture(project, "HEAD", more_draws=2)


def test_an_engine_that_fails_is_an_engine_error_and_keeps_the_repository(project: Project) -> None:
    project.commit("a", capture=False)
    project.script.rows_that_fit = 0
    with pytest.raises(EngineError) as failed:
        capture(project, "HEAD")
    assert failed.value.code is ExitCode.ENGINE
    assert project.repo.repository.store.refs.get(CAPTURES) is None and project.repo.fsck().ok


# Suites


def test_a_suite_adds_the_probes_that_a_commit_lacks(project: Project) -> None:
    project.commit("a")
    project.script.ran()
    project.suite("sums", [*ALL[:3], "late", *ALL[3:]])
    project.suite("more", [ALL[0], "other"])
    entry = only(capture(project, "HEAD", suites=["sums", "more"]))
    assert (entry.captured, entry.reused, sorted(project.script.ran())) == (2, 6, ["late", "other"])
    held = view(project)
    assert [(s.name, s.probes) for s in held.snapshot.suites] == [("sums", 7), ("more", 2)]
    assert held.snapshot.suites[0].digest == project.repo.suite("sums").digest
    assert [p.text for s, p in held.probes() if s == "sums"] == [*ALL[:3], "late", *ALL[3:]]
    assert held.snapshot.counts["recaptures"] == len(held.recaptures.output_blobs) >= 4  # type: ignore[union-attr]
    assert [(c.name, c.state) for c in project.repo.status().suites] == [("more", "same"), ("sums", "same")]
    assert project.commit("a").captured == 0
    assert only(capture(project, "HEAD~1", suites=["sums"])).attached is None


def test_probes_that_the_file_lost_stay(project: Project) -> None:
    project.commit("a")
    project.suite("sums", ["late", *ALL[:2]])
    capture(project, "HEAD", suites=["sums"])
    assert {p.text for _, p in view(project).probes()} == {*ALL, "late"}


# Draws


@pytest.mark.parametrize("alone", [True, False], ids=["an engine that draws alone", "one that cannot"])
def test_draws_made_later_are_those_made_at_once(project: Project, alone: bool) -> None:
    project.script = DrawingScript() if alone else Script()
    project.commit("a", draws=2)
    greedy = {p: o.greedy for p, o in outputs(project).items()}
    signatures = view(project).folder("signatures")
    project.script.ran()
    entry = only(capture(project, "HEAD", more_draws=2))
    assert (entry.captured, entry.reused, entry.drawn) == (0, 6, 12)
    assert len(project.script.ran()) == (0 if alone else 6)
    later = outputs(project)
    assert {p: o.greedy for p, o in later.items()} == greedy
    assert view(project).folder("signatures") == signatures, "numbers at hand are not written again"
    assert view(project).snapshot.recipe.draws == 4 and view(project).snapshot.counts["draws"] == 4  # type: ignore[union-attr]
    assert (
        view(project).snapshot.noise
        == project.repo.repository.store.history.info(project.repo.rev_parse("HEAD")).snapshot.noise
    )  # type: ignore[union-attr]
    other = Project(project.folder.parent / "other")
    other.commit("a", draws=4)
    assert outputs(other) == later
    assert view(other).tree == view(project).tree
    other.repo.close()
    project.script.ran()
    assert project.commit("a", draws=4).captured == 0 and project.script.ran() == []
    assert project.repo.fsck().problems == ()


def test_draws_of_some_probes(drawing: Project) -> None:
    drawing.commit("a", draws=1)
    first, second = ALL[2], ALL[4]
    assert only(capture(drawing, "HEAD", more_draws=3, probes=[f"label {first}", f"label {second}"])).drawn == 6
    assert script(drawing).drawn == [(first, 1, 4), (second, 1, 4)]
    counts = {drawing.repo.show("HEAD", p).probe.probe.text: len(o.draws) for p, o in outputs(drawing).items()}  # type: ignore[union-attr]
    assert counts == {p: 4 if p in (first, second) else 1 for p in ALL}
    assert view(drawing).snapshot.recipe.draws == 1, "what every probe has"  # type: ignore[union-attr]
    script(drawing).drawn.clear()
    assert only(capture(drawing, "HEAD", more_draws=4)).drawn == 4 * 4 + 2
    assert sorted(script(drawing).drawn) == sorted((p, 4 if p in (first, second) else 1, 5) for p in ALL)
    assert {len(o.draws) for o in outputs(drawing).values()} == {5}


def test_a_new_suite_and_more_draws_at_once(drawing: Project) -> None:
    drawing.commit("a", draws=1)
    drawing.suite("more", ["other"])
    entry = only(capture(drawing, "HEAD", suites=["more"], more_draws=1))
    assert (entry.captured, entry.drawn) == (1, 7)
    assert {len(o.draws) for o in outputs(drawing).values()} == {2}


def test_a_registered_commit_gets_more_draws_with_the_rest(drawing: Project) -> None:
    drawing.commit("a", capture=False)
    entry = only(capture(drawing, "HEAD", more_draws=3))
    assert (entry.captured, entry.drawn, script(drawing).drawn) == (6, 0, [])
    assert {len(o.draws) for o in outputs(drawing).values()} == {3}


def test_a_registered_commit_gets_more_draws_of_some_probes(drawing: Project) -> None:
    drawing.commit("a", capture=False)
    entry = only(capture(drawing, "HEAD", more_draws=3, probes=[f"label {ALL[0]}"]))
    assert (entry.captured, entry.drawn, script(drawing).drawn) == (6, 3, [(ALL[0], 0, 3)])


def test_attached_to_again_and_again(drawing: Project) -> None:
    drawing.commit("a")
    for n in range(3):
        entry = only(capture(drawing, "HEAD", more_draws=1))
        assert view(drawing).snapshot.recipe.draws == n + 1  # type: ignore[union-attr]
        assert entry.attached == drawing.repo.repository.store.refs.get(CAPTURES)
    assert [first for _, first, _ in script(drawing).drawn] == [0] * 6 + [1] * 6 + [2] * 6
    log = git(drawing.folder / ".bvc", "log", "--format=%s", CAPTURES).splitlines()
    assert len(log) == 3 and all(line.startswith("captures of a for ") for line in log)


def test_more_draws_that_do_not_fit_change_nothing(drawing: Project) -> None:
    drawing.commit("a", draws=1)
    script(drawing).draws_that_fit = 4
    with pytest.raises(EngineError, match="out of memory with batches of 4"):
        capture(drawing, "HEAD", more_draws=4)
    script(drawing).rows_that_fit = 1
    drawing.suite("more", ["other"])
    with pytest.raises(EngineError, match="out of memory with batches of 4"):
        capture(drawing, "HEAD", suites=["more"])
    assert drawing.repo.repository.store.refs.get(CAPTURES) is None


def test_captures_of_two_recipes_are_not_put_together(drawing: Project) -> None:
    repository = drawing.repo.repository
    drawing.commit("a", draws=1)
    other = EngineChoice("another", drawing.script.choice.open)
    with pytest.raises(NotComparable, match="was captured with engine small, now it is another"):
        drawing.repo.capture("HEAD", engine=other, more_draws=1)
    assert repository.store.refs.get(CAPTURES) is None


@pytest.mark.parametrize("what", [{"more_draws": -1}, {"probes": ["x"]}])
def test_contradicting_options(project: Project, what: dict[str, Any]) -> None:
    project.commit("a")
    with pytest.raises(UsageError):
        capture(project, "HEAD", **what)


# Interruptions and other processes


def test_an_interrupted_capture_goes_on_where_it_stopped(drawing: Project) -> None:
    drawing.commit("a", draws=1)
    script(drawing).stop_after = 4
    with pytest.raises(KeyboardInterrupt):
        capture(drawing, "HEAD", more_draws=2)
    assert drawing.repo.status().interrupted == (("a", 4),)
    script(drawing).stop_after = 1000
    before = list(script(drawing).drawn)
    seen: list[Progress] = []
    assert only(capture(drawing, "HEAD", more_draws=2, progress=seen.append)).drawn == 12
    assert [p for p, _, _ in script(drawing).drawn[len(before) :]] == ALL[4:]
    assert [(p.done, p.total) for p in seen if p.what == "draws"] == [(8, 12), (12, 12)]
    assert drawing.repo.status().interrupted == ()


def test_two_who_attach_to_two_commits_both_succeed(project: Project) -> None:
    project.commit("a", capture=False)
    project.commit("b", capture=False)
    a, b = project.repo.rev_parse("HEAD~1"), project.repo.rev_parse("HEAD")
    project.script = _Meanwhile(lambda: only(capture(other, b)))
    other = Project.__new__(Project)
    other.folder, other.script = project.folder, Script()
    import bvc

    other.repo = bvc.open(project.folder)
    assert only(capture(project, a)).attached is not None
    attached = project.repo.repository.attached
    assert attached.trees.keys() == {a, b}
    assert project.repo.fsck().problems == ()
    other.repo.close()


def test_who_attaches_to_the_same_commit_meanwhile_is_not_overwritten(project: Project) -> None:
    project.commit("a", capture=False)
    import bvc

    other = Project.__new__(Project)
    other.folder, other.script, other.repo = project.folder, Script(), bvc.open(project.folder)
    project.script = _Meanwhile(lambda: only(capture(other, "HEAD", dtype="bfloat16")))
    with pytest.raises(ConcurrentUpdate, match="attached to commit"):
        capture(project, "HEAD")
    assert view(project).snapshot.recipe.dtype == "bfloat16"  # type: ignore[union-attr]
    other.repo.close()


class _Meanwhile(Script):
    """Does something else as soon as the engine is opened."""

    def __init__(self, what: Any) -> None:
        super().__init__()
        self.what = what

    def _open(self, identity: ModelIdentity, recipe: Recipe) -> SmallEngine:
        self.what()
        return super()._open(identity, recipe)


# The record


def test_plain_git_reads_checks_and_copies_the_notes(project: Project, tmp_path: Path) -> None:
    project.commit("a", capture=False)
    capture(project, "HEAD")
    root = project.folder / ".bvc"
    note = git(root, "notes", "--ref=captures", "show", "HEAD")
    assert '"snapshot"' in note and view(project).tree in note
    assert "fatal" not in git(root, "fsck", "--strict", "--full")
    git(root, "gc", "--prune=now", "--quiet")
    assert project.repo.fsck().ok and view(project).snapshot.capability is Capability.ACTIVATIONS
    git(tmp_path, "init", "--bare", "copy")
    git(root, "push", str(tmp_path / "copy"), "refs/heads/*:refs/heads/*", "refs/notes/*:refs/notes/*")
    assert git(tmp_path / "copy", "notes", "--ref=captures", "show", "main") == note


def test_the_attached_is_found_again_without_the_index(project: Project) -> None:
    project.commit("a", capture=False)
    capture(project, "HEAD")
    project.repo.close()
    shutil.rmtree(project.folder / ".bvc" / "bvc" / "index")
    import bvc

    project.repo = bvc.open(project.folder)
    project.script.ran()
    assert project.commit("a").captured == 0 and project.script.ran() == []
    project.repo.reindex()
    assert project.repo.fsck().problems == ()
    assert project.commit("a").captured == 0


def test_captures_of_another_model_are_not_believed(project: Project) -> None:
    """As a hostile clone might hold: fsck says so, and the commit's own record stands."""
    project.commit("a")
    project.commit("b", capture=False)
    store, b = project.repo.repository.store, project.repo.rev_parse("HEAD")
    from bvc.repository.notes import NoteAuthor, attach_captures

    foreign = view(project, "HEAD~1")
    with store.begin() as transaction:
        by = NoteAuthor("M <m@x>", 0, 0)
        attach_captures(transaction, store, b, foreign.tree, foreign.snapshot, None, by)
    assert view(project).snapshot.capability is None
    (problem,) = [p for p in project.repo.fsck().problems if p.kind == "corrupt"]
    assert problem.object == foreign.tree and "another model" in problem.detail
    assert only(capture(project, "HEAD")).captured == 6, "and capturing replaces it"
    assert view(project).snapshot.capability is Capability.ACTIVATIONS


def test_an_attached_snapshot_that_holds_less_is_not_used(project: Project) -> None:
    project.commit("a", draws=2)
    store, a = project.repo.repository.store, project.repo.rev_parse("HEAD")
    from bvc.repository.notes import NoteAuthor, attach_captures

    own = view(project)
    assert own.snapshot.recipe is not None
    less = replace(own.snapshot, recipe=replace(own.snapshot.recipe, draws=1))
    from bvc.codec import canonical
    from bvc.store.objects import FILE_MODE, TreeEntry

    with store.begin() as transaction:
        kept = [e for e in store.objects.tree(own.tree) if e.name != "snapshot.json"]
        entry = TreeEntry("snapshot.json", FILE_MODE, transaction.blob(canonical(less.to_json())))
        tree = transaction.tree([*kept, entry])
        attach_captures(transaction, store, a, tree, less, None, NoteAuthor("M <m@x>", 0, 0))
    assert view(project).tree == own.tree


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.api.doubles import Project, Script
import bvc
project = Project.__new__(Project)
project.folder = Path(sys.argv[1]); project.script = Script(); project.repo = bvc.open(project.folder)
project.repo.capture("HEAD", engine=project.script.choice, checkpoint=sys.argv[2])
os.write(1, b"done")
"""


def test_killed_anywhere_leaves_a_readable_repository(project: Project) -> None:
    """A process killed after each of several delays, until one gets through; the full sweep is in tests/torture."""
    checkpoint = project.checkpoint("a")
    project.commit("a", capture=False)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", KILLED, str(project.folder), str(checkpoint)]
    environment = {"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"}
    for delay in (0.3, 0.6, 0.8, 1.0, 1.2, 60):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=root)
        try:
            out = process.communicate(timeout=delay)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            out = process.communicate()[0]
        captured = view(project).snapshot.capability
        assert captured is Capability.ACTIVATIONS or out != b"done"
        assert project.repo.fsck().ok
    assert view(project).snapshot.capability is Capability.ACTIVATIONS


def test_errors_are_bvc_errors(project: Project) -> None:
    with pytest.raises(BvcError):
        capture(project, "HEAD")
