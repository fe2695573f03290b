"""Content ids: SHA-256 over a domain tag and canonical bytes, so that equal content has one name."""

from __future__ import annotations

import re
from typing import Any

from bvc.codec import canonical

_HEX = re.compile(r"[0-9a-f]{4,64}")
ABBREVIATION = 10
"""Hex digits shown of an id where a person reads it."""


def digest(domain: str, *parts: bytes) -> str:
    """SHA-256 (hex) of `parts` under `domain`; lengths are hashed too, so parts cannot run into each other."""
    import hashlib  # loads the cryptographic library, which looking at history does without

    state = hashlib.sha256(f"bvc:{domain}\0".encode())
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.hexdigest()


def digest_value(domain: str, value: Any) -> str:
    """SHA-256 (hex) of a JSON value's canonical form under `domain`."""
    return digest(domain, canonical(value))


def looks_like_id(text: str) -> bool:
    """Whether `text` could be a full or abbreviated hex id."""
    return _HEX.fullmatch(text) is not None


def is_digest(text: object) -> bool:
    """Whether `text` is a full SHA-256 in lower-case hex."""
    return isinstance(text, str) and len(text) == 64 and _HEX.fullmatch(text) is not None


def short(identifier: str) -> str:
    """The abbreviation of an id that is shown to people."""
    return identifier[:ABBREVIATION]


def shard(identifier: str) -> str:
    """The first path component (two hex digits) under which an id is filed."""
    return identifier[:2]
