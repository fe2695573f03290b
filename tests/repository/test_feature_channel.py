"""The feature channel: any block is read back as it was written, and nothing is believed that cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bvc.errors import DamagedObject
from bvc.evidence import AnswerFeatures, Evidence, FeatureBlock, Features
from bvc.records import Generation, Outputs, Probe, Reference, Snapshot, Suite, SuiteEntry
from bvc.repository.dictionaries import feature_dictionary
from bvc.repository.pairs import RowReader, paired_blocks
from bvc.repository.repository import Repository, create_project
from bvc.repository.snapshot_view import SnapshotView
from bvc.repository.snapshot_writer import Encoded, Fresh, SnapshotDraft, Source, Stored, write_snapshot
from bvc.repository.tiles import concatenate
from bvc.store.fsck import fsck
from bvc.store.objects import FILE_MODE, TREE_MODE, TreeEntry
from bvc.store.transaction import CommitDraft
from tests.api.doubles import evidence
from tests.api.encoding import LATENTS, block
from tests.dictionaries import spec
from tests.store.build import AUTHOR, MAIN, snapshot

DICTIONARY = spec()
OTHER = spec(seed=1)
TABLE = np.arange(300).astype(np.uint8)


@dataclass(frozen=True)
class Captured:
    outputs: Outputs
    reference: Reference | None
    evidence: Evidence


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A repository that grows from test to test."""
    folder = tmp_path_factory.mktemp("shared")
    create_project(folder, b"", b"")
    with Repository.open(folder) as opened:
        yield opened


def suite(count: int) -> Suite:
    return Suite("s", tuple(Probe(prompt=f"question {n}") for n in range(count)))


def answers(found: FeatureBlock) -> AnswerFeatures:
    """The same latents, as if they were those of an answer."""
    return AnswerFeatures(**vars(found), reached=found.peak.astype(np.uint32) * 3)


def both(found: FeatureBlock) -> Features:
    return Features(found, answers(found))


def fresh(blocks: dict[str, FeatureBlock | None]) -> Fresh:
    def read(probe: str) -> Captured:
        along = blocks[probe]
        numbers = replace(evidence(probe, 2), feature=along, answer_feature=None if along is None else answers(along))
        return Captured(Outputs(Generation("text", "stop", 3)), Reference("along", True), numbers)

    return Fresh(read)


def write(
    repository: Repository, asked: Suite, sources: dict[str, Source], dictionary: Any = DICTIONARY
) -> SnapshotView:
    digest = None if dictionary is None else dictionary.digest
    taken = replace(snapshot("model"), suites=(SuiteEntry("s", asked.digest, len(asked.probes)),), dictionary=digest)
    with repository.store.begin() as transaction:
        draft = SnapshotDraft(taken, (asked,), sources, bucket_table=TABLE, dictionary=dictionary)
        return committed(repository, transaction, write_snapshot(transaction, draft), taken)


def committed(repository: Repository, transaction: Any, tree: str, taken: Any) -> SnapshotView:
    tip = repository.store.refs.get(MAIN)
    draft = CommitDraft(tree, (tip,) if tip else (), "m\n\nBvc-X: y\n", AUTHOR, 5, 0, taken)
    return repository.snapshot(transaction.commit(draft, ref=MAIN, expected=tip, reparent=True))


def written(
    repository: Repository, blocks: Sequence[FeatureBlock | None], dictionary: Any = DICTIONARY
) -> SnapshotView:
    asked = suite(len(blocks))
    source = fresh({p.id: b for p, b in zip(asked.probes, blocks, strict=True)})
    return write(repository, asked, dict.fromkeys((p.id for p in asked.probes), source), dictionary)


def read(view: SnapshotView) -> list[FeatureBlock]:
    reader = RowReader(view.signatures)
    found = [reader.row(p) for p in view.order]
    for row in found:
        assert (row.feature is None) == (row.answer_feature is None)
        if row.feature is not None and row.answer_feature is not None:
            assert_same([row.answer_feature], [answers(row.feature)])
    return [row.feature for row in found if row.feature is not None]


def assert_same(found: Sequence[FeatureBlock], wanted: Sequence[FeatureBlock]) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        for name in ("lengths", *b.BY_PROBE, *b.FIELDS):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), strict=True)


# Writing and reading


@st.composite
def feature_blocks(draw: st.DrawFn) -> FeatureBlock:
    """Any block of one probe that an encoder can give: also one at whose positions nothing fires."""
    positions = draw(st.integers(1, 65_535))
    latent = sorted(draw(st.sets(st.integers(0, LATENTS - 1), max_size=LATENTS)))
    count = len(latent)
    number = st.floats(0, 2.0**120, width=32)
    return FeatureBlock(
        lengths=np.array([count], np.int64),
        positions=np.array([positions], np.uint32),
        energy=np.array([draw(number)], np.float32),
        missed=np.array([draw(number)], np.float32),
        latent=np.array(latent, np.uint32),
        fired=np.array(draw(st.lists(st.integers(1, positions), min_size=count, max_size=count)), np.uint16),
        strongest=np.array(draw(st.lists(number, min_size=count, max_size=count)), np.float32),
        total=np.array(draw(st.lists(number, min_size=count, max_size=count)), np.float32),
        peak=np.array(draw(st.lists(st.integers(0, positions - 1), min_size=count, max_size=count)), np.uint16),
    )


@settings(max_examples=25)
@given(st.lists(feature_blocks(), min_size=1, max_size=20))
def test_any_blocks_are_read_back(repository: Repository, blocks: list[FeatureBlock]) -> None:
    view = written(repository, blocks)
    assert feature_dictionary(view) == view.snapshot.dictionary == DICTIONARY.digest
    assert_same(read(view), blocks)
    whole = view.signatures.block(0).feature
    assert whole is not None
    assert_same([whole.rows(i, i + 1) for i in range(len(whole))], blocks[:16])
    stored = Stored(view)
    again = write(repository, suite(len(blocks)), dict.fromkeys(view.order, stored))
    assert again.tree == view.tree


def test_without_a_dictionary_nothing_of_it_is_in_the_tree(repository: Repository) -> None:
    blocks = [block(str(n)) for n in range(3)]
    view = written(repository, blocks, None)
    assert view.signatures.manifests.keys() == {"logprob", "activation"} and feature_dictionary(view) is None
    assert view.tree == written(repository, [None] * 3, None).tree
    summary = view.folder("snapshot.json")
    assert summary is not None and b"dictionary" not in repository.store.objects.blob(summary)


def test_features_of_another_dictionary_are_left_behind(repository: Repository) -> None:
    first = written(repository, [block(str(n)) for n in range(20)])
    held = Stored(first)
    assert held.dictionary == DICTIONARY.digest
    bare = write(repository, suite(20), dict.fromkeys(first.order, held), None)
    assert feature_dictionary(bare) is None and Stored(bare).dictionary is None
    new = {p: both(block(f"other {p}")) for p in first.order}
    second = write(repository, suite(20), dict.fromkeys(first.order, Encoded(held, new.__getitem__)), OTHER)
    assert feature_dictionary(second) == OTHER.digest
    assert_same(read(second), [found.reference for found in new.values()])
    for channel in ("logprob", "activation"):
        assert second.signatures.files[f"{channel}.json"] == first.signatures.files[f"{channel}.json"]
    with pytest.raises(DamagedObject, match="fit together"):
        half = dict.fromkeys(first.order[:16], held) | dict.fromkeys(first.order[16:], Encoded(held, new.__getitem__))
        write(repository, suite(20), half, OTHER)


def test_captures_of_which_some_lack_features_are_not_written(repository: Repository) -> None:
    blocks: list[FeatureBlock | None] = [block(str(n)) for n in range(20)]
    with pytest.raises(DamagedObject, match="fit together"):
        written(repository, [*blocks[:16], None, *blocks[17:]])


def test_blocks_are_identical_only_where_features_of_one_dictionary_are(repository: Repository) -> None:
    blocks: list[FeatureBlock | None] = [block(str(n)) for n in range(20)]
    moved = [*blocks[:3], block("moved"), *blocks[4:]]
    views = {
        "plain": written(repository, [None] * 20, None),
        "encoded": written(repository, blocks),
        "moved": written(repository, moved),
        "other": written(repository, moved, OTHER),
    }

    def identical(a: str, b: str) -> list[bool]:
        return [x.identical for x in paired_blocks(views[a].signatures, views[b].signatures, views[b].order)]

    assert identical("encoded", "moved") == [False, True]
    assert identical("encoded", "encoded") == [True, True]
    for a, b in (("plain", "encoded"), ("encoded", "plain"), ("encoded", "other"), ("other", "plain")):
        assert identical(a, b) == [True, True]


def test_gathered_rows_lack_features_where_some_do() -> None:
    with_it, without = Evidence(feature=block("a"), answer_feature=answers(block("a"))), Evidence()
    whole, part = concatenate([with_it, with_it]), concatenate([with_it, without])
    assert whole.feature is not None and whole.answer_feature is not None
    assert part.feature is None and part.answer_feature is None


def test_a_commit_of_an_older_version_lacks_the_features_along_answers(repository: Repository) -> None:
    asked = suite(20)

    def older(probe: str) -> Captured:
        numbers = replace(evidence(probe, 2), feature=block(probe))
        return Captured(Outputs(Generation("text", "stop", 3)), Reference("along", True), numbers)

    view = write(repository, asked, dict.fromkeys((p.id for p in asked.probes), Fresh(older)))
    assert feature_dictionary(view) == DICTIONARY.digest and feature_dictionary(view, "answer-feature") is None
    assert Stored(view).dictionary is None, "so that they are read anew, both"
    new = {p: both(block(f"new {p}")) for p in view.order}
    second = write(repository, asked, dict.fromkeys(view.order, Encoded(Stored(view), new.__getitem__)))
    assert Stored(second).dictionary == DICTIONARY.digest
    assert_same(read(second), [found.reference for found in new.values()])


# Hostile commits


def rewritten(
    repository: Repository, view: SnapshotView, change: Callable[[Any], None], name: str = "feature.json"
) -> SnapshotView:
    """The commit of `view` with another manifest."""
    store = repository.store
    with store.begin() as transaction:
        top = {e.name: e for e in store.objects.tree(view.tree)}
        inner = {e.name: e for e in store.objects.tree(top["signatures"].oid)}
        value = json.loads(store.objects.blob(inner[name].oid))
        change(value)
        blob = transaction.blob(json.dumps(value).encode())
        inner[name] = TreeEntry(name, FILE_MODE, blob)
        top["signatures"] = TreeEntry("signatures", TREE_MODE, transaction.tree(list(inner.values())))
        return committed(repository, transaction, transaction.tree(list(top.values())), view.snapshot)


def put(*path: str | int, to: Any) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for part in path[:-1]:
            value = value[part]
        value[path[-1]] = to

    return change


def drop(*path: str) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for part in path[:-1]:
            value = value[part]
        del value[path[-1]]

    return change


HOSTILE = {
    "no dictionary": drop("dictionary"),
    "a dictionary that is no digest": put("dictionary", to="../../x"),
    "a dictionary that is a number": put("dictionary", to=7),
    "no latents": put("latents", to=0),
    "negative latents": put("latents", to=-64),
    "too many latents": put("latents", to=1 << 40),
    "fewer latents than fire": put("latents", to=1),
    "latents of text": put("latents", to="64"),
    "no lengths": drop("lengths"),
    "a negative length": put("lengths", 0, to=-1),
    "a huge length": put("lengths", 0, to=10**30),
    "a longer length": put("lengths", 0, to=1000),
    "a field too few": drop("fields", "peak"),
    "another type": put("fields", "peak", "dtype", to="<u4"),
    "another shape": put("fields", "peak", "shape", to=[1]),
    "a tile that is missing": put("fields", "peak", "tiles", 0, to="0" * 64),
    "another channel": put("channel", to="logprob"),
    "a table that is no digest": put("buckets_table", to="zz"),
}


@pytest.mark.parametrize("channel", ["feature", "answer-feature"])
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_manifests_are_damage(repository: Repository, case: str, channel: str) -> None:
    view = written(repository, [block(str(n)) for n in range(3)])
    with pytest.raises(DamagedObject):
        read(rewritten(repository, view, HOSTILE[case], f"{channel}.json"))


SPOILED: dict[str, dict[str, Callable[[np.ndarray[Any, Any]], Any]]] = {
    "latents that the dictionary lacks": {"latent": lambda a: a + np.uint32(LATENTS)},
    "latents in disorder": {"latent": lambda a: a[::-1].copy()},
    "the same latent twice": {"latent": lambda a: np.full_like(a, a[0])},
    "fired nowhere": {"fired": lambda a: a * np.uint16(0)},
    "fired more often than there are positions": {"fired": lambda a: a + np.uint16(1000)},
    "a peak behind the end": {"peak": lambda a: a + np.uint16(1000)},
    "strength that is no number": {"strongest": lambda a: a * np.float32(np.nan)},
    "infinite sums": {"total": lambda a: a + np.float32(np.inf)},
    "energy that is no number": {"energy": lambda a: a * np.float32(np.nan)},
}


@pytest.mark.parametrize("channel", ["feature", "answer_feature"])
@pytest.mark.parametrize("case", SPOILED)
def test_sound_tiles_with_numbers_that_cannot_be_are_damage(repository: Repository, case: str, channel: str) -> None:
    one = both(block("several latents"))
    assert one.answer.lengths[0] > 1
    held = {"feature": one.reference, "answer_feature": one.answer}
    odd = {name: change(getattr(one.answer, name)) for name, change in SPOILED[case].items()}
    held[channel] = replace(held[channel], **odd)
    asked = suite(1)
    spoiled = Fresh(lambda _: Captured(Outputs(Generation("text")), None, Evidence(**held)))
    view = write(repository, asked, {asked.probes[0].id: spoiled})
    with pytest.raises(DamagedObject, match="cannot be"):
        read(view)


def test_a_flipped_bit_in_a_tile_is_found(tmp_path: Path) -> None:
    create_project(tmp_path, b"", b"")
    with Repository.open(tmp_path) as own:
        view = written(own, [block(str(n)) for n in range(3)])
        assert fsck(own.store).problems == ()
        sha = view.signatures.manifests["feature"].fields["strongest"].tiles[0]
        place = own.store.index.chunk_place(sha)
        assert place is not None
        (pack,) = own.store.layout.packs.rglob(f"{place.pack}*")
        data = bytearray(pack.read_bytes())
        data[place.offset + place.length - 1] ^= 1
        pack.chmod(0o644)
        pack.write_bytes(bytes(data))
    with Repository.open(tmp_path) as own:
        assert any(p.kind == "corrupt" and sha in p.object for p in fsck(own.store).problems)
        with pytest.raises(DamagedObject):
            read(own.snapshot(view.info.id))


def test_a_commit_of_an_older_version_reads_as_one_without_features() -> None:
    """Its `snapshot.json` has no field `dictionary`, its signatures no `feature.json`."""
    data = snapshot("model").to_json()
    assert "dictionary" not in data and Snapshot.from_json(data).dictionary is None
