"""Reading the rows of JSONL, JSON, CSV, TSV and Parquet files, each with the line or row where it stands."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bvc.errors import BadInput, BvcError, UsageError
from bvc.suites.collect import Place
from bvc.suites.fields import FieldError
from bvc.suites.load import parse_json, parse_line
from bvc.wording import nearest

FORMATS = ("jsonl", "json", "csv", "tsv", "parquet")
_EXTENSIONS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2"}
_LISTS = ("data", "rows", "examples", "instances", "probes", "prompts", "questions", "items", "test", "train")


@dataclass(frozen=True)
class Row:
    """One row: where it stands, and its fields or the problem that kept it from being read."""

    place: Place
    fields: Any = None
    problem: FieldError | None = None


def read_rows(path: Path, format: str | None = None) -> tuple[str, list[Row]]:  # noqa: A002
    """The format of the file at `path` (as given, else guessed from its name, then its content) and its rows.

    Raises BadInput when the file cannot be read as that, UsageError for a format that does not exist, and BvcError
    with what to install when a reader is missing.
    """
    data = _read(path)
    kind = _checked(format) if format is not None else guess_format(path, data)
    if kind == "parquet":
        return kind, list(_parquet_rows(path))
    if kind == "json":
        return kind, list(_json_rows(_text(path, data), str(path)))
    if kind == "jsonl":
        return kind, list(_jsonl_rows(data))
    return kind, list(_table_rows(_text(path, data), str(path), "\t" if kind == "tsv" else None))


def guess_format(path: Path, data: bytes) -> str:
    """The format that the file's name says, or else its first bytes. Raises BadInput when neither does."""
    for magic, name in _PACKED.items():
        if data.startswith(magic):
            raise BadInput(f"is packed with {name}", file=str(path), hint="unpack it first")
    if data.startswith(b"PAR1"):
        return "parquet"
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    named = _EXTENSIONS.get(path.suffix.lower())
    if named == "json" and start.startswith(b"{") and _is_json_lines(start):
        return "jsonl"
    return named or _guess_by_content(path, start)


def _guess_by_content(path: Path, start: bytes) -> str:
    if start.startswith(b"["):
        return "json"
    if start.startswith(b"{"):
        return "jsonl" if _is_json_lines(start) else "json"
    header = start.split(b"\n", 1)[0]
    if b"\n" in start and b"\t" in header:
        return "tsv"
    if b"\n" in start and (b"," in header or b";" in header):
        return "csv"
    raise BadInput("is of no known format", file=str(path), hint=f"name one with --format: {', '.join(FORMATS)}")


def _is_json_lines(start: bytes) -> bool:
    """Whether the first line is a whole JSON object, as in JSON Lines, rather than the opening of one document."""
    first, _, rest = start.partition(b"\n")
    try:
        whole = isinstance(parse_line(first), dict)
    except FieldError:
        return False
    return whole and bool(rest.strip())


def _checked(name: str) -> str:
    if name.lower() not in FORMATS:
        close = nearest(name, FORMATS)
        hint = f"did you mean '{close}'?" if close else f"formats are: {', '.join(FORMATS)}"
        raise UsageError(f"unknown format '{name}'", hint=hint)
    return name.lower()


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise BadInput("is a folder", file=str(path), hint="import its files one by one")
        if path.exists() and not path.is_file():
            raise BadInput("is not a regular file", file=str(path))
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadInput("does not exist", file=str(path)) from error
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        hint = "save the file as UTF-8 (in Excel: 'CSV UTF-8')"
        raise BadInput("is not UTF-8 text", file=str(path), line=line, hint=hint) from error


def _jsonl_rows(data: bytes) -> Iterator[Row]:
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, content in enumerate(lines, start=1):
        if content.strip():
            try:
                yield Row(Place(number), parse_line(content))
            except FieldError as problem:
                yield Row(Place(number), problem=problem)


def _json_rows(text: str, file: str) -> Iterator[Row]:
    try:
        document = parse_json(text)
    except FieldError as problem:
        raise BadInput(problem.message, file=file, hint=problem.hint) from problem
    rows = _list_in(document)
    if rows is None:
        hint = "expected a list of objects, or an object that holds one under 'data' or 'rows'"
        raise BadInput("holds no list of rows", file=file, hint=hint)
    for number, item in enumerate(rows, start=1):
        # The dataset viewer's form wraps each row.
        inner = item.get("row") if isinstance(item, dict) and "row_idx" in item else None
        yield Row(Place(number, "row"), inner if isinstance(inner, dict) else item)


def _list_in(document: Any) -> list[Any] | None:
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        return None
    for key in _LISTS:
        if isinstance(document.get(key), list):
            found: list[Any] = document[key]
            return found
    lists = [value for value in document.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    return lists[0] if len(lists) == 1 else None


def _table_rows(text: str, file: str, delimiter: str | None) -> Iterator[Row]:
    separator = delimiter or _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    with _long_cells():
        try:
            header = next(reader, None)
            if header is None or not any(cell.strip() for cell in header):
                raise BadInput("has no header with the names of its columns", file=file, line=1)
            yield from _cells(reader, [cell.strip() for cell in header])
        except csv.Error as error:
            raise BadInput(f"is not a table: {error}", file=file, line=reader.line_num or 1) from error


def _cells(reader: Any, header: list[str]) -> Iterator[Row]:
    place = Place(reader.line_num + 1)
    for cells in reader:
        if len(cells) > len(header):
            message = f"has {len(cells)} cells where the header has {len(header)}"
            yield Row(place, problem=FieldError(message, "quote cells that hold the separator"))
        elif cells:
            yield Row(place, {name: cell for name, cell in zip(header, cells, strict=False) if cell.strip()})
        place = Place(reader.line_num + 1)


def _separator(text: str) -> str:
    """Comma, semicolon or tab: whichever the header has most of, outside quotes."""
    header = "".join(text.split("\n", 1)[0].split('"')[::2])
    return max(",;\t", key=header.count)


@contextmanager
def _long_cells() -> Iterator[None]:
    """Prompts may be longer than the csv module's limit of 128 KiB per cell."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise BvcError("reading Parquet needs pyarrow", hint="pip install 'bvc[parquet]'") from error
    number = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches():
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(Place(number, "row"), {k: v for k, v in fields.items() if v is not None})
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        first = str(error).strip().split("\n")[0]
        raise BadInput(f"is not a Parquet file that can be read: {first[:200]}", file=str(path)) from error
