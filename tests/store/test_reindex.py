"""P7: the index follows from Git and the packs."""

from __future__ import annotations

import shutil

import pytest

from bvc.results import Progress
from bvc.store.fsck import fsck
from bvc.store.reindex import reindex
from bvc.store.store import Store
from tests.store.build import AUTHOR, START, add_commit, array
from tests.store.flips import index_of, read_everything


@pytest.fixture
def grown(store: Store) -> Store:
    first = add_commit(store, "m0", {"a": "same", "b": "0"}, [array(0), array(1)])
    add_commit(store, "m1", {"a": "same", "b": "1"}, [array(0), array(2)])
    add_commit(store, "side", {"a": "same"}, ref="refs/heads/side", parents=[first])
    with store.begin() as transaction:
        tag = transaction.tag("v1", first, "tagged", AUTHOR, START)
    store.refs.update("refs/tags/v1", tag, None, "tag", AUTHOR, START)
    return store


def test_reindex_gives_back_every_entry(grown: Store) -> None:
    before = index_of(grown)
    seen: list[Progress] = []
    reindex(grown, seen.append)
    assert index_of(grown) == before
    assert {p.what for p in seen} == {"commits", "Merkle digests"}
    assert fsck(grown).problems == ()


def test_reindex_repairs_what_fsck_names(grown: Store) -> None:
    key, value = grown.index.environment.scan(b"g")[0]
    grown.index.environment.put([(key, b"\7" + value[1:])])
    assert not fsck(grown).ok
    reindex(grown)
    assert fsck(grown).problems == ()


@pytest.mark.parametrize("loss", ["deleted", "emptied", "truncated", "of another version", "nonsense"])
def test_same_answers_whatever_happens_to_the_index(grown: Store, loss: str) -> None:
    right = read_everything(grown.root)
    if loss == "of another version":
        grown.index.environment.put([(b"v", b"0")])
    grown.close()
    path = grown.layout.index / "data.mdb"
    if loss == "deleted":
        shutil.rmtree(grown.layout.index)
    elif loss == "emptied":
        path.write_bytes(b"")
    elif loss == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif loss == "nonsense":
        path.write_bytes(b"nonsense" * 1000)
    assert read_everything(grown.root) == right
    assert fsck(grown).ok
    reindex(grown)
    assert fsck(grown).problems == ()


def test_reindex_passes_over_what_is_damaged(grown: Store) -> None:
    (grown.root / "refs/heads/gone").write_text("12" * 20 + "\n")
    reindex(grown)
    assert {p.object for p in fsck(grown).problems} == {"12" * 20}
    assert len(list(grown.history.walk([str(grown.refs.get("refs/heads/side"))]))) == 2
