"""`bvc bisect view`: the posterior drawn over the lineage, newest first; quiet stretches on one line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from bvc.bisection import BisectResult, Candidate, Visit
from bvc.ids import short
from bvc.render.bisect import percent, place_text
from bvc.render.commits import plural
from bvc.render.graph import Graph, GraphRows
from bvc.render.screen import Screen
from bvc.render.text import cells, clean, pad, shorten

_BAR = 16
_QUIET = 0.005
"""Posterior of a commit below which it may be folded away."""
_FOLDED = 3
"""Commits in a row from which on they are folded."""


@dataclass(frozen=True)
class _Row:
    """One line of the drawing: a commit, or several that follow each other."""

    members: tuple[Candidate, ...]

    @property
    def id(self) -> str:
        """The newest commit's id."""
        return self.members[0].commit.id

    @property
    def posterior(self) -> float:
        """That of all together."""
        return sum(member.posterior for member in self.members)


def render_view(result: BisectResult, screen: Screen) -> Iterator[str]:
    """A line for each commit between the ends: drawing of the lineage, posterior, what was seen, subject."""
    if not result.lineage:
        yield from (clean(note) for note in result.notes)
        return
    seen: dict[str, list[Visit]] = {}
    for visit in result.observations:
        seen.setdefault(visit.commit.id, []).append(visit)
    marks = _marks(result)
    rows = list(_rows(result, seen, marks))
    drawing, width = _drawing(rows, {candidate.commit.id for candidate in result.lineage}, screen)
    most = max((candidate.posterior for candidate in result.lineage), default=0.0)
    for row, (drawn, size) in zip(rows, drawing, strict=True):
        if drawn.before is not None:
            yield drawn.before.rstrip()
        yield f"{drawn.node}{' ' * (width - size)} {_text(row, seen, marks, most, screen, result)}".rstrip()
        if drawn.link is not None:
            yield drawn.link.rstrip()


def _drawing(rows: Sequence[_Row], inside: Set[str], screen: Screen) -> tuple[list[tuple[GraphRows, int]], int]:
    """The lineage beside the rows, each with the cells that its node row takes, and the most of these."""
    graph, plain = Graph(screen), Graph(replace(screen, color=False))
    out = []
    for row in rows:
        parents = [parent for parent in row.members[-1].commit.parents if parent in inside]
        out.append((graph.add(row.id, parents), cells(plain.add(row.id, parents).node)))
    return out, max(size for _, size in out)


def _marks(result: BisectResult) -> Mapping[str, str]:
    """What stands behind a commit: the ends, the culprit, the steps, what is next."""
    out: dict[str, str] = {}
    for end in result.settings.get("good", ()):
        out[end] = result.terms[0]
    if result.settings.get("bad"):
        out[result.settings["bad"]] = result.terms[1]
    for commit, kind in result.steps:
        out[commit.id] = kind
    if result.next is not None:
        out[result.next[0].id] = "next"
    if result.first_bad is not None:
        out[result.first_bad.id] = f"first {result.terms[1]}"
    return out


def _rows(result: BisectResult, seen: Mapping[str, Sequence[Visit]], marks: Mapping[str, str]) -> Iterator[_Row]:
    """Newest first; commits in a row of which there is nothing to say together."""
    children: dict[str, int] = {}
    inside = {candidate.commit.id for candidate in result.lineage}
    for candidate in result.lineage:
        for parent in candidate.commit.parents:
            children[parent] = children.get(parent, 0) + 1
    run: list[Candidate] = []
    for candidate in reversed(result.lineage):
        commit = candidate.commit
        plain = candidate.posterior < _QUIET and commit.id not in marks and not _loud(seen.get(commit.id, ()))
        alone = children.get(commit.id, 0) == 1 and len([p for p in commit.parents if p in inside]) == 1
        if run and not (plain and alone and run[-1].commit.parents[:1] == (commit.id,)):
            yield from _flushed(run)
            run = []
        if plain and alone:
            run.append(candidate)
        else:
            yield _Row((candidate,))
    yield from _flushed(run)


def _loud(visits: Sequence[Visit]) -> bool:
    """Whether somebody was asked."""
    return any(visit.source != "stored" for visit in visits)


def _flushed(run: Sequence[Candidate]) -> Iterator[_Row]:
    if len(run) >= _FOLDED:
        yield _Row(tuple(run))
    else:
        yield from (_Row((candidate,)) for candidate in run)


def _text(
    row: _Row,
    seen: Mapping[str, Sequence[Visit]],
    marks: Mapping[str, str],
    most: float,
    screen: Screen,
    result: BisectResult,
) -> str:
    visits = [visit for member in row.members for visit in seen.get(member.commit.id, ())]
    head = f"{_bar(row.posterior, most, screen)} {pad(_shown(row.posterior), 8, right=True)} "
    told = pad(_told(visits, result), 12, right=True)
    if len(row.members) > 1:
        return head + told + screen.paint("dim", f"  {screen.glyph('ellipsis')} {plural(len(row.members), 'commit')}")
    commit = row.members[0].commit
    mark = f" {screen.paint('bold red', '<- ' + clean(marks[commit.id]))}" if commit.id in marks else ""
    room = max(12, screen.width - _BAR - 40 - (cells(marks[commit.id]) + 4 if commit.id in marks else 0))
    subject = shorten(clean(commit.subject), room, screen.glyph("ellipsis"))
    return f"{head}{told}  {screen.paint('yellow', short(commit.id))} {subject}{mark}"


def _bar(value: float, most: float, screen: Screen) -> str:
    full = round(_BAR * value / most) if most > 0 else 0
    return screen.paint("magenta", pad(screen.glyph("bar") * min(_BAR, max(full, 0)), _BAR))


def _shown(value: float) -> str:
    return percent(value) if value >= 0.0005 else ""


def _told(visits: Sequence[Visit], result: BisectResult) -> str:
    """`14/14`, `0.83`, or the mark; of several visits together."""
    marked = [visit for visit in visits if visit.source == "mark"]
    if marked:
        return clean(result.terms[1] if marked[-1].hits else result.terms[0])
    means = [visit.mean for visit in visits if visit.mean is not None]
    if means:
        return place_text(sum(means) / len(means))
    draws = sum(visit.draws for visit in visits)
    return f"{sum(visit.hits for visit in visits)}/{draws}" if draws else ""
