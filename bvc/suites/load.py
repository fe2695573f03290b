"""Suite files: `probes/NAME.jsonl`, one probe a line, read strictly and written atomically."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from bvc.config import is_suite_name
from bvc.errors import BadInput
from bvc.files import write_atomic
from bvc.records import Probe, Suite
from bvc.suites.collect import Place, ProbeCollector
from bvc.suites.fields import FieldError, probe_from_fields
from bvc.wording import printable

SUFFIX = ".jsonl"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def load_suite(path: Path) -> Suite:
    """The suite in the file at `path`, named after it.

    Raises BadInput with file and line for the first problem, saying how many more there are.
    """
    name = checked_name(path)
    return Suite(name, parse_suite(_read(path), file=str(path)))


def check_apart(paths: Iterable[Path]) -> None:
    """Raises BadInput where names of suite files differ only in upper and lower case: many disks hold one of them."""
    seen: dict[str, Path] = {}
    for path in paths:
        other = seen.setdefault(path.name.lower(), path)
        if other is not path:
            raise BadInput(f"differs from {other.name} only in upper and lower case", file=str(path))


def write_suite(path: Path, suite: Suite) -> None:
    """Replace the file at `path` with `suite`, in one step; reading it gives equal probes.

    Raises BadInput, and writes nothing, when a probe or the name would be refused on reading; BvcError when the disk
    cannot be written.
    """
    checked_name(path)
    content = suite_bytes(suite.probes)
    parse_suite(content, file=str(path))
    write_atomic(path, content)


def suite_bytes(probes: Iterable[Probe]) -> bytes:
    """The content of a suite file that holds `probes`: a JSON object a line, labels and tags first."""
    return b"".join(_line(probe) for probe in probes)


def checked_name(path: Path) -> str:
    """The suite name of the file at `path`. Raises BadInput when it is unsafe as the name of a folder."""
    name = path.name.removesuffix(SUFFIX)
    if path.name == name:
        raise BadInput(f"is not a suite: its name does not end in {SUFFIX}", file=str(path))
    if not is_suite_name(name):
        hint = f"rename it, for example to {suite_name(name)}{SUFFIX}"
        raise BadInput(f"'{printable(name)}' cannot be the name of a suite", file=printable(str(path), 500), hint=hint)
    return name


def suite_name(text: str) -> str:
    """A suite name made from `text`, such as a file's name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-._")[:100].rstrip("-._") or "imported"


def parse_suite(data: bytes, *, file: str) -> tuple[Probe, ...]:
    """The probes in the content of a suite file; blank lines are skipped, a byte order mark is.

    Raises BadInput naming `file` and the line.
    """
    if data.startswith(_UTF16):
        raise BadInput("is UTF-16 text", file=file, line=1, hint="save the file as UTF-8")
    collector = ProbeCollector(file)
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            collector.add(Place(number), partial(_probe, line))
    return collector.result()


def _probe(line: bytes) -> Probe:
    return probe_from_fields(parse_line(line))


def parse_line(line: bytes) -> Any:
    """The JSON value of one line. Raises FieldError; an object that names a key twice is refused too."""
    if b"\0" in line:
        raise FieldError("has a NUL byte: this is binary data or UTF-16", "save the file as UTF-8 text")
    try:
        return parse_json(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise FieldError(f"is not UTF-8 (byte {error.start + 1} of the line)", "save the file as UTF-8") from error


def parse_json(text: str) -> Any:
    """The JSON value of `text`. Raises FieldError; an object that names a key twice is refused too."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise FieldError(f"is not JSON: {_words(error)}", _hint(text)) from error
    except RecursionError as error:
        raise FieldError("is not JSON that can be read: nested too deeply") from error
    except FieldError:
        raise
    except ValueError as error:
        raise FieldError(f"is not JSON: {printable(str(error), 100)}") from error


def _words(error: json.JSONDecodeError) -> str:
    place = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}, column {error.colno}"
    return f"{error.msg} at {place}"


def _hint(text: str) -> str | None:
    if text.lstrip().startswith(("[", "{")) and text.rstrip()[-1:] in ("[", "{", ","):
        return "a suite has one whole JSON object on each line; `bvc suite import FILE` converts other JSON"
    return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise FieldError(f"has the key '{printable(twice)}' twice")
    return result


def _refuse_constant(name: str) -> Any:
    raise FieldError(f"is not JSON: {name} is no JSON number")


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise BadInput("is not a regular file", file=str(path))
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadInput("does not exist", file=str(path)) from error
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error


def _line(probe: Probe) -> bytes:
    stored = probe.to_json()
    ordered = {key: stored[key] for key in ("id", "tags", "cluster") if key in stored}
    text = json.dumps({**ordered, **stored}, ensure_ascii=False)
    # Readers that split at every Unicode line end would cut a line in two.
    for character in "\x85\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "backslashreplace") + b"\n"
