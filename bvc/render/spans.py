"""Styled text that is broken into lines: each piece keeps its style wherever the line ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bvc.render.screen import Screen
from bvc.render.text import cells, cut, pad


@dataclass(frozen=True)
class Span:
    """Harmless text in one style (empty: none)."""

    text: str
    style: str = ""


Line = list[Span]


def flow(spans: Iterable[Span], width: int, most: int | None = None) -> list[Line]:
    """`spans` as lines of at most `width` cells, broken at spaces and at line feeds.

    Beyond `most` lines nothing is laid out; one more is returned then, so that a caller sees that there is more.
    """
    lines: list[Line] = [[]]
    used = 0
    for word in _words(spans, width):
        if word.text == "\n" or (used and used + cells(word.text.rstrip(" ")) > width):
            if most is not None and len(lines) > most:
                break
            _strip(lines[-1])
            lines.append([])
            used = 0
        if word.text != "\n":
            lines[-1].append(word)
            used += cells(word.text)
    return lines


def _strip(line: Line) -> None:
    """Takes the spaces off a line's end."""
    if line:
        line[-1] = Span(line[-1].text.rstrip(" "), line[-1].style)


def _words(spans: Iterable[Span], width: int) -> Iterator[Span]:
    for span in spans:
        for number, line in enumerate(span.text.split("\n")):
            if number:
                yield Span("\n")
            yield from (Span(piece, span.style) for piece in _pieces(line, width))


def _pieces(line: str, width: int) -> Iterator[str]:
    """Words with the spaces behind them; a word wider than `width` is cut."""
    start = 0
    while start < len(line):
        space = line.find(" ", start)
        end = len(line) if space < 0 else space + 1
        word = line[start:end]
        if cells(word.rstrip(" ")) > width > 1:
            word = cut(word, width)
        yield word
        start += len(word)


def limit(lines: Sequence[Line], most: int, ellipsis: str) -> list[Line]:
    """The first `most` lines; where some are left out the last one ends with `ellipsis`."""
    if len(lines) <= most:
        return list(lines)
    kept = [list(line) for line in lines[:most]]
    kept[-1].append(Span(" " + ellipsis, "dim"))
    return kept


def paint(line: Line, screen: Screen) -> str:
    """One line for the terminal; neighbors of one style share their escape codes."""
    out: list[str] = []
    run, style = "", ""
    for span in line:
        if span.style != style:
            out.append(screen.paint(style, run))
            run, style = "", span.style
        run += span.text
    out.append(screen.paint(style, run))
    return "".join(out)


def paint_padded(line: Line, width: int, screen: Screen) -> str:
    """One line filled with spaces to `width` cells."""
    size = sum(cells(span.text) for span in line)
    return paint(line, screen) + pad("", width - size)
