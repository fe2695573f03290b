"""The journal of an unfinished capture: what was captured so far, kept so that a later run goes on from there.

One folder for each model and recipe, locked by the process that captures; cleared after the commit. Importing this
module loads no numpy.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bvc.capture.engine import ProbeCapture, ProbeRequest
from bvc.capture.framelog import Frame, FrameLog, heads
from bvc.codec import canonical, parse
from bvc.errors import BvcError, DamagedObject, Locked
from bvc.ids import digest_value
from bvc.records import Capability, Generation, Json, ModelIdentity, Outputs, Recipe, Reference

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bvc.evidence import Evidence, Features

VERSION = 3
_FILE, _LOCK, _NEW = "captures.journal", "lock", "captures.journal.new"
_COUNTED = ("capture", "draws", "features")
_PATIENCE = 0.25
"""Seconds to wait for a lock: `interrupted` holds it for an instant."""
_DELETE = "delete its folder and repeat the command"
_NUMERIC = re.compile(r"<[iuf][248]|\|[iu]1")


@dataclass(frozen=True)
class EngineFacts:
    """What of the engine goes into a snapshot beside the captures: `bucket_table` is [vocabulary] uint8,
    `token_texts` what `bvc.evidence.pack_texts` made of the texts of the same tokens; each or None."""

    capability: Capability
    bucket_table: npt.NDArray[np.uint8] | None
    token_texts: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class _Entry:
    """One capture in the journal: where it is, along which reference it was asked for, how many draws it has, and of
    which dictionary its features are."""

    frame: Frame
    asked: str
    draws: int
    dictionary: str | None


@dataclass(frozen=True)
class _Draws:
    """Draws in the journal that extend an earlier capture: where they are and how many."""

    frame: Frame
    count: int


class Journal:
    """Captures of one model under one recipe, appended one by one and read back one by one.

    `wanted` is the recipe that was asked for; `recipe` the one that all captures in it were made under, which has
    fewer batch rows where memory did not suffice. Captures come in two layouts: that of `recipe`, and (`again`) that of
    `recipe.other_layout()` for the noise floor. `dictionary` is the digest of the one whose features are wanted; those
    of others are passed over.
    """

    def __init__(
        self, folder: Path, lock: int, log: FrameLog, wanted: Recipe, origin: Json, dictionary: str | None
    ) -> None:
        """Use `Journal.open`."""
        self.folder = folder
        self.wanted = wanted
        self.recipe = wanted
        self.dictionary = dictionary
        self._lock = lock
        self._log = log
        self._origin = origin
        self._entries: dict[tuple[str, bool], _Entry] = {}
        self._engine: Frame | None = None
        self._draws: dict[tuple[str, int], _Draws] = {}
        self._features: dict[tuple[str, bool, str], Frame] = {}

    @classmethod
    def open(cls, folder: Path, identity: ModelIdentity, recipe: Recipe, dictionary: str | None = None) -> Journal:
        """The journal in `folder`, made when there is none; records of another model or recipe in it are dropped.

        Raises Locked naming the process that captures into it, BvcError when the folder cannot be written.
        """
        origin = {"model": identity.name, "fingerprint": identity.fingerprint, "tokenizer": identity.tokenizer}
        try:
            lock = _take_lock(folder)
            try:
                journal = cls(folder, lock, FrameLog(folder / _FILE), recipe, origin, dictionary)
                journal._load()
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            raise BvcError(f"cannot keep captures in {folder}: {error.strerror}") from error
        return journal

    def _load(self) -> None:
        """Takes over what the file holds where it fits, else begins anew."""
        stored = [(frame, parse(head)) for frame, head in self._log.recover()]
        first = stored[0][1] if stored else {}
        if (
            first.get("version") != VERSION
            or first.get("origin") != self._origin
            or first["wanted"] != self.wanted.digest
        ):
            self.restart(self.wanted)
            return
        self.recipe = replace(Recipe.from_json(first["recipe"]), draws=self.wanted.draws)
        for frame, head in stored[1:]:
            self._index(frame, head)

    def _index(self, frame: Frame, head: Json) -> None:
        if head["kind"] == "engine":
            self._engine = frame
        elif head["kind"] == "draws":
            self._draws[head["probe"], head["first"]] = _Draws(frame, len(head["draws"]))
        elif head["kind"] == "features":
            if head["dictionary"] == self.dictionary:
                self._features[head["probe"], head["again"], head["along"]] = frame
        else:
            entry = _Entry(frame, head["asked"], len(head["outputs"]["draws"]), head.get("dictionary"))
            self._entries[head["probe"], head["again"]] = entry

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Releases the files and the lock; what is kept stays for a later run."""
        self._log.close()
        if self._lock >= 0:
            lock, self._lock = self._lock, -1
            os.close(lock)

    def clear(self) -> None:
        """Deletes the journal, once a commit holds its captures, and closes it."""
        for name in (_FILE, _NEW, _LOCK):
            (self.folder / name).unlink(missing_ok=True)
        self.close()
        with suppress(OSError):  # another process has begun to use the folder
            self.folder.rmdir()

    def restart(self, recipe: Recipe) -> None:
        """Drops all captures and goes on under `recipe`, since those of two recipes are never mixed."""
        new = self.folder / _NEW
        new.unlink(missing_ok=True)
        log = FrameLog(new)
        try:
            first = {"kind": "journal", "version": VERSION, "origin": self._origin}
            log.append(canonical({**first, "wanted": self.wanted.digest, "recipe": recipe.to_json()}), [])
            log.sync()
            new.rename(self.folder / _FILE)
            _sync_folder(self.folder)
        except BaseException:
            log.close()
            raise
        log.path = self.folder / _FILE
        self._log.close()
        self._log, self.recipe = log, recipe
        self._entries, self._engine, self._draws, self._features = {}, None, {}, {}

    def has(self, request: ProbeRequest, *, again: bool = False) -> bool:
        """Whether a capture of the probe along that reference, with enough draws, is kept."""
        entry = self._entries.get((request.probe.id, again))
        return entry is not None and entry.asked == _asked(request) and (again or entry.draws >= self.recipe.draws)

    def done(self, *, again: bool = False) -> frozenset[str]:
        """The ids of all probes captured in one layout."""
        return frozenset(probe for probe, layout in self._entries if layout is again)

    def append(self, request: ProbeRequest, capture: ProbeCapture, *, again: bool = False) -> None:
        """Keeps one capture; durable after the next `sync`. Raises BvcError on a full disk."""
        arrays = _arrays(capture.evidence)
        head = {
            "kind": "capture",
            "again": again,
            "probe": capture.probe_id,
            "asked": _asked(request),
            "outputs": capture.outputs.to_json(),
            "reference": capture.reference.to_json(),
        }
        if capture.evidence.feature is not None:
            head["dictionary"] = self.dictionary
        self._index(self._append(head, arrays), head)

    def append_draws(self, probe_id: str, first: int, draws: Sequence[Generation]) -> None:
        """Keeps draws number `first` and on of a probe whose other parts an earlier capture holds, as `append` does."""
        head = {"kind": "draws", "probe": probe_id, "first": first, "draws": [d.to_json() for d in draws]}
        self._index(self._append(head, {}), head)

    def has_draws(self, probe_id: str, first: int, count: int) -> bool:
        """Whether `count` draws from number `first` on are kept."""
        kept = self._draws.get((probe_id, first))
        return kept is not None and kept.count >= count

    def read_draws(self, probe_id: str, first: int, count: int) -> tuple[Generation, ...]:
        """The draws that `append_draws` kept. Raises as `read` does."""
        head, _ = self._read(self._draws[probe_id, first].frame)
        return tuple(Generation.from_json(d) for d in head["draws"][:count])

    def reference(self, probe_id: str, *, again: bool = False) -> Reference:
        """The continuation along which a capture runs. Raises as `read` does."""
        return self.texts(probe_id, again=again)[0]

    def texts(self, probe_id: str, *, again: bool = False) -> tuple[Reference, Outputs]:
        """The continuation along which a capture runs, and what the model said. Raises as `read` does."""
        head, _ = self._read(self._entries[probe_id, again].frame)
        return Reference.from_json(head["reference"]), Outputs.from_json(head["outputs"])

    def append_features(self, probe_id: str, reference: Reference, features: Features, *, again: bool = False) -> None:
        """Keeps the features along a reference and the answer of a probe whose other parts an earlier capture holds, as
        `append` does."""
        from bvc.evidence import Evidence

        head = {"kind": "features", "again": again, "probe": probe_id, "along": _along(reference)}
        head["dictionary"] = self.dictionary
        held = Evidence(feature=features.reference, answer_feature=features.answer)
        self._index(self._append(head, _arrays(held)), head)

    def has_features(self, probe_id: str, reference: Reference, *, again: bool = False) -> bool:
        """Whether features of the dictionary along that reference are kept beside a capture."""
        return (probe_id, again, _along(reference)) in self._features

    def read_features(self, probe_id: str, reference: Reference, *, again: bool = False) -> Features:
        """The features that `append_features` kept. Raises as `read` does."""
        from bvc.evidence import Features

        _, arrays = self._read(self._features[probe_id, again, _along(reference)])
        found = _evidence(arrays)
        if found.feature is None or found.answer_feature is None:
            raise DamagedObject(f"{self._log.path} holds features without numbers", hint=_DELETE)
        return Features(found.feature, found.answer_feature)

    def unencoded(self, *, again: bool = False) -> frozenset[str]:
        """The ids of all probes captured in one layout without features of the dictionary."""
        kept = ((probe, entry) for (probe, layout), entry in self._entries.items() if layout is again)
        return frozenset(probe for probe, entry in kept if entry.dictionary != self.dictionary)

    def _append(self, head: Json, arrays: Mapping[str, npt.NDArray[Any]]) -> Frame:
        shapes = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
        return self._log.append(canonical({**head, "arrays": shapes}), [array.tobytes() for array in arrays.values()])

    def sync(self) -> None:
        """Makes all that was appended survive a power cut."""
        self._log.sync()

    def read(self, probe_id: str, *, again: bool = False) -> ProbeCapture:
        """One capture, with as many draws as the recipe asks for. Raises KeyError when it is not kept, DamagedObject
        when its bytes changed since they were written."""
        entry = self._entries[probe_id, again]
        head, arrays = self._read(entry.frame)
        outputs, reference = Outputs.from_json(head["outputs"]), Reference.from_json(head["reference"])
        evidence = _evidence(arrays)
        if entry.dictionary != self.dictionary:
            later = self.has_features(probe_id, reference, again=again)
            features = self.read_features(probe_id, reference, again=again) if later else None
            along, answer = (None, None) if features is None else (features.reference, features.answer)
            evidence = replace(evidence, feature=along, answer_feature=answer)
        return ProbeCapture(
            probe_id=probe_id,
            outputs=replace(outputs, draws=outputs.draws[: self.recipe.draws]),
            reference=reference,
            evidence=evidence,
        )

    def _read(self, frame: Frame) -> tuple[Json, dict[str, npt.NDArray[Any]]]:
        raw, body = self._log.read(frame)
        head = parse(raw)
        return head, _split(body, head["arrays"])

    def keep_engine(self, facts: EngineFacts) -> None:
        """Keeps what a snapshot needs of the engine, so that a complete journal is committed without loading it."""
        named = {"buckets": facts.bucket_table, "texts": facts.token_texts}
        arrays = {name: table for name, table in named.items() if table is not None}
        self._engine = self._append({"kind": "engine", "capability": str(facts.capability)}, arrays)

    @property
    def engine(self) -> EngineFacts | None:
        """What `keep_engine` kept, None before."""
        if self._engine is None:
            return None
        head, arrays = self._read(self._engine)
        return EngineFacts(Capability(head["capability"]), arrays.get("buckets"), arrays.get("texts"))


def interrupted(folder: Path) -> list[tuple[str, int]]:
    """(model name, probes done) of each unfinished capture below `folder` that no process is working on."""
    found = sorted(folder.glob(f"*/{_FILE}")) if folder.is_dir() else []
    summaries = (_summary(path) for path in found)
    return [summary for summary in summaries if summary is not None]


def _summary(path: Path) -> tuple[str, int] | None:
    if _is_locked(path.parent / _LOCK):
        return None
    try:
        records = [parse(head) for head in heads(path)]
        name = records[0]["origin"]["model"]
        return name, len({r["probe"] for r in records if r["kind"] in _COUNTED and not r.get("again")})
    except (OSError, ValueError, LookupError, TypeError):  # torn in its first bytes, or being cleared
        return None


def _is_locked(path: Path) -> bool:
    import fcntl

    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _take_lock(folder: Path) -> int:
    """The descriptor of the folder's lock file, locked. Raises Locked when another process keeps it."""
    limit = time.monotonic() + _PATIENCE
    while (lock := _try_lock(folder)) is None:
        if time.monotonic() > limit:
            raise Locked(
                f"this checkpoint is being captured by process {_owner(folder)}",
                hint="wait until it is done: its captures are then used without running the model",
            )
        time.sleep(_PATIENCE / 10)
    return lock


def _try_lock(folder: Path) -> int | None:
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except FileNotFoundError:  # the folder was cleared by its owner in between
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino != path.stat().st_ino:  # cleared by its owner in between
            raise FileNotFoundError(path)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
    except (BlockingIOError, FileNotFoundError):
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


def _owner(folder: Path) -> str:
    try:
        return (folder / _LOCK).read_text() or "unknown"
    except OSError:
        return "unknown"


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _asked(request: ProbeRequest) -> str:
    """A digest of the reference that was asked for: given, the probe's own, or (both None) the greedy text."""
    given = None if request.reference is None else request.reference.to_json()
    return digest_value("asked/1", [given, request.probe.reference if given is None else None])


def _arrays(evidence: Evidence) -> dict[str, npt.NDArray[Any]]:
    """All arrays of one probe's evidence by name, little-endian and contiguous."""
    import numpy as np

    found: dict[str, npt.NDArray[Any]] = {}
    if evidence.logprob is not None:
        block = evidence.logprob
        found |= {f"logprob/{name}": getattr(block, name) for name in ("lengths", *block.FIELDS)}
    if evidence.activation is not None:
        found |= {f"activation/{site}": array for site, array in evidence.activation.vectors.items()}
    for channel, features in (("feature", evidence.feature), ("answer", evidence.answer_feature)):
        if features is not None:
            names = ("lengths", *features.BY_PROBE, *features.FIELDS)
            found |= {f"{channel}/{name}": getattr(features, name) for name in names}
    return {name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for name, array in found.items()}


def _split(body: bytes, specs: Iterable[Sequence[Any]]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a record's body, as read-only views. Raises DamagedObject when they are not what the head says."""
    import numpy as np

    out: dict[str, npt.NDArray[Any]] = {}
    at = 0
    for name, dtype, shape in specs:
        if not _NUMERIC.fullmatch(dtype):
            raise DamagedObject(f"a capture journal holds an array of type {dtype!r}")
        array = np.ndarray(tuple(shape), np.dtype(dtype), body, at)
        out[name] = array
        at += array.nbytes
    return out


def _along(reference: Reference) -> str:
    """A digest of the reference along which features were read."""
    return digest_value("along/1", reference.to_json())


def _evidence(arrays: Mapping[str, npt.NDArray[Any]]) -> Evidence:
    from bvc.evidence import ActivationBlock, AnswerFeatures, Evidence, FeatureBlock, LogprobBlock

    channels = ("logprob/", "activation/", "feature/", "answer/")
    logprob, sites, feature, answer = (_named(arrays, channel) for channel in channels)
    return Evidence(
        LogprobBlock(**logprob) if logprob else None,
        ActivationBlock(sites) if sites else None,
        FeatureBlock(**feature) if feature else None,
        AnswerFeatures(**answer) if answer else None,
    )


def _named(arrays: Mapping[str, npt.NDArray[Any]], channel: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(channel): array for name, array in arrays.items() if name.startswith(channel)}
