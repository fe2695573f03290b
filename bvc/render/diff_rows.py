"""The triage list of `bvc diff`: one entry per probe, most deserving first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bvc.render.diff_layout import KINDS, NAME, brief, label, packed, says, sign, stands_out
from bvc.render.numbers import channel_names, number, p_text
from bvc.render.screen import Screen
from bvc.render.spans import Span
from bvc.render.text import cells, pad, shorten
from bvc.render.words import brief_lines
from bvc.results import Kind, ProbeDiff, Substance, Verdict

_DIFF_LINES = 4
_LABEL = 24
_REASON = 80
_INDENT = 6


def rows(probes: Iterable[ProbeDiff], screen: Screen, *, boundary: bool = True) -> Iterator[str]:
    """Entries, an empty line between them; with `boundary` (probes by rank) a rule above what does not stand out."""
    above = True
    for place, probe in enumerate(probes):
        if place:
            yield ""
        below = probe.q_value is not None and not stands_out(probe)
        if boundary and above and below:
            yield from _boundary(screen)
        above = above and not below
        yield from row(probe, screen)


def _boundary(screen: Screen) -> Iterator[str]:
    text = " below: no more than the whole model moved "
    rule = screen.glyph("rule") * 3
    yield screen.paint("dim", f"{rule}{text}{screen.glyph('rule') * max(0, screen.width - len(text) - 3)}")
    yield ""


def row(diff: ProbeDiff, screen: Screen) -> Iterator[str]:
    """Rank, verdict, label, kind of change and numbers; what was asked; how the answers differ."""
    yield from _head(diff, screen)
    indent = " " * _INDENT
    yield indent + screen.paint("cyan", brief(diff.probe.text, screen.width - _INDENT, screen))
    for line in _words(diff, screen):
        yield indent + line
    yield from undecided_lines(diff, screen, _INDENT)


def _head(diff: ProbeDiff, screen: Screen) -> Iterator[str]:
    """The numbers on one line, or the distances on one of their own; then as many tags as fit behind them."""
    name = shorten(label(diff), _LABEL, screen.glyph("ellipsis"))
    first = f"{pad(str(diff.rank), 3, right=True)} {sign(diff.verdict, screen)} {screen.paint('bold', name)}  "
    blank = " " * (8 + cells(name) + max(0, len(str(diff.rank)) - 3))
    place, distances = list(_place(diff)), list(channel_spans(diff))
    left = screen.width - len(blank) - _size([*place, *distances])
    if left >= 0:
        lines = list(packed([*place, *distances, _tags(diff, left)], screen, blank, _INDENT))
    else:
        left = screen.width - _INDENT - _size(distances)
        lines = list(packed(place, screen, blank, _INDENT))
        lines += packed([*distances, _tags(diff, left)], screen, " " * _INDENT, _INDENT)
    yield first + lines[0][len(blank) :]
    yield from lines[1:]


def _place(diff: ProbeDiff) -> Iterator[Span]:
    """Kind of change, score, false discovery rate."""
    yield kind_span(diff.substance)
    yield Span(f"score {number(diff.score)}", "bold" if stands_out(diff) else "")
    if diff.q_value is not None:
        yield Span(p_text(diff.q_value, "q"))


def _size(parts: Iterable[Span]) -> int:
    """Cells of `parts` on one line, with two spaces behind each."""
    return sum(cells(part.text) + 2 for part in parts if part.text)


def _tags(diff: ProbeDiff, room: int) -> Span:
    """As many tags as fit."""
    shown = ""
    for tag in diff.probe.tags:
        longer = f"{shown} #{brief(tag, NAME)}".strip()
        if cells(longer) > room:
            break
        shown = longer
    return Span(shown, "dim")


def kind_span(substance: Substance | None) -> Span:
    """`language: English to French`; wording stays dim, since its meaning is the same."""
    if substance is None:
        return Span("")
    word = KINDS[substance.kind]
    reason = f": {brief(substance.reason, _REASON)}" if substance.reason else ""
    return Span(word + reason, "dim" if substance.kind in (Kind.IDENTICAL, Kind.WORDING) else "bold magenta")


def channel_spans(diff: ProbeDiff) -> Iterator[Span]:
    """Each channel's distance; dim where it stays within its band."""
    for name in channel_names(diff.channels):
        channel = diff.channels[name]
        within = channel.band is not None and channel.distance <= channel.band
        yield Span(f"{brief(name, NAME)} {number(channel.distance)}", "dim" if within else "")


def undecided_lines(diff: ProbeDiff, screen: Screen, indent: int) -> Iterator[str]:
    """Why a probe is undecided and what would decide it."""
    if diff.verdict is not Verdict.UNDECIDED:
        return
    parts = [brief(diff.reason, 4 * _REASON, screen)] if diff.reason else []
    if diff.more_draws:
        parts.append(f"{diff.more_draws} more draws a side would decide it")
    if parts:
        yield from says(f"undecided: {'; '.join(parts)}", screen, indent, "yellow")


def _words(diff: ProbeDiff, screen: Screen) -> list[str]:
    if diff.text.first_difference is None:
        same = brief(diff.text.a, max(20, screen.width - 26), screen)
        return [screen.paint("dim", f"{same}  (same text)")]
    lines = brief_lines(diff.text.a, diff.text.b, screen, screen.width - 8, _DIFF_LINES)
    empty = [side for side, text in (("a", diff.text.a), ("b", diff.text.b)) if not text]
    return lines + [screen.paint("dim", f"(the answer of {side} is empty)") for side in empty]
