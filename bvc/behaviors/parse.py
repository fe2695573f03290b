"""`behaviors.toml`, read strictly: an unknown key, a wrong value or two scorers in one are refused with their line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bvc.behaviors.records import Behavior, Scorer
from bvc.behaviors.table import COMBINATIONS, KINDS
from bvc.errors import BadInput
from bvc.tomlfile import decode_text, line_of, parse_toml
from bvc.wording import nearest, printable

SIZE_LIMIT = 1_000_000
"""Bytes of a behaviors file."""
DEPTH_LIMIT = 20
"""How deep `all`, `any` and `not` may be nested."""
MOST_PARTS = 200
"""Scorers that one behavior may consist of, those of the behaviors it names included."""

_LENGTHS = ("min_length", "max_length")
_NEGATABLE = ("regex", "contains", "equals")
_NEGATED = {f"not_{name}": name for name in _NEGATABLE}
SCORERS = (*(name for name in KINDS if name != "length"), *_NEGATED, *_LENGTHS, *COMBINATIONS)
"""The keys that score, of which a behavior has one (the two of length go together)."""
_ABOUT = ("description", "on")


class _Problem(Exception):
    """What is wrong at a key below `[behavior.NAME]`."""

    def __init__(self, message: str, *key: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.owner = ""
        self.key = key
        self.hint = hint


def is_behavior_name(name: str) -> bool:
    """Whether `name` can name a behavior: ASCII letters, digits, `_`, `-` and `.`, no `-` or `.` first."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", name) is not None


def parse_behaviors(data: bytes, file: str) -> tuple[Behavior, ...]:
    """The behaviors in the content of a file, in its order. Raises BadInput naming `file` and the line."""
    if len(data) > SIZE_LIMIT:
        raise BadInput(f"is larger than {SIZE_LIMIT} bytes", file=file)
    text = decode_text(data, file)
    tables = _tables(parse_toml(text, file), text, file)
    reader = _Reader(tables)
    found = []
    for name in tables:
        try:
            found.append(reader.behavior(name, line_of(text, ("behavior", name))))
        except _Problem as problem:
            owner = problem.owner or name
            line = line_of(text, ("behavior", owner, *problem.key))
            raise BadInput(f"behavior {owner} {problem}", file=file, line=line, hint=problem.hint) from None
    return tuple(found)


def _tables(values: Mapping[str, Any], text: str, file: str) -> dict[str, dict[str, Any]]:
    for key, value in values.items():
        if key != "behavior" or not isinstance(value, dict):
            hint = "behaviors are tables [behavior.NAME]"
            raise BadInput(f"unknown key '{printable(key)}'", file=file, line=line_of(text, (key,)), hint=hint)
    tables: dict[str, dict[str, Any]] = values.get("behavior", {})
    for name, table in tables.items():
        line = line_of(text, ("behavior", name))
        if not is_behavior_name(name):
            hint = "names consist of ASCII letters, digits, _, - and ."
            raise BadInput(f"'{printable(name)}' cannot be the name of a behavior", file=file, line=line, hint=hint)
        if not isinstance(table, dict):
            raise BadInput(f"behavior.{name} must be a table", file=file, line=line, hint=f"write [behavior.{name}]")
    return tables


@dataclass
class _Reader:
    """Turns tables into behaviors; those that others name are read on demand."""

    tables: Mapping[str, Mapping[str, Any]]
    known: dict[str, Scorer] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    def behavior(self, name: str, line: int | None) -> Behavior:
        table = self.tables[name]
        description = table.get("description", "")
        if not isinstance(description, str):
            raise _Problem("has a description that is not a text", "description")
        return Behavior(name, self.named(name), description, _selection(table.get("on", [])), line)

    def named(self, name: str) -> Scorer:
        """The scorer of the behavior `name`."""
        if name in self.open:
            raise _Problem(f"is made of itself: {' -> '.join([*self.open, name])}")
        if len(self.open) > DEPTH_LIMIT:
            raise _Problem("is nested too deeply")
        if name not in self.known:
            self.open.append(name)
            self.known[name] = self.read(name)
            self.open.pop()
        return self.known[name]

    def read(self, name: str) -> Scorer:
        """The scorer that the table of `name` describes. A problem in it is that behavior's, whoever asked."""
        try:
            made = self.scorer({k: v for k, v in self.tables[name].items() if k not in _ABOUT}, 0)
            if _size(made) > MOST_PARTS:
                raise _Problem(f"has more than {MOST_PARTS} parts")
        except _Problem as problem:
            problem.owner = problem.owner or name
            raise
        return made

    def scorer(self, table: Mapping[str, Any], depth: int) -> Scorer:
        """The one scorer that a table describes."""
        if depth > DEPTH_LIMIT:
            raise _Problem("is nested too deeply")
        keys = [key for key in table if key in SCORERS]
        _refuse_unknown(table, keys)
        if any(key in _LENGTHS for key in keys):
            return _length(table)
        key, value = keys[0], table[keys[0]]
        if key in COMBINATIONS:
            return self.combination(key, value, depth)
        name = _NEGATED.get(key, key)
        made = Scorer(name, _checked(key, KINDS[name].check, value), _options(name, table))
        return Scorer("not", parts=(made,)) if key in _NEGATED else made

    def combination(self, key: str, value: Any, depth: int) -> Scorer:
        """`all`, `any` or `not` of tables and of names of other behaviors."""
        items = value if isinstance(value, list) and key != "not" else [value]
        parts = tuple(self.part(key, item, depth) for item in items)
        if not parts:
            raise _Problem(f"{key} is empty", key)
        return Scorer(key, parts=parts)

    def part(self, key: str, item: Any, depth: int) -> Scorer:
        """One item of a combination."""
        if isinstance(item, str):
            if item not in self.tables:
                close = nearest(item, self.tables)
                hint = f"did you mean '{close}'?" if close else "an item is a table with a scorer, or a behavior's name"
                raise _Problem(f"names '{printable(item)}' in {key}, which is no behavior", key, hint=hint)
            return self.named(item)
        if not isinstance(item, dict):
            raise _Problem(f'{key} must hold tables such as {{contains = "x"}}, or names of behaviors', key)
        return self.scorer(item, depth + 1)


def _size(scorer: Scorer) -> int:
    return 1 + sum(map(_size, scorer.parts))


def _refuse_unknown(table: Mapping[str, Any], keys: list[str]) -> None:
    taken = {option for key in keys for option in _options_of(key)}
    for key in table:
        if key not in SCORERS and key not in taken:
            options = {option for kind in KINDS.values() for option in kind.options}
            close = nearest(key, [*SCORERS, *_ABOUT, *taken])
            hint = f"did you mean '{close}'?" if close else f"scorers are: {', '.join(SCORERS)}"
            what = "takes no" if key in options and keys else "has an unknown key"
            raise _Problem(f"{what} '{printable(key)}'", key, hint=hint)
    if not keys:
        raise _Problem("has no scorer", hint=f"scorers are: {', '.join(SCORERS)}")
    if len(keys) > 1 and set(keys) != set(_LENGTHS):
        raise _Problem(f"has two scorers: {keys[0]} and {keys[1]}", keys[1], hint="combine them with all or any")


def _options_of(key: str) -> Mapping[str, Any]:
    name = "length" if key in _LENGTHS else _NEGATED.get(key, key)
    return KINDS[name].options if name in KINDS else {}


def _checked(key: str, check: Any, value: Any) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise _Problem(f"{key} {error}", key) from error


def _options(kind: str, table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _checked(key, check, table[key]) for key, check in KINDS[kind].options.items() if key in table}


def _length(table: Mapping[str, Any]) -> Scorer:
    limits = {key: _checked(key, KINDS["length"].check, table[key]) for key in _LENGTHS if key in table}
    if limits.get("min_length", 0) > limits.get("max_length", limits.get("min_length", 0)):
        raise _Problem("has a min_length above its max_length", "min_length")
    return Scorer("length", None, {**limits, **_options("length", table)})


def _selection(value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) and item.strip("! ") for item in items):
        raise _Problem("on must be a suite, tag:TAG, a label or an id, or a list of them", "on")
    return tuple(items)
