"""Dictionaries in the repository: content-addressed, versioned, plain Git, and checked before anything is believed."""

from __future__ import annotations

import math
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bvc.cli.program import run
from bvc.codec import canonical, parse
from bvc.dictionaries import TILE_NUMBERS, DictionarySpec
from bvc.errors import AmbiguousId, BadInput, BvcError, DamagedObject, ExitCode, UnknownRevision, UsageError
from bvc.repository.dictionaries import (
    DICTIONARIES,
    default_dictionary,
    dictionaries,
    dictionary_versions,
    find_dictionary,
    put_dictionary,
    read_arrays,
    read_cards,
)
from bvc.repository.notes import NoteAuthor, advance_tree
from bvc.repository.repository import Repository, create_project
from bvc.store.check_dictionaries import check_weights
from bvc.store.fsck import fsck
from bvc.store.objects import FILE_MODE, TREE_MODE, TreeEntry
from bvc.store.reindex import reindex
from tests.dictionaries import AUTHOR, card, cards, random_arrays, spec
from tests.store.build import git


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    create_project(tmp_path, b"", b"")
    with Repository.open(tmp_path) as opened:
        yield opened


def put(repository: Repository, name: str = "lineage", **settings: Any) -> str:
    arrays = settings.pop("arrays", None) or random_arrays(seed=settings.get("seed", 0))
    return put_dictionary(repository, name, spec(**settings), card(name), cards(), arrays, AUTHOR)


def problems(repository: Repository) -> list[str]:
    return [f"{p.kind}: {p.detail}" for p in fsck(repository.store).problems]


# Keeping


def test_what_was_put_is_read_back(repository: Repository) -> None:
    wide = spec(96, 4096)
    arrays = random_arrays(96, 4096)
    digest = put_dictionary(repository, "lineage", wide, card(fit={"seed": 0}), cards(4096), arrays, AUTHOR)
    (stored,) = dictionaries(repository)
    assert digest == wide.digest == stored.spec.digest
    assert (stored.name, stored.spec, stored.card) == ("lineage", wide, card(fit={"seed": 0}))
    assert find_dictionary(repository, "lineage") == find_dictionary(repository, digest[:8]) == stored
    assert read_cards(repository, stored) == cards(4096)
    read = read_arrays(repository, stored)
    assert all(np.array_equal(read[name], array) and read[name].shape == array.shape for name, array in arrays.items())
    assert problems(repository) == [] and fsck(repository.store).checked["dictionaries"] == 1


def test_the_arrays_lie_in_tiles_of_at_most_a_megabyte(repository: Repository) -> None:
    wide = spec(96, 4096)
    put_dictionary(repository, "lineage", wide, card(), (), random_arrays(96, 4096), AUTHOR)
    from bvc.store.packs import pack_names, pack_path, read_entries

    store = repository.store
    entries = [e for n in pack_names(store.layout.packs) for e in read_entries(pack_path(store.layout.packs, n))]
    sizes = sorted(store.chunks.get(entry.sha).nbytes for entry in entries)
    assert sizes[-1] == 1 << 20 and sum(sizes) == sum(a.nbytes for a in random_arrays(96, 4096).values())


def test_versions_are_commits_on_top_of_each_other(repository: Repository) -> None:
    first = put(repository)
    assert put(repository) == first
    second = put(repository, seed=1)
    assert [v.spec.digest for v in dictionary_versions(repository, "lineage")] == [second, first]
    assert [d.spec.digest for d in dictionaries(repository)] == [second]
    old = find_dictionary(repository, first)
    assert np.array_equal(read_arrays(repository, old)["encoder"], random_arrays()["encoder"])
    assert problems(repository) == []


def test_only_light_modules_are_needed_to_list_them(tmp_path: Path) -> None:
    import subprocess
    import sys

    create_project(tmp_path, b"", b"")
    with Repository.open(tmp_path) as repository:
        put(repository)
    code = (
        "import sys; from pathlib import Path\n"
        "from bvc.repository.repository import Repository\n"
        "from bvc.repository.dictionaries import dictionaries, default_dictionary, find_dictionary, read_cards\n"
        "with Repository.open(Path(sys.argv[1])) as r:\n"
        "    assert len(dictionaries(r)) == 1 and len(read_cards(r, find_dictionary(r, 'lineage'))) == 64\n"
        "assert not {'numpy', 'torch'} & sys.modules.keys()\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=root)


def test_plain_git_checks_and_copies_them(repository: Repository, tmp_path: Path) -> None:
    put(repository)
    root = tmp_path / ".bvc"
    assert "error" not in git(root, "fsck", "--strict") and "dictionary.json" in git(
        root, "ls-tree", "-r", "--name-only", f"{DICTIONARIES}lineage"
    )
    clone = tmp_path / "clone.git"
    git(tmp_path, "clone", "-q", "--bare", str(root), str(clone))
    git(clone, "fetch", "-q", "origin", "refs/bvc/*:refs/bvc/*")
    assert git(clone, "rev-parse", f"{DICTIONARIES}lineage") == git(root, "rev-parse", f"{DICTIONARIES}lineage")
    git(root, "pack-refs", "--all")
    git(root, "gc", "-q", "--prune=now")
    assert dictionaries(repository)[0].name == "lineage" and problems(repository) == []


def test_reindex_keeps_them(repository: Repository) -> None:
    put(repository)
    reindex(repository.store)
    stored = find_dictionary(repository, "lineage")
    assert np.array_equal(read_arrays(repository, stored)["decoder"], random_arrays()["decoder"])
    assert problems(repository) == []


def test_many_writers_at_once_all_have_their_version(tmp_path: Path) -> None:
    create_project(tmp_path, b"", b"")
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with Repository.open(tmp_path) as mine:
                put(mine, seed=number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Repository.open(tmp_path) as repository:
        versions = dictionary_versions(repository, "lineage")
        numbers = {spec(seed=number).weights: number for number in range(4)}
        assert {version.spec.weights for version in versions} == numbers.keys()
        for version in versions:
            number = numbers[version.spec.weights]
            assert np.array_equal(read_arrays(repository, version)["encoder"], random_arrays(seed=number)["encoder"])
        assert problems(repository) == []


# Choosing


def test_the_default_is_the_only_one_or_the_one_that_is_set(repository: Repository, tmp_path: Path) -> None:
    assert default_dictionary(repository) is None
    put(repository, "one")
    assert getattr(default_dictionary(repository), "name", None) == "one"
    put(repository, "two", seed=1)
    assert default_dictionary(repository) is None
    for wanted, name in (("two", "two"), (spec().digest[:6], "one"), ("none", None)):
        (tmp_path / "bvc.toml").write_text(f'[features]\ndictionary = "{wanted}"\n')
        with Repository.open(tmp_path) as again:
            assert getattr(default_dictionary(again), "name", None) == name
    (tmp_path / "bvc.toml").write_text('[features]\ndictionary = "tow"\n')
    with Repository.open(tmp_path) as again, pytest.raises(UnknownRevision) as refused:
        default_dictionary(again)
    assert refused.value.hint == "did you mean 'two'?"


def test_what_names_none_or_several_is_refused(repository: Repository) -> None:
    with pytest.raises(UnknownRevision, match="no dictionary is called"):
        find_dictionary(repository, "lineage")
    with pytest.raises(UnknownRevision):
        dictionary_versions(repository, "lineage")
    digests = [put(repository, f"d{n}", seed=n) for n in range(3)]
    assert [find_dictionary(repository, digest[:9]).name for digest in digests] == ["d0", "d1", "d2"]
    with pytest.raises(UnknownRevision):
        find_dictionary(repository, "0000000")


def test_a_prefix_of_two_is_ambiguous(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DictionarySpec, "digest", property(lambda s: f"abcd{s.weights[:8]}".ljust(64, "0")))
    put(repository, "one")
    put(repository, "two", seed=1)
    with pytest.raises(AmbiguousId, match="fits 2 dictionaries"):
        find_dictionary(repository, "abcd")
    assert find_dictionary(repository, f"abcd{spec(seed=1).weights[:8]}").name == "two"


# Refusing


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a..b", "x.lock", "none", "ends.", "sp ace", "ü"])
def test_names_that_cannot_be_refs_are_refused(repository: Repository, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        put(repository, name)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: a | {"encoder": a["encoder"].T.copy()},
        lambda a: a | {"encoder": a["encoder"].astype("f8")},
        lambda a: {n: v for n, v in a.items() if n != "threshold"},
        lambda a: a | {"extra": a["threshold"]},
        lambda a: a | {"threshold": np.full_like(a["threshold"], np.nan)},
    ],
)
def test_other_arrays_than_the_spec_says_are_refused(
    repository: Repository, spoil: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    with pytest.raises(BadInput):
        put(repository, arrays=spoil(random_arrays()))
    assert dictionaries(repository) == [] and problems(repository) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "pickle"},
        {"layer": "../../etc"},
        {"scale": float("nan")},
        {"scale": 0.0},
        {"k": -1.0},
        {"weights": "zz"},
        {"centered": 1},
        {"architecture": 3},
        {"width": True},
    ],
)
def test_records_that_could_not_be_read_again_are_not_written(repository: Repository, changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        put_dictionary(repository, "lineage", replace(spec(), **changes), card(), (), random_arrays(), AUTHOR)
    assert dictionaries(repository) == []


# Damage and hostile content


def flip(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_bit_is_found_and_never_read(repository: Repository, place: float) -> None:
    put(repository)
    (pack,) = repository.store.layout.packs.rglob("*.bvcp")
    flip(pack, place)
    assert any(p.startswith("corrupt") for p in problems(repository))
    with pytest.raises(DamagedObject):
        read_arrays(repository, find_dictionary(repository, "lineage"))


def test_a_missing_chunk_is_found(repository: Repository) -> None:
    put(repository)
    (pack,) = repository.store.layout.packs.rglob("*.bvcp")
    pack.unlink()
    assert any(p.startswith("missing") and "names this chunk" in p for p in problems(repository))
    with pytest.raises(DamagedObject):
        read_arrays(repository, find_dictionary(repository, "lineage"))


def rewrite(repository: Repository, path: tuple[str, ...], change: Callable[[Any], Any], subject: str) -> None:
    """A commit on top of the dictionary's, with one of its JSON files changed as an attacker with Git could."""
    store = repository.store
    with store.begin() as transaction:

        def replaced(entries: dict[str, TreeEntry], names: tuple[str, ...]) -> None:
            first, held = names[0], entries[names[0]].oid
            if len(names) == 1:
                blob = transaction.blob(canonical(change(parse(store.objects.blob(held)))))
                entries[first] = TreeEntry(first, FILE_MODE, blob)
                return
            inner = {e.name: e for e in store.objects.tree(held)}
            replaced(inner, names[1:])
            entries[first] = TreeEntry(first, TREE_MODE, transaction.tree(list(inner.values())))

        def edit(top: dict[str, TreeEntry]) -> None:
            replaced(top, path)

        advance_tree(transaction, store, f"{DICTIONARIES}lineage", edit, subject, NoteAuthor(AUTHOR, 1_700_000_000, 0))


STATED = f"hostile\n\nBvc-Dictionary: sha256:{spec().digest}"


@pytest.mark.parametrize(
    "change",
    [
        lambda d: [],
        lambda d: {**d, "spec": None},
        lambda d: {**d, "spec": {**d["spec"], "latents": 1 << 40}},
        lambda d: {**d, "spec": {**d["spec"], "latents": "64"}},
        lambda d: {**d, "spec": {**d["spec"], "width": -1}},
        lambda d: {**d, "spec": {**d["spec"], "layer": "layer.02\n\x1b[31m"}},
        lambda d: {**d, "spec": {**d["spec"], "scale": 10**400}},
        lambda d: {**d, "card": {**d["card"], "name": 7}},
        lambda d: {**d, "card": {**d["card"], "explained": "most"}},
        lambda d: {**d, "card": {**d["card"], "fit": []}},
        lambda d: {k: v for k, v in d.items() if k != "version"},
    ],
)
def test_hostile_records_are_damage_and_nothing_else(repository: Repository, change: Callable[[Any], Any]) -> None:
    put(repository)
    rewrite(repository, ("dictionary.json",), change, STATED)
    for use in (dictionaries, default_dictionary, lambda r: find_dictionary(r, "lineage")):
        with pytest.raises(DamagedObject):
            use(repository)


def test_a_newer_format_is_told_from_damage(repository: Repository) -> None:
    put(repository)
    rewrite(repository, ("dictionary.json",), lambda d: {**d, "version": 99}, STATED)
    with pytest.raises(BvcError, match="format version 99") as refused:
        dictionaries(repository)
    assert not isinstance(refused.value, DamagedObject)


def test_a_spec_of_another_digest_is_found_by_fsck(repository: Repository) -> None:
    put(repository)
    rewrite(repository, ("dictionary.json",), lambda d: {**d, "spec": {**d["spec"], "scale": 2.0}}, STATED)
    assert [p for p in problems(repository) if "does not have the digest" in p]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: {**d, "fields": {n: f for n, f in d["fields"].items() if n != "decoder"}},
        lambda d: {**d, "fields": {**d["fields"], "encoder": {**d["fields"]["encoder"], "tiles": []}}},
        lambda d: {**d, "fields": {**d["fields"], "encoder": {**d["fields"]["encoder"], "shape": [1 << 40, 1]}}},
    ],
)
def test_other_arrays_than_the_dictionarys_are_found(repository: Repository, change: Callable[[Any], Any]) -> None:
    put(repository)
    rewrite(repository, ("signatures", "dictionary.json"), change, STATED)
    assert [p for p in problems(repository) if "does not have the arrays" in p]
    with pytest.raises(DamagedObject):
        read_arrays(repository, find_dictionary(repository, "lineage"))


@pytest.mark.parametrize("kind", ["object", "shape", "short", "long"])
def test_tiles_of_other_content_are_refused(repository: Repository, kind: str) -> None:
    """Sound chunks, which belong to no dictionary or to another array."""
    put(repository)
    other = {
        "object": np.zeros(64, "<i8"),
        "shape": np.zeros((8, 8), "<f4"),
        "short": np.zeros(63, "<f4"),
        "long": np.zeros(1 << 19, "<f4"),
    }[kind]
    with repository.store.begin() as transaction:
        sha = transaction.chunk(other)
        transaction.flush()

    def change(d: Any) -> Any:
        return {**d, "fields": {**d["fields"], "threshold": {**d["fields"]["threshold"], "tiles": [sha]}}}

    rewrite(repository, ("signatures", "dictionary.json"), change, STATED)
    assert [p for p in problems(repository) if "its threshold" in p]
    with pytest.raises(DamagedObject):
        read_arrays(repository, find_dictionary(repository, "lineage"))


@pytest.mark.parametrize("pair", [("encoder", "decoder"), ("encoder_bias", "threshold")])
def test_tiles_of_another_array_of_that_size_are_found(repository: Repository, pair: tuple[str, str]) -> None:
    put(repository)
    rewrite(repository, ("signatures", "dictionary.json"), lambda d: swapped(d, *pair), STATED)
    (found,) = problems(repository)
    assert found.endswith("the tiles of its dictionary do not have the SHA-256 of its weights")


def swapped(signature: Any, one: str, two: str) -> Any:
    fields = signature["fields"]
    tiles = {one: fields[two]["tiles"], two: fields[one]["tiles"]}
    return {**signature, "fields": fields | {name: {**fields[name], "tiles": tiles[name]} for name in tiles}}


def test_fsck_exits_with_damage_for_tiles_of_another_array(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    create_project(tmp_path, b"", b"")
    monkeypatch.chdir(tmp_path)
    with Repository.open(tmp_path) as repository:
        put(repository)
        assert run(["fsck"]) == ExitCode.OK
        rewrite(repository, ("signatures", "dictionary.json"), lambda d: swapped(d, "encoder", "decoder"), STATED)
        tip = repository.store.refs.get(f"{DICTIONARIES}lineage")
    capsys.readouterr()
    assert run(["fsck"]) == ExitCode.DAMAGED == 14
    out = capsys.readouterr().out
    assert str(tip) in out and "SHA-256 of its weights" in out


def test_the_right_numbers_cut_elsewhere_are_found(repository: Repository) -> None:
    """All tiles in a row have the right SHA-256, but one array is too short and the next too long to be read."""
    put(repository)
    arrays = random_arrays()
    flat = np.concatenate([arrays["encoder"].reshape(-1), arrays["encoder_bias"]])
    with repository.store.begin() as transaction:
        tiles = {"encoder": transaction.chunk(flat[:2047]), "encoder_bias": transaction.chunk(flat[2047:])}
        transaction.flush()

    def change(d: Any) -> Any:
        return {**d, "fields": d["fields"] | {name: {**d["fields"][name], "tiles": [tiles[name]]} for name in tiles}}

    rewrite(repository, ("signatures", "dictionary.json"), change, STATED)
    assert [p for p in problems(repository) if "the tiles of its encoder do not have its shape" in p]
    with pytest.raises(DamagedObject):
        read_arrays(repository, find_dictionary(repository, "lineage"))


def test_weights_are_checked_a_tile_at_a_time() -> None:
    """Sixty-four megabytes in tiles of one, which are made as they are asked for: at no time are there many."""
    tile = np.arange(TILE_NUMBERS, dtype="<f4")
    wide = replace(spec(1, 1), width=TILE_NUMBERS, latents=31)
    names = {name: ("",) * -(-math.prod(shape) // TILE_NUMBERS) for name, shape in wide.shapes.items()}
    sizes = iter([*[TILE_NUMBERS] * 31, 31, *[TILE_NUMBERS] * 32, 31])
    tracemalloc.start()
    try:
        with pytest.raises(DamagedObject, match="SHA-256"):
            check_weights(wide, names, lambda _: tile[: next(sizes)].copy())
        assert tracemalloc.get_traced_memory()[1] < 3 * tile.nbytes
    finally:
        tracemalloc.stop()
    assert next(sizes, None) is None


@pytest.mark.parametrize(
    "change",
    [
        {"latent": 64},
        {"latent": -1},
        {"latent": True},
        {"contexts": [["text"]]},
        {"contexts": [[1, 2.0]]},
        {"promoted": [["x", "y"]]},
        {"rate": None},
    ],
)
def test_hostile_latents_are_damage(repository: Repository, change: dict[str, Any]) -> None:
    put(repository)
    row = {**asdict(cards()[0]), **change}
    rewrite(repository, ("latents", "00000.json"), lambda d: {**d, "latents": [row]}, STATED)
    with pytest.raises(DamagedObject):
        read_cards(repository, find_dictionary(repository, "lineage"))
