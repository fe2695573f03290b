"""`bvc log`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.errors import UsageError
from bvc.render.log import render_log

if TYPE_CHECKING:
    from bvc.api.search_records import LogSearch

_EXAMPLES = """
bvc log
bvc log -5 --stat
bvc log --oneline --graph main french
bvc log v1..HEAD
bvc log --oneline --behavior refusal
bvc log --oneline --probe weather-03
bvc log -S "As an AI"
bvc log -i -G "\\bsorry\\b" v1..HEAD
bvc log --format "%h %as %m %s"
"""


@bvc_command("log", json=True, examples=_EXAMPLES, short_count=True)
@click.argument("revisions", nargs=-1, metavar="[REV]...", shell_complete=completion.revisions)
@click.option(
    "-n", "--max-count", "limit", type=click.IntRange(min=0), metavar="N", help="At most N commits (also -N)."
)
@click.option("--oneline", is_flag=True, help="One line per commit.")
@click.option("--graph", is_flag=True, help="Draw the lineage beside it.")
@click.option("--stat", is_flag=True, help="Count the answers that changed since the first parent, and show the shift.")
@click.option(
    "--behavior",
    metavar="NAME",
    help="Show the rate of a behavior at each commit.",
    shell_complete=completion.behaviors,
)
@click.option("--allow-python", is_flag=True, help="Run the Python scorers of this project's behaviors.toml.")
@click.option(
    "--probe", "probes", metavar="ID", multiple=True, help="Only commits in which this probe's answers changed."
)
@click.option("-S", "text", metavar="TEXT", help="Only commits that change how often TEXT is in an answer.")
@click.option("-G", "regex", metavar="REGEX", help="Only commits that change an answer that matches, before or after.")
@click.option("-i", "--ignore-case", is_flag=True, help="With -S and -G: upper and lower case are the same.")
@click.option("--format", "format_", metavar="FORMAT", help="Print each commit as FORMAT says.")
def command(
    session: Session,
    revisions: tuple[str, ...],
    limit: int | None,
    oneline: bool,
    graph: bool,
    stat: bool,
    behavior: str | None,
    allow_python: bool,
    probes: tuple[str, ...],
    text: str | None,
    regex: str | None,
    ignore_case: bool,
    format_: str | None,
) -> None:
    """Show the history of models, newest first.

    REV is where to start (default HEAD); A..B shows what B has and A has not.

    -S, -G and --probe list only commits that change such answers, and how. A commit is compared with its parent, probe
    by probe; a merge is listed for what differs from every parent.

    FORMAT takes Git's placeholders %H %h %T %P %p %s %b %B %an %ae %ad %aI %ar %as %at %d %D %n %% %x00, and %m or
    %(model), %(fingerprint), %(base), %(location), %(suites), %(probes), %(capability), %(root).
    """
    if format_ is not None and oneline:
        raise UsageError("--oneline and --format exclude each other")
    search = _search(text, regex, probes, ignore_case)
    entries = session.repo().log(
        revisions,
        limit=limit,
        stat=stat,
        behavior=behavior,
        allow_python=allow_python,
        search=search,
        progress=None if search is None else session.progress,
    )
    if session.json:
        from bvc.render.documents import log_document

        session.document(log_document(entries))
        return
    lines = render_log(
        entries,
        session.screen,
        oneline=oneline,
        graph=graph,
        format=format_,
        now=time.time(),
        every_change=bool(probes),
        summary=behavior is not None and format_ is None,
    )
    session.page(lines)


def _search(text: str | None, regex: str | None, probes: tuple[str, ...], ignore_case: bool) -> LogSearch | None:
    """What -S, -G and --probe ask for; None where they do not."""
    if text is None and regex is None and not probes:
        return None
    from bvc.api.search_records import LogSearch

    return LogSearch(text, regex, probes, ignore_case)
