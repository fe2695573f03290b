"""What the screens of `bvc diff` share: names of probes and commands, signs, sentences that fit the screen."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bvc.compare.verdict import OUTLIER_LEVEL
from bvc.ids import short
from bvc.render.screen import Screen
from bvc.render.spans import Span, flow, paint
from bvc.render.text import cells, clean, shorten
from bvc.results import DiffResult, Kind, ProbeDiff, Verdict

NULLS = {
    "N0": "the same weights captured again",
    "N1": "a benign update",
    "N2": "generic continued training",
}
"""The ladder of nulls in words."""
_THAN = {
    "N0": "the same weights differ when captured again (N0)",
    "N1": "a benign update changes it (N1)",
    "N2": "generic continued training changes it (N2)",
}
KINDS = {
    Kind.IDENTICAL: "same text",
    Kind.WORDING: "wording",
    Kind.MEANING: "meaning",
    Kind.LANGUAGE: "language",
    Kind.REFUSAL: "refusal",
    Kind.ANSWER: "answer",
}
STYLES = {Verdict.CHANGED: "bold red", Verdict.UNDECIDED: "yellow", Verdict.SAME: "green"}
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+][A-Za-z0-9_.:/@+-]{0,79}")
_NAMED = 3
_LABEL = 60
_COMMAND = 1000
NAME = 32
"""Cells that names from outside get: behaviors, tags, nulls, channels."""


@dataclass(frozen=True)
class Asked:
    """How the diff was asked for, so that the commands that a page proposes ask for the same one."""

    revisions: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    def command(self, *options: str) -> str:
        """`bvc diff v1 HEAD --stat`, as a shell takes it."""
        channels = (word for channel in self.channels for word in ("--channel", channel))
        return clean(shlex.join(["bvc", "diff", *self.revisions, *channels, *options]))[:_COMMAND]


class Names:
    """What a page calls the probes of a diff."""

    def __init__(self, result: DiffResult) -> None:
        self._labels = {p.probe.id: label(p) for p in result.probes}
        counts = Counter(p.probe.name for p in result.probes)
        self._typed = {
            p.probe.id: p.probe.name
            for p in result.probes
            if p.probe.name and counts[p.probe.name] == 1 and _PLAIN.fullmatch(p.probe.name)
        }

    def typed(self, probe: str) -> str:
        """What to type for a probe: its label where a shell takes it as it is, else its abbreviated id."""
        return self._typed.get(probe) or short(probe)

    def some(self, probes: Sequence[str], most: int = _NAMED) -> str:
        """`weather-01, weather-03 and 5 more`."""
        shown = [self._labels.get(p) or brief(p, 10) for p in probes[:most]]
        rest = len(probes) - len(shown)
        return ", ".join(shown) + (f" and {rest} more" if rest else "")


def brief(text: str, most: int, screen: Screen | None = None, *, newline: str = " ") -> str:
    """The beginning of a text from outside, harmless and on one line, in at most `most` cells."""
    ellipsis = "..." if screen is None else screen.glyph("ellipsis")
    head = text[: most + 1]
    return shorten(clean(head, newline=newline) + (ellipsis if len(text) > len(head) else ""), most, ellipsis)


def label(probe: ProbeDiff) -> str:
    """The user's label of a probe, or the beginning of its id."""
    return brief(probe.probe.name, _LABEL) if probe.probe.name else short(probe.probe.id)


def stands_out(probe: ProbeDiff) -> bool:
    """Whether a probe moved more than the whole model's drift explains."""
    return probe.q_value is not None and probe.q_value <= OUTLIER_LEVEL


def listed(result: DiffResult, everything: bool) -> Sequence[ProbeDiff]:
    """The probes of the list by rank: all, or those not shown to be the same."""
    ordered = sorted(result.probes, key=lambda p: p.rank)
    return ordered if everything else [p for p in ordered if p.verdict is not Verdict.SAME]


def sign(verdict: Verdict, screen: Screen) -> str:
    """The sign of a verdict; its shape tells it without color."""
    return screen.paint(STYLES[verdict], screen.glyph(verdict.value))


def than(null: str) -> str:
    """What follows "more than": `a benign update changes it (N1)`."""
    return _THAN.get(null, brief(null, NAME))


def title(text: str, screen: Screen) -> str:
    """The heading of a section."""
    return screen.paint("bold", text)


def sentence(spans: Iterable[Span], screen: Screen, indent: int = 4) -> Iterator[str]:
    """Harmless text broken at spaces, every line behind `indent` spaces."""
    for line in flow(spans, max(20, screen.width - indent)):
        yield " " * indent + paint(line, screen).rstrip()


def says(text: str, screen: Screen, indent: int = 4, style: str = "") -> Iterator[str]:
    """`sentence` of harmless text in one style."""
    return sentence([Span(text, style)], screen, indent)


def headed(first: str, text: str, screen: Screen, indent: int = 4, style: str = "") -> Iterator[str]:
    """A sentence whose first line starts with `first` (painted, at most `indent` cells wide) in place of spaces."""
    for number, line in enumerate(says(text, screen, indent, style)):
        yield first + line[indent:] if number == 0 else line


def packed(parts: Iterable[Span], screen: Screen, first: str, indent: int) -> Iterator[str]:
    """Parts two spaces apart, as many to a line as fit: the first line behind `first` (harmless text), the others
    behind `indent` spaces. A part wider than the screen is broken at its spaces."""
    head, line, used = first, "", 0
    room = max(20, screen.width - max(indent, cells(first)))
    for part in parts:
        for piece in flow([part], room) if part.text else ():
            size = sum(cells(span.text) for span in piece)
            if used and used + 2 + size > room:
                yield (head + line).rstrip()
                head, line, used = " " * indent, "", 0
            line += ("  " if used else "") + paint(piece, screen)
            used += size + (2 if used else 0)
    if used:
        yield (head + line).rstrip()


def sections(parts: Iterable[Iterable[str]]) -> Iterator[str]:
    """The parts that have lines, an empty line between them."""
    started = False
    for part in parts:
        empty = True
        for line in part:
            if empty and started:
                yield ""
            empty = False
            started = True
            yield line
