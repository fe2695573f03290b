"""`bvc grep` for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bvc.api.search_records import GrepMatch, GrepResult, GrepStretch, Place
from bvc.ids import short
from bvc.records import Json
from bvc.render.commits import plural
from bvc.render.screen import Screen
from bvc.render.spans import Span, flow, limit, paint
from bvc.render.text import cells, clean, shorten

_LABEL = 60
_INDENT = 2
_LINES = 4
"""Lines of a text with a match that are shown of one answer."""
_ROWS = 3
"""Rows of the screen for one of them."""
_BEFORE = 80
"""Characters shown before the first match of a line."""
_LONGEST = 2000
_STRETCHES = 3
_DRAWS = 6


def render_grep(found: GrepResult, screen: Screen, *, count: bool = False) -> Iterator[str]:
    """Answers grouped by probe, newest first, matches painted; or where commits were counted one line for each."""
    if found.options.counts:
        yield from _counts(found, screen, count)
        return
    probe = None
    for match in found.matches:
        if match.probe != probe:
            if probe is not None:
                yield ""
            yield _heading(match, screen)
        probe = match.probe
        yield from _match(match, screen)
    left = found.total - len(found.matches)
    if left:
        yield screen.paint("dim", f"and {plural(left, 'more answer')}")


def _counts(found: GrepResult, screen: Screen, count: bool) -> Iterator[str]:
    width = max((len(f"{row.answers:,}") for row in found.counts), default=0)
    for row in found.counts:
        number = f"{row.answers:{width},} " if count else ""
        yield f"{screen.paint('yellow', short(row.commit.id))} {number}{clean(row.commit.subject)}"


def _heading(match: GrepMatch, screen: Screen) -> str:
    name = clean(match.name) if match.name else short(match.probe)
    shown = shorten(name, _LABEL, screen.glyph("ellipsis"))
    tags = "".join(f"  #{clean(tag)}" for tag in match.tags)
    room = max(0, screen.width - cells(shown) - 2)
    return screen.paint("bold", shown) + screen.paint(
        "dim", shorten(tags, room, screen.glyph("ellipsis")) if tags else ""
    )


def _match(match: GrepMatch, screen: Screen) -> Iterator[str]:
    lines = list(_lines(match.text, match.places))
    for start, end, places in lines[:_LINES]:
        spans = _painted(match.text, start, end, places, screen)
        rows = limit(flow(spans, max(20, screen.width - _INDENT), _ROWS), _ROWS, screen.glyph("ellipsis"))
        yield from (f"{'':{_INDENT}}{paint(row, screen)}".rstrip() for row in rows)
    if len(lines) > _LINES:
        yield screen.paint("dim", f"{'':{_INDENT}}and {plural(len(lines) - _LINES, 'more line')}")
    for line in _where(match, screen):
        yield f"{'':{2 * _INDENT}}{line}"


def _lines(text: str, places: Sequence[Place]) -> Iterator[tuple[int, int, list[Place]]]:
    """The lines of a text (start and end) that places touch, with the places that begin there."""
    end = -1
    start, inside = 0, list[Place]()
    for place in places:
        if place[0] > end:
            if inside:
                yield start, end, inside
            start = text.rfind("\n", 0, place[0]) + 1
            inside = []
        stop = text.find("\n", max(place[0], place[1] - 1))
        end = len(text) if stop < 0 else stop
        inside.append(place)
    if inside:
        yield start, end, inside


def _painted(text: str, start: int, end: int, places: Sequence[Place], screen: Screen) -> Iterator[Span]:
    """A line from shortly before its first match, the matches in color and elsewhere as they stand."""
    newline, ellipsis = screen.glyph("newline"), screen.glyph("ellipsis")
    if places[0][0] - start > 2 * _BEFORE:
        start = places[0][0] - _BEFORE
        yield Span(ellipsis, "dim")
    stop = min(end, start + _LONGEST)
    for first, last in places:
        if first >= stop:
            break
        yield Span(clean(text[start:first], newline=newline))
        yield Span(clean(text[first : min(last, stop)], newline=newline), "bold red")
        start = min(last, stop)
    yield Span(clean(text[start:stop], newline=newline))
    if stop < end:
        yield Span(ellipsis, "dim")


def _where(match: GrepMatch, screen: Screen) -> Iterator[str]:
    """As what an answer was given, and the stretches of history in which it stands."""
    said = _as(match)
    for stretch in match.stretches[:_STRETCHES]:
        room = max(20, screen.width - 2 * _INDENT - cells(said))
        yield screen.paint("dim", said) + _stretch(stretch, screen, room)
        said = " " * cells(said)
    left = match.stretches[_STRETCHES:]
    if left:
        commits = sum(stretch.commits for stretch in left)
        yield screen.paint("dim", f"{said}and {plural(commits, 'commit')} elsewhere")


def _as(match: GrepMatch) -> str:
    """`greedy, draws 1 3: `; nothing for what was only the greedy answer."""
    if not match.draws:
        return ""
    draws = " ".join(str(draw + 1) for draw in match.draws[:_DRAWS])
    more = f" and {len(match.draws) - _DRAWS} more" if len(match.draws) > _DRAWS else ""
    noun = "draw" if len(match.draws) == 1 else "draws"
    return f"{'greedy, ' if match.greedy else ''}{noun} {draws}{more}: "


def _stretch(stretch: GrepStretch, screen: Screen, room: int) -> str:
    oldest, newest = stretch.oldest, stretch.newest
    if stretch.commits == 1:
        head, subject = short(newest.id), clean(newest.subject)
    else:
        head = f"{plural(stretch.commits, 'commit')}, {short(oldest.id)} to {short(newest.id)}, since"
        subject = clean(oldest.subject)
    shown = shorten(subject, max(8, room - len(head) - 1), screen.glyph("ellipsis"))
    return f"{screen.paint('yellow', head)} {shown}"


def grep_document(found: GrepResult) -> Json:
    """`bvc.grep/1`."""
    return {
        "schema": "bvc.grep/1",
        "pattern": found.pattern,
        "fixed": found.options.fixed,
        "ignore_case": found.options.ignore_case,
        "searched": {"commits": found.commits, "records": found.records},
        "total": found.total,
        "matches": [_match_json(match) for match in found.matches],
        "commits": [
            {"commit": row.commit.id, "subject": row.commit.subject, "answers": row.answers} for row in found.counts
        ],
    }


def _match_json(match: GrepMatch) -> Json:
    return {
        "probe": match.probe,
        "name": match.name,
        "suite": match.suite,
        "tags": list(match.tags),
        "text": match.text,
        "places": [list(place) for place in match.places],
        "greedy": match.greedy,
        "draws": list(match.draws),
        "commits": match.commits,
        "stretches": [{"oldest": s.oldest.id, "newest": s.newest.id, "commits": s.commits} for s in match.stretches],
    }
