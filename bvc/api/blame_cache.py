"""Lines of blame as a row of the index and back. A row that is of another form is forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from bvc.api.blame_records import BehaviorStep, BlameEntry, BlameResult, ProbeChange, Suspicion, Turn
from bvc.errors import BvcError
from bvc.records import CommitInfo
from bvc.results import Kind, Rate, Substance

Info = Callable[[str], CommitInfo]
Row = dict[str, Any]


def packed(result: BlameResult) -> bytes:
    """A result as JSON; commits by their ids."""
    return json.dumps(_plain(result), separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, CommitInfo):
        return value.id
    if isinstance(value, BlameResult | BlameEntry | BehaviorStep | ProbeChange | Suspicion | Rate | Substance):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def unpacked(row: bytes, info: Info) -> BlameResult | None:
    """What was packed; `info` finds a commit by its id. None for a row of another form."""
    try:
        data = json.loads(row)
        entries = tuple(_entry(entry, info) for entry in data["entries"])
        rate = None if data["rate"] is None else _rate(data["rate"])
        others = {**data, "head": info(data["head"]), "entries": entries, "rate": rate, "notes": tuple(data["notes"])}
        return BlameResult(**others)
    except (ValueError, TypeError, LookupError, AttributeError, BvcError):
        return None


def _entry(data: Row, info: Info) -> BlameEntry:
    return BlameEntry(
        commit=info(data["commit"]),
        kind=Turn(data["kind"]),
        confidence=data["confidence"],
        parents=tuple(data["parents"]),
        between=tuple(data["between"]),
        step=None if data["step"] is None else _step(data["step"]),
        change=None if data["change"] is None else _change(data["change"]),
    )


def _step(data: Row) -> BehaviorStep:
    pairs = {name: tuple((probe, label) for probe, label in data[name]) for name in ("gained", "lost")}
    return BehaviorStep(
        **{
            **data,
            **pairs,
            "ci": tuple(data["ci"]),
            "before": _rate(data["before"]),
            "after": _rate(data["after"]),
            "commits": tuple(data["commits"]),
            "candidates": tuple(Suspicion(**each) for each in data["candidates"]),
        }
    )


def _rate(data: Mapping[str, Any]) -> Rate:
    low, high = data["ci"]
    return Rate(data["rate"], data["n"], (low, high))


def _change(data: Row) -> ProbeChange:
    said = data["substance"]
    found = None if said is None else Substance(Kind(said["kind"]), said["distance"], said["reason"])
    return ProbeChange(**{**data, "substance": found})
