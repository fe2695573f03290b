"""The bytes behind token ids, and the buckets that they hash to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_WORD_START = "\u2581"


@cache
def _byte_alphabet() -> dict[str, int]:
    """The letters by which byte-level BPE (GPT-2's) writes each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}


def _byte_level(token: str) -> bytes:
    alphabet = _byte_alphabet()
    if all(letter in alphabet for letter in token):
        return bytes(alphabet[letter] for letter in token)
    return token.encode("utf-8", "surrogatepass")


def _sentence_piece(token: str) -> bytes:
    escaped = _BYTE_TOKEN.fullmatch(token)
    if escaped:
        return bytes([int(escaped[1], 16)])
    return token.replace(_WORD_START, " ").encode("utf-8", "surrogatepass")


def _is_byte_level(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return False
    decoder = json.loads(backend.to_str()).get("decoder")
    return '"ByteLevel"' in json.dumps(decoder)


def token_bytes(tokenizer: Any, vocabulary: int) -> list[bytes]:
    """The bytes that each id below `vocabulary` stands for; special tokens as their names, unknown ids empty."""
    spell: Callable[[str], bytes] = _byte_level if _is_byte_level(tokenizer) else _sentence_piece
    special = {int(i): str(t) for i, t in tokenizer.added_tokens_decoder.items()}
    out = [b""] * vocabulary
    for token, index in tokenizer.get_vocab().items():
        if index < vocabulary:
            out[index] = special[index].encode("utf-8", "surrogatepass") if index in special else spell(token)
    return out


def bucket_table(spellings: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """The bucket of each token, [len(spellings)] uint8: the first byte of the SHA-256 of its bytes; 0 for no bytes."""
    return np.array([hashlib.sha256(s).digest()[0] if s else 0 for s in spellings], dtype=np.uint8)
