"""The lineage drawn beside the log: one column per open line of descent.

A column waits for one commit, so a commit that several children name is waited for once: the child whose parent is
already expected joins that column with a link row. Columns never shift; a freed one is used again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bvc.render.screen import Screen

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_FANCY = {
    0: " ",
    _UP | _DOWN: "│",
    _LEFT | _RIGHT: "─",
    _UP | _DOWN | _RIGHT: "├",
    _UP | _DOWN | _LEFT: "┤",
    _UP | _DOWN | _LEFT | _RIGHT: "┼",
    _DOWN | _LEFT: "╮",
    _DOWN | _RIGHT: "╭",
    _UP | _LEFT: "╯",
    _UP | _RIGHT: "╰",
    _UP | _LEFT | _RIGHT: "┴",
    _DOWN | _LEFT | _RIGHT: "┬",
}
_PLAIN = {
    0: " ",
    _UP | _DOWN: "|",
    _LEFT | _RIGHT: "-",
    _UP | _DOWN | _RIGHT: "|",
    _UP | _DOWN | _LEFT: "|",
    _UP | _DOWN | _LEFT | _RIGHT: "+",
    _DOWN | _LEFT: ".",
    _DOWN | _RIGHT: ".",
    _UP | _LEFT: "'",
    _UP | _RIGHT: "'",
    _UP | _LEFT | _RIGHT: "'",
    _DOWN | _LEFT | _RIGHT: ".",
}
_STYLES = ("red", "green", "yellow", "blue", "magenta", "cyan")


@dataclass(frozen=True)
class GraphRows:
    """The drawing for one commit: `before` (a gap between unrelated histories), the `node` row, the `link` row below it
    where lines part or meet, and `after`, which goes beside any further text."""

    before: str | None
    node: str
    link: str | None
    after: str


class Graph:
    """Draws commits that arrive children before parents."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._lanes: list[str | None] = []
        self._freed: int | None = None

    def add(self, commit: str, parents: Sequence[str]) -> GraphRows:
        """The rows for the next commit."""
        above = [lane is not None for lane in self._lanes]
        column = self._column_of(commit)
        before = self._verticals(above) if column == self._freed else None
        node = self._row([self._node(i, column) for i in range(len(self._lanes))])
        waiting = [lane is not None for lane in self._lanes]
        links = self._descend(column, parents)
        self._freed = column if self._lanes[column] is None and not links else None
        link = self._link_row(column, links, waiting) if links else None
        after = self._verticals([lane is not None for lane in self._lanes])
        node += "  " * (len(self._lanes) - len(waiting))
        while self._lanes and self._lanes[-1] is None:
            self._lanes.pop()
        return GraphRows(before, node, link, after)

    def _column_of(self, commit: str) -> int:
        if commit in self._lanes:
            return self._lanes.index(commit)
        return self._open_lane(commit)

    def _open_lane(self, commit: str) -> int:
        """Takes the first free column for a commit that nothing waited for."""
        if None in self._lanes:
            column = self._lanes.index(None)
            self._lanes[column] = commit
            return column
        self._lanes.append(commit)
        return len(self._lanes) - 1

    def _descend(self, column: int, parents: Sequence[str]) -> list[int]:
        """Replaces the commit in `column` by its parents; returns the columns that the link row reaches."""
        links: list[int] = []
        fresh = [p for p in dict.fromkeys(parents) if p not in self._lanes]
        joined = [self._lanes.index(p) for p in dict.fromkeys(parents) if p in self._lanes]
        self._lanes[column] = fresh.pop(0) if fresh else None
        if self._lanes[column] is None and joined and min(joined) > column:
            # The line that already waits for the parent moves over, so that the drawing stays at the left.
            nearest = min(joined)
            self._lanes[column], self._lanes[nearest] = self._lanes[nearest], None
        links.extend(joined)
        links.extend(self._open_lane(parent) for parent in fresh)
        return links

    def _link_row(self, column: int, links: Sequence[int], waiting: Sequence[bool]) -> str:
        size = max(len(self._lanes), len(waiting))
        pieces = [0] * size
        for i in range(size):
            up = i < len(waiting) and waiting[i]
            down = self._lanes[i] is not None
            pieces[i] = (_UP if up else 0) | (_DOWN if down else 0)
        low, high = min([column, *links]), max([column, *links])
        ends = {column, *links}
        return self._link_text(pieces, ends, low, high)

    def _link_text(self, pieces: Sequence[int], ends: set[int], low: int, high: int) -> str:
        table = _FANCY if self._screen.unicode else _PLAIN
        dash = table[_LEFT | _RIGHT]
        out: list[str] = []
        for i, piece in enumerate(pieces):
            inside = low <= i <= high
            if inside and i in ends:
                piece |= (_LEFT if i > low else 0) | (_RIGHT if i < high else 0)
            elif inside and not piece:
                piece = _LEFT | _RIGHT
            out.append(self._paint(i, table[piece]))
            out.append(dash if low <= i < high else " ")
        return "".join(out[:-1])

    def _node(self, column: int, current: int) -> str:
        if column == current:
            return self._screen.paint("bold yellow", "*")
        return self._vertical(column) if self._lanes[column] is not None else " "

    def _verticals(self, waiting: Sequence[bool]) -> str:
        return self._row([self._vertical(i) if open_ else " " for i, open_ in enumerate(waiting)])

    def _vertical(self, column: int) -> str:
        return self._paint(column, "│" if self._screen.unicode else "|")

    def _paint(self, column: int, text: str) -> str:
        return self._screen.paint(_STYLES[column % len(_STYLES)] if text.strip() else "", text)

    def _row(self, marks: Sequence[str]) -> str:
        return " ".join(marks)
