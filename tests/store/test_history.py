"""History: rows that follow from Git, whatever the index lacks or gets wrong."""

from __future__ import annotations

import shutil

import pytest

from bvc.codec import canonical
from bvc.errors import BvcError, DamagedObject
from bvc.records import Capability
from bvc.store.gitobjects import trailers_of, with_root
from bvc.store.gitpacks import GitPackReader
from bvc.store.objects import FILE_MODE, Objects, TreeEntry
from bvc.store.store import Store
from bvc.store.transaction import CommitDraft
from tests.store.build import AUTHOR, MAIN, START, add_commit, git, snapshot


def subjects(store: Store) -> list[str]:
    return [info.subject for info in store.history.walk([str(store.refs.get(MAIN))])]


def test_a_commit_in_summary(store: Store) -> None:
    first = add_commit(store, "m0")
    second = add_commit(store, "m1", date=START + 60, message="two\n\nwith a body\n\nBvc-Model: m1 sha256:ab\n")
    info = store.history.info(second)
    assert (info.id, info.parents, info.author) == (second, (first,), AUTHOR)
    assert (info.date, info.timezone, info.subject) == (START + 60, 3600, "two")
    assert info.trailers["Bvc-Model"] == ("m1 sha256:ab",)
    assert info.snapshot == snapshot("m1")
    assert info.snapshot is not None
    assert info.snapshot.capability is Capability.ACTIVATIONS


def test_log_touches_no_git_object(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        add_commit(store, f"m{number}")
    monkeypatch.setattr(Objects, "read", lambda *_: pytest.fail("a Git object was read"))
    monkeypatch.setattr(GitPackReader, "names", lambda *_: pytest.fail("packs were listed"))
    with Store.open(store.root) as fresh:
        assert subjects(fresh) == ["m4", "m3", "m2", "m1", "m0"]


def test_what_the_index_says_is_what_git_says(store: Store) -> None:
    commits = [add_commit(store, f"m{n}", message=f"m{n} é\n\nBvc-Model: x sha256:{n}") for n in range(3)]
    before = [store.history.info(c) for c in commits]
    store.index.environment.replace()
    with Store.open(store.root) as fresh:
        assert [fresh.history.info(c) for c in commits] == before


def test_an_old_copy_of_the_index_gives_the_same_answers(store: Store) -> None:
    add_commit(store, "m0")
    store.close()
    shutil.copytree(store.layout.index, store.root / "kept")
    add_commit(store, "m1")
    add_commit(store, "m2")
    right = [store.history.info(c) for c in (str(store.refs.get(MAIN)),)]
    store.close()
    shutil.rmtree(store.layout.index)
    (store.root / "kept").rename(store.layout.index)
    with Store.open(store.root) as old:
        assert subjects(old) == ["m2", "m1", "m0"]
        assert [old.history.info(info.id) for info in right] == right
        add_commit(old, "m3")
        assert subjects(old) == ["m3", "m2", "m1", "m0"]


def test_a_commit_on_an_index_that_lost_its_parent(store: Store) -> None:
    add_commit(store, "m0")
    store.index.environment.replace()
    add_commit(store, "m1")
    with Store.open(store.root) as fresh:
        assert subjects(fresh) == ["m1", "m0"]


def test_commits_of_plain_git_stand_in_history(store: Store) -> None:
    mine = add_commit(store, "m0")
    tree = store.history.info(mine).tree
    theirs = git(store.root, "commit-tree", tree, "-p", mine, "-m", "by git").strip()
    git(store.root, "update-ref", MAIN, theirs)
    assert subjects(store) == ["by git", "m0"]
    assert store.history.info(theirs).snapshot == snapshot("m0")


def test_merge_bases_and_ancestry(store: Store) -> None:
    root = add_commit(store, "root")
    left = add_commit(store, "left")
    right = add_commit(store, "right", ref="refs/heads/r", parents=[root])
    merge = add_commit(store, "merge", parents=[left, right])
    assert store.history.merge_bases(left, right) == [root]
    assert store.history.merge_bases(merge, right) == [right]
    assert store.history.is_ancestor(right, merge)
    assert not store.history.is_ancestor(merge, right)
    assert [i.subject for i in store.history.walk([merge], limit=2)] in (["merge", "left"], ["merge", "right"])
    assert git(store.root, "merge-base", left, right).strip() == root


def test_not_a_commit(store: Store) -> None:
    tree = store.history.info(add_commit(store)).tree
    with pytest.raises(DamagedObject, match="is a tree, not a commit"):
        store.history.info(tree)
    with pytest.raises(DamagedObject, match="missing"):
        store.history.info("12" * 20)


def commit_of(store: Store, content: bytes) -> str:
    with store.begin() as transaction:
        tree = transaction.tree([TreeEntry("snapshot.json", FILE_MODE, transaction.blob(content))])
        draft = CommitDraft(tree, (), "odd\n", AUTHOR, START, 0, None)
        commit = transaction.commit(draft, ref="refs/heads/odd", expected=None, reparent=False)
    store.index.environment.replace()
    return commit


def test_a_snapshot_of_a_newer_bvc(store: Store) -> None:
    commit = commit_of(store, canonical({**snapshot("m").to_json(), "version": 2}))
    with pytest.raises(BvcError, match="format version 2; this bvc reads up to 1") as refused:
        store.history.info(commit)
    assert refused.value.hint is not None
    assert "update" in refused.value.hint


@pytest.mark.parametrize("content", [b"{", b"[]", b"3", b'{"version": 1}', b'{"version": "x"}', b"[" * 100_000])
def test_a_malformed_snapshot(store: Store, content: bytes) -> None:
    commit = commit_of(store, content)
    with pytest.raises(DamagedObject, match=r"snapshot\.json"):
        store.history.info(commit)


def test_a_damaged_row_is_read_from_git_again(store: Store) -> None:
    commit = add_commit(store, "m0")
    right = store.history.info(commit)
    store.close()
    path = store.layout.index / "data.mdb"
    data = path.read_bytes()
    assert data.count(b"Ada Lovelace") == 1
    path.write_bytes(data.replace(b"Ada Lovelace", b"Eda Lovelace"))
    with Store.open(store.root) as fresh:
        assert fresh.history.info(commit) == right


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("subject", "subject\n\nBvc-Root: sha256:ab\n"),
        ("subject\n\nBody: text of some words\n", "subject\n\nBody: text of some words\nBvc-Root: sha256:ab\n"),
        ("subject\n\nJust a body\n", "subject\n\nJust a body\n\nBvc-Root: sha256:ab\n"),
        ("s\n\nBvc-Model: m sha256:1\n", "s\n\nBvc-Model: m sha256:1\nBvc-Root: sha256:ab\n"),
        ("Bvc-Model: odd subject", "Bvc-Model: odd subject\n\nBvc-Root: sha256:ab\n"),
    ],
)
def test_the_root_is_the_last_trailer(message: str, kept: str) -> None:
    assert with_root(message, "ab") == kept
    assert trailers_of(kept)["Bvc-Root"] == ("sha256:ab",)


def test_trailers_of_one_name_come_in_order() -> None:
    message = "s\n\nBvc-Suite: a sha256:1\nSigned-off-by: x\nBvc-Suite: b sha256:2\n"
    assert trailers_of(message) == {"Bvc-Suite": ("a sha256:1", "b sha256:2")}
    assert trailers_of("Bvc-Suite: in the body\n\nlast paragraph\n") == {}
