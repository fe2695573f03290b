"""`bvc status`."""

from __future__ import annotations

from collections.abc import Iterator

from bvc.ids import short
from bvc.render.commits import model_text, plural
from bvc.render.screen import Screen
from bvc.render.table import columns
from bvc.render.text import clean
from bvc.results import StatusResult, SuiteChange

_STYLES = {"new": "green", "changed": "yellow", "removed": "red", "invalid": "bold red"}


def render_status(result: StatusResult, screen: Screen) -> Iterator[str]:
    """Where HEAD is, then what differs from it, each with the command that deals with it."""
    yield _head(result, screen)
    changed = [change for change in result.suites if change.state != "same"]
    if changed:
        yield ""
        yield "Suites changed since HEAD (a commit captures the new probes):"
        yield from (f"  {line}" for line in _suites(changed, screen))
    if result.behaviors_changed:
        yield ""
        yield f"{screen.paint('yellow', 'behaviors.toml')} changed since HEAD"
    if result.interrupted:
        yield ""
        yield "Unfinished captures (the same `bvc commit` again goes on where they stopped):"
        yield from (f"  {clean(name)}: {plural(done, 'probe')} done" for name, done in result.interrupted)
    if result.bisect is not None:
        question, said = result.bisect
        yield ""
        yield f"Bisecting ({plural(said, 'visit')} so far; `bvc bisect view` shows it, `bvc bisect reset` ends it):"
        yield f"  {clean(question)}"
    if result.uncommitted:
        yield ""
        yield "Checkpoints not yet committed (`bvc commit PATH`):"
        yield from (f"  {screen.paint('red', clean(path))}" for path in result.uncommitted)
    if not (changed or result.behaviors_changed or result.interrupted or result.bisect or result.uncommitted):
        yield "nothing to commit" if result.head else "nothing committed yet: `bvc commit CHECKPOINT` makes a start"


def _head(result: StatusResult, screen: Screen) -> str:
    if result.branch is not None:
        where = f"On branch {screen.paint('bold green', clean(result.branch))}"
    else:
        where = screen.paint("red", "HEAD detached")
    if result.head is None:
        return f"{where}, no commits yet"
    model = "" if result.head.snapshot is None else f"  {screen.paint('cyan', model_text(result.head.snapshot.model))}"
    return f"{where} at {screen.paint('yellow', short(result.head.id))} {clean(result.head.subject)}{model}"


def _suites(changes: list[SuiteChange], screen: Screen) -> Iterator[str]:
    rows = [[c.state, clean(c.name), f"+{c.added} -{c.removed} probes"] for c in changes]
    for change, line in zip(changes, columns(rows, screen), strict=True):
        yield screen.paint(_STYLES.get(change.state, ""), line)
