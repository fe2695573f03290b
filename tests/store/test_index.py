"""The index's tables."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bvc.store.index import capture_key
from bvc.store.store import Store
from tests.store.build import MAIN, add_commit, snapshot

A, B = "aa" * 20, "bb" * 20


def test_capture_sources_keep_their_order_and_come_once(store: Store) -> None:
    key = capture_key("f", "t", "r")
    for commit in (B, A, B):
        store.index.add_capture_source(key, commit)
    assert store.index.capture_sources(key) == [B, A]
    assert store.index.capture_sources(capture_key("f", "t", "other")) == []


def test_capture_keys_do_not_run_into_each_other() -> None:
    assert len({capture_key("a", "b", "c"), capture_key("ab", "", "c"), capture_key("a", "bc", "")}) == 3


def test_a_commit_is_a_capture_source_and_again_after_losing_the_index(store: Store) -> None:
    commit = add_commit(store, "m")
    taken = snapshot("m")
    assert taken.recipe is not None
    key = capture_key(taken.model.fingerprint, taken.model.tokenizer or "", taken.recipe.digest)
    assert store.index.capture_sources(key) == [commit]
    store.index.environment.replace()
    with Store.open(store.root) as fresh:
        assert fresh.index.capture_sources(key) == [commit]


def old_file(path: Path, content: bytes = b"weights") -> os.stat_result:
    path.write_bytes(content)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path.stat()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock a minute ahead, since no call can set back the time of an inode's change."""
    now = time.time_ns() + 60_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)


@pytest.mark.usefixtures("later")
def test_a_files_digest_is_known_while_it_does_not_change(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    before = old_file(path)
    store.index.remember_file_digest(str(path), before, "ab" * 32)
    assert store.index.file_digest(str(path), path.stat()) == "ab" * 32
    assert store.index.file_digest(str(path) + "x", path.stat()) is None
    path.touch()
    assert store.index.file_digest(str(path), path.stat()) is None


@pytest.mark.usefixtures("later")
def test_a_file_overwritten_in_place_with_its_time_set_back_is_another(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    store.index.remember_file_digest(str(path), old_file(path), "ab" * 32)
    assert store.index.file_digest(str(path), old_file(path, b"heights")) is None


@pytest.mark.usefixtures("later")
def test_a_replaced_file_of_the_same_size_and_time_is_another(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    store.index.remember_file_digest(str(path), old_file(path), "ab" * 32)
    path.rename(tmp_path / "kept")
    assert store.index.file_digest(str(path), old_file(path, b"heights")) is None


def test_a_file_that_changed_just_now_is_not_remembered(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    store.index.remember_file_digest(str(path), path.stat(), "ab" * 32)
    assert store.index.file_digest(str(path), path.stat()) is None


def test_the_index_stays_small_when_nothing_changes(store: Store) -> None:
    texts = {f"p{n}": f"text {n}" for n in range(50)}
    add_commit(store, "m0", texts)
    before = len(store.index.environment.entries())
    add_commit(store, "m1", texts)
    assert len(store.index.environment.entries()) - before < 12
    assert store.refs.get(MAIN) is not None
