"""Texts of tokens: packed, kept with every commit without running anything again, and nothing believed that does not
fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.codec import canonical, parse
from bvc.errors import DamagedObject
from bvc.evidence import pack_texts, unpack_texts
from bvc.repository.manifest import Manifest
from bvc.repository.snapshot_view import SnapshotView
from tests.api.doubles import VOCABULARY, Project


def view(project: Project, revision: str = "HEAD") -> SnapshotView:
    return project.repo.repository.snapshot(project.repo.rev_parse(revision))


@given(st.lists(st.text(max_size=300)))
def test_texts_are_unpacked_as_they_were_packed_up_to_255_bytes(texts: list[str]) -> None:
    found = unpack_texts(pack_texts(texts))
    assert len(found) == len(texts)
    for text, kept in zip(texts, found, strict=True):
        raw = text.encode()
        assert kept == text if len(raw) <= 255 else raw.startswith(kept.encode()) and len(kept.encode()) > 251


def test_lone_surrogates_are_packed_as_something() -> None:
    assert unpack_texts(pack_texts(["\ud800", "b"])) == ["?", "b"]


@given(st.binary(max_size=40))
def test_other_bytes_are_refused_or_texts(raw: bytes) -> None:
    try:
        found = unpack_texts(np.frombuffer(raw, np.uint8))
    except ValueError:
        return
    assert len(found) == int.from_bytes(raw[:4], "little")


def test_a_commit_holds_the_texts_of_its_tokens(project: Project) -> None:
    project.commit("a")
    texts = view(project).signatures.token_texts()
    assert texts == [chr(i) for i in range(VOCABULARY)]
    again = view(project).recaptures
    assert again is not None and again.signatures.token_texts() == texts


def test_the_same_checkpoint_again_has_them_without_an_engine_and_the_same_tree(project: Project) -> None:
    project.commit("a")
    before = len(project.script.batches)
    project.commit("a")
    assert len(project.script.batches) == before
    assert view(project).info.tree == view(project, "HEAD~1").info.tree
    assert view(project).signatures.token_texts() is not None


def test_other_probes_from_earlier_commits_have_them_without_an_engine(project: Project) -> None:
    project.commit("a")
    before = len(project.script.batches)
    recaptured = sorted(project.repo.suite("sums").probes, key=lambda probe: probe.id)[3::-1]
    project.suite("sums", [(probe.name or "").removeprefix("label ") for probe in recaptured])
    project.commit("a")
    assert len(project.script.batches) == before
    assert view(project).signatures.token_texts() == view(project, "HEAD~1").signatures.token_texts() is not None


def test_two_projects_have_the_same_tree(project: Project, tmp_path: Path) -> None:
    project.commit("a")
    other = Project(tmp_path / "other")
    (other.folder / "probes" / "sums.jsonl").write_text((project.folder / "probes" / "sums.jsonl").read_text())
    other.commit("a")
    assert view(other).signatures.files == view(project).signatures.files
    other.repo.close()


def test_a_manifest_without_them_is_read_and_one_with_nonsense_is_not(project: Project) -> None:
    project.commit("a")
    stored = view(project)
    data = parse(stored.store.objects.blob(stored.signatures.files["logprob.json"]))
    assert canonical(Manifest.from_json(data).to_json()) == canonical(data)
    older = Manifest.from_json({k: v for k, v in data.items() if k != "token_texts"})
    assert older.token_texts is None and "token_texts" not in older.to_json()
    with pytest.raises(ValueError, match="no digest"):
        Manifest.from_json({**data, "token_texts": "../../etc/passwd"}).check("logprob", len(stored.order))
    for wrong in (data["fields"]["target"]["tiles"][0], data["buckets_table"]):
        bad = view(project).signatures
        bad.manifests = {"logprob": replace(Manifest.from_json(data), token_texts=wrong)}
        with pytest.raises(DamagedObject):
            bad.token_texts()


def test_fsck_checks_their_chunk(project: Project) -> None:
    project.commit("a")
    assert project.repo.fsck().ok
    assert view(project).signatures.manifests["logprob"].token_texts in set(_named(project))


def _named(project: Project) -> list[str]:
    from bvc.store.fsck import chunks_of

    stored = view(project)
    return list(chunks_of(parse(stored.store.objects.blob(stored.signatures.files["logprob.json"]))))
