"""The state of a fit on disk: a killed fit goes on from it as if nothing had happened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from bvc.codec import canonical, parse
from bvc.errors import BadInput, BvcError, DamagedObject
from bvc.features.weights import safetensors_parts
from bvc.files import write_atomic

_FORMAT = "bvc-fit/1"
_INDEX = "fit.json"
_SAMPLE = "held-out.safetensors"


@dataclass(frozen=True)
class Basis:
    """What a fit decides before its first step: the dictionary's `scale`, vectors `longest` than which are left out,
    the `variance` of scaled activations, and how many `texts` are held out."""

    scale: float
    longest: float
    variance: float
    texts: int


@dataclass(frozen=True)
class Saved:
    """A fit as it was saved: its basis, the held-out vectors [h, d], arrays by name and the buffer's counts."""

    basis: Basis
    held_out: torch.Tensor
    arrays: Mapping[str, torch.Tensor]
    counts: Mapping[str, int]


class StateFolder:
    """One folder that belongs to one fit. `identity` is what the fit is: another one is refused."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder = folder
        self._identity = dict(identity)
        self._files: dict[str, dict[str, str]] = {}

    def begin(self, basis: Basis, held_out: torch.Tensor) -> None:
        """Keeps what does not change any more. Raises BvcError where the folder cannot be written."""
        self._basis = basis
        self._files["held_out"] = self._write(_SAMPLE, {"held_out": held_out})

    def save(self, step: int, arrays: Mapping[str, torch.Tensor], counts: Mapping[str, int]) -> None:
        """Replaces the state in one step: a crash leaves this one or the one before."""
        self._files["arrays"] = self._write(f"step-{step}.safetensors", arrays)
        index = {
            "format": _FORMAT,
            "fit": self._identity,
            "basis": asdict(self._basis),
            "files": self._files,
            "counts": dict(counts),
        }
        write_atomic(self._folder / _INDEX, canonical(index))
        self._clean()

    def load(self) -> Saved | None:
        """The last state saved; None where there is none. Raises BadInput for the state of another fit and
        DamagedObject for files that are not what was saved."""
        path = self._folder / _INDEX
        if not path.exists():
            return None
        try:
            index = parse(path.read_bytes())
            if index["format"] != _FORMAT or index["fit"] != self._identity:
                raise BadInput(
                    f"{self._folder} holds the state of another fit", hint="remove it, or name another folder"
                )
            self._basis, self._files = Basis(**index["basis"]), index["files"]
            held_out, arrays = (self._read(self._files[name]) for name in ("held_out", "arrays"))
            return Saved(self._basis, held_out["held_out"], arrays, index["counts"])
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise self._damaged() from error

    def _write(self, name: str, arrays: Mapping[str, torch.Tensor]) -> dict[str, str]:
        temporary = self._folder / f"{name}.tmp"
        digest = hashlib.sha256()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                for part in safetensors_parts(arrays):
                    file.write(part)
                    digest.update(part)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / name)
        except OSError as error:
            raise BvcError(f"cannot write the state of the fit to {self._folder}: {error.strerror}") from error
        return {"name": name, "sha256": digest.hexdigest()}

    def _read(self, entry: Mapping[str, str]) -> dict[str, torch.Tensor]:
        path = self._folder / Path(entry["name"]).name
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
                raise self._damaged()
        return load_file(path)

    def _clean(self) -> None:
        """Removes what no index names any more."""
        named = {entry["name"] for entry in self._files.values()}
        for path in [*self._folder.glob("step-*.safetensors"), *self._folder.glob("*.safetensors.tmp")]:
            if path.name not in named:
                path.unlink(missing_ok=True)

    def _damaged(self) -> DamagedObject:
        return DamagedObject(f"the state of the fit in {self._folder} is damaged", hint="remove it to begin again")
