"""Reading a user's TOML file strictly: the text, its values, and the line where a key is written. Layer 0."""

from __future__ import annotations

import re
from typing import Any

from bvc.errors import BadInput
from bvc.wording import printable

_KEY_LENGTH = 1000
"""Characters of a line in which its key is looked for: a hostile file must not cost more."""


def decode_text(data: bytes, file: str) -> str:
    """The text of a file, without its byte order mark. Raises BadInput with the line."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput("is not UTF-8 text", file=file, line=line, hint="save the file as UTF-8") from error


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """The values of a TOML document. Raises BadInput with the line."""
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = re.search(r" \(at line (\d+), column \d+\)$", message)
        line = int(found[1]) if found else text.count("\n") + 1
        reason = re.sub(r" \(at [^()]*\)$", "", message)
        raise BadInput(f"is not TOML: {printable(reason, 200)}", file=file, line=line) from error
    except RecursionError as error:
        raise BadInput("is not TOML that can be read: nested too deeply", file=file) from error


def line_of(text: str, path: tuple[str, ...]) -> int | None:
    """The line where the key at `path`, or the longest part of it that has a line, is written."""
    found: dict[int, int] = {}
    table: tuple[str, ...] = ()
    for number, whole in enumerate(text.split("\n"), start=1):
        line = whole[:_KEY_LENGTH]
        if header := re.match(r"\s*\[+([^]]+)]", line):
            table = key = _key_parts(header[1])
        elif entry := re.match(r"""\s*((?:[\w.\s-]|"[^"]*"|'[^']*')+?)\s*=""", line):
            key = (*table, *_key_parts(entry[1]))
        else:
            continue
        shared = min(len(key), len(path))
        if key[:shared] == path[:shared]:
            found.setdefault(shared, number)
    return found[max(found)] if found else None


def _key_parts(text: str) -> tuple[str, ...]:
    parts: list[str] = re.findall(r"""[\w-]+|"[^"]*"|'[^']*'""", text)
    return tuple(part.strip("\"'") for part in parts)
