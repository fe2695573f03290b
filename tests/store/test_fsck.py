"""fsck names what is wrong, tolerates what is not, and a flipped bit anywhere is noticed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bvc.results import Progress
from bvc.store.fsck import fsck
from bvc.store.packs import PackWriter, chunk_digest, pack_names, pack_path
from bvc.store.refs import Head
from bvc.store.store import Store
from tests.store.build import AUTHOR, MAIN, START, add_commit, array, git
from tests.store.flips import Flip, index_of, judge, random_flips, reading, stored_files


@pytest.fixture
def grown(store: Store) -> Store:
    """Three commits on two branches, a tag, and texts and arrays shared between commits."""
    first = add_commit(store, "m0", {"a": "same", "b": "0"}, [array(0), array(1)])
    add_commit(store, "m1", {"a": "same", "b": "1"}, [array(0), array(2)])
    add_commit(store, "side", {"a": "same"}, ref="refs/heads/side", parents=[first])
    with store.begin() as transaction:
        tag = transaction.tag("v1", first, "tagged", AUTHOR, START)
    store.refs.update("refs/tags/v1", tag, None, "tag", AUTHOR, START)
    return store


def problems(store: Store) -> list[tuple[str, str]]:
    with Store.open(store.root) as fresh:
        return [(p.kind, p.object) for p in fsck(fresh).problems]


def test_a_sound_store(grown: Store) -> None:
    seen: list[Progress] = []
    result = fsck(grown, seen.append)
    assert (result.ok, result.problems) == (True, ())
    counts = {"commits": 3, "chunks": 3, "packs": 2, "Merkle roots": 3, "refs": 3, "manifests": 2}
    assert {name: result.checked[name] for name in counts} == counts
    assert {p.what for p in seen} == {"array packs", "Git packs", "commits"}


def test_an_empty_store(store: Store) -> None:
    assert fsck(store).problems == ()


def test_fsck_changes_nothing(grown: Store) -> None:
    grown.close()
    before = {p: p.read_bytes() for p in stored_files(grown.root)}
    problems(grown)
    assert {p: p.read_bytes() for p in stored_files(grown.root)} == before


def test_junk_of_interrupted_commits_is_tolerated(grown: Store) -> None:
    writer = PackWriter(grown.layout.tmp)
    writer.add(array(9), chunk_digest(array(9)))
    writer.finish(grown.layout.packs)
    (grown.layout.tmp / "tx-1-x").mkdir()
    (grown.layout.tmp / "tx-1-x" / "chunks.bvcp").write_bytes(b"half")
    with grown.begin() as transaction:
        transaction.blob(b"named by nothing")
        transaction.flush()
    (grown.layout.git_packs / "tmp_pack_x").write_bytes(b"half")
    assert problems(grown) == []


def test_a_missing_array_pack(grown: Store) -> None:
    for name in pack_names(grown.layout.packs):
        pack_path(grown.layout.packs, name).unlink()
    found = problems(grown)
    assert {(kind, sha) for kind, sha in found if kind == "missing"} == {
        ("missing", chunk_digest(array(seed))) for seed in (0, 1, 2)
    }


def test_a_missing_git_pack(grown: Store) -> None:
    index, *_ = sorted(grown.layout.git_packs.glob("*.idx"))
    pack = index.with_suffix(".pack")
    pack.unlink()
    assert ("missing", pack.name) in problems(grown)
    index.unlink()
    assert any(kind == "missing" for kind, _ in problems(grown))


def test_a_missing_blob_alone(grown: Store) -> None:
    commit = str(grown.refs.get(MAIN))
    blob = git(grown.root, "rev-parse", f"{commit}:outputs/b").strip()
    for pack in list(grown.layout.git_packs.glob("*.pack")):
        moved = pack.rename(grown.root / pack.name)
        pack.with_suffix(".idx").unlink()
        with moved.open("rb") as file:
            subprocess.run(["git", "-C", str(grown.root), "unpack-objects", "-q"], stdin=file, check=True)
    assert problems(grown) == []
    (grown.root / "objects" / blob[:2] / blob[2:]).unlink()
    assert ("missing", blob) in problems(grown)


def test_a_wrong_merkle_root(grown: Store) -> None:
    tip = str(grown.refs.get(MAIN))
    right = grown.history.info(tip)
    message = right.message.replace("Bvc-Root: sha256:", "Bvc-Root: sha256:00", 1)
    forged = git(grown.root, "commit-tree", right.tree, "-p", tip, "-m", message).strip()
    git(grown.root, "update-ref", MAIN, forged)
    assert ("corrupt", forged) in problems(grown)


def test_an_index_that_points_elsewhere(grown: Store) -> None:
    entries = [(k, v) for k, v in grown.index.environment.scan(b"k")]
    key, value = entries[0]
    grown.index.environment.put([(key, value[:32] + (9).to_bytes(8, "little") + value[40:])])
    assert [(kind, "chunk" in name) for kind, name in problems(grown)] == [("corrupt", True)]
    grown.index.environment.put([(key, value)])
    key, value = grown.index.environment.scan(b"g")[0]
    grown.index.environment.put([(key, b"\7" + value[1:])])
    assert [(kind, "graph" in name) for kind, name in problems(grown)] == [("corrupt", True)]


def test_an_old_index_is_named_and_no_damage(grown: Store) -> None:
    grown.close()
    shutil.copytree(grown.layout.index, grown.root / "kept")
    add_commit(grown, "m2", {"a": "new"}, [array(7)])
    grown.close()
    shutil.rmtree(grown.layout.index)
    (grown.root / "kept").rename(grown.layout.index)
    with Store.open(grown.root) as old:
        result = fsck(old)
    assert result.ok
    assert {p.kind for p in result.problems} == {"stale-index"}


def test_a_branch_that_vanished_from_packed_refs(grown: Store) -> None:
    git(grown.root, "pack-refs", "--all")
    path = grown.layout.packed_refs
    path.write_bytes(path.read_bytes().replace(b"refs/heads/side", b"refs/heads/sidf"))
    assert ("missing", "refs/heads/side") in problems(grown)


def test_a_head_that_leads_nowhere(grown: Store) -> None:
    grown.layout.head.write_text("ref: refs/heads/maim\n")
    assert ("corrupt", "HEAD") in problems(grown)


def test_settings_of_the_user_are_no_damage(grown: Store) -> None:
    git(grown.root, "config", "remote.origin.url", "https://example.org/x.git")
    git(grown.root, "config", "gc.auto", "0")
    assert problems(grown) == []
    assert grown.refs.head() == Head("main", grown.refs.get(MAIN))


def test_every_bit_of_the_small_files(grown: Store) -> None:
    """HEAD, format, config and refs: each flipped bit is named."""
    grown.close()
    small = [grown.layout.head, grown.layout.format, grown.layout.config, grown.root / MAIN]
    for path in small:
        for position in range(path.stat().st_size):
            flip = Flip(path, position, position % 8)
            flip.apply()
            found = problems_or_refused(grown.root)
            flip.apply()
            assert found, flip
    assert problems(grown) == []


def problems_or_refused(root: Path) -> bool:
    with Store(root) as unchecked:
        return bool(fsck(unchecked).problems)


def test_a_sample_of_flipped_bits(grown: Store) -> None:
    entries = index_of(grown)
    grown.close()
    right = reading(grown.root)
    assert right.startswith("{")
    wrong = [judge(grown.root, flip, right, entries) for flip in random_flips(grown.root, 12, seed=1)]
    assert [w for w in wrong if w] == []
    assert problems(grown) == []
