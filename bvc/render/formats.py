"""`bvc log --format`: Git's placeholders where Git has them, and `%(name)` for what only bvc records."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from bvc.errors import UsageError
from bvc.ids import short
from bvc.records import ModelIdentity
from bvc.render.commits import capability_text, message_lines, probe_count
from bvc.render.dates import git_date, iso_date, relative_date
from bvc.render.text import clean
from bvc.results import LogEntry

Field = Callable[[LogEntry], str]
_PLACEHOLDER = re.compile(r"%(\([a-z]+\)|x[0-9a-fA-F]{2}|a[a-zA-Z]|[a-zA-Z%]|.?)", re.DOTALL)
_AUTHOR = re.compile(r"(.*?)\s*<(.*)>\s*$", re.DOTALL)


def _model(entry: LogEntry) -> ModelIdentity | None:
    return None if entry.commit.snapshot is None else entry.commit.snapshot.model


def _author(entry: LogEntry, part: int) -> str:
    match = _AUTHOR.match(entry.commit.author)
    return match[part] if match else entry.commit.author if part == 1 else ""


def _fingerprint(entry: LogEntry) -> str:
    model = _model(entry)
    return "" if model is None else model.fingerprint


def _name(entry: LogEntry) -> str:
    model = _model(entry)
    return "" if model is None else model.name


def _base(entry: LogEntry) -> str:
    model = _model(entry)
    return "" if model is None or model.base is None else model.base.name


def _trailer(entry: LogEntry, name: str) -> str:
    return ", ".join(entry.commit.trailers.get(name, ()))


def _suites(entry: LogEntry) -> str:
    snapshot = entry.commit.snapshot
    return "" if snapshot is None else ",".join(suite.name for suite in snapshot.suites)


def _capability(entry: LogEntry) -> str:
    snapshot = entry.commit.snapshot
    return "" if snapshot is None else capability_text(snapshot.capability)


PLACEHOLDERS: Mapping[str, tuple[str, Field]] = {
    "H": ("commit id", lambda e: e.commit.id),
    "h": ("abbreviated commit id", lambda e: short(e.commit.id)),
    "T": ("tree id", lambda e: e.commit.tree),
    "P": ("parent ids", lambda e: " ".join(e.commit.parents)),
    "p": ("abbreviated parent ids", lambda e: " ".join(short(p) for p in e.commit.parents)),
    "s": ("subject", lambda e: e.commit.subject),
    "b": ("body", lambda e: "\n".join(message_lines(e.commit)[1:]).strip("\n")),
    "B": ("subject and body", lambda e: "\n".join(message_lines(e.commit))),
    "an": ("author name", lambda e: _author(e, 1)),
    "ae": ("author mail", lambda e: _author(e, 2)),
    "ad": ("author date", lambda e: git_date(e.commit.date, e.commit.timezone)),
    "aI": ("author date, ISO 8601", lambda e: iso_date(e.commit.date, e.commit.timezone)),
    "as": ("author day, YYYY-MM-DD", lambda e: iso_date(e.commit.date, e.commit.timezone)[:10]),
    "at": ("author date, seconds since the epoch", lambda e: str(e.commit.date)),
    "d": ("refs in parentheses", lambda e: f" ({', '.join(e.refs)})" if e.refs else ""),
    "D": ("refs", lambda e: ", ".join(e.refs)),
    "m": ("model name", _name),
    "(model)": ("model name", _name),
    "(fingerprint)": ("SHA-256 of the weights", _fingerprint),
    "(base)": ("name of an adapter's base", _base),
    "(location)": ("where the checkpoint was", lambda e: _trailer(e, "Bvc-Location")),
    "(root)": ("Merkle root of the evidence", lambda e: _trailer(e, "Bvc-Root")),
    "(suites)": ("suite names", _suites),
    "(probes)": ("number of probes", lambda e: str(probe_count(e.commit.snapshot))),
    "(capability)": ("what was captured", _capability),
    "n": ("line break", lambda _: "\n"),
    "%": ("a percent sign", lambda _: "%"),
}
RELATIVE = "ar"
"""`%ar`, author date relative to now: the only placeholder that needs the time."""


class Formatter:
    """A compiled format. Raises UsageError for an unknown placeholder."""

    def __init__(self, template: str, now: float) -> None:
        self._fields: list[Field] = []
        self._now = now
        position = 0
        for match in _PLACEHOLDER.finditer(template):
            self._literal(template[position : match.start()])
            self._fields.append(self._field(match[1]))
            position = match.end()
        self._literal(template[position:])

    def _literal(self, text: str) -> None:
        if text:
            self._fields.append(lambda _: text)

    def _field(self, name: str) -> Field:
        if name == RELATIVE:
            return lambda entry: relative_date(entry.commit.date, self._now)
        if name.startswith("x") and len(name) == 3:
            character = chr(int(name[1:], 16))
            return lambda _: character
        if name not in PLACEHOLDERS:
            known = " ".join(f"%{key}" for key in (*PLACEHOLDERS, RELATIVE, "x00"))
            raise UsageError(f"unknown placeholder in --format: %{clean(name)}", hint=f"placeholders: {known}")
        field = PLACEHOLDERS[name][1]
        if name in ("n", "%"):
            return field
        return lambda entry: "\n".join(clean(line) for line in field(entry).split("\n"))

    def lines(self, entry: LogEntry) -> list[str]:
        """One entry, filled in."""
        return "".join(field(entry) for field in self._fields).split("\n")
