"""The arrays of a dictionary and the one file that holds them: safetensors, written so that equal arrays give equal
bytes whatever version of a library is at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load

from bvc.dictionaries import WEIGHTS, safetensors_head
from bvc.errors import DamagedObject

Weights = Mapping[str, torch.Tensor]

_TYPES = {torch.float32: "F32", torch.int64: "I64", torch.uint8: "U8"}


def weight_shapes(width: int, latents: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array of a dictionary of `latents` latents over activations of `width` numbers."""
    shapes = ((width, latents), (latents,), (latents, width), (width,), (latents,))
    return dict(zip(WEIGHTS, shapes, strict=True))


def pack_weights(weights: Weights) -> bytes:
    """The safetensors file of a dictionary's arrays (float32, any device), in the order of WEIGHTS."""
    arrays = {name: weights[name].detach().to("cpu", torch.float32) for name in WEIGHTS}
    return b"".join(safetensors_parts(arrays))


def safetensors_parts(arrays: Weights) -> Iterator[bytes | memoryview]:
    """The safetensors file of `arrays` in their order, part by part; contiguous ones on the CPU are not copied."""
    flat = {name: np.atleast_1d(array.detach().cpu().contiguous().numpy()) for name, array in arrays.items()}
    yield safetensors_head((n, _TYPES[arrays[n].dtype], arrays[n].shape, flat[n].nbytes) for n in flat)
    for array in flat.values():
        yield array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data


def unpack_weights(data: bytes) -> dict[str, torch.Tensor]:
    """All arrays of a safetensors file, by name. Raises DamagedObject for other bytes; nothing of it is run."""
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise DamagedObject(
            f"a dictionary's weights are not a safetensors file: {error}", hint="fetch or import the dictionary again"
        ) from error


def weights_digest(data: bytes) -> str:
    """SHA-256 (hex) of the file, by which a dictionary names its weights."""
    return hashlib.sha256(data).hexdigest()
