"""The recipe of a capture: settings, and the versions and hardware that its numbers depend on.

Nothing here imports torch: committing a checkpoint whose captures are at hand must stay cheap.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from bvc.capture.tokenizer_files import chat_template_digest
from bvc.config import DTYPES, Config
from bvc.errors import UsageError
from bvc.records import Recipe

CAPTURE_VERSION = "1"
"""Changes whenever the same model and settings give other numbers or texts than before."""
ENGINE = "transformers"
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:(0|[1-9]\d{0,2}))?")
_SETTINGS = (
    "dtype",
    "device",
    "batch_rows",
    "prompt_buckets",
    "max_new_tokens",
    "draws",
    "temperature",
    "seed",
    "hookpoints",
)
_VERSIONS = ("torch", "transformers", "tokenizers", "peft")
_DEVICES, _GPUS, _CPUS = Path("/dev"), Path("/proc/driver/nvidia/gpus"), Path("/proc/cpuinfo")
_ISA = ("amx_tile", "avx512_bf16", "avx512f", "avx2", "sve2", "sve", "asimd")
"""CPU features that change which kernels run, best first."""


def make_recipe(config: Config, tokenizer_folder: Path | None, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe from a project's settings and what options override of them (None is "not given").

    Keys of `overrides` are fields of `Recipe`. dtype and device may be "auto": the GPU where the driver shows one and
    the installed torch can use it, with bfloat16 on it, else the CPU with float32. `tokenizer_folder` is where the chat
    template is read. Raises UsageError naming an option that cannot be used.
    """
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    _check(given)
    values = {name: given.get(name, getattr(config, name)) for name in _SETTINGS}
    if values["device"] == "auto":
        values["device"] = _default_device()
    if values["dtype"] == "auto":
        values["dtype"] = "float32" if values["device"] == "cpu" else "bfloat16"
    return Recipe(ENGINE, environment=_environment(values["device"], tokenizer_folder), **values)


def _check(given: Mapping[str, Any]) -> None:
    unknown = sorted(given.keys() - _SETTINGS)
    if unknown:
        raise UsageError(f"unknown recipe setting {unknown[0]!r}")
    for key, least in (("batch_rows", 1), ("max_new_tokens", 1), ("draws", 0), ("seed", 0)):
        value = given.get(key, least)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UsageError(f"{key} must be a whole number of at least {least}, not {value!r}")
    if given.get("dtype", "auto") not in DTYPES:
        raise UsageError(f"dtype must be one of {', '.join(DTYPES)}, not {given['dtype']!r}")
    device = given.get("device", "auto")
    if not isinstance(device, str) or not _DEVICE.fullmatch(device):
        raise UsageError(f"device must be auto, cpu, cuda, cuda:N or mps, not {device!r}")


def _default_device() -> str:
    """ "cuda" when the driver shows an NVIDIA GPU and the installed torch was not built for CPU alone."""
    version = _version("torch")
    if version == "none" or version.endswith("+cpu"):
        return "cpu"
    return "cuda" if any(_DEVICES.glob("nvidia[0-9]*")) else "cpu"


def _environment(device: str, tokenizer_folder: Path | None) -> dict[str, str]:
    out = {name: _version(name) for name in _VERSIONS}
    out["capture"] = CAPTURE_VERSION
    out["hardware"] = _gpu(device) if device.startswith("cuda") else _cpu()
    out["chat_template"] = "none" if tokenizer_folder is None else chat_template_digest(tokenizer_folder)
    return out


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def _cpu() -> str:
    """Architecture, model and best vector instructions, as "x86_64 Intel(R) Xeon(R) ... avx512f"."""
    info = _cpu_info()
    flags = set(info.get("flags", info.get("Features", "")).split())
    isa = next((name for name in _ISA if name in flags), "")
    model = info.get("model name") or info.get("CPU part") or platform.processor()
    return " ".join(part for part in (platform.machine(), " ".join(model.split()), isa) if part)


def _cpu_info() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; empty where there is none."""
    try:
        text = _CPUS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.split("\n\n", 1)[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _gpu(device: str) -> str:
    """The model name of the GPU as the NVIDIA driver gives it; "cuda" when it says nothing."""
    found = sorted(_GPUS.glob("*/information"))
    index = int(device.partition(":")[2] or 0)
    name = _field(found[index], "Model") if index < len(found) else None
    return name or "cuda"


def _field(path: Path, key: str) -> str | None:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(rf"^{key}:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else None
