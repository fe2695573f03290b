"""P10: plain Git works on our repository, and what it does harms nothing."""

from __future__ import annotations

from pathlib import Path

from bvc.store.fsck import fsck
from bvc.store.store import Store
from tests.store.build import MAIN, add_commit, array, git


def grow(store: Store, count: int = 3) -> list[str]:
    return [add_commit(store, f"m{n}", {"a": "same", "b": f"text {n}"}, [array(n)]) for n in range(count)]


def test_fsck_log_and_clone(store: Store, tmp_path: Path) -> None:
    commits = grow(store)
    assert git(store.root, "fsck", "--strict", "--full") == ""
    assert git(store.root, "log", "--format=%H").split() == commits[::-1]
    assert "outputs/b" in git(store.root, "log", "--stat", "-1")
    git(tmp_path, "clone", "-q", str(store.root), "clone")
    assert (tmp_path / "clone" / "outputs" / "b").read_text() == "text 2"
    assert git(tmp_path / "clone", "fsck", "--strict", "--full") == ""


def test_push_into_and_fetch_from(store: Store, tmp_path: Path) -> None:
    commits = grow(store)
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "other.git")
    git(store.root, "push", "-q", str(tmp_path / "other.git"), "main")
    assert git(tmp_path / "other.git", "rev-parse", "main").strip() == commits[-1]
    git(tmp_path, "clone", "-q", str(store.root), "clone")
    git(tmp_path / "clone", "commit", "-q", "--allow-empty", "-m", "by git")
    git(tmp_path / "clone", "push", "-q", "origin", "main:refs/heads/theirs")
    theirs = str(store.refs.get("refs/heads/theirs"))
    assert [i.subject for i in store.history.walk([theirs], limit=2)] == ["by git", "m2"]
    assert fsck(store).ok


def test_gc_repack_and_pack_refs_harm_nothing(store: Store) -> None:
    commits = grow(store)
    with store.begin() as transaction:
        tag = transaction.tag("v1", commits[0], "tagged", "A <a@b>", 0)
    store.refs.update("refs/tags/v1", tag, None, "tag", "A <a@b>", 0)
    for _ in range(2):
        git(store.root, "gc", "-q", "--prune=now")
        result = fsck(store)
        assert result.ok, result.problems
        commits.append(add_commit(store, f"after {len(commits)}", {"a": "same"}, [array(1)]))
        assert [i.id for i in store.history.walk([commits[-1]])] == commits[::-1]
        assert store.refs.peel("refs/tags/v1") == commits[0]
        assert git(store.root, "fsck", "--strict", "--full") == ""
    assert store.refs.get(MAIN) == commits[-1]


def test_commits_while_git_packs(store: Store) -> None:
    """Each reader and writer keeps going on files that git gc has removed in the meantime."""
    with Store.open(store.root) as reader:
        commits = grow(store)
        trees = [reader.history.info(c).tree for c in commits]
        with store.begin() as transaction:
            transaction.blob(b"in flight")
            git(store.root, "gc", "-q")
            assert [reader.objects.tree(t)[0].name for t in trees] == ["outputs"] * 3
            transaction.flush()
        assert add_commit(store, "after")
    assert fsck(store).ok


def test_gits_reflogs_and_ours_are_one(store: Store) -> None:
    commits = grow(store)
    git(store.root, "update-ref", "-m", "by git", MAIN, commits[0], commits[2])
    assert store.refs.reflog(MAIN)[0].message == "by git"
    add_commit(store, "again")
    assert [e.new for e in store.refs.reflog(MAIN)][1] == commits[0]
    assert "by git" in git(store.root, "reflog", MAIN)
    assert fsck(store).problems == ()
