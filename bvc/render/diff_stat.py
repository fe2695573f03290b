"""`bvc diff --stat`: one line per probe, with a bar for how far it stands out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bvc.render.commits import plural
from bvc.render.diff import glyph, label, listed
from bvc.render.numbers import number
from bvc.render.screen import Screen
from bvc.render.text import cells, pad, shorten
from bvc.results import DiffResult, ProbeDiff

_LABEL = 32


def render_stat(result: DiffResult, screen: Screen, *, everything: bool = False) -> Iterator[str]:
    """One line per probe that is not the same (all with `everything`), then the counts."""
    rows = listed(result, everything)
    names = [shorten(label(row), _LABEL, screen.glyph("ellipsis")) for row in rows]
    scores = [number(row.score) for row in rows]
    width = max(map(cells, names), default=0)
    digits = max(map(len, scores), default=0)
    room = max(8, screen.width - width - digits - 8)
    longest = _longest(rows)
    for row, name, score in zip(rows, names, scores, strict=True):
        bar = screen.glyph("bar") * _length(row.score, longest, room)
        style = "red" if row.verdict == "changed" else "yellow" if row.verdict == "undecided" else "dim"
        rule = screen.glyph("column")
        head = f" {glyph(row.verdict, screen)} {pad(name, width)} {rule} {pad(score, digits, right=True)}"
        yield f"{head} {screen.paint(style, bar)}".rstrip()
    yield _total(result)


def _longest(rows: Sequence[ProbeDiff]) -> float:
    return max((row.score for row in rows if math.isfinite(row.score)), default=0.0)


def _length(score: float, longest: float, room: int) -> int:
    """Cells of a bar; what stands out at all gets one."""
    if score <= 0 or math.isnan(score):
        return 0
    if not math.isfinite(score) or longest <= 0:
        return room
    return max(1, round(room * min(1.0, score / longest)))


def _total(result: DiffResult) -> str:
    summary = result.summary
    return (
        f" {plural(summary.probes, 'probe')}: {summary.changed} changed, {summary.undecided} undecided, "
        f"{summary.same} same; {summary.identical_text} identical answers"
    )
