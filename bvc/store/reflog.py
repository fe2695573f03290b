"""Reflogs, in Git's form. Each line that bvc writes ends with a check of itself, so that a flipped bit is noticed.

    OLD NEW Name <mail> 1700000000 +0100<TAB>message #1a2b3c4d

The check is the first half of the XXH3-64 of all that stands before it; lines that Git writes have none.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import xxhash

from bvc.errors import DamagedObject
from bvc.store.files import make_folder, read_optional, sync_folder, write_all

if TYPE_CHECKING:
    from bvc.results import ReflogEntry

NOTHING = "0" * 40
"""Stands for "no commit" as old or new value."""

_LINE = re.compile(r"([0-9a-f]{40}) ([0-9a-f]{40}) (.*) (-?\d+) ([+-]\d{4})(?:\t(.*))?", re.DOTALL)
_MARK = " #"
_MARK_LENGTH = 10
_HEX = frozenset("0123456789abcdef")
_ZONE = 14 * 3600


class LogNote(NamedTuple):
    """Who moved a ref, when and why: `date` in seconds since the epoch, `timezone` the offset in seconds."""

    message: str
    author: str
    date: int
    timezone: int = 0


def identity(author: str) -> str:
    """`Name <mail>` in the form that Git accepts, whatever was typed."""
    name, _, mail = author.replace(">", "").partition("<")
    return f"{_one_line(name) or 'unknown'} <{_one_line(mail.replace('<', '')).replace(' ', '')}>"


def zone_text(seconds: int) -> str:
    """An offset from UTC as `+hhmm`; impossible ones are cut off at 14 hours."""
    minutes = abs(max(-_ZONE, min(_ZONE, seconds))) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02d}{minutes % 60:02d}"


def zone_seconds(text: str) -> int:
    """The offset in seconds of `+hhmm`."""
    seconds = int(text[1:3]) * 3600 + int(text[3:5]) * 60
    return -seconds if text.startswith("-") else seconds


def log_line(old: str | None, new: str | None, note: LogNote) -> bytes:
    """One line with its closing newline."""
    who = f"{identity(note.author)} {max(0, note.date)} {zone_text(note.timezone)}"
    text = f"{old or NOTHING} {new or NOTHING} {who}\t{_one_line(note.message)}"
    data = text.encode("utf-8", "replace")
    return data + f"{_MARK}{_check(data)}\n".encode()


def append_line(path: Path, line: bytes) -> None:
    """Adds a line and syncs it, or leaves the file as it was and raises OSError; an unfinished line that a power cut
    left at the end is removed first."""
    make_folder(path.parent)
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = _drop_torn_tail(descriptor)
        try:
            write_all(descriptor, line)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    if is_new:
        sync_folder(path.parent)


def _drop_torn_tail(descriptor: int) -> int:
    """The size of the file, which then ends with a whole line."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        size = os.pread(descriptor, size, 0).rfind(b"\n") + 1
        os.ftruncate(descriptor, size)
    return size


def read_log(path: Path) -> list[ReflogEntry]:
    """The entries of a reflog, newest first. Raises DamagedObject, naming the line, for one that was altered."""
    lines = _lines(path)
    entries = []
    for number, line in enumerate(lines):
        entry = parse_line(line, len(lines) - 1 - number)
        if entry is None:
            raise DamagedObject(f"{path}, line {number + 1}, is damaged", hint="run `bvc fsck`")
        entries.append(entry)
    return entries[::-1]


def damaged_lines(path: Path) -> list[int]:
    """Numbers (from 1) of the lines of a reflog that were altered or cut off."""
    data = read_optional(path) or b""
    bad = [number + 1 for number, line in enumerate(_lines(path)) if parse_line(line, 0) is None]
    return bad if data.endswith(b"\n") or not data else [*bad, data.count(b"\n") + 1]


def last_value(path: Path) -> str | None:
    """The newest value that a reflog names; None when it has no line, or names "no commit"."""
    lines = _lines(path)
    entry = parse_line(lines[-1], 0) if lines else None
    return None if entry is None or entry.new == NOTHING else entry.new


def _lines(path: Path) -> list[bytes]:
    return (read_optional(path) or b"").split(b"\n")[:-1]


def parse_line(line: bytes, index: int) -> ReflogEntry | None:
    """A line without its newline as an entry; None when it was altered."""
    from bvc.results import ReflogEntry

    text = line.decode("utf-8", "replace")
    body = line
    if _looks_marked(text):
        body, mark = line[:-_MARK_LENGTH], line[-_MARK_LENGTH:]
        if mark != f"{_MARK}{_check(body)}".encode():
            return None
    found = _LINE.fullmatch(body.decode("utf-8", "replace"))
    if found is None:
        return None
    old, new, _, date, zone, message = found.groups()
    return ReflogEntry(index, old, new, message or "", int(date), zone_seconds(zone))


def _looks_marked(text: str) -> bool:
    """Whether a line ends with a check, or with one of which a single character was altered."""
    tail = text[-_MARK_LENGTH:]
    fits = [tail[:1] == " ", tail[1:2] == "#", *(c in _HEX for c in tail[2:])]
    return sum(fits) >= _MARK_LENGTH - 1


def _check(data: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(data)[:8]


def _one_line(text: str) -> str:
    return " ".join(text.replace("\0", "").split())
