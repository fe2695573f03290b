"""Dictionaries: sparse coders of a model's activations, and what is said about them. Layer 0, standard library only.

A dictionary turns an activation x [d] of one hookpoint into latents f [m] and back (bvc.features does the arithmetic):

    pre  = ((x * scale) - (decoder_bias if centered else 0)) @ encoder + encoder_bias
    f_j  = pre_j where pre_j > threshold_j (and, for "topk", among the k largest of the token), else 0
    x_hat = (f @ decoder + decoder_bias) / scale
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bvc.codec import canonical
from bvc.ids import digest_value

LOADER = "bvc-dictionary/1"
"""Version of the arithmetic above. It is part of a dictionary's identity: the same weights read in another way are
another dictionary."""
KINDS = ("batchtopk", "topk", "jumprelu", "relu")
LATENTS_LIMIT = 1 << 24
"""More latents, or a wider stream, than any dictionary has: a record that claims them is refused."""
WEIGHTS = ("encoder", "encoder_bias", "decoder", "decoder_bias", "threshold")
"""Names of a dictionary's arrays: [d, m], [m], [m, d], [d], [m], all float32."""
TILE_NUMBERS = 1 << 18
"""Numbers of a tile of these arrays: 1 MiB, as large as the tiles of commits."""

_ALIGNMENT = 8


def safetensors_head(arrays: Iterable[tuple[str, str, Sequence[int], int]]) -> bytes:
    """All of a safetensors file but its numbers, which lie one array after the other: the head for arrays given by
    name, type ("F32"), shape and bytes. The same bytes for the same arrays, whatever version of a library is at hand.
    """
    header, start = {}, 0
    for name, kind, shape, size in arrays:
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, start + size]}
        start += size
    head = canonical(header)
    head += b" " * (-len(head) % _ALIGNMENT)
    return len(head).to_bytes(8, "little") + head


@dataclass(frozen=True)
class DictionarySpec:
    """All that fixes what a dictionary's latents mean, but for its weights.

    `layer` is the hookpoint as activations name it ("layer.15": the residual stream after 15 blocks), `model` the
    fingerprint of the model that it was fitted on and `architecture` that model's; `width` is d, `latents` m; `k` the
    mean number of latents per token it was fitted to (0: not known). `weights` is the SHA-256 of the safetensors file
    of the arrays in the order of `WEIGHTS` (`bvc.features.files` writes it).
    """

    kind: str
    layer: str
    model: str
    width: int
    latents: int
    k: float
    scale: float
    weights: str
    centered: bool = True
    architecture: str | None = None
    loader: str = LOADER

    def to_json(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "kind": self.kind,
            "layer": self.layer,
            "model": self.model,
            "width": self.width,
            "latents": self.latents,
            "k": self.k,
            "scale": self.scale,
            "weights": self.weights,
            "centered": self.centered,
            "architecture": self.architecture,
            "loader": self.loader,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DictionarySpec:
        """The reverse of `to_json`. Raises KeyError or TypeError for what it did not write."""
        return cls(**{key: data[key] for key in cls.__dataclass_fields__})

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each of the arrays `WEIGHTS`."""
        d, m = self.width, self.latents
        return dict(zip(WEIGHTS, ((d, m), (m,), (m, d), (d,), (m,)), strict=True))

    @property
    def weights_head(self) -> bytes:
        """The file of the weights up to their numbers."""
        return safetensors_head((name, "F32", shape, 4 * math.prod(shape)) for name, shape in self.shapes.items())

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex): weights, loader, hookpoint and normalization."""
        return digest_value("dictionary/1", self.to_json())


@dataclass(frozen=True)
class LatentCard:
    """What one latent is, from the corpus it was fitted on.

    `rate` is the share of tokens at which it fires, `strength` its mean where it does; `contexts` are the texts before
    and at its strongest tokens with their strengths, `promoted` the tokens that its decoder row raises most (logit
    lens) with the logits per unit of strength.
    """

    latent: int
    rate: float
    strength: float
    contexts: tuple[tuple[str, float], ...] = ()
    promoted: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class DictionaryCard:
    """The model card of a dictionary: how it was made and how good it is, measured on text it was not fitted on.

    `explained` is the share of the variance of held-out activations that it explains, `active` the mean number of
    latents per token, `dead` the number of latents that never fire there; `loss_ratio` how much of the model's
    next-token loss stays when the stream is replaced by the reconstruction (1 all, 0 none; None: not measured). `fit`
    has the settings, corpus digests, tokens and seed.
    """

    name: str
    explained: float
    active: float
    dead: int
    tokens: int
    loss_ratio: float | None = None
    fit: Mapping[str, Any] = field(default_factory=dict)
    license: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class StoredDictionary:
    """A dictionary of the repository: its name, what fixes it and its card; `commit` is the Git commit of the
    dictionary's own ref that holds this version ("": held nowhere yet)."""

    name: str
    spec: DictionarySpec
    card: DictionaryCard
    commit: str = ""
