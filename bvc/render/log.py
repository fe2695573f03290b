"""`bvc log`: history for people, one commit at a time as it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from bvc.ids import short
from bvc.records import LogEntry, LogStat
from bvc.render.commits import decoration, heading, message_lines, plural
from bvc.render.screen import Screen
from bvc.render.text import clean

if TYPE_CHECKING:
    from bvc.render.graph import GraphRows

Body = Callable[[LogEntry], list[str]]


def render_log(
    entries: Iterable[LogEntry],
    screen: Screen,
    *,
    oneline: bool = False,
    graph: bool = False,
    format: str | None = None,  # noqa: A002 - the option's name
    now: float = 0.0,
) -> Iterator[str]:
    """The lines of `bvc log`. `format` holds placeholders (`bvc.render.formats`); `now` dates `%ar`.

    Raises UsageError for an unknown placeholder.
    """
    body, spaced = _body(screen, oneline, format, now)
    if graph:
        return _with_graph(entries, screen, body, spaced)
    return _plain(entries, body, spaced)


def _body(screen: Screen, oneline: bool, format: str | None, now: float) -> tuple[Body, bool]:  # noqa: A002
    """How one entry is written, and whether entries are kept apart by an empty line."""
    if format is not None:
        from bvc.render.formats import Formatter

        formatter = Formatter(format, now)
        return lambda entry: formatter.lines(entry) + _stat(entry, screen), False
    if oneline:
        return lambda entry: _oneline(entry, screen), False
    return lambda entry: _full(entry, screen), True


def _plain(entries: Iterable[LogEntry], body: Body, spaced: bool) -> Iterator[str]:
    first = True
    for entry in entries:
        if spaced and not first:
            yield ""
        first = False
        yield from body(entry)


def _oneline(entry: LogEntry, screen: Screen) -> list[str]:
    commit = entry.commit
    head = screen.paint("yellow", short(commit.id)) + decoration(entry.refs, screen)
    return [f"{head} {clean(commit.subject)}", *_stat(entry, screen)]


def _full(entry: LogEntry, screen: Screen) -> list[str]:
    lines = list(heading(entry.commit, entry.refs, screen))
    lines.append("")
    lines.extend(f"    {line}".rstrip() for line in message_lines(entry.commit))
    stat = _stat(entry, screen)
    return [*lines, "", *stat] if stat else lines


def _stat(entry: LogEntry, screen: Screen) -> list[str]:
    """What was counted of a commit: changed answers, the rate of a behavior."""
    stat = [] if entry.summary is None else [" " + stat_text(entry.summary, screen)]
    if entry.behavior is None:
        return stat
    from bvc.render.behaviors import rate_line

    return [*stat, " " + rate_line(entry.behavior, screen)]


def stat_text(stat: LogStat, screen: Screen) -> str:
    """`12 answers changed, 3 probes added, 1 removed` against the first parent."""
    parts = [screen.paint("yellow" if stat.changed_text else "", f"{plural(stat.changed_text, 'answer')} changed")]
    if stat.added:
        parts.append(screen.paint("green", f"{plural(stat.added, 'probe')} added"))
    if stat.removed:
        parts.append(screen.paint("red", f"{plural(stat.removed, 'probe')} removed"))
    return ", ".join(parts)


def _with_graph(entries: Iterable[LogEntry], screen: Screen, body: Body, spaced: bool) -> Iterator[str]:
    from bvc.render.graph import Graph

    graph = Graph(screen)
    between: str | None = None
    for entry in entries:
        rows = graph.add(entry.commit.id, entry.commit.parents)
        gap = between if spaced and between is not None else rows.before
        if gap is not None:
            yield gap.rstrip()
        yield from _beside(rows, body(entry))
        between = rows.after


def _beside(rows: GraphRows, lines: list[str]) -> Iterator[str]:
    """Text beside the drawing: the first line at the node, the second at the link row, the rest at the open columns."""
    yield f"{rows.node} {lines[0] if lines else ''}".rstrip()
    rest = lines[1:]
    if rows.link is not None:
        yield f"{rows.link} {rest[0] if rest else ''}".rstrip()
        rest = rest[1:]
    for line in rest:
        yield f"{rows.after} {line}".rstrip()
