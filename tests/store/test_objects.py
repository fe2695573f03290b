"""Git objects: ours, C git's, loose, packed, with deltas; always hashed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.errors import BvcError, DamagedObject
from bvc.store.gitobjects import tree_bytes
from bvc.store.gitpacks import GitPackReader, GitPackWriter, object_id
from bvc.store.objects import FILE_MODE, TREE_MODE, TreeEntry, parse_tree
from bvc.store.store import Store
from tests.store.build import MAIN, add_commit, git


def everything(root: Path) -> dict[str, str]:
    """`{id: kind}` of all objects, as C git lists them."""
    rows = git(root, "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)").split("\n")
    return dict(row.split() for row in rows if row)


def git_project(folder: Path) -> Path:
    """A repository made by C git alone, with files that make deltas."""
    git(folder.parent, "init", "-q", "-b", "main", folder.name)
    for number in range(6):
        lines = [f"line {n} {hashlib.sha256(str(n).encode()).hexdigest()}" for n in range(200)]
        lines[number] = f"changed {number}"
        (folder / "big.txt").write_text("\n".join(lines))
        (folder / f"small-{number}").write_text(str(number))
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", f"commit {number}")
    git(folder, "tag", "-a", "-m", "tagged", "v1")
    return folder


def adopt(store: Store, project: Path) -> None:
    """Puts C git's objects and refs into our store."""
    for name in ("objects", "refs", "packed-refs"):
        source, target = project / ".git" / name, store.root / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy(source, target)


@pytest.mark.parametrize("form", ["loose", "packed", "aggressive"])
def test_everything_that_c_git_wrote_is_read(store: Store, tmp_path: Path, form: str) -> None:
    project = git_project(tmp_path / "project")
    if form != "loose":
        git(project, "gc", "-q", *(["--aggressive"] if form == "aggressive" else []))
        git(project, "pack-refs", "--all")
    adopt(store, project)
    listed = everything(project)
    assert len(listed) > 20
    for oid, kind in listed.items():
        found, data = store.objects.read(oid)
        assert (found, object_id(found, data)) == (kind, oid)
        assert store.objects.with_prefix(oid[:9]) == [oid]
    head = str(store.refs.get(MAIN))
    assert [info.subject for info in store.history.walk([head])] == [f"commit {n}" for n in range(5, -1, -1)]
    assert store.history.info(head).snapshot is None
    assert store.refs.peel("refs/tags/v1") == head
    assert [e.name for e in store.objects.tree(store.history.info(head).tree)][:2] == ["big.txt", "small-0"]


def test_git_gc_between_reads_harms_nothing(store: Store) -> None:
    commits = [add_commit(store, f"m{n}", {"a": f"text {n}" * 50}) for n in range(5)]
    before = {oid: store.objects.read(oid) for oid in everything(store.root)}
    git(store.root, "gc", "-q", "--prune=now")
    assert len(list(store.layout.git_packs.glob("*.pack"))) == 1
    with Store.open(store.root) as fresh:
        assert {oid: fresh.objects.read(oid) for oid in before} == before
        assert [i.id for i in fresh.history.walk([commits[-1]])] == commits[::-1]
    assert {oid: store.objects.read(oid) for oid in before} == before
    after = add_commit(store, "m5")
    assert store.history.info(after).parents == (commits[-1],)
    assert git(store.root, "fsck", "--strict") == ""


def test_unpacked_into_loose_objects(store: Store) -> None:
    commit = add_commit(store, "m")
    listed = everything(store.root)
    for pack in sorted(store.layout.git_packs.glob("*.pack")):
        moved = pack.rename(store.root / pack.name)
        pack.with_suffix(".idx").unlink()
        with moved.open("rb") as file:
            subprocess.run(["git", "-C", str(store.root), "unpack-objects", "-q"], stdin=file, check=True)
    store.close()
    with Store.open(store.root) as fresh:
        assert {oid: fresh.objects.read(oid)[0] for oid in listed} == listed
        assert fresh.objects.known(commit)
        assert fresh.objects.with_prefix(commit[:6]) == [commit]


def test_missing_and_malformed_ids(store: Store) -> None:
    with pytest.raises(DamagedObject, match="missing or damaged"):
        store.objects.read("12" * 20)
    with pytest.raises(DamagedObject, match="not an object id"):
        store.objects.read("../../etc/passwd")
    assert not store.objects.exists("12" * 20)
    assert not store.objects.exists("zz")
    for prefix in ("", "abc", "xyzw", "../.."):
        assert store.objects.with_prefix(prefix) == []


def test_an_object_of_another_kind_is_an_error(store: Store) -> None:
    commit = add_commit(store)
    with pytest.raises(DamagedObject, match="is a commit where a tree should be"):
        store.objects.tree(commit)
    with pytest.raises(DamagedObject, match="is a tree where a blob should be"):
        store.objects.blob(store.history.info(commit).tree)


def test_a_flipped_bit_in_a_pack_is_an_error_or_does_not_matter(store: Store) -> None:
    add_commit(store, "m")
    right = {oid: store.objects.read(oid) for oid in everything(store.root)}
    (pack,) = store.layout.git_packs.glob("*.pack")
    data = pack.read_bytes()
    pack.chmod(0o644)
    noticed = 0
    for position in range(12, len(data) - 20, 7):
        altered = bytearray(data)
        altered[position] ^= 1 << position % 8
        pack.write_bytes(altered)
        with Store.open(store.root) as fresh:
            for oid, content in right.items():
                try:
                    assert fresh.objects.read(oid) == content
                except DamagedObject:
                    noticed += 1
    assert noticed > len(data) // 10


def test_a_good_copy_elsewhere_is_found(store: Store) -> None:
    commit = add_commit(store, "m")
    (pack,) = store.layout.git_packs.glob("*.pack")
    content = store.objects.read(commit)
    loose = store.root / "objects" / commit[:2]
    loose.mkdir()
    (loose / commit[2:]).write_bytes(zlib.compress(f"commit {len(content[1])}\0".encode() + content[1]))
    pack.chmod(0o644)
    pack.write_bytes(b"\0" * pack.stat().st_size)
    with Store.open(store.root) as fresh:
        assert fresh.objects.read(commit) == content


def write_packs(folder: Path, count: int) -> list[str]:
    oids = []
    for number in range(count):
        writer = GitPackWriter(folder, f"w{number}")
        data = f"content {number}".encode()
        oids.append(object_id("blob", data))
        writer.add("blob", data, oids[-1])
        writer.publish(folder, writer.finish())
    return oids


def test_hundreds_of_packs_are_read_by_hint_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    oids = write_packs(store.layout.git_packs, 300)
    store.objects.refresh()
    monkeypatch.setattr(GitPackReader, "names", lambda _: pytest.fail("packs were listed"))
    for oid in oids[::50]:
        assert object_id(*store.objects.read(oid)) == oid


def test_what_is_written_is_a_pack_for_git(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "plain")
    folder = tmp_path / "plain" / "objects" / "pack"
    oids = write_packs(folder, 3)
    assert sorted(everything(tmp_path / "plain")) == sorted(oids)
    for index in folder.glob("*.idx"):
        git(tmp_path, "verify-pack", str(index))
    assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o444}


@given(st.binary(max_size=3000))
def test_blobs_survive(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("packs")
    writer = GitPackWriter(folder, "w")
    oid = object_id("blob", data)
    writer.add("blob", data, oid)
    writer.publish(folder, name := writer.finish())
    reader = GitPackReader(folder)
    assert [reader.read_at(name, offset, oid) for _, offset in writer.offsets] == [("blob", data)]
    assert reader.read(name, oid) == ("blob", data)
    assert reader.read_at(name, 5, oid) in (None, ("blob", data))
    reader.close()


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.dictionaries(NAMES, st.booleans(), max_size=12))
def test_trees_survive_in_gits_order(names: dict[str, bool]) -> None:
    names = {n: f for n, f in names.items() if n not in (".", "..") and n.lower() != ".git" and len(n.encode()) < 256}
    entries = [TreeEntry(n, TREE_MODE if f else FILE_MODE, f"{i:040x}") for i, (n, f) in enumerate(names.items())]
    back = parse_tree("", tree_bytes(entries))
    assert sorted(back) == sorted(entries)
    assert [e.name.encode() + b"/" * (e.mode == TREE_MODE) for e in back] == sorted(
        e.name.encode() + b"/" * (e.mode == TREE_MODE) for e in entries
    )


@pytest.mark.parametrize("name", ["", ".", "..", ".git", ".GIT", "a/b", "a\0b", "x" * 256])
def test_names_that_git_refuses_are_not_stored(name: str) -> None:
    with pytest.raises(BvcError, match="not a valid name"):
        tree_bytes([TreeEntry(name, FILE_MODE, "00" * 20)])


def test_two_entries_of_one_name_are_refused() -> None:
    with pytest.raises(BvcError, match="not a valid name"):
        tree_bytes([TreeEntry("a", FILE_MODE, "00" * 20), TreeEntry("a", TREE_MODE, "11" * 20)])


@given(st.binary(max_size=80))
def test_arbitrary_bytes_never_crash_the_tree_reader(data: bytes) -> None:
    try:
        parse_tree("x", data)
    except DamagedObject:
        return
    assert not data or b"\0" in data
