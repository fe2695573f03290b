"""`bvc log`: history for people, one commit at a time as it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from bvc.ids import short
from bvc.records import BehaviorRate, LogEntry, LogShift, LogStat
from bvc.render.commits import decoration, heading, message_lines, plural
from bvc.render.numbers import share
from bvc.render.screen import Screen
from bvc.render.text import clean

if TYPE_CHECKING:
    from bvc.render.graph import GraphRows

Body = Callable[[LogEntry], list[str]]

_BAR = 10
_CHANGES = 5
"""Changed answers shown of a commit that a search lists."""


def render_log(
    entries: Iterable[LogEntry],
    screen: Screen,
    *,
    oneline: bool = False,
    graph: bool = False,
    format: str | None = None,  # noqa: A002 - the option's name
    now: float = 0.0,
    every_change: bool = False,
    summary: bool = False,
) -> Iterator[str]:
    """The lines of `bvc log`. `format` holds placeholders (`bvc.render.formats`); `now` dates `%ar`. Of the answers for
    which a commit is listed the full form shows a few; with `every_change` any form shows all. With `summary` a
    behavior's rates at all listed commits are drawn above them.

    Raises UsageError for an unknown placeholder.
    """
    most = None if every_change else 0 if oneline or format is not None else _CHANGES
    body, spaced = _body(screen, oneline, format, now, most)
    lines = _with_graph if graph else _plain
    if not summary:
        return lines(entries, screen, body, spaced)
    listed = list(entries)
    return chain(_summary(listed, screen), lines(listed, screen, body, spaced))


def _summary(entries: Sequence[LogEntry], screen: Screen) -> Iterator[str]:
    """The rates of a behavior at the listed commits, oldest first, in one line."""
    rates = [entry.behavior for entry in reversed(entries)]
    known = [rate for rate in rates if rate is not None]
    if len(known) < 2:
        return
    from bvc.render.behaviors import rate_text
    from bvc.render.sparkline import sparkline

    name = screen.paint("bold", clean(known[0].name))
    yield f"{name}  {rate_text(known[0])} {screen.glyph('arrow')} {rate_text(known[-1])}"
    drawn = sparkline([None if rate is None else rate.rate for rate in rates], screen, screen.width)
    yield screen.paint("cyan", drawn)
    top = max(rate.rate for rate in known)
    yield screen.paint("dim", f"oldest to newest of {plural(len(entries), 'commit')}, highest {100 * top:.1f} %")
    yield ""


def _body(
    screen: Screen,
    oneline: bool,
    format: str | None,  # noqa: A002
    now: float,
    most: int | None,
) -> tuple[Body, bool]:
    """How one entry is written, with at most `most` changed answers (None: all), and whether entries are kept apart by
    an empty line."""
    if format is not None:
        from bvc.render.formats import Formatter

        formatter = Formatter(format, now)
        return lambda entry: formatter.lines(entry) + _stat(entry, screen) + _answers(entry, screen, most), False
    if oneline:
        return lambda entry: _oneline(entry, screen) + _answers(entry, screen, most), False
    return lambda entry: _full(entry, screen, most), True


def _plain(entries: Iterable[LogEntry], _screen: Screen, body: Body, spaced: bool) -> Iterator[str]:
    first = True
    for entry in entries:
        if spaced and not first:
            yield ""
        first = False
        yield from body(entry)


def _oneline(entry: LogEntry, screen: Screen) -> list[str]:
    commit = entry.commit
    head = screen.paint("yellow", short(commit.id))
    rate = "" if entry.behavior is None else f" {_rate_cells(entry.behavior, screen)}"
    changed = [] if entry.summary is None else [" " + stat_text(entry.summary, screen)]
    return [f"{head}{rate}{decoration(entry.refs, screen)} {clean(commit.subject)}", *changed]


def _rate_cells(rate: BehaviorRate, screen: Screen) -> str:
    """Bar, rate, interval and number of probes in columns that line up from commit to commit."""
    from bvc.render.sparkline import rate_bar

    low, high = (f"{100 * end:5.1f}" for end in rate.ci)
    return f"{rate_bar(rate, screen, _BAR)} {100 * rate.rate:5.1f} % [{low},{high}] of {rate.n:<4,}"


def _full(entry: LogEntry, screen: Screen, most: int | None) -> list[str]:
    lines = list(heading(entry.commit, entry.refs, screen))
    lines.append("")
    lines.extend(f"    {line}".rstrip() for line in message_lines(entry.commit))
    counted = _stat(entry, screen) + _answers(entry, screen, most)
    return [*lines, "", *counted] if counted else lines


def _stat(entry: LogEntry, screen: Screen) -> list[str]:
    """What was counted of a commit: changed answers, the rate of a behavior."""
    stat = [] if entry.summary is None else [" " + stat_text(entry.summary, screen)]
    if entry.behavior is None:
        return stat
    from bvc.render.behaviors import rate_line

    return [*stat, " " + rate_line(entry.behavior, screen)]


def _answers(entry: LogEntry, screen: Screen, most: int | None) -> list[str]:
    """The answers for which a commit is listed."""
    if entry.answers is None or most == 0:
        return []
    from bvc.render.answer_changes import change_lines

    return list(change_lines(entry.answers, screen, most))


def stat_text(stat: LogStat, screen: Screen) -> str:
    """`12 answers changed, 3 probes added, shift 12 % of layer.15/prompt [9, 15]` against the first parent."""
    parts = [screen.paint("yellow" if stat.changed_text else "", f"{plural(stat.changed_text, 'answer')} changed")]
    if stat.added:
        parts.append(screen.paint("green", f"{plural(stat.added, 'probe')} added"))
    if stat.removed:
        parts.append(screen.paint("red", f"{plural(stat.removed, 'probe')} removed"))
    if stat.shift is not None:
        parts.append(_shift(stat.shift, screen))
    return ", ".join(parts)


def _shift(shift: LogShift, screen: Screen) -> str:
    """How far hidden states moved together at the site that leads."""
    if shift.site is None or shift.relative is None or shift.ci is None:
        return screen.paint("dim", "no shift beyond noise")
    low, high = map(share, shift.ci)
    return f"shift {share(shift.relative)} % of {clean(shift.site)} [{low}, {high}]"


def _with_graph(entries: Iterable[LogEntry], screen: Screen, body: Body, spaced: bool) -> Iterator[str]:
    from bvc.render.graph import Graph

    graph = Graph(screen)
    between: str | None = None
    for entry in entries:
        rows = graph.add(entry.commit.id, entry.commit.parents if entry.drawn is None else entry.drawn)
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
