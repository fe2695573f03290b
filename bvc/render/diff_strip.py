"""The log-prob strip: a reference's tokens, and how much likelier or less likely each became."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bvc.render.commits import plural
from bvc.render.diff_layout import brief, says
from bvc.render.numbers import number
from bvc.render.screen import Screen
from bvc.render.text import cells, pad
from bvc.results import ProbeDetail

_SMALL = 0.1
"""Nats below which a token counts as unmoved: its log-probability is not written."""
_LARGE = 1.0
_LEVELS = ("▁▂▃▄▅▆▇█", ".:-=+*#@")
_LONGEST_TOKEN = 20
_MOST = 512
"""Tokens that are shown."""


def strip_lines(detail: ProbeDetail, screen: Screen) -> Iterator[str]:
    """The reference along which both sides were scored.

    First a bar per token for the divergence of the two models there, then the tokens, each above the change of its
    log-probability from a to b; nothing where that is less than 0.1 nats.
    """
    shown = min(len(detail.tokens), len(detail.delta), _MOST)
    if not shown:
        return
    tokens, delta = detail.tokens[:shown], detail.delta[:shown]
    yield screen.paint("bold", "Reference") + f"  {screen.paint('dim', plural(len(detail.tokens), 'token'))}"
    up, down = screen.glyph("up"), screen.glyph("down")
    legend = f"{up} likelier in b, {down} less likely, by that many nats (1 nat: by a factor of 2.7)"
    yield from says(legend, screen, 2, "dim")
    if detail.kl:
        yield from _sparkline(detail.kl[:shown], tokens, screen)
    yield from _pairs(tokens, delta, screen)
    if len(detail.tokens) > shown:
        yield screen.paint("dim", f"  {len(detail.tokens) - shown} more tokens")


def _sparkline(kl: Sequence[float], tokens: Sequence[str], screen: Screen) -> Iterator[str]:
    """Divergence per token as bars of one cell, and where it is greatest."""
    finite = [value if math.isfinite(value) else 0.0 for value in kl]
    most = max(finite)
    place = finite.index(most)
    levels = _LEVELS[0] if screen.unicode else _LEVELS[1]
    bars = "".join(_level(value, most, levels) for value in finite)
    room = max(20, screen.width - 2)
    for start in range(0, len(bars), room):
        yield f"  {screen.paint('magenta', bars[start : start + room])}".rstrip()
    token = _token(tokens[place], screen)
    where = f"divergence at each token; most at token {place + 1} of {len(kl)} ({token}): {number(most)} nats"
    yield from says(where, screen, 2, "dim")


def _level(value: float, most: float, levels: str) -> str:
    if value <= 0 or most <= 0:
        return levels[0]
    return levels[min(len(levels) - 1, round((len(levels) - 1) * value / most))]


def _pairs(tokens: Sequence[str], delta: Sequence[float], screen: Screen) -> Iterator[str]:
    """Rows of tokens with a row of changes below each."""
    cols = [(_token(token, screen), change_text(value, screen)) for token, value in zip(tokens, delta, strict=True)]
    styles = [_style(value) for value in delta]
    widths = [max(cells(token), cells(value)) for token, value in cols]
    for start, stop in _rows(widths, screen.width - 2):
        part = range(start, stop)
        upper = [screen.paint(styles[i], cols[i][0]) + pad("", widths[i] - cells(cols[i][0])) for i in part]
        lower = [screen.paint(styles[i], cols[i][1]) + pad("", widths[i] - cells(cols[i][1])) for i in part]
        yield f"  {' '.join(upper)}".rstrip()
        yield f"  {' '.join(lower)}".rstrip()


def _rows(widths: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """Runs of tokens that fit on a line."""
    start = used = 0
    for index, width in enumerate(widths):
        if used and used + width + 1 > room:
            yield start, index
            start, used = index, 0
        used += width + 1
    yield start, len(widths)


def change_text(value: float, screen: Screen) -> str:
    """`▼3.2`; a dot where a token hardly moved."""
    if not math.isfinite(value):
        return number(value)
    if abs(value) < _SMALL:
        return screen.glyph("still")
    return f"{screen.glyph('up' if value > 0 else 'down')}{abs(value):.1f}"


def _style(value: float) -> str:
    if not abs(value) >= _SMALL:
        return "dim"
    strong = "bold " if abs(value) >= _LARGE else ""
    return f"{strong}{'green' if value > 0 else 'red'}"


def _token(token: str, screen: Screen) -> str:
    """A token with its leading space made visible, on one line; one without text is the end of the turn."""
    if not token:
        return "<end>"
    spaced = token.startswith(" ")
    shown = brief(token[spaced:], _LONGEST_TOKEN, screen, newline=screen.glyph("newline"))
    return screen.glyph("space") + shown if spaced else shown
