"""A dictionary with its weights: the arithmetic that `bvc.dictionaries` fixes, in torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from bvc.dictionaries import KINDS, LOADER, DictionarySpec
from bvc.errors import BadInput
from bvc.features.weights import Weights, pack_weights, weight_shapes, weights_digest

_BUILT_ELSEWHERE = "it was made by another version of bvc or by hand; update bvc, or import or fit the dictionary again"


@dataclass(frozen=True)
class Dictionary:
    """What turns activations of one hookpoint into latents and back.

    `weights` has the arrays of `bvc.dictionaries.WEIGHTS`, float32 on one device. Raises BadInput for a loader or kind
    that is not known, numbers of the spec that make no sense, arrays that are missing or of other shapes or types,
    numbers that are not finite, and negative thresholds (a latent is never negative).
    """

    spec: DictionarySpec
    weights: Weights

    def __post_init__(self) -> None:
        check_spec(self.spec)
        _check_weights(self.spec, self.weights)

    @classmethod
    def build(
        cls,
        *,
        kind: str,
        layer: str,
        model: str,
        k: float,
        scale: float,
        weights: Weights,
        centered: bool = True,
        architecture: str | None = None,
    ) -> Dictionary:
        """A dictionary of `weights` (any device and float type; kept on the CPU as float32), sizes and digest taken
        from them. Raises as the class does."""
        arrays = {name: array.detach().to("cpu", torch.float32).contiguous() for name, array in weights.items()}
        missing = [name for name in weight_shapes(0, 0) if name not in arrays]
        if missing or arrays["encoder"].dim() != 2:
            raise BadInput(f"the dictionary lacks {', '.join(missing) or 'an encoder of two dimensions'}")
        width, latents = arrays["encoder"].shape
        spec = DictionarySpec(
            kind=kind,
            layer=layer,
            model=model,
            width=width,
            latents=latents,
            k=k,
            scale=scale,
            weights=weights_digest(pack_weights(arrays)),
            centered=centered,
            architecture=architecture,
        )
        return cls(spec, arrays)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.weights["encoder"].device

    def to(self, device: torch.device | str) -> Dictionary:
        """The same dictionary with its weights on `device`."""
        return Dictionary(self.spec, {name: array.to(device) for name, array in self.weights.items()})

    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        """Activations [n, d] of any float type in the dictionary's own unit: float32, times `scale`."""
        return x.to(torch.float32) * self.spec.scale

    def preactivations(self, x: torch.Tensor) -> torch.Tensor:
        """What each latent reads from activations x [n, d], before its threshold: [n, m]."""
        centered = self.scaled(x) - self.weights["decoder_bias"] if self.spec.centered else self.scaled(x)
        return (centered @ self.weights["encoder"]).add_(self.weights["encoder_bias"])

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """The latents [n, m] of activations x [n, d]: 0 where they do not fire, above their threshold where they do."""
        pre = self.preactivations(x)
        fires = pre > self.weights["threshold"]
        if self.spec.kind == "topk":
            largest = pre.topk(int(self.spec.k), dim=-1).indices
            fires &= torch.zeros_like(fires).scatter_(-1, largest, True)
        return pre.masked_fill_(~fires, 0.0)

    def decode(self, f: torch.Tensor) -> torch.Tensor:
        """The activations [n, d], in the model's own unit, that latents f [n, m] stand for."""
        reconstruction: torch.Tensor = (f @ self.weights["decoder"] + self.weights["decoder_bias"]) / self.spec.scale
        return reconstruction


def check_spec(spec: DictionarySpec) -> None:
    """Raises BadInput for a spec that this version cannot read."""
    if spec.loader != LOADER:
        raise BadInput(f"unknown dictionary loader {spec.loader!r}; this bvc knows {LOADER!r}", hint=_BUILT_ELSEWHERE)
    if spec.kind not in KINDS:
        raise BadInput(f"unknown dictionary kind {spec.kind!r}; known are {', '.join(KINDS)}", hint=_BUILT_ELSEWHERE)
    for name, value in (("width", spec.width), ("latents", spec.latents)):
        if type(value) is not int or value < 1:
            raise BadInput(f"a dictionary's {name} must be a positive whole number, not {value!r}")
    for name, number, least in (("k", spec.k, 0.0), ("scale", spec.scale, math.ulp(0.0))):
        if type(number) not in (int, float) or not math.isfinite(number) or number < least:
            raise BadInput(f"a dictionary's {name} must be a finite number, not {number!r}")
    if spec.kind == "topk" and not (spec.k == int(spec.k) and 1 <= spec.k <= spec.latents):
        raise BadInput(f"k of a topk dictionary must be a whole number from 1 to {spec.latents}, not {spec.k!r}")


def _check_weights(spec: DictionarySpec, weights: Weights) -> None:
    shapes = weight_shapes(spec.width, spec.latents)
    if set(weights) != set(shapes):
        raise BadInput(f"a dictionary has the arrays {', '.join(shapes)}, not {', '.join(sorted(weights)) or 'none'}")
    for name, shape in shapes.items():
        array = weights[name]
        if tuple(array.shape) != shape:
            raise BadInput(f"the dictionary's {name} is {_shape(tuple(array.shape))}, it should be {_shape(shape)}")
        if array.dtype != torch.float32:
            raise BadInput(f"the dictionary's {name} is {str(array.dtype).removeprefix('torch.')}, it must be float32")
        if not bool(torch.isfinite(array).all()):
            raise BadInput(f"the dictionary's {name} holds numbers that are not finite")
    if bool((weights["threshold"] < 0).any()):
        raise BadInput("a dictionary's thresholds must not be negative")


def _shape(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes)) or "a single number"
