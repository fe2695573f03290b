"""Features of commits: recorded with the rest of a capture, added to what was captured before, never run twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bvc
from bvc.errors import DamagedObject, EngineError, NotComparable, UnknownRevision, UsageError
from bvc.evidence import FeatureBlock
from bvc.repository.dictionaries import feature_dictionary
from bvc.repository.pairs import RowReader, paired_blocks
from bvc.repository.snapshot_view import Signatures, SnapshotView
from bvc.results import CaptureEntry
from tests.api.doubles import Project
from tests.api.encoding import EncodingScript
from tests.dictionaries import put_random
from tests.tiny_models import tiny_model

ROOT = Path(__file__).parents[2]
ALL = [f"probe {n}" for n in range(6)]
NAMES = ("lengths", *FeatureBlock.BY_PROBE, *FeatureBlock.FIELDS)


@pytest.fixture
def encoding(project: Project) -> Iterator[Project]:
    """A project whose engine reads dictionaries, four probes at a time; there is none yet."""
    project.script = EncodingScript()
    (project.folder / "bvc.toml").write_text("[recipe]\nbatch_rows = 4\n")
    return project


def script(project: Project) -> EncodingScript:
    assert isinstance(project.script, EncodingScript)
    return project.script


def put(project: Project, name: str = "lineage", **settings: Any) -> str:
    return put_random(project.repo.repository, name, **settings).spec.digest


def view(project: Project, revision: str = "HEAD") -> SnapshotView:
    return project.repo.repository.snapshot(project.repo.rev_parse(revision))


def capture(project: Project, *revisions: str, **options: Any) -> CaptureEntry:
    (entry,) = project.repo.capture(revisions, engine=project.script.choice, **options).commits
    return entry


def features(signatures: Signatures) -> dict[str, FeatureBlock]:
    reader = RowReader(signatures)
    found = {probe: reader.row(probe).feature for probe in signatures.order}
    assert all(block is not None for block in found.values())
    return {probe: block for probe, block in found.items() if block is not None}


def same(a: dict[str, FeatureBlock], b: dict[str, FeatureBlock]) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(getattr(a[p], name), getattr(b[p], name)) for p in a for name in NAMES
    )


def forget(project: Project) -> None:
    project.script.ran()
    script(project).encoded_then()


# At commit


def test_a_commit_records_features_once_there_is_a_dictionary(encoding: Project) -> None:
    encoding.commit("a")
    assert feature_dictionary(view(encoding)) is None and view(encoding).snapshot.dictionary is None
    digest = put(encoding)
    result = encoding.commit("b")
    assert (result.captured, result.notes) == (6, ())
    assert feature_dictionary(view(encoding)) == view(encoding).snapshot.dictionary == digest
    assert script(encoding).encoded == [], "the features came with the captures"
    again = view(encoding).recaptures
    assert again is not None and again.signatures.manifests["feature"].dictionary == digest
    main, other = features(view(encoding).signatures), features(again.signatures)
    assert len(main) == 6 and not same({p: main[p] for p in other}, other)
    assert encoding.repo.fsck().ok


def test_the_same_checkpoint_again_runs_nothing(encoding: Project) -> None:
    put(encoding)
    encoding.commit("a")
    forget(encoding)
    assert (encoding.commit("a").captured, encoding.script.opened) == (0, 1)
    assert (encoding.script.batches, script(encoding).encoded) == ([], [])
    assert view(encoding).tree == view(encoding, "HEAD~1").tree


def test_what_was_captured_without_only_gets_its_features(encoding: Project) -> None:
    encoding.commit("a")
    put(encoding)
    forget(encoding)
    result = encoding.commit("a")
    assert (result.captured, result.reused) == (0, 6)
    assert (encoding.script.ran(), script(encoding).encoded_then()) == ([], ALL)
    before, now = view(encoding, "HEAD~1"), view(encoding)
    assert now.folder("outputs") == before.folder("outputs")
    for channel in ("logprob", "activation"):
        assert now.signatures.files[f"{channel}.json"] == before.signatures.files[f"{channel}.json"]
    assert now.snapshot.noise == before.snapshot.noise
    encoding.repo.switch("whole", create=True)
    encoding.commit("a", reuse=False)
    assert view(encoding).tree == now.tree, "byte for byte what one capture with the dictionary gives"
    assert encoding.repo.fsck().ok


def test_another_dictionary_is_another_encoding_of_the_same_captures(encoding: Project) -> None:
    first = put(encoding)
    encoding.commit("a")
    second = put(encoding, seed=1)
    forget(encoding)
    encoding.commit("a")
    assert (encoding.script.ran(), script(encoding).encoded_then()) == ([], ALL)
    digests = [feature_dictionary(view(encoding, r)) for r in ("HEAD~1", "HEAD")]
    assert digests == [first, second]
    assert not same(features(view(encoding).signatures), features(view(encoding, "HEAD~1").signatures))
    blocks = list(paired_blocks(view(encoding, "HEAD~1").signatures, view(encoding).signatures, view(encoding).order))
    assert all(block.identical for block in blocks), "features of two dictionaries are no difference"
    diff = encoding.repo.diff("HEAD~1", "HEAD")
    assert diff.summary is not None
    assert encoding.repo.fsck().ok


def test_features_of_one_dictionary_that_differ_are_seen(encoding: Project) -> None:
    put(encoding)
    encoding.commit("a")
    encoding.commit("b")
    blocks = list(paired_blocks(view(encoding, "HEAD~1").signatures, view(encoding).signatures, view(encoding).order))
    assert not any(block.identical for block in blocks)
    assert all(len(b.a.feature or ()) == len(b.b.feature or ()) == 6 for b in blocks)


def test_added_probes_are_captured_with_features_and_the_rest_is_reused(encoding: Project) -> None:
    put(encoding)
    encoding.commit("a")
    encoding.suite("sums", [*ALL[:2], "new", *ALL[2:]])
    forget(encoding)
    assert encoding.commit("a").captured == 1
    assert (encoding.script.ran(), script(encoding).encoded_then()) == (["new"], [])
    assert len(features(view(encoding).signatures)) == 7


def test_some_held_with_and_some_without(encoding: Project) -> None:
    encoding.commit("a")
    encoding.suite("sums", [*ALL, "late"])
    put(encoding)
    forget(encoding)
    assert encoding.commit("a").captured == 1
    assert (encoding.script.ran(), script(encoding).encoded_then()) == (["late"], ALL)
    assert len(features(view(encoding).signatures)) == 7 and encoding.repo.fsck().ok


def test_the_setting_turns_features_off(encoding: Project) -> None:
    put(encoding)
    (encoding.folder / "bvc.toml").write_text('[recipe]\nbatch_rows = 4\n[features]\ndictionary = "none"\n')
    with bvc.open(encoding.folder) as repo:
        encoding.repo.close()
        encoding.repo = repo
        encoding.commit("a")
        assert feature_dictionary(view(encoding)) is None


def test_a_setting_that_names_no_dictionary_is_an_error_before_anything_runs(encoding: Project) -> None:
    (encoding.folder / "bvc.toml").write_text('[features]\ndictionary = "lineage"\n')
    with bvc.open(encoding.folder) as repo, pytest.raises(UnknownRevision, match="no dictionary is called"):
        repo.commit(encoding.checkpoint("a"), engine=encoding.script.choice)
    assert encoding.script.opened == 0


def test_an_engine_without_dictionaries_commits_without_features(project: Project) -> None:
    put_random(project.repo.repository)
    result = project.commit("a")
    assert feature_dictionary(view(project)) is None
    assert [n for n in result.notes if "the engine small does not read a dictionary" in n]


# Interrupted


def test_ctrl_c_while_encoding_goes_on_where_it_stopped(encoding: Project) -> None:
    encoding.commit("a")
    put(encoding)
    forget(encoding)
    script(encoding).encode_until = 4
    with pytest.raises(KeyboardInterrupt):
        encoding.commit("a")
    assert script(encoding).encoded_then() == ALL[:4]
    assert encoding.repo.status().interrupted == (("a", 4),)
    script(encoding).encode_until = 1000
    encoding.commit("a")
    assert (encoding.script.ran(), script(encoding).encoded_then()) == ([], ALL[4:])
    now = view(encoding).tree
    encoding.repo.switch("whole", create=True)
    encoding.commit("a", reuse=False)
    assert view(encoding).tree == now and encoding.repo.status().interrupted == ()


def test_a_capture_interrupted_before_there_was_a_dictionary_is_gone_on_with(encoding: Project) -> None:
    encoding.script.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        encoding.commit("a")
    encoding.script.stop_after = 1000
    digest = put(encoding)
    forget(encoding)
    assert encoding.commit("a").captured == 6
    assert (encoding.script.ran(), script(encoding).encoded_then()) == (ALL[4:], ALL[:4])
    assert feature_dictionary(view(encoding)) == digest and len(features(view(encoding).signatures)) == 6


def test_a_capture_interrupted_with_another_dictionary_is_encoded_anew(encoding: Project) -> None:
    put(encoding)
    encoding.script.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        encoding.commit("a")
    encoding.script.stop_after = 1000
    second = put(encoding, seed=1)
    forget(encoding)
    encoding.commit("a")
    assert (encoding.script.ran(), script(encoding).encoded_then()) == (ALL[4:], ALL[:4])
    now = view(encoding).tree
    assert feature_dictionary(view(encoding)) == second
    encoding.repo.switch("whole", create=True)
    encoding.commit("a", reuse=False)
    assert view(encoding).tree == now


def test_killed_while_encoding_it_resumes(encoding: Project) -> None:
    encoding.commit("a")
    put(encoding)
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import bvc\n"
        "from tests.api import encoding\n"
        "class Deadly(encoding.EncodingScript):\n"
        "    def _open_encoding(self, *given):\n"
        "        engine = super()._open_encoding(*given)\n"
        "        read = engine.encode\n"
        "        def encode(batch):\n"
        "            if self.encoded: os.kill(os.getpid(), signal.SIGKILL)\n"
        "            return read(batch)\n"
        "        engine.encode = encode\n"
        "        return engine\n"
        "bvc.open(Path(sys.argv[1])).commit(sys.argv[2], engine=Deadly().choice)\n"
    )
    arguments = [sys.executable, "-c", code, str(encoding.folder), str(encoding.checkpoint("a"))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    forget(encoding)
    encoding.commit("a")
    assert (encoding.script.ran(), script(encoding).encoded_then()) == ([], ALL[4:])
    assert len(features(view(encoding).signatures)) == 6 and encoding.repo.fsck().ok


# Memory


def test_short_memory_while_capturing_keeps_recipes_and_features_together(encoding: Project) -> None:
    put(encoding)
    encoding.commit("a")
    encoding.suite("sums", [*ALL, "new"])
    encoding.script.rows_that_fit = 2
    forget(encoding)
    assert encoding.commit("a").captured == 7
    assert script(encoding).encoded_then() == [] and len(features(view(encoding).signatures)) == 7


def test_short_memory_while_encoding_is_an_error_that_keeps_what_is_done(encoding: Project) -> None:
    encoding.commit("a")
    put(encoding)
    script(encoding).rows_that_encode = 1
    with pytest.raises(EngineError, match="out of memory with batches of 4"):
        encoding.commit("a")


# Later: bvc capture


def test_features_are_attached_to_commits_that_lack_them(encoding: Project) -> None:
    encoding.commit("a")
    encoding.commit("b")
    history = [entry.commit.id for entry in encoding.repo.log()]
    digest = put(encoding)
    forget(encoding)
    entry = capture(encoding, "HEAD~1", features=True)
    assert (entry.captured, entry.reused) == (0, 6)
    assert entry.notes == ("features of 6 probes were added to what was captured before",)
    assert entry.encoded == 6
    assert (encoding.script.ran(), script(encoding).encoded_then()) == ([], ALL)
    assert [feature_dictionary(view(encoding, r)) for r in ("HEAD~1", "HEAD")] == [digest, None]
    assert [e.commit.id for e in encoding.repo.log()] == history
    again = capture(encoding, "HEAD~1", features=True)
    assert again.notes == ("nothing is missing",) and script(encoding).encoded == []
    attached = view(encoding, "HEAD~1").tree
    encoding.repo.switch("direct", create=True)
    encoding.commit("a", reuse=False)
    assert view(encoding).tree == attached, "byte for byte what a commit would have held"
    assert encoding.repo.fsck().ok


def test_a_commit_of_an_older_version_gets_the_features_along_its_answers(encoding: Project) -> None:
    digest = put(encoding)
    script(encoding).older = True
    encoding.commit("a")
    assert feature_dictionary(view(encoding)) == digest and view(encoding).signatures.dictionary is None
    script(encoding).older = False
    forget(encoding)
    entry = capture(encoding, "HEAD", features=True)
    assert (entry.captured, entry.encoded) == (0, 6)
    assert (encoding.script.ran(), script(encoding).encoded_then()) == ([], ALL)
    assert view(encoding).signatures.dictionary == digest
    assert capture(encoding, "HEAD", features=True).notes == ("nothing is missing",)


def test_without_being_asked_features_are_not_added(encoding: Project) -> None:
    encoding.commit("a")
    put(encoding)
    forget(encoding)
    assert capture(encoding, "HEAD").notes == ("nothing is missing",)
    entry = capture(encoding, "HEAD", more_draws=1)
    assert (entry.drawn, feature_dictionary(view(encoding))) == (6, None)


def test_a_commit_without_captures_gets_features_with_the_rest(encoding: Project) -> None:
    encoding.commit("a", capture=False)
    digest = put(encoding)
    assert capture(encoding, "HEAD").captured == 6
    assert feature_dictionary(view(encoding)) == digest and script(encoding).encoded == []


def test_draws_added_later_keep_the_features(encoding: Project) -> None:
    first = put(encoding)
    encoding.commit("a")
    before = features(view(encoding).signatures)
    put(encoding, seed=1)
    forget(encoding)
    assert capture(encoding, "HEAD", more_draws=2).drawn == 12
    assert feature_dictionary(view(encoding)) == first, "those of the captures at hand, not of the newest dictionary"
    assert same(features(view(encoding).signatures), before) and script(encoding).encoded == []


def test_draws_and_features_at_once(encoding: Project) -> None:
    encoding.commit("a")
    digest = put(encoding)
    entry = capture(encoding, "HEAD", more_draws=2, features=True)
    assert (entry.drawn, feature_dictionary(view(encoding))) == (12, digest)
    assert len(features(view(encoding).signatures)) == 6
    assert all(len(view(encoding).outputs(p).draws) == 2 for p in view(encoding).output_blobs)


def test_draws_that_another_commit_has_come_with_the_features_asked_for(encoding: Project) -> None:
    encoding.commit("a")
    encoding.repo.switch("side", create=True)
    encoding.commit("a", draws=2)
    encoding.repo.switch("main")
    digest = put(encoding)
    forget(encoding)
    entry = capture(encoding, "main", more_draws=2, features=True)
    assert entry.drawn == 12 and encoding.script.ran() == []
    assert feature_dictionary(view(encoding)) == digest and len(features(view(encoding).signatures)) == 6
    assert encoding.repo.fsck().ok


def test_asking_for_features_without_a_dictionary_is_refused(encoding: Project) -> None:
    encoding.commit("a")
    with pytest.raises(UsageError, match="this project has no dictionary"):
        capture(encoding, "HEAD", features=True)
    put(encoding, "one")
    put(encoding, "two", seed=1)
    with pytest.raises(UsageError, match="does not say which dictionary") as refused:
        capture(encoding, "HEAD", features=True)
    assert refused.value.hint is not None and "one, two" in refused.value.hint
    assert "bvc config features.dictionary" in refused.value.hint


# Models that a dictionary does not fit


def test_a_model_of_another_shape_is_committed_without_and_not_captured_with(encoding: Project, tmp_path: Path) -> None:
    put(encoding, "wide", width=48)
    wide = tiny_model(tmp_path / "other")
    result = encoding.repo.commit(wide, engine=encoding.script.choice)
    assert feature_dictionary(view(encoding)) is None
    assert [n for n in result.notes if "wide reads streams of 48 numbers, those of other have 32" in n]
    with pytest.raises(NotComparable, match="its features cannot be read"):
        capture(encoding, "HEAD", features=True)


def test_a_model_with_fewer_blocks_is_committed_without(encoding: Project, tmp_path: Path) -> None:
    put(encoding, "deep", layer="layer.09")
    result = encoding.repo.commit(tiny_model(tmp_path / "other"), engine=encoding.script.choice)
    assert [n for n in result.notes if "deep reads layer.09, and other has 4 blocks" in n]


# Damage


def test_damaged_arrays_stop_a_commit_before_it_holds_wrong_features(encoding: Project) -> None:
    put(encoding)
    (pack,) = encoding.repo.repository.store.layout.packs.rglob("*.bvcp")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(bytes(data))
    with pytest.raises(DamagedObject):
        encoding.commit("a")
    assert encoding.repo.repository.store.refs.head().commit is None and not encoding.repo.fsck().ok


# The engine on transformers


def test_a_real_model_is_committed_and_added_to_with_the_same_bits(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    project = Project(tmp_path / "p")
    (project.folder / "bvc.toml").write_text("[recipe]\nbatch_rows = 4\nmax_new_tokens = 8\n")
    with bvc.open(project.folder) as repo:
        project.repo.close()
        project.repo = repo
        repo.commit(model)
        digest = put(project)
        (entry,) = repo.capture("HEAD", features=True).commits
        assert entry.captured == 0 and feature_dictionary(view(project)) == digest
        added = view(project).tree
        repo.commit(model, reuse=False)
        assert view(project).tree == added
        assert sum(int(b.lengths.sum()) for b in features(view(project).signatures).values()) > 6
