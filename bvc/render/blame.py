"""`bvc blame`: lines as in `git blame`, the steps of a behavior, and both as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bvc.api.blame_records import BehaviorStep, BlameEntry, BlameResult, ProbeChange, Turn
from bvc.ids import short
from bvc.records import Json
from bvc.render.commits import plural
from bvc.render.dates import moment
from bvc.render.numbers import p_text, points, share
from bvc.render.screen import Screen
from bvc.render.table import columns
from bvc.render.text import clean, shorten, wrap
from bvc.results import Kind, Rate

_STYLE = {Turn.APPEARED: "green", Turn.VANISHED: "red", Turn.CHANGED: "yellow"}
_NAMED = 6
"""Probes and commits that a line names before it only counts."""
_WIDE = 110
"""Cells from which on what changed stands on the line itself; else below it."""
_INSET = " " * 13
_AGAINST = {
    "steps": "the drift of this lineage's own steps",
    "N1": "benign updates that you trust, and the steps of this lineage",
    "N2": "generic training that you trust, and the steps of this lineage",
    "N0": "re-captures of the same weights alone: any update goes beyond those",
}


def render_blame(found: BlameResult, screen: Screen) -> Iterator[str]:
    """One line per probe, or a paragraph per step of a behavior; below it how sure all that is."""
    if found.behavior is None:
        yield from _probes(found, screen)
    else:
        yield from _behavior(found, screen)


# Probes


def _probes(found: BlameResult, screen: Screen) -> Iterator[str]:
    lines = [(entry, entry.change) for entry in found.entries if entry.change is not None]
    wide = screen.width >= _WIDE
    rows = [
        [_commit(entry), _date(entry), _sure(entry), entry.kind.value, clean(change.label)]
        + ([_what(change)] if wide else [])
        for entry, change in lines
    ]
    drawn = columns(rows, screen, right=(2,), styles=("yellow", "dim", "", "", "bold"))
    for (_, change), line in zip(lines, drawn, strict=True):
        yield line
        if not wide and change.old is not None:
            yield shorten(_INSET + _what(change), screen.width, screen.glyph("ellipsis"))
    for entry in _first_of_each(found.entries):
        if entry.between:
            yield _gap(entry)
    yield ""
    yield from _footnotes(_probe_notes(found), screen)


def _commit(entry: BlameEntry) -> str:
    """As in `git blame` a caret marks commits that brought the probe itself."""
    return f"{'^' if entry.change is not None and entry.change.old is None else ' '}{short(entry.commit.id)}"


def _date(entry: BlameEntry) -> str:
    return f"{moment(entry.commit.date, entry.commit.timezone):%Y-%m-%d}"


def _sure(entry: BlameEntry) -> str:
    return "" if entry.confidence is None else f"{_percent(entry.confidence)} %"


def _percent(confidence: float) -> str:
    """Rounded down: nothing is surer than it is."""
    thousandths = int(confidence * 1000)
    return f"{thousandths / 10:g}" if thousandths > 990 or thousandths < 10 else str(thousandths // 10)


def _what(change: ProbeChange) -> str:
    if change.old is None:
        since = "" if change.reworded is None else f" (other words since, last with {short(change.reworded)})"
        return f"as it came{since}"
    said = change.substance
    kind = "" if said is None else (said.reason or ("same text" if said.kind is Kind.IDENTICAL else said.kind.value))
    gone = "" if change.undone is None else f"; undone with {short(change.undone)}"
    return f"{clean(kind)}{gone}: {clean(change.new)}"


def _first_of_each(entries: Sequence[BlameEntry]) -> list[BlameEntry]:
    return list({entry.commit.id: entry for entry in reversed(entries)}.values())


def _gap(entry: BlameEntry, what: str = "never captured") -> str:
    names = ", ".join(short(commit) for commit in entry.between[:_NAMED])
    more = ", ..." if len(entry.between) > _NAMED else ""
    noun = "a commit that was" if len(entry.between) == 1 else f"{len(entry.between)} commits that were"
    return f"{short(entry.commit.id)} or {noun} {what}: {names}{more}"


def _probe_notes(found: BlameResult) -> Iterator[str]:
    changed = sum(1 for e in found.entries if e.change is not None and e.change.old is not None)
    yield f"{plural(len(found.entries), 'probe')}, {changed} changed; {_history(found)}"
    if found.against is None:
        yield (
            "Judged by the stored text alone: too few probes or steps to know what harmless change does, and no commit "
            "was captured twice. How sure a line is cannot be said."
        )
        return
    yield f"Judged against {_AGAINST.get(found.against, found.against)}."
    if found.against != "N0":
        yield f"Of the changes named over all probes and steps, {share(found.level)} % may be false."


def _history(found: BlameResult) -> str:
    held = "" if found.captured == found.commits else f", {found.captured:,} of them captured"
    return f"{plural(found.commits, 'commit')}{held}"


# Behaviors


def _behavior(found: BlameResult, screen: Screen) -> Iterator[str]:
    yield f"{screen.paint('bold', clean(found.behavior or ''))}  {clean(found.description)}".rstrip()
    for entry in found.entries:
        if entry.step is not None:
            yield ""
            yield from _step(entry, entry.step, screen)
            if entry.between:
                what = "captured without its features, or never" if found.featureless else "never captured"
                yield from _indented(_gap(entry, what), screen)
    yield ""
    yield from _footnotes(_behavior_notes(found), screen)


def _step(entry: BlameEntry, step: BehaviorStep, screen: Screen) -> Iterator[str]:
    commit = screen.paint("yellow", short(entry.commit.id))
    kind = screen.paint(_STYLE[entry.kind], entry.kind.value)
    yield f"{commit}  {screen.paint('dim', _date(entry))}  {_sure(entry)}  {kind}  {clean(entry.commit.subject)}"
    arrow = screen.glyph("arrow")
    low, high = step.ci
    difference = f"{points(step.difference)} points [{points(low)}, {points(high)}], {p_text(step.p_value)}"
    yield f"    {_rate(step.before)} {arrow} {_rate(step.after)}  {difference}{_over(step)}"
    for verb, probes in (("gained by", step.gained), ("lost by", step.lost)):
        if probes:
            names = [clean(label) for _, label in probes]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield from _indented(f"{verb} {', '.join(names[:_NAMED])}{more}", screen)
    others = step.candidates[1:_NAMED]
    if others and step.candidates[0].posterior < 0.95:
        each = (f"{short(c.commit)} ({_percent(c.posterior)} %)" for c in others)
        yield from _indented(f"or it came with {', '.join(each)}", screen)


def _over(step: BehaviorStep) -> str:
    """Over how many commits the rates were taken, where that is more than one on each side."""
    before, after = step.commits
    return "" if before == after == 1 else f", over {before} and {plural(after, 'commit')}"


def _rate(rate: Rate) -> str:
    low, high = rate.ci
    return f"{100 * rate.rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _indented(text: str, screen: Screen) -> Iterator[str]:
    for line in wrap(text, max(20, screen.width - 4)):
        yield f"    {line}"


def _behavior_notes(found: BlameResult) -> Iterator[str]:
    if found.rate is None:
        yield f"No answer was scored at {short(found.start)}; {_history(found)}."
    else:
        rate = f"{_rate(found.rate)} of {plural(found.rate.n, 'probe')} at {short(found.start)}"
        steps = "no step" if not found.entries else plural(len(found.entries), "step")
        yield f"{steps}; {rate}; {_history(found)}"
    if found.featureless:
        lack = "lacks" if found.featureless == 1 else "lack"
        yield (
            f"{plural(found.featureless, 'captured commit')} {lack} the features that this asks for and "
            f"{'was' if found.featureless == 1 else 'were'} passed over: `bvc capture REV --features` adds them."
        )
    if found.immaterial:
        yield f"{plural(found.immaterial, 'further step')} too small to matter."
    if found.smallest is not None:
        yield (
            f"In a lineage without a step one is named with a chance of {share(found.level)} % at most; between two "
            f"commits one of {share(found.smallest)} points or more is found with probability .8."
        )
    if found.unrest > 1:
        yield (
            f"From commit to commit the rate moves {found.unrest:.1f} times as far as its probes explain: what all of "
            "them do together counts as noise here."
        )


def _footnotes(lines: Iterator[str], screen: Screen) -> Iterator[str]:
    for text in lines:
        for line in wrap(text, max(20, screen.width)):
            yield screen.paint("dim", line)


# JSON


def blame_document(found: BlameResult) -> Json:
    """`bvc.blame/1`."""
    behavior = None if found.behavior is None else {"name": found.behavior, "description": found.description}
    return {
        "schema": "bvc.blame/1",
        "head": found.head.id,
        "start": found.start,
        "commits": found.commits,
        "captured": found.captured,
        "featureless": found.featureless,
        "probes": found.probes,
        "level": found.level,
        "against": found.against,
        "behavior": behavior,
        "rate": None if found.rate is None else _rate_json(found.rate),
        "smallest": found.smallest,
        "immaterial": found.immaterial,
        "unrest": found.unrest,
        "notes": list(found.notes),
        "entries": [_entry_json(entry, found.behavior) for entry in found.entries],
    }


def _entry_json(entry: BlameEntry, behavior: str | None) -> Json:
    out: Json = {
        "commit": entry.commit.id,
        "subject": entry.commit.subject,
        "kind": entry.kind.value,
        "confidence": entry.confidence,
        "parents": list(entry.parents),
        "between": list(entry.between),
    }
    if entry.change is not None:
        return {"probe": entry.change.probe, **out, **_change_json(entry.change)}
    return out if entry.step is None else {"behavior": behavior, **out, **_step_json(entry.step)}


def _change_json(change: ProbeChange) -> Json:
    said = change.substance
    return {
        "label": change.label,
        "suite": change.suite,
        "boundary": change.old is None,
        "q_value": change.q_value,
        "old": change.old,
        "new": change.new,
        "substance": None
        if said is None
        else {"kind": said.kind.value, "distance": said.distance, "reason": said.reason},
        "reworded": change.reworded,
        "mark": change.mark,
        "undone": change.undone,
    }


def _step_json(step: BehaviorStep) -> Json:
    return {
        "before": {**_rate_json(step.before), "commits": step.commits[0]},
        "after": {**_rate_json(step.after), "commits": step.commits[1]},
        "difference": step.difference,
        "ci": list(step.ci),
        "p_value": step.p_value,
        "candidates": [{"commit": c.commit, "subject": c.subject, "posterior": c.posterior} for c in step.candidates],
        "gained": [probe for probe, _ in step.gained],
        "lost": [probe for probe, _ in step.lost],
    }


def _rate_json(rate: Rate) -> Json:
    return {"rate": rate.rate, "n": rate.n, "ci": list(rate.ci)}
