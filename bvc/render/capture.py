"""`bvc capture`: what was attached to each commit, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from bvc.ids import short
from bvc.records import Json
from bvc.render.commits import capability_text, model_text, plural, probe_count
from bvc.render.lists import duration
from bvc.render.screen import Screen
from bvc.render.text import clean
from bvc.results import CaptureEntry, CaptureResult


def render_capture(result: CaptureResult, screen: Screen) -> Iterator[str]:
    """One commit a line, then what was done for it."""
    for entry in result.commits:
        snapshot = entry.commit.snapshot
        model = "" if snapshot is None else f"  {screen.paint('cyan', model_text(snapshot.model))}"
        yield f"{screen.paint('yellow', f'commit {short(entry.commit.id)}')}{model}  {clean(entry.commit.subject)}"
        yield f"  {_done(entry)}"
    yield f"{'nothing attached' if _none(result) else 'attached'} in {duration(result.seconds)}"


def _done(entry: CaptureEntry) -> str:
    snapshot = entry.commit.snapshot
    if entry.attached is None or snapshot is None:
        return "nothing is missing"
    parts = [f"{plural(entry.captured, 'probe')} captured"]
    if entry.reused:
        parts.append(f"{entry.reused:,} at hand")
    if entry.drawn:
        parts.append(f"{plural(entry.drawn, 'draw')} added")
    draws = 0 if snapshot.recipe is None else snapshot.recipe.draws
    held = [
        plural(probe_count(snapshot), "probe"),
        f"{plural(draws, 'draw')} each",
        capability_text(snapshot.capability),
    ]
    return f"{', '.join(parts)}; now {', '.join(held)}"


def _none(result: CaptureResult) -> bool:
    return all(entry.attached is None for entry in result.commits)


def capture_document(result: CaptureResult) -> Json:
    """`bvc.capture/1`."""
    return {
        "schema": "bvc.capture/1",
        "commits": [_entry(entry) for entry in result.commits],
        "seconds": round(result.seconds, 3),
    }


def _entry(entry: CaptureEntry) -> Json:
    snapshot = entry.commit.snapshot
    return {
        "commit": entry.commit.id,
        "subject": entry.commit.subject,
        "attached": entry.attached,
        "captured": entry.captured,
        "reused": entry.reused,
        "drawn": entry.drawn,
        "encoded": entry.encoded,
        "draws": 0 if snapshot is None or snapshot.recipe is None else snapshot.recipe.draws,
        "probes": probe_count(snapshot),
        "suites": [] if snapshot is None else [s.name for s in snapshot.suites],
        "capability": None if snapshot is None or snapshot.capability is None else str(snapshot.capability),
        "notes": list(entry.notes),
    }
