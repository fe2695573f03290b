"""Digests of weight files: remembered while nothing can have changed, and never for a file that might."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from bvc.capture.identity import identify
from bvc.capture.weights import RACY_NS, MemoryDigestCache
from bvc.errors import BadInput
from bvc.results import Progress
from tests.tiny_models import tiny_model

OLD = 1_600_000_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("made") / "model")


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "model"))


def flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


class Counting(MemoryDigestCache):
    """Counts what is asked and what is remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.hits = 0
        self.kept: list[str] = []

    def file_digest(self, path: str, stat: os.stat_result) -> str | None:
        found = super().file_digest(path, stat)
        self.hits += found is not None
        return found

    def remember_file_digest(self, path: str, stat: os.stat_result, digest: str) -> None:
        super().remember_file_digest(path, stat, digest)
        self.kept.append(Path(path).name)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock some seconds on, so that files just made are old enough to be remembered."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 2 * RACY_NS)


@pytest.mark.usefixtures("later")
def test_unchanged_files_are_not_read_again(model: Path) -> None:
    known = Counting()
    wanted = identify(str(model), known=known)
    assert sorted(known.kept) == ["model.safetensors", "tokenizer.json#tokenizer-1"]
    assert identify(str(model), known=known) == wanted
    assert known.hits == 2
    flip_last_byte(model / "model.safetensors")
    assert identify(str(model), known=known).fingerprint != wanted.fingerprint


@pytest.mark.usefixtures("later")
def test_a_replaced_file_of_equal_size_and_time_is_read_again(model: Path) -> None:
    known = Counting()
    os.utime(model / "model.safetensors", (OLD, OLD))
    wanted = identify(str(model), known=known)
    shutil.copy(model / "model.safetensors", model / "new")
    flip_last_byte(model / "new")
    os.utime(model / "new", (OLD, OLD))
    (model / "new").rename(model / "model.safetensors")
    assert identify(str(model), known=known).fingerprint != wanted.fingerprint


@pytest.mark.usefixtures("later")
def test_a_file_overwritten_in_place_with_its_time_set_back_is_read_again(model: Path) -> None:
    """mtime, size and inode are as before: only the time of change (ctime) tells."""
    known = Counting()
    os.utime(model / "model.safetensors", (OLD, OLD))
    wanted = identify(str(model), known=known)
    flip_last_byte(model / "model.safetensors")
    os.utime(model / "model.safetensors", (OLD, OLD))
    assert identify(str(model), known=known).fingerprint != wanted.fingerprint


def test_a_file_written_just_now_is_not_remembered(model: Path) -> None:
    known = Counting()
    identify(str(model), known=known)
    assert known.kept == []


def test_a_file_that_changes_while_it_is_read_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = hashlib.sha256

    def slow(*args: Any, **options: Any) -> Any:
        with (model / "model.safetensors").open("ab") as file:
            file.write(b"more")
        return real(*args, **options)

    monkeypatch.setattr("bvc.capture.weights.hashlib.sha256", slow)
    with pytest.raises(BadInput, match="changed while it was read"):
        identify(str(model))


def test_progress_counts_megabytes(model: Path) -> None:
    big = model / "model.safetensors"
    header = json.dumps({"w": {"dtype": "U8", "shape": [3 << 20], "data_offsets": [0, 3 << 20]}}).encode()
    big.write_bytes(len(header).to_bytes(8, "little") + header + bytes(3 << 20))
    seen: list[Progress] = []
    identify(str(model), progress=seen.append)
    assert seen and (seen[-1].done, seen[-1].total) == (3, 3)
