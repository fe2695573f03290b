"""Refs: compare-and-swap, Git's forms, locks that are left over and locks of Git's."""

from __future__ import annotations

from pathlib import Path

import pytest

from bvc.errors import BvcError, DamagedObject, Locked, UsageError
from bvc.store.reflog import LogNote
from bvc.store.refs import ConcurrentUpdate, Head, Refs
from bvc.store.store import Store
from tests.store.build import AUTHOR, MAIN, START, add_commit, git


@pytest.fixture
def commits(store: Store) -> list[str]:
    return [add_commit(store, f"m{n}") for n in range(3)]


def update(store: Store, name: str, new: str, old: str | None) -> None:
    store.refs.update(name, new, old, f"test: {name}", AUTHOR, START)


def test_head_of_a_new_store(store: Store) -> None:
    assert store.refs.head() == Head("main", None)
    assert store.refs.all() == {}
    assert store.refs.reflog("HEAD") == []


def test_update_compares_before_it_swaps(store: Store, commits: list[str]) -> None:
    update(store, "refs/heads/topic", commits[0], None)
    with pytest.raises(ConcurrentUpdate):
        update(store, "refs/heads/topic", commits[2], None)
    with pytest.raises(ConcurrentUpdate):
        update(store, "refs/heads/topic", commits[2], commits[1])
    with pytest.raises(ConcurrentUpdate):
        update(store, "refs/heads/new", commits[2], commits[1])
    update(store, "refs/heads/topic", commits[1], commits[0])
    assert store.refs.all() == {MAIN: commits[2], "refs/heads/topic": commits[1]}
    assert [e.new for e in store.refs.reflog("refs/heads/topic")] == [commits[1], commits[0]]


def test_git_reads_what_bvc_writes(store: Store, commits: list[str]) -> None:
    update(store, "refs/heads/a/b", commits[1], None)
    assert git(store.root, "rev-parse", "a/b", "HEAD").split() == [commits[1], commits[2]]
    assert "test: refs/heads/a/b #" in git(store.root, "log", "-g", "--format=%gs", "a/b")


def test_bvc_reads_what_git_writes(store: Store, commits: list[str]) -> None:
    git(store.root, "update-ref", "refs/heads/by-git", commits[0])
    git(store.root, "tag", "-a", "-m", "a tag", "v1", commits[1])
    git(store.root, "tag", "light", commits[0])
    git(store.root, "symbolic-ref", "refs/heads/alias", MAIN)
    for _ in ("loose", "packed"):
        everything = store.refs.all()
        assert everything["refs/heads/by-git"] == commits[0]
        assert everything["refs/heads/alias"] == commits[2]
        assert store.refs.peel("refs/tags/v1") == commits[1] != everything["refs/tags/v1"]
        assert store.refs.peel("refs/tags/light") == commits[0]
        assert set(store.refs.all("refs/tags/")) == {"refs/tags/v1", "refs/tags/light"}
        git(store.root, "pack-refs", "--all")
    assert not (store.root / "refs/heads/main").exists()


def test_packed_refs_are_updated_and_deleted(store: Store, commits: list[str]) -> None:
    git(store.root, "tag", "-a", "-m", "a tag", "v1", commits[1])
    update(store, "refs/heads/topic", commits[0], None)
    git(store.root, "pack-refs", "--all")
    update(store, "refs/heads/topic", commits[1], commits[0])
    assert store.refs.get("refs/heads/topic") == commits[1]
    store.refs.delete("refs/heads/topic", commits[1])
    store.refs.delete("refs/tags/v1", str(store.refs.get("refs/tags/v1")))
    assert store.refs.all() == {MAIN: commits[2]}
    assert git(store.root, "for-each-ref", "--format=%(refname)").split() == [MAIN]
    assert store.refs.reflog("refs/heads/topic") == []


def test_delete_compares_too(store: Store, commits: list[str]) -> None:
    update(store, "refs/heads/topic", commits[0], None)
    with pytest.raises(ConcurrentUpdate):
        store.refs.delete("refs/heads/topic", commits[1])
    assert store.refs.get("refs/heads/topic") == commits[0]


def test_a_name_and_a_folder_of_that_name_exclude_each_other(store: Store, commits: list[str]) -> None:
    update(store, "refs/heads/a/b", commits[0], None)
    with pytest.raises(UsageError, match="refs/heads/a/b exists"):
        update(store, "refs/heads/a", commits[0], None)
    git(store.root, "pack-refs", "--all", "--prune")
    with pytest.raises(UsageError, match="refs/heads/a/b exists"):
        update(store, "refs/heads/a", commits[0], None)
    with pytest.raises(UsageError, match="refs/heads/main exists"):
        update(store, "refs/heads/main/x", commits[0], None)
    store.refs.delete("refs/heads/a/b", commits[0])
    update(store, "refs/heads/a", commits[0], None)
    assert store.refs.get("refs/heads/a") == commits[0]


@pytest.mark.parametrize(
    "name",
    ["main", "refs/heads/../../x", "refs/heads/.x", "refs/heads/a b", "refs/heads/a.lock", "refs/heads/a\nb", "refs/x/",
     "refs/heads/a//b", "refs/heads/a..b", "refs/heads/@{1}", "refs/heads/a.lock/b", "/etc/passwd", "refs/heads/a\0"],
)  # fmt: skip
def test_names_that_git_refuses_or_that_lead_outside(store: Store, name: str) -> None:
    for call in (store.refs.get, store.refs.reflog, lambda n: update(store, n, "a" * 40, None)):
        with pytest.raises(UsageError):
            call(name)


def test_head_moves_between_branches_and_commits(store: Store, commits: list[str]) -> None:
    update(store, "refs/heads/topic", commits[0], None)
    store.refs.set_head_branch("topic")
    assert store.refs.head() == Head("topic", commits[0])
    store.refs.detach_head(commits[1])
    assert store.refs.head() == Head(None, commits[1])
    store.refs.update("HEAD", commits[2], commits[1], "moved", AUTHOR, START)
    assert store.refs.head() == Head(None, commits[2])
    assert [e.new for e in store.refs.reflog("HEAD")][:3] == [commits[2], commits[1], commits[0]]
    assert git(store.root, "rev-parse", "HEAD").strip() == commits[2]


def test_updating_head_on_a_branch_moves_the_branch(store: Store, commits: list[str]) -> None:
    store.refs.update("HEAD", commits[0], commits[2], "reset", AUTHOR, START)
    assert store.refs.get(MAIN) == commits[0]
    assert store.refs.head() == Head("main", commits[0])


def test_a_branch_that_is_not_head_leaves_heads_log_alone(store: Store, commits: list[str]) -> None:
    before = store.refs.reflog("HEAD")
    update(store, "refs/heads/topic", commits[0], None)
    assert store.refs.reflog("HEAD") == before


def test_an_altered_head_is_noticed(store: Store, commits: list[str]) -> None:
    named = ("ref: refs/heads/maim\n", "ref:refs/heads/main\n", "ref: refs/heads/a\0\n")
    for text in (*named, commits[0][:39] + "\n", ""):
        store.layout.head.write_text(text)
        with pytest.raises(DamagedObject):
            store.refs.head()
    store.refs.set_head_branch("main")
    assert store.refs.head() == Head("main", commits[2])


@pytest.mark.parametrize("text", ["", "a" * 39 + "\n", "A" * 40 + "\n", "a" * 40 + "\r\n", "a" * 41 + "\n", "junk"])
def test_an_altered_ref_is_noticed(store: Store, text: str) -> None:
    (store.root / MAIN).write_text(text)
    with pytest.raises(DamagedObject):
        store.refs.get(MAIN)


def test_symbolic_refs_in_a_circle(store: Store) -> None:
    (store.root / MAIN).write_text("ref: refs/heads/other\n")
    (store.root / "refs/heads/other").write_text(f"ref: {MAIN}\n")
    with pytest.raises(DamagedObject, match="circle"):
        store.refs.get(MAIN)


def test_a_symbolic_ref_does_not_lead_outside(store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a" * 40 + "\n")
    (store.root / MAIN).write_text("ref: refs/../../secret\n")
    with pytest.raises(UsageError):
        store.refs.get(MAIN)


# Locks


def impatient(store: Store) -> Refs:
    return Refs(store.layout, store.objects, timeout=0.05)


def test_a_lock_of_gits_is_waited_for_and_then_named(store: Store, commits: list[str]) -> None:
    lock = store.root / "refs/heads/main.lock"
    lock.write_text("")
    with pytest.raises(Locked, match=r"refs/heads/main is locked by another program, such as git since \d+ s: .*lock"):
        impatient(store).update(MAIN, commits[0], commits[2], "x", AUTHOR, START)
    assert lock.exists(), "a foreign lock must never be removed"
    assert store.refs.get(MAIN) == commits[2]
    lock.unlink()
    impatient(store).update(MAIN, commits[0], commits[2], "x", AUTHOR, START)


def leftover(store: Store, name: str) -> Path:
    """What a bvc killed while it held a ref's lock leaves: the lock, and the record of its inode."""
    lock = store.root / f"{name}.lock"
    lock.write_text("")
    found = lock.stat()
    store.layout.own_lock.write_text(f"{name}.lock\t{found.st_dev} {found.st_ino} {found.st_mtime_ns}\n")
    return lock


def test_bvcs_own_leftover_lock_is_broken(store: Store, commits: list[str]) -> None:
    lock = leftover(store, MAIN)
    impatient(store).update(MAIN, commits[0], commits[2], "x", AUTHOR, START)
    assert store.refs.get(MAIN) == commits[0]
    assert not lock.exists()


def test_a_leftover_of_another_ref_is_not_forgotten(store: Store, commits: list[str]) -> None:
    lock = leftover(store, "refs/heads/other")
    impatient(store).update(MAIN, commits[0], commits[2], "x", AUTHOR, START)
    assert not lock.exists()


def test_a_lock_that_took_the_inode_of_an_old_own_one_is_foreign(store: Store, commits: list[str]) -> None:
    lock = leftover(store, MAIN)
    lock.write_text("git wrote this later, in the same inode")
    with pytest.raises(Locked):
        impatient(store).update(MAIN, commits[0], commits[2], "x", AUTHOR, START)
    assert lock.exists()


def test_a_record_cannot_name_files_outside(store: Store, commits: list[str], tmp_path: Path) -> None:
    victim = tmp_path / "victim.lock"
    victim.write_text("precious")
    found = victim.stat()
    store.layout.own_lock.write_text(f"../victim.lock\t{found.st_dev} {found.st_ino} {found.st_mtime_ns}\n")
    impatient(store).update(MAIN, commits[0], commits[2], "x", AUTHOR, START)
    assert victim.exists()


def test_after_an_update_no_lock_remains(store: Store, commits: list[str]) -> None:
    update(store, "refs/heads/topic", commits[0], None)
    store.refs.delete("refs/heads/topic", commits[0])
    assert {path.name for path in store.root.rglob("*.lock")} == {"gc.lock", "index.lock"}
    assert list(store.layout.tmp.iterdir()) == []


def test_a_choice_that_fails_changes_nothing(store: Store, commits: list[str]) -> None:
    def refuse(_: str | None) -> str:
        raise BvcError("no")

    with pytest.raises(BvcError, match="no"):
        store.refs.advance(MAIN, refuse, LogNote("x", AUTHOR, START))
    assert store.refs.get(MAIN) == commits[2]
    update(store, MAIN, commits[1], commits[2])


def test_the_ref_is_read_once_and_under_gits_lock(
    store: Store, commits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[bool] = []
    real = Refs.get

    def spy(refs: Refs, name: str) -> str | None:
        reads.append((store.root / f"{name}.lock").exists())
        return real(refs, name)

    monkeypatch.setattr(Refs, "get", spy)
    update(store, MAIN, commits[0], commits[2])
    assert reads == [True]
