"""How wide and deep a checkpoint is, from its configuration alone: no model is loaded. The standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bvc.capture.weights import read_json_object
from bvc.errors import BvcError
from bvc.records import ModelIdentity

_WIDTHS = ("hidden_size", "n_embd", "d_model")
_DEPTHS = ("num_hidden_layers", "n_layer", "num_layers")


@dataclass(frozen=True)
class StreamShape:
    """The residual stream: `width` numbers a position, `depth` blocks; None where the configuration does not say."""

    width: int | None
    depth: int | None


def stream_shape(identity: ModelIdentity) -> StreamShape:
    """The shape of a model that was found on disk (of an adapter: its base's)."""
    while identity.base is not None:
        identity = identity.base
    if identity.location is None:
        return StreamShape(None, None)
    try:
        config = read_json_object(Path(identity.location) / "config.json")
    except (BvcError, OSError):
        return StreamShape(None, None)
    inner = config.get("text_config")
    text = inner if isinstance(inner, Mapping) else config
    return StreamShape(_size(text, _WIDTHS), _size(text, _DEPTHS))


def _size(config: Mapping[str, Any], names: Sequence[str]) -> int | None:
    return next((config[name] for name in names if type(config.get(name)) is int), None)
