"""The folder's layout: made once, refused when newer or damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bvc.errors import BvcError, DamagedObject, NoRepository
from bvc.store.layout import format_line
from bvc.store.store import Store
from tests.store.build import add_commit, git


def test_a_new_store_is_a_bare_git_repository(tmp_path: Path) -> None:
    Store.create(tmp_path / ".bvc").close()
    assert git(tmp_path / ".bvc", "rev-parse", "--is-bare-repository").strip() == "true"
    assert git(tmp_path / ".bvc", "symbolic-ref", "HEAD").strip() == "refs/heads/main"
    assert "error" not in git(tmp_path / ".bvc", "fsck", "--strict")


def test_creating_again_changes_nothing(store: Store) -> None:
    add_commit(store)
    store.refs.set_head_branch("other")
    before = {p: p.read_bytes() for p in store.root.rglob("*") if p.is_file() and "index" not in p.parts}
    Store.create(store.root).close()
    assert {p: p.read_bytes() for p in before} == before


def test_creating_completes_what_is_missing(store: Store) -> None:
    store.layout.format.unlink()
    Store.create(store.root).close()
    assert store.layout.format.read_bytes() == format_line(1)


def test_a_newer_store_is_refused_with_what_to_do(store: Store) -> None:
    store.layout.format.write_bytes(format_line(2))
    with pytest.raises(BvcError, match="store version 2; this bvc reads up to 1") as refused:
        Store.open(store.root)
    assert refused.value.hint == "update bvc to open it"
    assert not isinstance(refused.value, DamagedObject)


def test_a_damaged_version_is_not_taken_for_a_newer_one(store: Store) -> None:
    right = format_line(1)
    for position in range(len(right)):
        for bit in range(8):
            altered = bytearray(right)
            altered[position] ^= 1 << bit
            store.layout.format.write_bytes(altered)
            with pytest.raises(DamagedObject, match="format is damaged"):
                Store.open(store.root)


def test_a_git_repository_is_not_a_store(tmp_path: Path) -> None:
    git(tmp_path, "init", "--bare", "-q", "plain")
    with pytest.raises(DamagedObject, match="format is missing"):
        Store.open(tmp_path / "plain")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(NoRepository):
        Store.open(tmp_path / "none")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BvcError, match="cannot create a repository"):
        Store.create(tmp_path / "file" / ".bvc")


def test_opening_reads_no_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_commit(store)
    store.close()
    monkeypatch.setattr(os, "access", lambda *_: pytest.fail("the index was opened"))
    with Store.open(store.root) as opened:
        assert opened.refs.head().branch == "main"
