"""Texts that a dictionary is fitted on: plain text or JSONL files, and what ships with Python."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bvc.errors import BadInput

BUILTIN = "python-docs"
"""The corpus that is always there: the language reference that `help()` shows, some 110,000 tokens of English prose and
code under the license of Python."""
_PARAGRAPHS = 2_000
"""Characters up to which paragraphs of plain text are read as one text."""
_FIELD = "text"


@dataclass(frozen=True)
class CorpusFile:
    """A file of texts and the SHA-256 (hex) of its bytes."""

    path: Path
    digest: str


def corpus_file(path: Path) -> CorpusFile:
    """The file at `path`. Raises BadInput where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return CorpusFile(path, hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error


def corpus_texts(path: Path) -> Iterator[str]:
    """The texts of a corpus in order: of JSONL the field "text" of each line, of any other file its paragraphs, short
    ones joined. Raises BadInput, for JSONL with the line."""
    try:
        if path.suffix == ".jsonl":
            yield from _lines(path)
        else:
            yield from joined(_paragraphs(path))
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"is not UTF-8: {error.reason}", file=str(path)) from error


def builtin_texts() -> Iterator[str]:
    """The texts of the corpus that ships with Python."""
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield from joined(topics[name].split("\n\n"))


def joined(paragraphs: Iterator[str] | list[str]) -> Iterator[str]:
    """Neighboring paragraphs as texts of up to 2,000 characters; a longer paragraph is a text of its own."""
    text = ""
    for paragraph in filter(str.strip, paragraphs):
        if text and len(text) + len(paragraph) > _PARAGRAPHS:
            yield text
            text = ""
        text = f"{text}\n\n{paragraph}" if text else paragraph
    if text:
        yield text


def _paragraphs(path: Path) -> Iterator[str]:
    lines: list[str] = []
    with path.open(encoding="utf-8-sig") as stream:
        for line in stream:
            if line.strip():
                lines.append(line)
            elif lines:
                yield "".join(lines).rstrip("\n")
                lines = []
    if lines:
        yield "".join(lines).rstrip("\n")


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield _text(line, path, number)


def _text(line: str, path: Path, number: int) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput("is not JSON", file=str(path), line=number) from error
    text = value.get(_FIELD) if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise BadInput(f'has no "{_FIELD}" that is a text', file=str(path), line=number)
    return text
