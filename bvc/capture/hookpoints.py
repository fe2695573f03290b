"""Where activations are read: the residual stream after a number of transformer blocks.

A hookpoint is a fraction of depth in (0, 1]. It stands for the output of the block with which that fraction of all
blocks has been passed, rounded up: of 30 blocks, 0.25 is "layer.08" and 1.0 is "layer.30". The residual stream is
read as the block leaves it, so "layer.30" is *before* the final normalization, unlike the last of transformers'
`hidden_states`: layers stay comparable, and it is what dictionaries are trained on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch


def blocks_passed(fraction: float, depth: int) -> int:
    """The number of blocks passed at `fraction` of a model of `depth` blocks, between 1 and `depth`."""
    return min(depth, max(1, math.ceil(fraction * depth - 1e-9)))


def layer_name(passed: int) -> str:
    """How a layer is named in activation sites: "layer.07"."""
    return f"layer.{passed:02d}"


def passed_of(layer: str) -> int | None:
    """The number of blocks passed at a layer of that name; None for a name that is no layer's."""
    found = re.fullmatch(r"layer\.([0-9]{2,5})", layer)
    return None if found is None or int(found[1]) < 1 else int(found[1])


def find_blocks(model: torch.nn.Module, depth: int) -> list[torch.nn.Module] | None:
    """The decoder's blocks in order: the first module list of `depth` members; None where there is none."""
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
            return list(module)
    return None


class Hookpoints:
    """Reads the residual stream of chosen blocks while a forward pass runs inside `recording`."""

    def __init__(self, blocks: Sequence[torch.nn.Module], fractions: Sequence[float], also: Sequence[int] = ()) -> None:
        """`also` are further layers, by the number of blocks passed."""
        depth = len(blocks)
        chosen = {blocks_passed(f, depth) for f in fractions}.union(also)
        self._blocks = {passed: blocks[passed - 1] for passed in sorted(chosen)}

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers read, by depth."""
        return tuple(layer_name(passed) for passed in self._blocks)

    @contextmanager
    def recording(self) -> Iterator[dict[str, torch.Tensor]]:
        """A dictionary that each forward pass fills with its residual streams, [rows, positions, width] by layer."""
        streams: dict[str, torch.Tensor] = {}
        handles = [block.register_forward_hook(_keep(streams, layer_name(p))) for p, block in self._blocks.items()]
        try:
            yield streams
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def stopping(self) -> Iterator[dict[str, torch.Tensor]]:
        """As `recording`, for a single pass that ends at the deepest layer read."""
        with self.recording() as streams:
            last = self._blocks[max(self._blocks)].register_forward_hook(_stop)
            try:
                yield streams
            except _Read:
                pass
            finally:
                last.remove()


class _Read(Exception):
    """Ends a pass whose streams were read."""


def _stop(module: torch.nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001 (torch's signature)
    raise _Read


def _keep(streams: dict[str, torch.Tensor], name: str) -> Any:
    def hook(module: torch.nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001 (torch's signature)
        streams[name] = output[0] if isinstance(output, tuple) else output

    return hook
