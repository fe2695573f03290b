"""Transactions: all or nothing, once only, and what Git thinks of the result."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bvc.errors import BvcError
from bvc.ids import digest
from bvc.store.chunks import Chunks
from bvc.store.fsck import fsck
from bvc.store.gitobjects import parse_commit, trailers_of
from bvc.store.objects import FILE_MODE, TREE_MODE, TreeEntry
from bvc.store.packs import pack_names
from bvc.store.refs import ConcurrentUpdate
from bvc.store.space import free_reserve
from bvc.store.store import Store
from bvc.store.transaction import CommitDraft, remove_abandoned
from tests.store.build import AUTHOR, MAIN, START, add_commit, array, git, snapshot, write_tree


def draft(tree: str, parents: tuple[str, ...] = (), **changes: object) -> CommitDraft:
    values = {"message": "m\n", "author": AUTHOR, "date": START, "timezone": 0, "snapshot": None, **changes}
    return CommitDraft(tree, parents, **values)  # type: ignore[arg-type]


def test_the_same_content_gives_the_same_tree(store: Store) -> None:
    trees = []
    for _ in range(2):
        with store.begin() as transaction:
            trees.append(write_tree(transaction, snapshot("m"), {"a": "x"}, [array(1)]))
            transaction.flush()
    assert trees[0] == trees[1]


def test_unchanged_texts_are_the_same_blob_and_not_written_again(store: Store) -> None:
    texts = {f"p{n}": f"text {n}" for n in range(30)}
    add_commit(store, "m0", texts)
    add_commit(store, "m1", texts)
    assert add_commit(store, "m2", {**texts, "p3": "changed"})
    sizes = [len(os.popen(f"git show-index < {p}").readlines()) for p in store.layout.git_packs.glob("*.idx")]  # noqa: S605
    assert sorted(sizes) == [3, 5, 34]


def test_one_git_pack_a_commit_and_no_loose_object(store: Store) -> None:
    add_commit(store, "m0", {f"p{n}": f"text {n}" for n in range(30)})
    assert len(list(store.layout.git_packs.glob("*.pack"))) == 1
    assert {p.name for p in (store.root / "objects").iterdir()} == {"pack"}


def test_leaving_without_a_commit_leaves_nothing(store: Store) -> None:
    add_commit(store)
    before = sorted(p for p in store.root.rglob("*") if "index" not in p.parts)
    with store.begin() as transaction:
        write_tree(transaction, snapshot("other"), {"a": "new"}, [array(5)])
    with pytest.raises(RuntimeError), store.begin() as transaction:
        write_tree(transaction, snapshot("other"), {"a": "new"}, [array(5)])
        raise RuntimeError
    assert sorted(p for p in store.root.rglob("*") if "index" not in p.parts) == before


def test_flushed_objects_can_be_read(store: Store) -> None:
    with store.begin() as transaction:
        blob = transaction.blob(b"x")
        tree = transaction.tree([TreeEntry("a", FILE_MODE, blob)])
        transaction.flush()
        assert store.objects.blob(blob) == b"x"
    assert store.objects.tree(tree) == (TreeEntry("a", FILE_MODE, blob),)


def test_the_merkle_root_is_the_published_formula(store: Store) -> None:
    with store.begin() as transaction:
        inner = transaction.tree([TreeEntry("x", FILE_MODE, transaction.blob(b"one"))])
        entries = [TreeEntry("b", TREE_MODE, inner), TreeEntry("a", FILE_MODE, transaction.blob(b"two"))]
        commit = transaction.commit(draft(transaction.tree(entries)), ref=MAIN, expected=None, reparent=False)
    one, two = digest("blob/1", b"one"), digest("blob/1", b"two")
    below = digest("tree/1", f'[["x","blob","{one}"]]\n'.encode())
    root = digest("tree/1", f'[["a","blob","{two}"],["b","tree","{below}"]]\n'.encode())
    assert store.history.info(commit).trailers["Bvc-Root"] == (f"sha256:{root}",)


def test_the_root_of_content_that_was_there_before(store: Store) -> None:
    first = add_commit(store, "m", {"a": "x"})
    store.index.environment.replace()
    second = add_commit(store, "m", {"a": "x"})
    roots = [store.history.info(c).trailers["Bvc-Root"] for c in (first, second)]
    assert roots[0] == roots[1]


# The branch moved


def test_a_moved_branch_refuses_or_reparents(store: Store) -> None:
    first = add_commit(store, "m0")
    with store.begin() as transaction:
        tree = write_tree(transaction, snapshot("late"), {"a": "late"})
        between = add_commit(store, "m1")
        with pytest.raises(ConcurrentUpdate):
            transaction.commit(draft(tree, (first,)), ref=MAIN, expected=first, reparent=False)
        made = draft(tree, (first,), snapshot=snapshot("late"))
        late = transaction.commit(made, ref=MAIN, expected=first, reparent=True)
    assert store.refs.get(MAIN) == late
    assert store.history.info(late).parents == (between,)
    assert [i.id for i in store.history.walk([late])] == [late, between, first]
    assert fsck(store).problems == ()


def test_reparenting_keeps_the_other_parents_once(store: Store) -> None:
    first = add_commit(store, "m0")
    side = add_commit(store, "side", ref="refs/heads/side", parents=[first])
    with store.begin() as transaction:
        tree = write_tree(transaction, snapshot("merge"), {"a": "merge"})
        store.refs.update(MAIN, side, first, "fast-forward", AUTHOR, START)
        merge = transaction.commit(draft(tree, (first, side)), ref=MAIN, expected=first, reparent=True)
    assert store.history.info(merge).parents == (side,)


def test_a_branch_that_vanished_is_not_made_again(store: Store) -> None:
    first = add_commit(store, "m0")
    with store.begin() as transaction:
        tree = write_tree(transaction, snapshot("late"), {"a": "late"})
        store.refs.delete(MAIN, first)
        with pytest.raises(ConcurrentUpdate):
            transaction.commit(draft(tree, (first,)), ref=MAIN, expected=first, reparent=True)


def test_a_detached_head_moves(store: Store) -> None:
    first = add_commit(store, "m0")
    store.refs.detach_head(first)
    with store.begin() as transaction:
        tree = write_tree(transaction, snapshot("d"), {"a": "d"})
        commit = transaction.commit(draft(tree, (first,)), ref="HEAD", expected=first, reparent=True)
    assert store.refs.head() == (None, commit)
    assert store.refs.get(MAIN) == first


# What Git thinks


HOSTILE = st.text(st.characters(exclude_categories=[]), max_size=40)


@settings(max_examples=20)
@given(HOSTILE, HOSTILE, st.integers(-10, 2**34), st.integers(-(10**6), 10**6))
def test_git_accepts_commits_of_any_text(
    tmp_path_factory: pytest.TempPathFactory, message: str, author: str, date: int, zone: int
) -> None:
    with Store.create(tmp_path_factory.mktemp("s") / ".bvc") as store, store.begin() as transaction:
        tree = transaction.tree([TreeEntry("a", FILE_MODE, transaction.blob(b"x"))])
        made = draft(tree, message=message, author=author, date=date, timezone=zone)
        commit = transaction.commit(made, ref=MAIN, expected=None, reparent=False)
        before = store.history.info(commit)
        store.index.environment.replace()
        with Store.open(store.root) as fresh:
            assert fresh.history.info(commit) == before
        assert parse_commit(commit, store.objects.read(commit)[1]).tree == tree
        assert len(trailers_of(before.message)["Bvc-Root"]) >= 1


@pytest.mark.parametrize("author", ["", "Ada", "<>", "A <b@c", "A\nB <x>", "Zoë <z@ö.de>", "A <a b@c> <d>"])
@pytest.mark.parametrize("message", ["", "one", "\n\nlate", "null\0byte", "ends\n\n\n"])
def test_git_fsck_is_strict_and_content(store: Store, author: str, message: str) -> None:
    with store.begin() as transaction:
        tree = transaction.tree([TreeEntry("a", FILE_MODE, transaction.blob(b"x"))])
        made = draft(tree, author=author, message=message, timezone=-12_345)
        transaction.commit(made, ref=MAIN, expected=None, reparent=False)
    assert git(store.root, "fsck", "--strict", "--full") == ""


def test_an_annotated_tag(store: Store) -> None:
    commit = add_commit(store)
    with store.begin() as transaction:
        tag = transaction.tag("v1", commit, "the first\nof many", AUTHOR, START, 3600)
    store.refs.update("refs/tags/v1", tag, None, "tag: v1", AUTHOR, START)
    assert store.refs.peel("refs/tags/v1") == commit
    assert git(store.root, "describe", "--exact-match", commit).strip() == "v1"
    assert git(store.root, "fsck", "--strict") == ""
    assert fsck(store).problems == ()


# Disk and memory


def test_a_full_disk_is_one_clear_error_and_nothing_happened(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = add_commit(store, "m0")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(BvcError, match="No space left") as refused:
        add_commit(store, "m1", arrays=[array(1)])
    assert refused.value.hint is not None
    assert "free some space" in refused.value.hint
    monkeypatch.undo()
    assert store.refs.get(MAIN) == first
    assert add_commit(store, "m1", arrays=[array(1)])
    assert fsck(store).problems == ()


def test_chunks_do_not_pile_up_in_memory(store: Store) -> None:
    with store.begin() as transaction:
        transaction.chunk(np.zeros((1000, 1000), "<f4"))
        written = [p for p in store.layout.tmp.rglob("*.bvcp") if p.stat().st_size > 8]
        assert len(written) == 1
        transaction.chunk(array(1))
        transaction.flush()
    assert len(pack_names(store.layout.packs)) == 1
    assert isinstance(store.chunks, Chunks)


def abandoned(store: Store, age: float) -> Path:
    folder = store.layout.tmp / "tx-1-deadbeef"
    folder.mkdir()
    (folder / "chunks.bvcp").write_bytes(b"half")
    then = folder.stat().st_mtime - age
    os.utime(folder, (then, then))
    return folder


def test_the_rests_of_a_killed_transaction_are_removed(store: Store) -> None:
    folder = abandoned(store, age=3600)
    journal = store.layout.tmp / "captures"
    journal.mkdir()
    add_commit(store)
    assert not folder.exists()
    assert journal.exists(), "an interrupted capture is not a transaction"


def test_a_living_transaction_is_left_alone(store: Store) -> None:
    young = abandoned(store, age=0)
    with store.begin():
        (mine,) = (p for p in store.layout.tmp.glob("tx-*") if p != young)
        os.utime(mine, (0, 0))
        remove_abandoned(store.layout)
        assert mine.exists()
    assert young.exists()


def test_the_reserve_is_kept_and_given_up(store: Store) -> None:
    add_commit(store)
    assert store.layout.reserve.stat().st_blocks * 512 >= 1 << 20
    assert free_reserve(store.layout)
    assert not free_reserve(store.layout)
    add_commit(store, "m1")
    assert store.layout.reserve.exists()
