"""Finished runs of a search for exclusive features as files, so that an interrupted search fits nothing twice.

Safetensors with the numbers of the run as JSON in their header; nothing is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bvc.features.cross_fit import CrossCoder
from bvc.features.gate import Gated, Standing
from bvc.features.runs import FoundLatent, Run, SeedYield

_WEIGHTS = ("encoder", "encoder_bias", "decoder", "decoder_bias", "reach")


@dataclass(frozen=True)
class RunFolder:
    """The finished runs of one search, by the name of the pair and the seed. What a killed process left half written is
    not found."""

    folder: Path
    device: str = "cpu"
    """Where runs that are read go."""

    def get(self, pair: str, seed: int) -> Run | None:
        """A run that was finished before; None without one."""
        try:
            with safe_open(self._path(pair, seed), "pt", self.device) as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
                return _run(json.loads(file.metadata()["run"]), tensors)
        except (OSError, SafetensorError):
            return None

    def put(self, pair: str, seed: int, run: Run) -> None:
        """Keeps a finished run."""
        path = self._path(pair, seed)
        unfinished = path.with_suffix(".part")
        save_file(_tensors(run), unfinished, {"run": json.dumps(_numbers(run))})
        unfinished.rename(path)

    def _path(self, pair: str, seed: int) -> Path:
        return self.folder / f"{pair.replace(' ', '-') or 'pair'}-{seed}.run"


def _tensors(run: Run) -> dict[str, Tensor]:
    named = {f"row.{i}": latent.row for i, latent in enumerate(run.found)}
    named |= {f"spread.{side}": rows for side, rows in enumerate(run.spread)}
    if run.coder is not None:
        named |= {f"coder.{name}": getattr(run.coder, name) for name in _WEIGHTS}
    return {name: tensor.detach().to("cpu").clone().contiguous() for name, tensor in named.items()}


def _numbers(run: Run) -> dict[str, Any]:
    coder = run.coder
    found = [{"side": f.side, "latent": f.latent, "gated": asdict(f.gated)} for f in run.found]
    shape = None if coder is None else [list(coder.widths), list(coder.scales), coder.threshold]
    return {"given": asdict(run.given), "found": found, "sides": len(run.spread), "coder": shape}


def _run(numbers: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Run:
    given = SeedYield(**{**numbers["given"], "exclusive": tuple(numbers["given"]["exclusive"])})
    found = tuple(
        FoundLatent(given.seed, row["side"], row["latent"], _gated(row["gated"]), tensors[f"row.{i}"])
        for i, row in enumerate(numbers["found"])
    )
    spread = tuple(tensors[f"spread.{side}"] for side in range(numbers["sides"]))
    return Run(given, found, spread, _coder(numbers["coder"], tensors))


def _gated(row: Mapping[str, Any]) -> Gated:
    return Gated(**{**row, "standing": Standing(row["standing"])})


def _coder(shape: Any, tensors: Mapping[str, Tensor]) -> CrossCoder | None:
    if shape is None:
        return None
    widths, scales, threshold = shape
    weights = {name: tensors[f"coder.{name}"] for name in _WEIGHTS}
    weights["reach"] = weights["reach"].to(torch.bool)
    return CrossCoder(widths=tuple(widths), scales=tuple(scales), threshold=threshold, **weights)
