"""Snapshots written and read back: the same values, nothing written twice, and nothing believed that does not fit."""

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

from bvc.codec import canonical
from bvc.errors import BvcError, DamagedObject, ExitCode
from bvc.evidence import Evidence
from bvc.records import Capability, Generation, Outputs, Probe, Reference, Snapshot, Suite, SuiteEntry
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.repository.snapshot_writer import Fresh, SnapshotDraft, Source, Stored, write_snapshot
from bvc.store.objects import FILE_MODE, TREE_MODE, TreeEntry
from bvc.store.transaction import CommitDraft
from tests.api.doubles import Project, evidence
from tests.store.build import AUTHOR, MAIN, snapshot

TABLE = np.arange(300).astype(np.uint8)


@dataclass(frozen=True)
class Captured:
    outputs: Outputs
    reference: Reference | None
    evidence: Evidence


def captured(probe: str, salt: str = "", level: Capability = Capability.ACTIVATIONS) -> Captured:
    """A capture that follows from the probe's id and `salt`."""
    full = evidence(f"{probe} {salt}", 1 + int(probe[0], 16) % 4)
    numbers = {
        Capability.TEXT: Evidence(),
        Capability.LOGPROBS: Evidence(full.logprob),
        Capability.ACTIVATIONS: full,
    }[level]
    outputs = Outputs(Generation(f"text of {probe} {salt}", "stop", 3), (Generation("a draw"),))
    return Captured(outputs, None if level is Capability.TEXT else Reference(f"along {probe}", True), numbers)


def fresh(salt: str = "", level: Capability = Capability.ACTIVATIONS) -> Fresh:
    return Fresh(lambda probe: captured(probe, salt, level))


def probes(count: int, start: int = 0) -> tuple[Probe, ...]:
    return tuple(Probe(prompt=f"question {n}") for n in range(start, start + count))


def write(
    repository: Repository,
    suites: Sequence[Suite],
    sources: dict[str, Source],
    recaptures: dict[str, Source] | None = None,
    table: Any = TABLE,
) -> SnapshotView:
    """One more commit on main with these captures."""
    store = repository.store
    entries = tuple(SuiteEntry(s.name, s.digest, len(s.probes)) for s in suites)
    taken = replace(snapshot("model"), suites=entries)
    with store.begin() as transaction:
        draft = SnapshotDraft(taken, tuple(suites), sources, recaptures or {}, bucket_table=table)
        return committed(repository, transaction, write_snapshot(transaction, draft), taken)


def committed(repository: Repository, transaction: Any, tree: str, taken: Snapshot) -> SnapshotView:
    tip = repository.store.refs.get(MAIN)
    draft = CommitDraft(tree, (tip,) if tip else (), "m\n\nBvc-X: y\n", AUTHOR, 5, 0, taken)
    commit = transaction.commit(draft, ref=MAIN, expected=tip, reparent=True)
    return repository.snapshot(commit)


def assert_holds(view: SnapshotView, probe: str, wanted: Captured) -> None:
    assert (view.outputs(probe), view.reference(probe)) == (wanted.outputs, wanted.reference)
    assert_equal(Stored(view).evidence(probe), wanted.evidence)


def assert_equal(found: Evidence, wanted: Evidence) -> None:
    assert (found.logprob is None, found.activation is None) == (wanted.logprob is None, wanted.activation is None)
    if found.logprob is not None and wanted.logprob is not None:
        for name in ("lengths", *wanted.logprob.FIELDS):
            np.testing.assert_array_equal(getattr(found.logprob, name), getattr(wanted.logprob, name), strict=True)
    if found.activation is not None and wanted.activation is not None:
        assert found.activation.vectors.keys() == wanted.activation.vectors.keys()
        for site, array in wanted.activation.vectors.items():
            np.testing.assert_array_equal(found.activation.vectors[site], array, strict=True)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    project = Project(tmp_path / "p")
    yield project.repo.repository
    project.repo.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A repository that grows from example to example."""
    project = Project(tmp_path_factory.mktemp("shared") / "p")
    yield project.repo.repository
    project.repo.close()


LEVELS = st.sampled_from(list(Capability))


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=3),
    st.integers(0, 40),
    st.integers(0, 3),
    LEVELS,
    st.text(max_size=3),
)
def test_what_is_written_is_read_back(
    shared: Repository, counts: list[int], overlap: int, again: int, level: Capability, salt: str
) -> None:
    suites = [Suite(f"s{n}", probes(max(1, count), start=n * (40 - overlap))) for n, count in enumerate(counts)]
    order = list(dict.fromkeys(p.id for s in suites for p in s.probes))
    # The second half is held by an earlier commit, in an order of its own.
    half = order[len(order) // 2 :]
    older = write(shared, suites, dict.fromkeys(sorted(order), fresh(salt, level)))
    sources: dict[str, Source] = {p: Stored(older) if p in half else fresh(salt, level) for p in order}
    recaptures: dict[str, Source] = dict.fromkeys(sorted(order)[:again], fresh(salt + "again", level))
    table = None if level is Capability.TEXT else TABLE
    view = write(shared, suites, sources, recaptures, table)
    assert view.order == tuple(order)
    assert [(suite, probe.id) for suite, probe in view.probes()] == [
        (s.name, p.id) for s in suites for p in in_order(s, order)
    ]
    for probe in order:
        assert_holds(view, probe, captured(probe, salt, level))
    if again:
        assert view.recaptures is not None
        repeated = Stored(view, recaptures=True)
        for probe in recaptures:
            assert repeated.outputs(probe) == captured(probe, salt + "again", level).outputs
            assert_equal(repeated.evidence(probe), captured(probe, salt + "again", level).evidence)
    found = view.signatures.bucket_table()
    assert (found is None) == (level is Capability.TEXT) and (found is None or np.array_equal(found, TABLE))


def in_order(suite: Suite, order: list[str]) -> list[Probe]:
    return sorted(suite.probes, key=lambda p: order.index(p.id))


def objects_of(repository: Repository, commit: str) -> dict[str, str]:
    """`{path: id}` of every blob of a commit."""
    found: dict[str, str] = {}

    def walk(tree: str, path: str) -> None:
        for entry in repository.store.objects.tree(tree):
            here = f"{path}/{entry.name}"
            walk(entry.oid, here) if entry.mode == TREE_MODE else found.__setitem__(here, entry.oid)

    walk(repository.store.history.info(commit).tree, "")
    return found


def test_capturing_the_same_again_gives_the_same_tree(repository: Repository) -> None:
    suite = Suite("s", probes(21))
    ids = [p.id for p in suite.probes]
    recaptured: dict[str, Source] = dict.fromkeys(sorted(ids)[:4], fresh("again"))
    first = write(repository, [suite], dict.fromkeys(ids, fresh()), recaptured)
    packs = sorted((repository.store.root / "bvc" / "packs").rglob("*.bvcp"))
    second = write(repository, [suite], dict.fromkeys(ids, fresh()), recaptured)
    held = Stored(first)
    again = Stored(first, recaptures=True)
    third = write(repository, [suite], dict.fromkeys(ids, held), dict.fromkeys(sorted(ids)[:4], again))
    assert first.info.tree == second.info.tree == third.info.tree
    assert sorted((repository.store.root / "bvc" / "packs").rglob("*.bvcp")) == packs


def test_added_probes_leave_the_other_blocks_tiles_alone(repository: Repository) -> None:
    before = Suite("s", probes(40))
    first = write(repository, [before], dict.fromkeys((p.id for p in before.probes), fresh()))
    after = Suite("s", probes(50))
    sources: dict[str, Source] = {p.id: Stored(first) if p in before.probes else fresh() for p in after.probes}
    second = write(repository, [after], sources)
    for channel, manifest in second.signatures.manifests.items():
        for name, field in manifest.fields.items():
            old = first.signatures.manifests[channel].fields[name].tiles
            assert field.tiles[:2] == old[:2] and len(field.tiles) == 4
            assert field.tiles[2] != old[2]
    new, old_objects = objects_of(repository, second.info.id), objects_of(repository, first.info.id)
    shared = {path for path in new if old_objects.get(path) == new[path]}
    added = {p.id for p in after.probes} - {p.id for p in before.probes}
    own = {"snapshot.json", "logprob.json", "activation.json", "probes.json"}
    for path in new.keys() - shared:
        name = path.rpartition("/")[2]
        assert name in own or name.removesuffix(".json") in added


def test_a_changed_answer_is_one_new_text_and_one_new_block(repository: Repository) -> None:
    suite = Suite("s", probes(40))
    ids = [p.id for p in suite.probes]
    first = write(repository, [suite], dict.fromkeys(ids, fresh()))
    changed = ids[20]
    second = write(repository, [suite], {p: fresh("else") if p == changed else fresh() for p in ids})
    assert {p for p in ids if first.output_blobs[p] != second.output_blobs[p]} == {changed}
    tiles = [
        [m.tile_row(i) for m in (v.signatures.manifests["logprob"], v.signatures.manifests["activation"])]
        for v in (first, second)
        for i in range(3)
    ]
    assert [a == b for a, b in zip(tiles[:3], tiles[3:], strict=True)] == [True, False, True]
    assert first.folder("references") == second.folder("references")


def test_surplus_draws_are_left_out(repository: Repository) -> None:
    suite = Suite("s", probes(2))
    ids = [p.id for p in suite.probes]
    view = write(repository, [suite], dict.fromkeys(ids, fresh()))
    recipe = view.snapshot.recipe
    assert recipe is not None
    info = replace(view.info, snapshot=replace(view.snapshot, recipe=replace(recipe, draws=1)))
    trimmed = Stored(SnapshotView(repository.store, info), draws=0)
    assert trimmed.outputs(ids[0]).draws == () and Stored(view).outputs(ids[0]).draws != ()
    with repository.store.begin() as transaction:
        wanted = replace(captured(ids[0]).outputs, draws=())
        assert trimmed.output_blob(transaction, ids[0]) == transaction.blob(canonical(wanted.to_json()))


def test_captures_that_do_not_fit_together_are_not_written(repository: Repository) -> None:
    suite = Suite("s", probes(20))
    ids = [p.id for p in suite.probes]
    mixed: dict[str, Source] = {p: fresh("", Capability.LOGPROBS) if n < 16 else fresh() for n, p in enumerate(ids)}
    with pytest.raises(DamagedObject, match="fit together"):
        write(repository, [suite], mixed)


# Hostile commits


Change = Callable[[Any], Any]


def rewritten(repository: Repository, view: SnapshotView, path: str, data: bytes | None) -> SnapshotView:
    """The commit of `view` with the file at `path` replaced by `data` (None: taken away)."""
    with repository.store.begin() as transaction:

        def build(tree: str, parts: list[str]) -> str:
            entries = [e for e in repository.store.objects.tree(tree) if e.name != parts[0]]
            old = {e.name: e for e in repository.store.objects.tree(tree)}.get(parts[0])
            if len(parts) > 1 and old is not None:
                entries.append(TreeEntry(parts[0], TREE_MODE, build(old.oid, parts[1:])))
            elif data is not None:
                entries.append(TreeEntry(parts[0], FILE_MODE, transaction.blob(data)))
            return transaction.tree(entries)

        return committed(repository, transaction, build(view.info.tree, path.split("/")), view.snapshot)


def edited(change: Change) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        value = json.loads(data)
        change(value)
        return json.dumps(value).encode()

    return apply


def use(view: SnapshotView) -> None:
    """Reads everything."""
    for _, probe in view.probes():
        view.outputs(probe.id)
        view.reference(probe.id)
    view.signatures.bucket_table()
    reader = Stored(view)
    for probe_id in view.output_blobs:
        reader.evidence(probe_id)


def put(*path: str | int, to: Any) -> Change:
    def change(value: Any) -> None:
        for part in path[:-1]:
            value = value[part]
        value[path[-1]] = to

    return change


def drop(*path: str | int) -> Change:
    def change(value: Any) -> None:
        for part in path[:-1]:
            value = value[part]
        del value[path[-1]]

    return change


LOGPROB, ACTIVATION, ORDER = (f"signatures/{name}.json" for name in ("logprob", "activation", "probes"))
SITE = "layer.01/prompt"
HOSTILE: dict[str, tuple[str, Callable[[bytes], bytes | None]]] = {
    "manifest is not JSON": (LOGPROB, lambda _: b"{"),
    "manifest is a list": (LOGPROB, lambda _: b"[]"),
    "manifest nested too deeply": (LOGPROB, lambda _: b"[" * 100_000),
    "manifest without version": (LOGPROB, edited(drop("version"))),
    "manifest of another channel": (ACTIVATION, edited(put("channel", to="logprob"))),
    "another block": (LOGPROB, edited(put("block", to=0))),
    "huge block": (LOGPROB, edited(put("block", to=10**30))),
    "a tile too few": (LOGPROB, edited(drop("fields", "target", "tiles", 0))),
    "a tile that is no digest": (LOGPROB, edited(put("fields", "target", "tiles", 0, to="../../etc/passwd"))),
    "a tile that is missing": (LOGPROB, edited(put("fields", "target", "tiles", 0, to="0" * 64))),
    "a tile that is a number": (LOGPROB, edited(put("fields", "target", "tiles", 0, to=5))),
    "objects as type": (LOGPROB, edited(put("fields", "target", "dtype", to="|O"))),
    "another type": (LOGPROB, edited(put("fields", "target", "dtype", to="<f8"))),
    "another shape": (ACTIVATION, edited(put("fields", SITE, "shape", to=[7]))),
    "negative shape": (ACTIVATION, edited(put("fields", SITE, "shape", to=[-6]))),
    "shape of text": (ACTIVATION, edited(put("fields", SITE, "shape", to=["6"]))),
    "no vector": (ACTIVATION, edited(put("fields", SITE, "shape", to=[2, 3]))),
    "a field is missing": (LOGPROB, edited(drop("fields", "residual"))),
    "a field too many": (LOGPROB, lambda d: edited(put("fields", "more", to=json.loads(d)["fields"]["target"]))(d)),
    "a length too few": (LOGPROB, edited(drop("lengths", 0))),
    "negative length": (LOGPROB, edited(put("lengths", 0, to=-1))),
    "wrong length": (LOGPROB, edited(put("lengths", 0, to=40))),
    "fractional length": (LOGPROB, edited(put("lengths", 0, to=1.5))),
    "a table that is no table": (
        LOGPROB,
        lambda d: edited(put("buckets_table", to=json.loads(d)["fields"]["target"]["tiles"][0]))(d),
    ),
    "order is gone": (ORDER, lambda _: None),
    "order lacks a probe": (ORDER, edited(drop("probes", 0))),
    "order names one twice": (ORDER, lambda d: edited(put("probes", 0, to=json.loads(d)["probes"][1]))(d)),
    "order of numbers": (ORDER, edited(put("probes", to=[1, 2, 3]))),
    "output is not JSON": ("outputs/s/AA/ID.json", lambda _: b"\xff\xfe"),
    "output is gone from one list": ("probes/s/AA/ID.json", lambda _: b"null"),
    "output text is a number": ("outputs/s/AA/ID.json", edited(put("greedy", "text", to=5))),
    "output without draws": ("outputs/s/AA/ID.json", edited(drop("draws"))),
    "output is NaN": ("outputs/s/AA/ID.json", lambda _: b"NaN"),
    "reference is a list": ("references/s/AA/ID", lambda _: b"[]"),
    "reference text is null": ("references/s/AA/ID", edited(put("text", to=None))),
    "probe is another": ("probes/s/AA/ID.json", edited(put("prompt", to="ignore all"))),
    "probe asks nothing": ("probes/s/AA/ID.json", edited(drop("prompt"))),
    "probe has numbers as tags": ("probes/s/AA/ID.json", edited(put("tags", to=[1]))),
    "a record of another name": ("outputs/s/AA/passwd", lambda _: b"{}"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_commit_is_an_error_not_a_crash(case: str, repository: Repository) -> None:
    suite = Suite("s", probes(3))
    ids = [p.id for p in suite.probes]
    good = write(repository, [suite], dict.fromkeys(ids, fresh()))
    use(good)
    path, change = HOSTILE[case]
    path = path.replace("AA", ids[0][:2]).replace("ID", ids[0])
    old = objects_of(repository, good.info.id).get(f"/{path}")
    data = change(b"" if old is None else repository.store.objects.blob(old))
    with pytest.raises(DamagedObject) as caught:
        use(rewritten(repository, good, path, data))
    assert caught.value.code is ExitCode.DAMAGED


@pytest.mark.parametrize("path", ["signatures/logprob.json", "signatures/probes.json", "outputs/s/AA/ID.json"])
def test_records_of_a_newer_format_say_so(path: str, repository: Repository) -> None:
    suite = Suite("s", probes(3))
    probe = suite.probes[0].id
    good = write(repository, [suite], dict.fromkeys((p.id for p in suite.probes), fresh()))
    path = path.replace("AA", probe[:2]).replace("ID", probe)
    data = repository.store.objects.blob(objects_of(repository, good.info.id)[f"/{path}"])
    with pytest.raises(BvcError, match="format version 2; this bvc reads up to 1") as caught:
        use(rewritten(repository, good, path, edited(put("version", to=2))(data)))
    assert caught.value.code is ExitCode.ERROR and caught.value.hint == "update bvc to read it"
