"""Reading arrays: by hint, without it, from the copy that is good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bvc.errors import DamagedObject
from bvc.store.chunks import Chunks
from bvc.store.packs import PackWriter, chunk_digest, pack_names, pack_path
from bvc.store.store import Store
from tests.store.build import add_commit, array


def test_stored_once_and_read_back(store: Store) -> None:
    add_commit(store, "m0", arrays=[array(1), array(2)])
    add_commit(store, "m1", arrays=[array(1), array(3)])
    found = [store.chunks.get(chunk_digest(array(seed))) for seed in (1, 2, 3)]
    assert [f.tobytes() for f in found] == [array(seed).tobytes() for seed in (1, 2, 3)]
    assert not found[0].flags.writeable
    sizes = [pack_path(store.layout.packs, name).stat().st_size for name in pack_names(store.layout.packs)]
    assert max(sizes) > min(sizes), "the second commit stored the shared array again"


def test_without_the_index(store: Store) -> None:
    add_commit(store, arrays=[array(1)])
    store.index.environment.replace()
    assert store.chunks.get(chunk_digest(array(1))).tobytes() == array(1).tobytes()
    assert store.index.chunk_place(chunk_digest(array(1))) is not None


def test_missing(store: Store) -> None:
    with pytest.raises(DamagedObject, match="missing: no pack holds it"):
        store.chunks.get("ab" * 32)
    assert not store.chunks.has("ab" * 32)


def second_copy(store: Store, seed: int) -> Path:
    """The same chunk in another pack, that the index does not know."""
    writer = PackWriter(store.layout.tmp)
    for number in (seed, seed + 100):
        writer.add(array(number), chunk_digest(array(number)))
    return pack_path(store.layout.packs, writer.finish(store.layout.packs))


def test_a_good_copy_is_found_when_the_known_one_is_damaged(store: Store) -> None:
    add_commit(store, arrays=[array(1)])
    (name,) = pack_names(store.layout.packs)
    second_copy(store, 1)
    path = pack_path(store.layout.packs, name)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(array(1).tobytes()[:8], b"\0" * 8))
    with Store.open(store.root) as fresh:
        assert fresh.chunks.get(chunk_digest(array(1))).tobytes() == array(1).tobytes()


def test_a_pack_that_was_moved_away(store: Store) -> None:
    add_commit(store, arrays=[array(1)])
    (name,) = pack_names(store.layout.packs)
    pack_path(store.layout.packs, name).unlink()
    assert not store.chunks.has(chunk_digest(array(1)))
    with Store.open(store.root) as fresh, pytest.raises(DamagedObject):
        fresh.chunks.get(chunk_digest(array(1)))


def test_files_of_other_names_are_no_packs(store: Store) -> None:
    add_commit(store, arrays=[array(1)])
    (name,) = pack_names(store.layout.packs)
    (store.layout.packs / "zz").mkdir()
    (store.layout.packs / "zz" / "junk.bvcp").write_bytes(b"junk")
    (store.layout.packs / name[:2] / "junk.bvcp").write_bytes(b"junk")
    assert pack_names(store.layout.packs) == [name]
    store.index.environment.replace()
    assert store.chunks.has(chunk_digest(array(1)))


def test_many_packs_do_not_exhaust_file_descriptors(store: Store) -> None:
    for seed in range(80):
        writer = PackWriter(store.layout.tmp)
        writer.add(array(seed), chunk_digest(array(seed)))
        writer.finish(store.layout.packs)
    store.chunks.refresh()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for seed in range(80):
        assert store.chunks.get(chunk_digest(array(seed))).shape == (16, 8)
    assert len(list(Path("/proc/self/fd").iterdir())) - before < 70
    assert isinstance(store.chunks, Chunks)


def test_what_a_transaction_stores_has_its_identity(store: Store) -> None:
    with store.begin() as transaction:
        sha = transaction.chunk(np.asfortranarray(array(1)).astype(">f4"))
        transaction.flush()
    assert sha == chunk_digest(array(1))
    assert store.chunks.get(sha).dtype.str == "<f4"
