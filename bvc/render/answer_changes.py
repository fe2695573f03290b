"""How single answers changed in a commit, for `bvc log`: old and new where they part."""

from __future__ import annotations

from collections.abc import Iterator

from bvc.ids import short
from bvc.records import AnswerChange, AnswerChanges
from bvc.render.commits import plural
from bvc.render.screen import Screen
from bvc.render.text import cells, clean, shorten

_LABEL = 40
_LEAD = 24
"""Characters shown before the place where two texts part."""
_MARGIN = 3


def change_lines(changes: AnswerChanges, screen: Screen, most: int | None = None) -> Iterator[str]:
    """One line for a change that fits one, else three; at most `most` changes, and how many there are besides."""
    shown = changes.shown[:most]
    for change in shown:
        yield from _change(change, screen)
    left = changes.probes - len(shown)
    if left:
        yield screen.paint("dim", f" and {plural(left, 'more probe')}")


def _change(change: AnswerChange, screen: Screen) -> Iterator[str]:
    name = screen.paint("bold", shorten(clean(change.name or short(change.probe)), _LABEL, screen.glyph("ellipsis")))
    head = f" {name}{screen.paint('dim', _which(change))}"
    if change.old == change.new and change.old is not None:
        yield f"{head}: same text, ended otherwise"
        return
    old, new = _parted(change.old, change.new, screen)
    arrow = screen.glyph("arrow")
    plain = f" {shorten(clean(change.name or short(change.probe)), _LABEL)}{_which(change)}: {old} {arrow} {new}"
    if cells(plain) <= screen.width:
        yield f"{head}: {screen.paint('red', old)} {arrow} {screen.paint('green', new)}"
        return
    room, ellipsis = screen.width - _MARGIN - 2, screen.glyph("ellipsis")
    yield head
    yield f"{'':{_MARGIN}}{screen.paint('red', '- ' + shorten(old, room, ellipsis))}"
    yield f"{'':{_MARGIN}}{screen.paint('green', '+ ' + shorten(new, room, ellipsis))}"


def _which(change: AnswerChange) -> str:
    """Which of the probe's texts is shown, and how many others changed."""
    draw = "" if change.draw is None else f" draw {change.draw + 1}"
    others = change.differing - 1
    return draw + (f" (and {plural(others, 'more text')})" if others > 0 else "")


def _parted(old: str | None, new: str | None, screen: Screen) -> tuple[str, str]:
    """Both texts on one line each, from shortly before the place where they part."""
    start = 0
    if old is not None and new is not None:
        same = _common(old, new)
        start = same - _LEAD if same > 2 * _LEAD else 0
    return _from(old, start, screen), _from(new, start, screen)


def _common(a: str, b: str) -> int:
    """How many characters two texts begin with alike."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _from(text: str | None, start: int, screen: Screen) -> str:
    if text is None:
        return "(none)"
    lead = screen.glyph("ellipsis") if start else ""
    shown = lead + clean(text[start : start + 500], newline=screen.glyph("newline"))
    return shown or "(empty)"
