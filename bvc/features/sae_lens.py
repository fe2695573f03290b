"""Dictionaries in and out of SAELens' folders (`cfg.json` and `sae_weights.safetensors`), without that package.

What the architectures compute is that of SAELens 6 (github.com/jbloomAus/SAELens); older folders are read as it reads
them. A folder whose arithmetic bvc does not have is refused, never read as something near it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from bvc.codec import canonical, parse
from bvc.errors import BadInput, BvcError
from bvc.features.dictionary import Dictionary
from bvc.features.weights import unpack_weights
from bvc.files import write_atomic

SETTINGS_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"
_VERSION = "6.0.0"
"""The format written; newer minor versions read it."""
_NEWEST = 6
_KINDS = {"standard": "relu", "topk": "topk", "jumprelu": "jumprelu", "batchtopk": "batchtopk"}
_ARRAYS = {"W_enc": "encoder", "b_enc": "encoder_bias", "W_dec": "decoder", "b_dec": "decoder_bias"}
_BLOCK_OUTPUT = re.compile(r"blocks\.(\d{1,4})\.hook_resid_(post|pre)|(?:transformer\.h|model\.layers)\.(\d{1,4})")
_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def read_sae_lens(
    folder: Path,
    *,
    model: str | None = None,
    layer: str | None = None,
    architecture: str | None = None,
    scale: float | None = None,
) -> Dictionary:
    """The dictionary of a SAELens folder.

    `model` is the fingerprint of the model it was fitted on; it, `layer` and `architecture` are taken from the folder
    where bvc wrote it, and `layer` from the name of its hook where that is the output of a block. `scale` is the number
    that activations were multiplied by, for folders that say they were but not by how much. Raises BadInput for a
    folder that cannot be read as a dictionary, with the reason.
    """
    settings = _read_settings(folder)
    weights = _read_weights(folder)
    own = _own(settings)
    kind, k = _kind(settings, own)
    _check_arrays(settings, weights, folder)
    arrays = {ours: weights[theirs].to(torch.float32) for theirs, ours in _ARRAYS.items()}
    arrays["threshold"] = _threshold(settings["architecture"], weights, folder)
    if settings.get("rescale_acts_by_decoder_norm", False):
        _fold_decoder_norms(arrays)
    factor = own.scale if own.scale is not None else _scale(settings, scale)
    if own.scale is not None:
        arrays = _multiplied(arrays, 1 / own.scale)
    return Dictionary.build(
        kind=kind,
        layer=layer or own.layer or _layer(settings),
        model=model or own.model or _missing_model(folder),
        k=k,
        scale=factor,
        weights=arrays,
        centered=bool(settings.get("apply_b_dec_to_input", True)),
        architecture=architecture or own.architecture,
    )


def write_sae_lens(dictionary: Dictionary, folder: Path, *, model_name: str | None = None) -> None:
    """Writes a dictionary as a SAELens folder, which is made where it is missing; `model_name` is what SAELens knows
    the model by. Activations go in as the model has them: the scale is multiplied into the weights.

    Raises BadInput for a dictionary that SAELens has no architecture for, and where the folder holds one already.
    """
    spec = dictionary.spec
    architecture = _architecture(dictionary)
    arrays = _multiplied(dictionary.weights, spec.scale)
    tensors = {theirs: arrays[ours].cpu().contiguous() for theirs, ours in _ARRAYS.items()}
    if architecture == "jumprelu":
        tensors["threshold"] = arrays["threshold"].cpu().contiguous()
    settings: dict[str, Any] = {
        "architecture": architecture,
        "d_in": spec.width,
        "d_sae": spec.latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": spec.centered,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": _metadata(dictionary, model_name),
    }
    if architecture == "topk":
        settings |= {"k": int(spec.k), "rescale_acts_by_decoder_norm": False}
    _write(folder, {WEIGHTS_FILE: save(tensors), SETTINGS_FILE: canonical(settings)})


@dataclass(frozen=True)
class _Own:
    """What bvc adds to a folder that it writes; None where it did not write it."""

    kind: str | None = None
    k: float | None = None
    scale: float | None = None
    layer: str | None = None
    model: str | None = None
    architecture: str | None = None


def _own(settings: Mapping[str, Any]) -> _Own:
    found = _metadata_of(settings).get("bvc")
    if not isinstance(found, dict):
        return _Own()
    texts = {key: found.get(key) for key in ("kind", "layer", "model", "architecture")}
    numbers = {key: found.get(key) for key in ("k", "scale")}
    if not all(value is None or isinstance(value, str) for value in texts.values()):
        raise BadInput(f"{SETTINGS_FILE}: metadata.bvc is not what bvc writes")
    if not all(value is None or (type(value) in (int, float) and value >= 0) for value in numbers.values()):
        raise BadInput(f"{SETTINGS_FILE}: metadata.bvc is not what bvc writes")
    if numbers["scale"] is not None and not _exact(numbers["scale"]):
        raise BadInput(f"{SETTINGS_FILE}: metadata.bvc is not what bvc writes")
    return _Own(**texts, **numbers)


def _read_settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS_FILE
    try:
        settings = parse(path.read_bytes())
    except OSError as error:
        raise BadInput(
            f"cannot be read: {error.strerror}", file=str(path), hint=f"name the folder with {SETTINGS_FILE} in it"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"is not JSON: {error}", file=str(path)) from error
    if not isinstance(settings, dict):
        raise BadInput("is not the configuration of a SAE", file=str(path))
    settings = _renamed(settings)
    refusal = _refusal(settings)
    if refusal is not None:
        raise BadInput(refusal, file=str(path))
    return settings


def _renamed(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as SAELens 6 calls them."""
    older = {"hook_point": "hook_name", "activation_fn_str": "activation_fn"}
    new = {older.get(key, key): value for key, value in settings.items()}
    new["architecture"] = new.get("architecture", "standard")
    arguments = new.get("activation_fn_kwargs")
    if new.get("activation_fn") == "topk" and isinstance(arguments, dict):
        new |= {"architecture": "topk", "k": arguments.get("k")}
    normalize = new.get("normalize_activations")
    if normalize is None or isinstance(normalize, bool):
        new["normalize_activations"] = "expected_average_only_in" if normalize else "none"
    return new


def _refusal(settings: Mapping[str, Any]) -> str | None:
    """Why bvc cannot compute what the folder means; None where it can."""
    version = str(settings.get("sae_lens_version") or _metadata_of(settings).get("sae_lens_version") or "0")
    major = version.partition(".")[0]
    if not major.isdigit() or int(major) > _NEWEST:
        return f"written by SAELens {version}; this bvc knows versions up to {_NEWEST}"
    architecture, normalize = settings["architecture"], settings["normalize_activations"]
    if not isinstance(architecture, str) or architecture not in _KINDS:
        return f"architecture {architecture!r} is not supported; supported are {', '.join(_KINDS)}"
    if normalize not in ("none", "expected_average_only_in"):
        return f"activations normalized by {normalize!r} are not supported: it differs from token to token"
    if settings.get("reshape_activations", "none") != "none":
        return "coders of attention heads are not supported, only of the residual stream"
    if settings.get("activation_fn", "relu") not in ("relu", "topk"):
        return f"the activation function {settings['activation_fn']!r} is not supported"
    if settings.get("finetuning_scaling_factor"):
        return "latents with a scaling factor of their own are not supported"
    return None


def _metadata_of(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = settings.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / WEIGHTS_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error
    try:
        return unpack_weights(data)
    except BvcError as error:
        raise BadInput("is not a safetensors file", file=str(path), hint="download it again") from error


def _check_arrays(settings: Mapping[str, Any], weights: Mapping[str, torch.Tensor], folder: Path) -> None:
    d, m = settings.get("d_in"), settings.get("d_sae")
    shapes = {"W_enc": (d, m), "b_enc": (m,), "W_dec": (m, d), "b_dec": (d,)}
    for name, shape in shapes.items():
        array = weights.get(name)
        if array is None or tuple(array.shape) != shape or array.dtype not in _FLOATS:
            found = "missing" if array is None else f"{tuple(array.shape)} of {str(array.dtype).removeprefix('torch.')}"
            raise BadInput(f"{name} is {found}, it should be {shape} of floats", file=str(folder / WEIGHTS_FILE))


def _kind(settings: Mapping[str, Any], own: _Own) -> tuple[str, float]:
    kind = own.kind or _KINDS[settings["architecture"]]
    return kind, own.k if own.k is not None else settings.get("k", 0)


def _threshold(architecture: str, weights: Mapping[str, torch.Tensor], folder: Path) -> torch.Tensor:
    """Above what each latent fires [m]; never below 0, since SAELens cuts negative latents off as well."""
    zero = torch.zeros_like(weights["b_enc"], dtype=torch.float32)
    if architecture in ("standard", "topk"):
        return zero
    name = "threshold" if architecture == "jumprelu" or "threshold" in weights else "topk_threshold"
    found = weights.get(name)
    if found is None or found.dtype not in _FLOATS or found.numel() not in (1, len(zero)):
        raise BadInput(f"a {architecture} SAE needs an array {name}", file=str(folder / WEIGHTS_FILE))
    return zero + found.to(torch.float32).flatten().clamp_min(0)


def _fold_decoder_norms(arrays: dict[str, torch.Tensor]) -> None:
    """Latents that are chosen by their value times their decoder row's norm: the same with rows of length 1."""
    norms = arrays["decoder"].norm(dim=-1)
    arrays["encoder"] = arrays["encoder"] * norms
    arrays["encoder_bias"] = arrays["encoder_bias"] * norms
    arrays["decoder"] = arrays["decoder"] / norms[:, None]


def _scale(settings: Mapping[str, Any], given: float | None) -> float:
    if settings["normalize_activations"] == "none":
        return 1.0
    if given is None:
        raise BadInput(
            "its activations were multiplied by a factor that the folder does not say",
            hint="give the factor (norm_scaling_factor in SAELens' list of releases)",
        )
    return given


def _layer(settings: Mapping[str, Any]) -> str:
    hook = str(settings.get("hook_name") or _metadata_of(settings).get("hook_name") or "")
    match = _BLOCK_OUTPUT.fullmatch(hook)
    passed = 0
    if match is not None:
        passed = int(match[1] or match[3]) + (match[2] != "pre")
    if passed == 0:
        raise BadInput(
            f"its hook {hook!r} is not the output of a block", hint='say which layer it reads, as "layer.15"'
        )
    return f"layer.{passed:02d}"


def _missing_model(folder: Path) -> str:
    raise BadInput(f"{folder} does not say which model's activations it reads", hint="name the model")


def _multiplied(arrays: Mapping[str, torch.Tensor], scale: float) -> dict[str, torch.Tensor]:
    """The arrays of the dictionary that gives the same latents for activations not yet multiplied by `scale`."""
    return {
        **arrays,
        "encoder": arrays["encoder"] * scale,
        "decoder": arrays["decoder"] / scale,
        "decoder_bias": arrays["decoder_bias"] / scale,
    }


def _exact(scale: float) -> bool:
    """Whether weights can be multiplied by it and back without a change."""
    return 2.0**-60 <= scale <= 2.0**60 and math.frexp(scale)[0] == 0.5


def _architecture(dictionary: Dictionary) -> str:
    thresholds = bool(dictionary.weights["threshold"].any())
    if dictionary.spec.kind == "topk":
        if thresholds:
            raise BadInput("SAELens has no architecture with both the largest k latents and thresholds")
        return "topk"
    return "standard" if dictionary.spec.kind == "relu" and not thresholds else "jumprelu"


def _metadata(dictionary: Dictionary, model_name: str | None) -> dict[str, Any]:
    spec = dictionary.spec
    passed = spec.layer.partition(".")[2]
    return {
        "sae_lens_version": _VERSION,
        "sae_lens_training_version": None,
        "model_name": model_name,
        "hook_name": f"blocks.{int(passed) - 1}.hook_resid_post" if passed.isdigit() else None,
        "bvc": {
            "kind": spec.kind,
            "k": spec.k,
            "scale": spec.scale if _exact(spec.scale) else 1.0,
            "layer": spec.layer,
            "model": spec.model,
            "architecture": spec.architecture,
        },
    }


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BvcError(f"cannot write {folder}: {error.strerror}") from error
    for name in files:
        if (folder / name).exists():
            raise BadInput("is there already: nothing was written", file=str(folder / name))
    for name, content in files.items():
        write_atomic(folder / name, content)
