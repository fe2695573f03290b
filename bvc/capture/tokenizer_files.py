"""The tokenizer and chat template of a model folder, identified by what they do and not by how they were saved.

Saving a tokenizer again rewrites its files (other JSON layout, merges as pairs, dropped defaults), and every fine-tune
saves it again; so the digest is taken over a normal form. Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bvc.capture.weights import DigestCache, digest_file, read_json_object
from bvc.errors import BadInput
from bvc.ids import digest, digest_value

_FAST = "tokenizer.json"
_RAW = (
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "added_tokens.json",
)
"""Files that define a tokenizer where there is no `tokenizer.json`."""
_ROLES = ("bos_token", "eos_token")
_SETTINGS = ("add_bos_token", "add_eos_token", "clean_up_tokenization_spaces", "split_special_tokens")


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder holds a tokenizer of its own (an adapter often has none and uses its base's)."""
    return (folder / _FAST).exists() or bool(_raw_files(folder))


def _raw_files(folder: Path) -> list[Path]:
    return [folder / name for name in _RAW if (folder / name).exists()] + sorted(folder.glob("*.tiktoken"))


def tokenizer_digest(folder: Path, known: DigestCache) -> str | None:
    """SHA-256 (hex) over vocabulary, special tokens, settings and chat template; None for a folder without tokenizer.

    Raises BadInput for files that are not what they should be.
    """
    if not has_tokenizer(folder):
        return None
    config = _config(folder)
    parts = {
        "vocabulary": _vocabulary(folder, known),
        "tokens": {role: _token_text(config[role]) for role in _ROLES if config.get(role) is not None},
        "settings": {name: config[name] for name in _SETTINGS if config.get(name)},
        "template": chat_template_digest(folder),
    }
    return digest_value("tokenizer/1", parts)


def chat_template_digest(folder: Path) -> str:
    """SHA-256 (hex) of the chat template, or "none"."""
    template = chat_template(folder)
    return "none" if template is None else digest("chat-template/1", template.encode("utf-8", "surrogatepass"))


def chat_template(folder: Path) -> str | None:
    """The default chat template, from where transformers takes it: the `.jinja` file, else the JSON file, else the
    tokenizer's config. None when there is none."""
    jinja = folder / "chat_template.jinja"
    if jinja.exists():
        return _text(jinja)
    separate = folder / "chat_template.json"
    source = read_json_object(separate) if separate.exists() else _config(folder)
    return _default_template(source.get("chat_template"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot be read as text ({error})", file=str(path)) from error


def _default_template(value: Any) -> str | None:
    """A template is a string, a mapping of names to strings, or a list of {name, template}."""
    if isinstance(value, list):
        value = {item.get("name"): item.get("template") for item in value if isinstance(item, dict)}
    if isinstance(value, dict):
        value = value.get("default")
    return value if isinstance(value, str) else None


def _config(folder: Path) -> dict[str, Any]:
    """Special tokens and settings; the older separate file fills in what the config leaves out."""
    out: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).exists():
            out |= {k: v for k, v in read_json_object(folder / name).items() if v is not None}
    return out


def _token_text(value: Any) -> Any:
    return value.get("content") if isinstance(value, dict) else value


def _vocabulary(folder: Path, known: DigestCache) -> Any:
    fast = folder / _FAST
    if fast.exists():
        return digest_file(fast, known, lambda data: _fast_digest(fast, data), "tokenizer-1")
    raw = _raw_files(folder)
    return {path.name: digest_file(path, known, lambda data: digest("file/1", data), "raw-1") for path in raw}


def _fast_digest(path: Path, data: bytes) -> str:
    try:
        state = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"is not JSON ({error})", file=str(path)) from error
    if not isinstance(state, dict):
        raise BadInput("is not a JSON object", file=str(path))
    kept = {key: value for key, value in state.items() if key not in ("version", "truncation", "padding")}
    model = kept.get("model")
    if isinstance(model, dict) and isinstance(model.get("merges"), list):
        kept["model"] = {**model, "merges": [_merge(item) for item in model["merges"]]}
    return digest_value("tokenizer-json/1", _without_defaults(kept))


def _merge(item: Any) -> Any:
    """One BPE merge as a pair: older files write it as one string with a space."""
    return item.split(" ", 1) if isinstance(item, str) else item


def _without_defaults(value: Any) -> Any:
    """Drops null, false and empty-text entries, which versions of the library write or leave out at will."""
    if isinstance(value, Mapping):
        return {k: _without_defaults(v) for k, v in value.items() if v is not None and v is not False and v != ""}
    return [_without_defaults(item) for item in value] if isinstance(value, list) else value
