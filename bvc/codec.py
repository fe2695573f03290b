"""Canonical JSON: one value, one sequence of bytes, on every machine and in every locale."""

from __future__ import annotations

import json
from typing import Any


def canonical(value: Any) -> bytes:
    """The canonical UTF-8 bytes of `value`: sorted keys, no spaces, a closing newline.

    Lone surrogates, which UTF-8 cannot carry, are written as `\\udXXX` escapes. Raises ValueError
    for NaN and infinities.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return (text + "\n").encode("utf-8")
    except UnicodeEncodeError:
        return ("".join(_escape_surrogate(c) for c in text) + "\n").encode("utf-8")


def _escape_surrogate(character: str) -> str:
    return f"\\u{ord(character):04x}" if "\ud800" <= character <= "\udfff" else character


def pretty(value: Any) -> str:
    """Indented JSON for people and for `--json`, ASCII only so that no terminal can be harmed by it."""
    return json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)


def parse(data: bytes | str) -> Any:
    """The value of a JSON document. Raises ValueError with the position when it is not JSON."""
    text = data if isinstance(data, str) else data.decode(json.detect_encoding(data), "surrogatepass")
    return _DECODER.decode(text)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
"""One for all: `json.loads` would make another for each document."""
