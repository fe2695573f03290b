"""`bvc diff --stat`: one line per probe, with a bar for how far it stands out, by suite and family."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bvc.render.commits import plural
from bvc.render.diff_layout import KINDS, brief, label, listed, packed, says, sign, stands_out
from bvc.render.numbers import number
from bvc.render.screen import Screen
from bvc.render.spans import Span
from bvc.render.text import cells, pad, shorten
from bvc.results import DiffResult, ProbeDiff, Verdict

_LABEL = 32
_FAMILY = "family:"
_STYLES = {Verdict.CHANGED: "red", Verdict.UNDECIDED: "yellow", Verdict.SAME: "dim"}
_ALONE = 3
"""Fewer probes than this do not make a section of their own on average: then the suites alone are sections."""


def render_stat(result: DiffResult, screen: Screen, *, everything: bool = False) -> Iterator[str]:
    """A section per family with one line per probe that is not the same (all with `everything`); then the counts."""
    rows = listed(result, everything)
    table = _Table.of(rows, screen)
    families = _families(result)
    for name, members in families.items():
        chosen = [row for row in rows if row.probe.id in members]
        if len(families) > 1 and (chosen or everything):
            yield from _heading(name, list(members.values()), screen)
        for row in chosen:
            yield table.line(row, screen)
    yield from says(_total(result), screen, 1)


def _families(result: DiffResult) -> Mapping[str, Mapping[str, ProbeDiff]]:
    """The probes of each section by id, sections by their best rank.

    A section is a suite, or a family of one: the probes that share a tag `family:…`, else their first tag, where such
    tags hold several probes each.
    """
    ordered = sorted(result.probes, key=lambda p: p.rank)
    named = {(p.suite, _family(p)) for p in ordered}
    fine = len(named) * _ALONE <= len(ordered)
    out: dict[str, dict[str, ProbeDiff]] = {}
    for probe in ordered:
        name = f"{probe.suite} / {_family(probe)}" if fine and _family(probe) else probe.suite
        out.setdefault(name, {})[probe.probe.id] = probe
    return out


def _family(probe: ProbeDiff) -> str:
    tags = probe.probe.tags
    marked = next((tag.removeprefix(_FAMILY) for tag in tags if tag.startswith(_FAMILY)), "")
    return marked or (tags[0] if tags else "")


def _heading(name: str, members: Sequence[ProbeDiff], screen: Screen) -> Iterator[str]:
    """`starter / weather  14 probes: 12 changed, 2 same; 8 stand out`."""
    verdicts = [probe.verdict for probe in members]
    counts = ", ".join(f"{verdicts.count(v)} {v.value}" for v in _STYLES if v in verdicts)
    outliers = sum(map(stands_out, members))
    facts = f"{plural(len(members), 'probe')}: {counts}" + (f"; {_standing(outliers)}" if outliers else "")
    shown = brief(name, max(12, screen.width // 2), screen)
    yield from packed([Span(shown, "bold"), Span(facts, "dim")], screen, " ", 3)


@dataclass(frozen=True)
class _Table:
    """Widths that all lines share: labels, kinds of change, scores, bars; `longest` is the score of a full bar."""

    label: int
    kind: int
    score: int
    bar: int
    longest: float

    @classmethod
    def of(cls, rows: Sequence[ProbeDiff], screen: Screen) -> _Table:
        most = min(_LABEL, screen.width // 2 - 8)
        width = max((min(most, cells(label(row))) for row in rows), default=0)
        kind = max((len(_kind(row)) for row in rows), default=0)
        digits = max((len(number(row.score)) for row in rows), default=0)
        longest = max((row.score for row in rows if math.isfinite(row.score)), default=0.0)
        return cls(width, kind, digits, max(4, screen.width - width - kind - digits - 9), longest)

    def line(self, row: ProbeDiff, screen: Screen) -> str:
        """` ● weather-01 │ language 14.2 ██████`."""
        name = pad(shorten(label(row), self.label, screen.glyph("ellipsis")), self.label)
        bar = screen.paint(_STYLES[row.verdict], screen.glyph("bar") * self._length(row.score))
        kind = f"{pad(_kind(row), self.kind)} " if self.kind else ""
        score = pad(number(row.score), self.score, right=True)
        return f" {sign(row.verdict, screen)} {name} {screen.glyph('column')} {kind}{score} {bar}".rstrip()

    def _length(self, score: float) -> int:
        """Cells of a bar; what stands out at all gets one."""
        if score <= 0 or math.isnan(score):
            return 0
        if not math.isfinite(score) or self.longest <= 0:
            return self.bar
        return max(1, round(self.bar * min(1.0, score / self.longest)))


def _kind(row: ProbeDiff) -> str:
    return "" if row.substance is None else KINDS[row.substance.kind]


def _standing(outliers: int) -> str:
    return f"{outliers} stand{'s' if outliers == 1 else ''} out"


def _total(result: DiffResult) -> str:
    summary = result.summary
    outliers = sum(map(stands_out, result.probes))
    return (
        f"{plural(summary.probes, 'probe')}: {summary.changed} changed, {summary.undecided} undecided, "
        f"{summary.same} same; {_standing(outliers)}; {summary.identical_text} identical answers"
    )
