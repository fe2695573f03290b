"""Columns that line up."""

from __future__ import annotations

from collections.abc import Sequence

from bvc.render.screen import Screen
from bvc.render.text import cells, pad, shorten, wrap

GAP = "  "


def columns(
    rows: Sequence[Sequence[str]], screen: Screen, *, right: Sequence[int] = (), styles: Sequence[str] = ()
) -> list[str]:
    """One line per row of harmless cells; columns in `right` are flushed right, the last is cut at the screen's edge.

    `styles` names the style of each column from the left.
    """
    if not rows:
        return []
    widths = [max(cells(row[i]) for row in rows) for i in range(len(rows[0]))]
    used = sum(widths[:-1]) + len(GAP) * (len(widths) - 1)
    widths[-1] = min(widths[-1], max(12, screen.width - used))
    return [_line(row, widths, screen, right, styles) for row in rows]


def facts(rows: Sequence[Sequence[str]], screen: Screen) -> list[str]:
    """`name  value` lines with the values below each other, wrapped at the screen's edge."""
    width = max((cells(name) for name, _ in rows), default=0)
    room = max(20, screen.width - width - len(GAP))
    lines: list[str] = []
    for name, value in rows:
        for number, part in enumerate(wrap(value, room)):
            lines.append(screen.paint("dim", pad(name if number == 0 else "", width)) + GAP + part)
    return lines


def _line(
    row: Sequence[str], widths: Sequence[int], screen: Screen, right: Sequence[int], styles: Sequence[str]
) -> str:
    out: list[str] = []
    for index, (value, width) in enumerate(zip(row, widths, strict=True)):
        last = index == len(row) - 1
        text = shorten(value, width, screen.glyph("ellipsis")) if last else value
        if not last or index in right:
            text = pad(text, width, right=index in right)
        out.append(screen.paint(styles[index] if index < len(styles) else "", text))
    return GAP.join(out).rstrip()
