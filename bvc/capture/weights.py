"""The weight files of a model folder: which they are, whether they are whole, and their SHA-256.

Standard library only. Files are read, never unpickled and never imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO, Protocol

from bvc.errors import BadInput
from bvc.results import Progress

RACY_NS = 2_000_000_000
"""A digest is remembered only for a file that had been left alone this long (nanoseconds) before it was read: a
younger one could be written once more within the same time stamp (Git's index has the same rule)."""
_BUFFER = 1 << 20
_MAX_HEADER = 100_000_000
_MAX_WORKERS = 8
_LFS = b"version https://git-lfs.github.com/spec/"


class DigestCache(Protocol):
    """Remembers the SHA-256 of files by path, size, times and inode, as Git's index does."""

    def file_digest(self, path: str, stat: os.stat_result) -> str | None:
        """The digest remembered for `path`, None when there is none or `stat` differs from when it was remembered."""

    def remember_file_digest(self, path: str, stat: os.stat_result, digest: str) -> None:
        """Keeps the digest of `path` as it was when it had `stat`."""


def stat_key(stat: os.stat_result) -> tuple[int, ...]:
    """What must be equal for a remembered digest to hold: size, mtime, ctime (ns), inode, device."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev


class MemoryDigestCache:
    """A DigestCache for one process."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[tuple[int, ...], str]] = {}

    def file_digest(self, path: str, stat: os.stat_result) -> str | None:
        """See DigestCache."""
        key, digest = self._held.get(path, (None, None))
        return digest if key == stat_key(stat) else None

    def remember_file_digest(self, path: str, stat: os.stat_result, digest: str) -> None:
        """See DigestCache."""
        self._held[path] = (stat_key(stat), digest)


@dataclass(frozen=True)
class WeightFile:
    """One file of weights; `role` is its place in the model, independent of the folder's own name."""

    role: str
    path: Path


@dataclass(frozen=True)
class _Layout:
    """The names under which a kind of folder keeps its weights."""

    what: str
    whole: str
    index: str | None
    pickled: tuple[str, ...]


_MODEL = _Layout(
    "model",
    "model.safetensors",
    "model.safetensors.index.json",
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
_ADAPTER = _Layout("adapter", "adapter_model.safetensors", None, ("adapter_model.bin",))


def model_weights(folder: Path, *, allow_pickle: bool) -> list[WeightFile]:
    """The weights of a whole model, in the order in which transformers looks for them. Raises BadInput."""
    return _find(folder, _MODEL, allow_pickle=allow_pickle)


def adapter_weights(folder: Path, *, allow_pickle: bool) -> list[WeightFile]:
    """The weights of a PEFT adapter. Raises BadInput."""
    return _find(folder, _ADAPTER, allow_pickle=allow_pickle)


def has_model_weights(folder: Path) -> bool:
    """Whether the folder holds weights of a whole model, in any format."""
    return any((folder / name).exists() for name in ("model.safetensors", _MODEL.index or "", *_MODEL.pickled))


def _find(folder: Path, layout: _Layout, *, allow_pickle: bool) -> list[WeightFile]:
    if (folder / layout.whole).exists():
        return [WeightFile(layout.whole, folder / layout.whole)]
    if layout.index is not None and (folder / layout.index).exists():
        return _shards(folder, folder / layout.index)
    pickled = [folder / name for name in layout.pickled if (folder / name).exists()]
    if not pickled:
        raise _no_weights(folder, layout)
    if not allow_pickle:
        raise BadInput(
            f"holds pickled weights ({pickled[0].name}), which can run code when they are loaded",
            file=str(folder),
            hint="save it as safetensors, or pass --allow-pickle if you trust its author",
        )
    found = pickled[0]
    return _shards(folder, found) if found.suffix == ".json" else [WeightFile(found.name, found)]


def _no_weights(folder: Path, layout: _Layout) -> BadInput:
    hint = f"a {layout.what} folder holds {layout.whole}; was it saved or downloaded completely?"
    if any(folder.glob("*.gguf")):
        hint = "GGUF files are not read; convert it to a Hugging Face folder with safetensors"
    elif any(folder.glob("*.safetensors")):
        hint = f"its safetensors files are not named {layout.whole}, so no library would load them"
    return BadInput(f"the {layout.what}'s weights are missing", file=str(folder), hint=hint)


def _shards(folder: Path, index: Path) -> list[WeightFile]:
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise BadInput("names no weight files (no weight_map)", file=str(index))
    names = sorted({str(name) for name in weight_map.values()})
    outside = [name for name in names if Path(name).name != name or name in ("", "..")]
    if outside:
        raise BadInput(f"names a weight file outside its folder: {outside[0]!r}", file=str(index))
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise BadInput(
            f"{len(missing)} of {len(names)} weight files are missing, first {missing[0]}",
            file=str(folder),
            hint="was it saved or downloaded completely?",
        )
    return [WeightFile(name, folder / name) for name in names]


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model folder. `Infinity` and `NaN`, which configs use, come as those strings.

    Raises BadInput when it cannot be read or is something else.
    """
    try:
        value = json.loads(path.read_bytes(), parse_constant=str)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"is not JSON ({error})", file=str(path)) from error
    if not isinstance(value, dict):
        raise BadInput("is not a JSON object", file=str(path))
    return value


def digest_weights(
    files: Sequence[WeightFile], known: DigestCache, progress: Callable[[Progress], None] | None = None
) -> dict[str, str]:
    """SHA-256 (hex) of each file by role; streamed, several files at once, unchanged files from `known`.

    Every file that is read is checked to be whole first. `progress` counts megabytes. Raises BadInput naming the
    file that is truncated, unreadable or changes meanwhile.
    """
    out: dict[str, str] = {}
    todo: list[WeightFile] = []
    for file in files:
        held = known.file_digest(os.path.realpath(file.path), _stat(file.path))
        if held is None:
            _check(file.path)
            todo.append(file)
        else:
            out[file.role] = held
    for file, read in _hash_all(todo, progress):
        if read.settled:
            known.remember_file_digest(os.path.realpath(file.path), read.stat, read.digest)
        out[file.role] = read.digest
    return out


def digest_file(path: Path, known: DigestCache, digest: Callable[[bytes], str], kind: str) -> str:
    """What `digest` makes of a small file's bytes, remembered under `kind` as weight digests are."""
    name = f"{os.path.realpath(path)}#{kind}"
    before = _stat(path)
    held = known.file_digest(name, before)
    if held is not None:
        return held
    started = time.time_ns()
    try:
        out = digest(path.read_bytes())
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error
    if _settled(before, _stat(path), started):
        known.remember_file_digest(name, before, out)
    return out


@dataclass(frozen=True)
class _Read:
    digest: str
    stat: os.stat_result
    settled: bool


def _settled(before: os.stat_result, after: os.stat_result, started: int) -> bool:
    """Whether no write can have escaped the time stamps of a file whose reading began at `started`."""
    return stat_key(before) == stat_key(after) and started - max(before.st_mtime_ns, before.st_ctime_ns) > RACY_NS


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error


class _Hashing:
    """Hashes files in threads; `stop` ends them early, `read` counts the bytes so far of each."""

    def __init__(self) -> None:
        self.stop = Event()
        self.read: dict[str, int] = {}

    def __call__(self, file: WeightFile) -> _Read:
        try:
            with file.path.open("rb") as stream:
                return self._stream(file, stream)
        except OSError as error:
            raise BadInput(f"cannot be read: {error.strerror}", file=str(file.path)) from error

    def _stream(self, file: WeightFile, stream: BinaryIO) -> _Read:
        before, started = os.fstat(stream.fileno()), time.time_ns()
        state, buffer = hashlib.sha256(), bytearray(_BUFFER)
        view = memoryview(buffer)
        while (count := stream.readinto(buffer)) and not self.stop.is_set():  # type: ignore[attr-defined]
            state.update(view[:count])
            self.read[file.role] = self.read.get(file.role, 0) + count
        after = os.fstat(stream.fileno())
        if stat_key(before) != stat_key(after):
            raise BadInput("changed while it was read", file=str(file.path), hint="wait until it is saved, then repeat")
        return _Read(state.hexdigest(), before, _settled(before, after, started))


def _hash_all(
    files: Sequence[WeightFile], progress: Callable[[Progress], None] | None
) -> list[tuple[WeightFile, _Read]]:
    if not files:
        return []
    total = sum(_stat(file.path).st_size for file in files)
    hashing = _Hashing()
    with ThreadPoolExecutor(min(len(files), os.cpu_count() or 1, _MAX_WORKERS)) as pool:
        try:
            futures = [pool.submit(hashing, file) for file in files]
            _watch(futures, hashing.read, total, progress)
            return [(file, future.result()) for file, future in zip(files, futures, strict=True)]
        finally:
            hashing.stop.set()


def _watch(
    futures: Sequence[Future[_Read]],
    read: Mapping[str, int],
    total: int,
    progress: Callable[[Progress], None] | None,
) -> None:
    """Waits for all, reporting megabytes read; returns early when one failed."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=0.25, return_when=FIRST_COMPLETED)
        if progress is not None:
            progress(Progress("megabytes of weights", sum(list(read.values())) >> 20, total >> 20))
        if any(future.exception() for future in done):
            return


def _check(path: Path) -> None:
    """Refuses a weight file that is not whole. Raises BadInput."""
    size = _stat(path).st_size
    try:
        with path.open("rb") as stream:
            start = stream.read(max(8, len(_LFS)))
            if start.startswith(_LFS):
                raise BadInput("is a Git LFS pointer, not the weights", file=str(path), hint="run `git lfs pull` there")
            if path.suffix == ".safetensors":
                stream.seek(0)
                _check_safetensors(path, stream, size)
            elif start.startswith(b"PK"):
                _check_zip(path, stream)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error


def _check_safetensors(path: Path, stream: BinaryIO, size: int) -> None:
    """A safetensors file is 8 bytes of header length, a JSON header with offsets, and exactly the data they span."""
    length = int.from_bytes(stream.read(8), "little")
    if size < 8 or (length + 8 > size and length <= _MAX_HEADER):
        raise _truncated(path, f"{size} bytes cannot hold its header")
    if length > _MAX_HEADER:
        raise BadInput("is not a safetensors file", file=str(path))
    try:
        header = json.loads(stream.read(length))
        ends = [int(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise BadInput("has a damaged safetensors header", file=str(path)) from error
    expected = 8 + length + max(ends, default=0)
    if size < expected:
        raise _truncated(path, f"{size} of {expected} bytes")
    if size > expected:
        raise BadInput(f"is longer than its header says ({size} of {expected} bytes)", file=str(path))


def _check_zip(path: Path, stream: BinaryIO) -> None:
    import zipfile

    if not zipfile.is_zipfile(stream):
        raise _truncated(path, "the end of the archive is missing")


def _truncated(path: Path, detail: str) -> BadInput:
    return BadInput(f"is truncated: {detail}", file=str(path), hint="copy or download it again")
