"""`bvc bisect`: where it stands, and the statement at its end, which a person can paste into a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bvc.bisection import BisectResult, BisectStatus, Stretch, Visit
from bvc.ids import short
from bvc.records import CommitInfo
from bvc.render.bisect_document import answers_of_side
from bvc.render.commits import plural
from bvc.render.dates import git_date
from bvc.render.numbers import p_text, share
from bvc.render.screen import Screen
from bvc.render.text import clean, pad, shorten, wrap

_OBSERVED = 12
_CANDIDATES = 8
_CERTAIN = 0.999
"""A probability above which its digits say nothing."""
_HEADS = {
    BisectStatus.FOUND: ("bold green", "FOUND"),
    BisectStatus.RANGE: ("bold yellow", "RANGE"),
    BisectStatus.NOT_REPRODUCIBLE: ("bold yellow", "NOT REPRODUCIBLE"),
    BisectStatus.INTERMITTENT: ("bold yellow", "INTERMITTENT"),
    BisectStatus.ONLY_SKIPPED: ("bold yellow", "ONLY SKIPPED COMMITS ARE LEFT"),
    BisectStatus.RUNNING: ("bold cyan", "RUNNING"),
    BisectStatus.ABORTED: ("bold red", "ABORTED"),
}
_SOURCES = {"stored": "stored", "live": "asked now", "command": "command", "mark": "marked"}


def render_bisect(result: BisectResult, screen: Screen) -> Iterator[str]:
    """The result as text."""
    yield from render_headline(result, screen)
    yield from _body(result, screen)
    for note in result.notes:
        yield from _wrapped(f"note: {clean(note)}", screen, "dim")
    yield from _closing(result, screen)


def render_headline(result: BisectResult, screen: Screen) -> Iterator[str]:
    """What was looked for, and how it stands."""
    style, word = _HEADS[result.status]
    yield from _wrapped(f"Looked for: {clean(result.question)}", screen)
    yield screen.paint(style, word) + _summary(result)


def _summary(result: BisectResult) -> str:
    sure = percent(result.confidence)
    if result.status is BisectStatus.FOUND and result.first_bad is not None:
        return f"  first {clean(result.terms[1])} commit, {sure} sure"
    if result.status is BisectStatus.RANGE:
        return f"  it lies among {plural(len(result.candidates), 'commit')}, {sure} sure"
    if result.status is BisectStatus.RUNNING and result.candidates:
        told = "" if result.confidence > _CERTAIN else f", {sure} sure that it is among them"
        return f"  {plural(len(result.candidates), 'commit')} left{told}"
    return ""


def _body(result: BisectResult, screen: Screen) -> Iterator[str]:
    found = result.conclusion
    if result.first_bad is not None:
        yield ""
        yield from commit_lines(result.first_bad, screen)
    if found.reason and found.reason not in result.notes and result.next is None:
        yield ""
        yield from _wrapped(clean(found.reason[:1].upper() + found.reason[1:]).rstrip(".") + ".", screen)
    if result.status is BisectStatus.NOT_REPRODUCIBLE:
        yield from _nothing(result, screen)
    yield from _candidates(result, screen)
    yield from _steps(result, screen)
    if result.status is not BisectStatus.NOT_REPRODUCIBLE:
        yield from _rates(result, screen)
    yield from _observed(result, screen)
    yield from _changed(result, screen)


def commit_lines(commit: CommitInfo, screen: Screen) -> Iterator[str]:
    """One commit: id and subject, who and when, the checkpoint."""
    yield f"{screen.paint('yellow', commit.id)}"
    yield f"  {screen.paint('bold', shorten(clean(commit.subject), screen.width - 2, screen.glyph('ellipsis')))}"
    yield f"  {clean(commit.author)}, {git_date(commit.date, commit.timezone)}"
    place = next(iter(commit.trailers.get("Bvc-Location", ())), None)
    if place is not None:
        recorded = commit.snapshot is not None and commit.snapshot.model.kind == "recorded"
        yield screen.paint("dim", f"  {'answers of' if recorded else 'checkpoint'} {clean(place)}")


def _nothing(result: BisectResult, screen: Screen) -> Iterator[str]:
    found = result.conclusion
    yield ""
    told = "The two ends do not differ by more than chance"
    if found.p_value is not None:
        told += f" ({p_text(found.p_value)})"
    yield from _wrapped(told + ".", screen)
    if found.smallest is not None and result.observations:
        unit = " of the way" if _places(result) else " points"
        size = f"{share(found.smallest)}{' %' if _places(result) else ''}{unit}"
        yield from _wrapped(f"A difference of {size} would have been found with probability 80 %.", screen)
    ends = (*result.settings.get("good", ()), result.settings.get("bad"))
    rows = [visit for visit in result.observations if visit.commit.id in ends and visit.source == "stored"]
    if rows:
        yield ""
    yield from (_visit_row(visit, result, screen) for visit in rows)


def _places(result: BisectResult) -> bool:
    """Whether the evidence is places between the ends, not answers."""
    return any(visit.mean is not None for visit in result.observations)


def _candidates(result: BisectResult, screen: Screen) -> Iterator[str]:
    if result.status not in (BisectStatus.RANGE, BisectStatus.ONLY_SKIPPED, BisectStatus.RUNNING):
        return
    if result.candidates:
        yield ""
    for candidate in result.candidates[:_CANDIDATES]:
        yield _commit_row(pad(percent(candidate.posterior), 7, right=True), candidate.commit, screen)
    if len(result.candidates) > _CANDIDATES:
        rest = f"        and {plural(len(result.candidates) - _CANDIDATES, 'commit')} more: `bvc bisect view`"
        yield screen.paint("dim", rest)


def _steps(result: BisectResult, screen: Screen) -> Iterator[str]:
    if result.steps:
        yield ""
    for commit, kind in result.steps:
        style = "red" if kind == "appeared" else "green"
        yield _commit_row(screen.paint(style, pad(kind, 8)), commit, screen)
    for stretch in result.conclusion.stretches:
        yield screen.paint("dim", _stretch(result, stretch, screen))


def _stretch(result: BisectResult, stretch: Stretch, screen: Screen) -> str:
    ends = (short(result.lineage[node].commit.id) for node in (stretch.first, stretch.last))
    low, high = stretch.ci
    arrow = screen.glyph("arrow")
    return f"  {f' {arrow} '.join(dict.fromkeys(ends))}: {share(stretch.rate)} % [{share(low)}, {share(high)}]"


def _rates(result: BisectResult, screen: Screen) -> Iterator[str]:
    found, counts = result.conclusion, answers_of_side(result)
    if found.old is None or found.new is None or found.intervals is None or not any(counts):
        return
    if all(visit.source in ("mark", "command") for visit in result.observations) and not any(
        0 < visit.hits < visit.draws or visit.draws > 1 for visit in result.observations
    ):
        return
    yield ""
    words = ("without", "with") if result.status is BisectStatus.INTERMITTENT else ("before", "after")
    for word, rate, ci, n in zip(words, (found.old, found.new), found.intervals, counts, strict=True):
        if _places(result):
            interval = f"[{place_text(ci[0])}, {place_text(ci[1])}]"
            yield f"{pad(word, 7)} {place_text(rate)} {interval} of the way, over {n:,} places"
        else:
            interval = f"[{share(ci[0])}, {share(ci[1])}]"
            yield f"{pad(word, 7)} {pad(share(rate), 5, right=True)} % {interval} of {n:,} answers"
    if _places(result):
        ends = [short(str(commit)) for commit in (*result.settings["good"][:1], result.settings["bad"])]
        yield screen.paint("dim", f"       0: as {ends[0]} answers, 1: as {ends[-1]} does")


def _observed(result: BisectResult, screen: Screen) -> Iterator[str]:
    """What was asked, and what of that was stored: the receipts."""
    asked = [visit for visit in result.observations if visit.source != "stored"]
    stored = {visit.commit.id for visit in result.observations} - {visit.commit.id for visit in asked}
    if not result.observations:
        return
    yield ""
    yield from _spent(result, len(stored), screen)
    rows = _together(asked)
    for visit in rows[:_OBSERVED]:
        yield _visit_row(visit, result, screen)
    if len(rows) > _OBSERVED:
        yield screen.paint("dim", f"  and {plural(len(rows) - _OBSERVED, 'commit')} more: `bvc bisect view`")


def _together(visits: Sequence[Visit]) -> list[Visit]:
    """One row for each commit, in the order of first visits."""
    rows: dict[tuple[str, str], Visit] = {}
    for visit in visits:
        key = visit.commit.id, visit.source
        before = rows.get(key)
        if before is None or visit.mean is not None:
            rows[key] = visit
        else:
            rows[key] = replace(visit, draws=before.draws + visit.draws, hits=before.hits + visit.hits)
    return list(rows.values())


def _spent(result: BisectResult, stored: int, screen: Screen) -> Iterator[str]:
    """What it took; nothing where a person alone judged."""
    if all(visit.source == "mark" for visit in result.observations):
        return
    sources = {visit.source for visit in result.observations}
    draws = "" if _places(result) else f" and {plural(result.draws, 'draw')}"
    told = f"After {plural(result.loads, 'load')}{draws}"
    if "command" in sources and not sources & {"live", "stored"}:
        told = f"After {plural(result.draws, 'run')} of the command"
    if stored:
        told += f", with the stored captures of {plural(stored, 'commit')}"
    yield from _wrapped(told + ".", screen)


def _visit_row(visit: Visit, result: BisectResult, screen: Screen) -> str:
    told = f"{visit.hits} of {visit.draws}" if visit.mean is None else place_text(visit.mean)
    if visit.source == "mark":
        told = result.terms[1] if visit.hits else result.terms[0]
    return _commit_row(f"{pad(clean(told), 9, right=True)} {pad(_SOURCES[visit.source], 9)}", visit.commit, screen)


def _changed(result: BisectResult, screen: Screen) -> Iterator[str]:
    if not result.changed:
        return
    yield ""
    yield "What that commit changed:"
    width = min(28, max(len(clean(what)) for what, _ in result.changed))
    for what, how in result.changed:
        label = pad(shorten(clean(what), width, screen.glyph("ellipsis")), width)
        room = max(10, screen.width - width - 4)
        yield f"  {screen.paint('bold', label)}  {shorten(clean(how), room, screen.glyph('ellipsis'))}"


def _closing(result: BisectResult, screen: Screen) -> Iterator[str]:
    """The commands to go on with."""
    commands: list[str] = []
    if result.first_bad is not None:
        commands = [f"bvc diff {short(p)} {short(result.first_bad.id)}" for p in result.first_bad.parents[:2]]
        behavior = result.settings.get("behavior")
        if behavior:
            commands.append(f"bvc behavior test {clean(str(behavior))} {short(result.first_bad.id)}")
        commands.append("bvc bisect view")
    elif result.next is not None:
        commit, _ = result.next
        yield ""
        why = clean(result.conclusion.reason.removeprefix("next: "))
        yield f"Next: {short(commit.id)} {clean(commit.subject)}" + (f" ({why})" if why else "")
        commands = _next_commands(result)
    elif result.lineage:
        commands = ["bvc bisect view", "bvc bisect log"]
    if commands:
        yield ""
        yield screen.paint(
            "dim", "Look closer: " if result.first_bad or not result.next else "Go on with: "
        ) + ", ".join(f"`{command}`" for command in commands)


def _next_commands(result: BisectResult) -> list[str]:
    old, new = result.terms
    settings = result.settings
    if settings.get("behavior") or settings.get("expr") or settings.get("like_bad"):
        return ["bvc bisect run", "bvc bisect next"]
    if settings.get("command"):
        return ["bvc bisect run -- CMD"]
    return [f"bvc bisect {old}", f"bvc bisect {new}", "bvc bisect skip"]


def _commit_row(head: str, commit: CommitInfo, screen: Screen) -> str:
    room = max(10, screen.width - 32)
    subject = shorten(clean(commit.subject), room, screen.glyph("ellipsis"))
    return f"  {head}  {screen.paint('yellow', short(commit.id))} {subject}"


def place_text(value: float) -> str:
    """A place between the ends: `0.86`; nothing is told as minus zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def percent(value: float) -> str:
    """A probability as a person reads it; what is nearly sure is never told as sure."""
    return "> 99.9 %" if value > _CERTAIN else f"{share(value)} %"


def _wrapped(text: str, screen: Screen, style: str = "") -> Iterator[str]:
    return (screen.paint(style, line) for line in wrap(text, screen.width))
