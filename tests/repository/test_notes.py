"""Notes refs: what is attached and trusted is plain Git, survives Git's own rewriting, and is checked when read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bvc.codec import canonical
from bvc.errors import BvcError, DamagedObject
from bvc.repository.notes import (
    CAPTURES,
    NOISE,
    BenignPair,
    NoteAuthor,
    advance_tree,
    attach_captures,
    change_benign,
    read_attached,
    read_benign,
)
from bvc.store.fsck import fsck
from bvc.store.objects import FILE_MODE, TreeEntry
from bvc.store.refs import ConcurrentUpdate
from bvc.store.reindex import reindex
from bvc.store.store import Store
from bvc.store.transaction import CommitDraft
from tests.store.build import AUTHOR, add_commit, array, git, snapshot, write_tree

BY = NoteAuthor(AUTHOR, 1_700_000_000, 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / ".bvc") as made:
        yield made


def attach(store: Store, commit: str, name: str, seed: int, base: str | None = None) -> str:
    """Attaches a snapshot of the model `name` with an array; returns its tree."""
    with store.begin() as transaction:
        tree = write_tree(transaction, snapshot(name), {"a": f"{name} {seed}"}, [array(seed)])
        attach_captures(transaction, store, commit, tree, snapshot(name), base, BY)
    return tree


def test_attached_trees_are_found_by_commit(store: Store) -> None:
    assert read_attached(store).trees == {}
    commits = [add_commit(store, name) for name in "abc"]
    trees = {
        commit: attach(store, commit, name, n) for n, (commit, name) in enumerate(zip(commits, "abc", strict=True))
    }
    found = read_attached(store)
    assert found.trees == trees
    assert read_attached(store, found) is found
    info = store.history.info(commits[1])
    assert found.tree_of(info) == trees[commits[1]]
    assert found.merged(info).snapshot == snapshot("b")
    assert fsck(store).problems == ()


def test_a_newer_attachment_needs_the_one_it_extends(store: Store) -> None:
    commit = add_commit(store, "a")
    first = attach(store, commit, "a", 1)
    with pytest.raises(ConcurrentUpdate):
        attach(store, commit, "a", 2)
    assert read_attached(store).trees == {commit: first}
    second = attach(store, commit, "a", 2, base=first)
    assert read_attached(store).trees == {commit: second}
    assert next(entry.new for entry in store.refs.reflog(CAPTURES)) == store.refs.get(CAPTURES)


def test_a_writer_who_is_overtaken_tries_again(store: Store, tmp_path: Path) -> None:
    """Another writer moves the ref between the reading of its tip and the commit, three times."""
    commits = [add_commit(store, name) for name in "abcd"]
    waiting = list(zip(commits[1:], "bcd", strict=True))
    seen: list[set[str]] = []
    with Store.open(tmp_path / ".bvc") as other, store.begin() as transaction:
        blob = transaction.blob(b"mine\n")

        def edit(top: dict[str, TreeEntry]) -> None:
            seen.append(set(top) & set(commits))
            top[commits[0]] = TreeEntry(commits[0], FILE_MODE, blob)
            if waiting:
                attach(other, *waiting.pop(), 1)

        advance_tree(transaction, store, CAPTURES, edit, "mine", BY)
    assert seen == [set(), {commits[3]}, set(commits[2:]), set(commits[1:])]
    assert read_attached(store).trees.keys() == set(commits[1:])
    assert commits[0] in git(tmp_path / ".bvc", "notes", "--ref=captures", "list")
    assert fsck(store).problems == ()
    assert "fatal" not in git(tmp_path / ".bvc", "fsck", "--strict")


def test_damage_in_attached_arrays_is_found(store: Store) -> None:
    commit = add_commit(store, "a")
    attach(store, commit, "a", 1)
    (pack,) = store.layout.packs.rglob("*.bvcp")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(bytes(data))
    found = {problem.kind for problem in fsck(store).problems}
    assert "corrupt" in found
    pack.unlink()
    assert any(p.kind == "missing" and "names this chunk" in p.detail for p in fsck(store).problems)


def test_trusted_pairs_are_notes(store: Store, tmp_path: Path) -> None:
    a, b, c = (add_commit(store, name) for name in "abc")
    assert read_benign(store) == ()
    change_benign(store, [BenignPair(a, b, "N1"), BenignPair(b, c, "N2"), BenignPair(a, c, "N2")], (), "trust", BY)
    assert set(read_benign(store)) == {BenignPair(a, b, "N1"), BenignPair(b, c, "N2"), BenignPair(a, c, "N2")}
    assert f'{{"from":"{a}","level":"N1"}}' in git(tmp_path / ".bvc", "notes", "--ref=noise", "show", b)
    change_benign(store, [BenignPair(b, a, "N2")], (), "the other way round", BY)
    assert BenignPair(a, b, "N1") not in read_benign(store) and BenignPair(b, a, "N2") in read_benign(store)
    change_benign(store, (), [(c, b), (a, c), (a, b)], "no longer", BY)
    assert read_benign(store) == ()
    reindex(store)
    assert fsck(store).problems == ()


def test_notes_that_git_spread_over_folders_are_read(store: Store, tmp_path: Path) -> None:
    a, b = add_commit(store, "a"), add_commit(store, "b")
    change_benign(store, [BenignPair(a, b, "N1")], (), "trust", BY)
    blob = next(e.oid for e in store.objects.tree(store.history.info(str(store.refs.get(NOISE))).tree))
    with store.begin() as transaction:
        inner = transaction.tree([TreeEntry(b[4:], FILE_MODE, blob)])
        middle = transaction.tree([TreeEntry(b[2:4], 0o40000, inner)])
        top = transaction.tree([TreeEntry(b[:2], 0o40000, middle)])
        tip = store.refs.get(NOISE)
        draft = CommitDraft(top, (str(tip),), "spread\n", AUTHOR, 1, 0, None)
        transaction.commit(draft, ref=NOISE, expected=tip, reparent=False)
    assert b in git(tmp_path / ".bvc", "notes", "--ref=noise", "list")
    assert read_benign(store) == (BenignPair(a, b, "N1"),)


@pytest.mark.parametrize(
    "note",
    [
        b"hello",
        canonical({"version": 1}),
        canonical({"version": 1, "benign": [{"from": "../x", "level": "N1"}]}),
        canonical({"version": 1, "benign": [{"from": "a" * 40, "level": "N7"}]}),
        canonical({"version": 99, "benign": []}),
    ],
)
def test_notes_that_are_no_pairs_are_refused(store: Store, note: bytes) -> None:
    commit = add_commit(store, "a")
    with store.begin() as transaction:
        tree = transaction.tree([TreeEntry(commit, FILE_MODE, transaction.blob(note))])
        draft = CommitDraft(tree, (), "by hand\n", AUTHOR, 1, 0, None)
        transaction.commit(draft, ref=NOISE, expected=None, reparent=False)
    with pytest.raises(BvcError) as refused:
        read_benign(store)
    assert isinstance(refused.value, DamagedObject) or "update bvc" in str(refused.value.hint)
