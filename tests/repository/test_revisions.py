"""Names of commits: whatever plain Git says of the same repository, bvc says too."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bvc.errors import AmbiguousId, UnknownRevision, UsageError
from bvc.repository.repository import Repository
from bvc.repository.revisions import Selection, find_probe, parse_range, resolve, resolve_object, select
from bvc.store import graph
from bvc.store.gitpacks import object_id
from tests.api.doubles import Project
from tests.store.build import AUTHOR, add_commit, git


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """main: a, b, merge of (b, s1), c; side: a, s1; tags: light on b, annotated v1 on the merge, v2 on v1."""
    folder = tmp_path_factory.mktemp("lineage")
    project = Project(folder / "p")
    store, refs = project.repo.repository.store, project.repo.repository.store.refs
    a = add_commit(store, "a", date=1)
    b = add_commit(store, "b", date=2)
    side = add_commit(store, "s1", ref="refs/heads/side", parents=[a], date=3)
    merge = add_commit(store, "m", parents=[b, side], date=4)
    add_commit(store, "c", date=5)
    refs.update("refs/tags/light", b, None, "tag", AUTHOR, 6)
    refs.update("refs/heads/deca", a, None, "branch", AUTHOR, 6)
    refs.update("refs/heads/group/inner", side, None, "branch", AUTHOR, 6)
    for name, target in (("v1", merge), ("v2", "v1")):
        git(store.root, "tag", "-a", "-m", name, name, target)
    yield project.repo.repository
    project.repo.close()


def of_git(repository: Repository, revision: str) -> str | None:
    """What `git rev-parse` says, None where it refuses."""
    done = subprocess.run(
        ["git", "-C", str(repository.store.root), "rev-parse", "--verify", "-q", "--end-of-options", revision],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None


def of_bvc(repository: Repository, revision: str) -> str | None:
    try:
        return resolve_object(repository, revision)
    except UnknownRevision:
        return None


PLAIN = ("HEAD", "@", "main", "side", "v1", "v2", "light", "deca", "group/inner", "refs/heads/side", "refs/tags/v2")
PARTS = ("heads/main", "tags/v1", "inner", "nothing", "", "ID0", "ID1", "ID2", "TREE", "main.lock", "a b", "é")
BASES = st.sampled_from(PLAIN + PARTS)
LOGS = st.sampled_from(["", "", "", "@{0}", "@{1}", "@{2}", "@{3}", "@{9}"])
STEPS = st.lists(
    st.sampled_from(["~", "~0", "~1", "~2", "~03", "^", "^0", "^1", "^2", "^3", "^{}", "^{commit}", "^{tree}", "~-1"]),
    max_size=3,
)


@given(BASES, LOGS, STEPS)
@example("", "@{1}", ["~"])
@example("main", "@{0}", ["@{1}"])
@example("v2", "", ["^{tag}"])
@example("ID0", "", ["^{blob}"])
def test_git_agrees(lineage: Repository, base: str, log: str, steps: list[str]) -> None:
    ids = {f"ID{n}": info.id[: 12 + n] for n, info in enumerate(lineage.store.history.walk([resolve(lineage, "main")]))}
    tree = lineage.store.history.info(resolve(lineage, "main")).tree
    revision = {**ids, "TREE": tree}.get(base, base) + log + "".join(steps)
    assert of_bvc(lineage, revision) == of_git(lineage, revision), revision


def test_at_braces_alone_mean_the_branch_not_head(lineage: Repository) -> None:
    with Repository.open(lineage.root) as repository:
        repository.store.refs.set_head_branch("side")
        try:
            assert (
                of_bvc(repository, "@{0}") == of_git(repository, "@{0}") == repository.store.refs.get("refs/heads/side")
            )
            assert resolve(repository, "HEAD@{1}") == resolve(repository, "main")
            repository.store.refs.detach_head(resolve(repository, "light"))
            assert of_bvc(repository, "@{1}") == of_git(repository, "@{1}")
        finally:
            repository.store.refs.set_head_branch("main")


@given(st.integers(4, 40), st.booleans())
def test_every_unambiguous_beginning_names_its_commit(lineage: Repository, digits: int, upper: bool) -> None:
    for info in lineage.store.history.walk([resolve(lineage, "main")]):
        short = info.id[:digits].upper() if upper else info.id[:digits]
        found = [
            oid for oid in lineage.store.objects.with_prefix(short) if lineage.store.objects.read(oid)[0] == "commit"
        ]
        if len(found) == 1:
            assert resolve(lineage, short) == info.id


def test_a_branch_wins_over_an_id_and_a_tag_over_a_branch(lineage: Repository) -> None:
    refs = lineage.store.refs
    a, tip = resolve(lineage, "deca"), resolve(lineage, "main")
    refs.update(f"refs/heads/{tip[:7]}", a, None, "branch", AUTHOR, 6)
    refs.update("refs/tags/side", tip, None, "tag", AUTHOR, 6)
    try:
        assert resolve(lineage, tip[:7]) == a
        assert resolve(lineage, "side") == tip
        assert resolve(lineage, "heads/side") != tip
    finally:
        refs.delete(f"refs/heads/{tip[:7]}", a)
        refs.delete("refs/tags/side", tip)


def alike(tree: str) -> tuple[bytes, bytes]:
    """Two commits of Git's form whose ids begin with the same four digits."""
    seen: dict[str, bytes] = {}
    for date in range(100_000):
        raw = f"tree {tree}\nauthor G <g@h> {date} +0000\ncommitter G <g@h> {date} +0000\n\nx\n".encode()
        other = seen.setdefault(object_id("commit", raw)[:4], raw)
        if other is not raw:
            return other, raw
    raise AssertionError("SHA-1 has become very even")


def test_an_ambiguous_beginning_is_told_with_its_candidates(tmp_path: Path) -> None:
    project = Project(tmp_path / "p")
    root = project.repo.repository.store.root
    tree = git(root, "mktree", "--missing").strip()
    ids = [write_commit(root, raw) for raw in alike(tree)]
    assert ids[0][:4] == ids[1][:4]
    for look in (resolve, resolve_object):
        with pytest.raises(AmbiguousId, match="fits 2") as caught:
            look(project.repo.repository, ids[0][:4])
        assert all(oid[:12] in caught.value.message for oid in ids)
    assert resolve(project.repo.repository, ids[1][:12]) == ids[1]
    project.repo.close()


def write_commit(root: Path, raw: bytes) -> str:
    command = ["git", "-C", str(root), "hash-object", "-w", "-t", "commit", "--stdin"]
    return subprocess.run(command, input=raw, capture_output=True, check=True).stdout.decode().strip()


@pytest.mark.parametrize("text", ["main..side", "main...side", "..side", "main..", "HEAD~1..v1", "light..@"])
def test_ranges_agree_with_git(lineage: Repository, text: str) -> None:
    found = parse_range(lineage, text)
    assert found is not None
    lines = git(lineage.store.root, "rev-parse", text).split()
    ends = [resolve(lineage, line) for line in lines if not line.startswith("^")]
    hidden = [line.removeprefix("^") for line in lines if line.startswith("^")]
    if found.symmetric:
        assert {found.a, found.b} == set(ends)
        assert hidden == lineage.store.history.merge_bases(found.a, found.b)
    else:
        assert ([found.b], [found.a]) == (ends, hidden)


def test_what_is_no_range(lineage: Repository) -> None:
    assert parse_range(lineage, "main") is None
    assert parse_range(lineage, "HEAD:outputs/a..b") is None
    with pytest.raises(UsageError):
        parse_range(lineage, "a..b..c")
    with pytest.raises(UnknownRevision):
        parse_range(lineage, "main..nothing")


@pytest.mark.parametrize(
    "text",
    [
        "HEAD:",
        "v1:",
        "HEAD:snapshot.json",
        "HEAD:outputs",
        "HEAD:outputs/a",
        "HEAD~1^{tree}:outputs/a",
        "side:outputs/",
    ],
)
def test_paths_agree_with_git(lineage: Repository, text: str) -> None:
    assert resolve_object(lineage, text) == of_git(lineage, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~1",
        "^",
        "x" * 300,
        "a\x00b",
        "../../etc/passwd",
        "refs/../HEAD",
        "HEAD~99999999999999999999",
        "main@{n}",
        "HEAD:nothing",
        "HEAD:snapshot.json/x",
        "nothing:outputs",
        "a..b",
        "HEAD^{nothing}",
        "0" * 40,
        "ffff",
    ],
)
def test_unknown_names_are_told_in_one_sentence(lineage: Repository, text: str) -> None:
    with pytest.raises(UnknownRevision) as caught:
        resolve_object(lineage, text)
    assert "\n" not in caught.value.message and "\0" not in caught.value.message


def test_a_misspelled_name_gets_a_hint(lineage: Repository) -> None:
    with pytest.raises(UnknownRevision) as caught:
        resolve(lineage, "mian")
    assert caught.value.hint == "did you mean `main`?"


def test_a_tree_is_no_commit(lineage: Repository) -> None:
    with pytest.raises(UnknownRevision, match="is a tree, not a commit"):
        resolve(lineage, "HEAD^{tree}")


def test_probes_by_id_label_and_beginning(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", probes=3)
    ids = {probe.text: probe.id for probe in project.repo.suite("sums").probes}
    label = ids["probe 2"][:6]  # a label that reads like the beginning of another probe's id
    rows = [f'{{"prompt": "probe {n}"{extra}}}\n' for n, extra in enumerate([f', "id": "{label}"', "", ""])]
    (project.folder / "probes" / "sums.jsonl").write_text("".join(rows))
    view = project.repo.repository.snapshot(project.commit("a").commit)
    for wanted in (ids["probe 1"], ids["probe 1"][:8], ids["probe 1"][:8].upper()):
        assert find_probe(view, wanted) == ids["probe 1"]
    assert find_probe(view, label) == ids["probe 0"]
    assert find_probe(view, ids["probe 2"][:7]) == ids["probe 2"]
    for wanted in ("nothing", "", "0" * 64, ids["probe 1"][:3]):
        with pytest.raises(UnknownRevision):
            find_probe(view, wanted)
    assert resolve_object(project.repo.repository, f"HEAD:probe/{label}") == view.output_blob(ids["probe 0"])
    project.repo.close()


def test_a_label_in_two_suites_is_ambiguous(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", probes=1)
    (project.folder / "probes" / "other.jsonl").write_text('{"id": "label probe 0", "prompt": "another"}\n')
    view = project.repo.repository.snapshot(project.commit("a").commit)
    with pytest.raises(AmbiguousId):
        find_probe(view, "label probe 0")
    project.repo.close()


# Several arguments together

COMMITS = 16


@pytest.fixture(scope="module")
def tangle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """Commits of up to three earlier ones, each the tip of a branch c0, c1, …"""
    project = Project(tmp_path_factory.mktemp("tangle") / "p")
    store, random = project.repo.repository.store, Random(7)
    made: list[str] = []
    for number in range(COMMITS):
        parents = random.sample(made, min(len(made), random.choice((0, 1, 1, 1, 2, 2, 3))))
        ref = f"refs/heads/c{number}"
        made.append(add_commit(store, f"m{number}", ref=ref, parents=parents, date=number, reparent=False))
    store.refs.set_head_branch("c9")
    yield project.repo.repository
    project.repo.close()


END = st.sampled_from([f"c{n}" for n in range(COMMITS)])
SIDE = st.one_of(END, st.just(""))
SPAN = st.builds(lambda a, dots, b: a + dots + b, SIDE, st.sampled_from(["..", "..."]), SIDE).filter("..".__ne__)
ARGUMENTS = st.lists(st.one_of(END, END.map("^".__add__), SPAN), min_size=1, max_size=4)


@given(ARGUMENTS)
@example(["c15", "^c9"])
@example(["c15...c14", "c13"])
def test_arguments_select_what_git_lists(tangle: Repository, arguments: list[str]) -> None:
    shown = git(tangle.store.root, "rev-list", "--date-order", *arguments, "--").split()
    assert list(select(tangle, arguments).walk(tangle.store.history.node)) == shown


@given(st.lists(st.one_of(END, SPAN), min_size=1, max_size=4))
def test_commits_named_alone_are_those_and_ranges_as_ever(tangle: Repository, arguments: list[str]) -> None:
    node = tangle.store.history.node
    ranges = [text for text in arguments if ".." in text]
    named = {resolve(tangle, text) for text in arguments if ".." not in text}
    found = list(select(tangle, arguments, alone=True).walk(node))
    assert set(found) == named | set(select(tangle, ranges).walk(node))
    assert [oid for oid in graph.walk(found, node) if oid in set(found)] == found
    selected = select(tangle, arguments, alone=True)
    assert set(found) <= set(graph.walk(selected.ends, node))


def test_leaving_out_of_what_stands_alone_is_refused(tangle: Repository) -> None:
    with pytest.raises(UsageError, match=r"\^c1 leaves out"):
        select(tangle, ["c3", "^c1"], alone=True)
    for arguments in (["c1", "^nothing"], ["c1..c2..c3"], ["nothing..c2"]):
        with pytest.raises((UnknownRevision, UsageError)):
            select(tangle, arguments)
    assert select(tangle, []) == Selection()
