"""`bvc log`."""

from __future__ import annotations

import time

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.errors import UsageError
from bvc.render.log import render_log

_EXAMPLES = """
bvc log
bvc log -5 --stat
bvc log --oneline --graph main french
bvc log v1..HEAD
bvc log --oneline --behavior refusal
bvc log --format "%h %as %m %s"
"""


@bvc_command("log", json=True, examples=_EXAMPLES, short_count=True)
@click.argument("revisions", nargs=-1, metavar="[REV]...", shell_complete=completion.revisions)
@click.option(
    "-n", "--max-count", "limit", type=click.IntRange(min=0), metavar="N", help="At most N commits (also -N)."
)
@click.option("--oneline", is_flag=True, help="One line per commit.")
@click.option("--graph", is_flag=True, help="Draw the lineage beside it.")
@click.option("--stat", is_flag=True, help="Count the answers that changed since the first parent.")
@click.option(
    "--behavior",
    metavar="NAME",
    help="Show the rate of a behavior at each commit.",
    shell_complete=completion.behaviors,
)
@click.option("--allow-python", is_flag=True, help="Run the Python scorers of this project's behaviors.toml.")
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
    format_: str | None,
) -> None:
    """Show the history of models, newest first.

    REV is where to start (default HEAD); A..B shows what B has and A has not.

    FORMAT takes Git's placeholders %H %h %T %P %p %s %b %B %an %ae %ad %aI %ar %as %at %d %D %n %% %x00, and %m or
    %(model), %(fingerprint), %(base), %(location), %(suites), %(probes), %(capability), %(root).
    """
    if format_ is not None and oneline:
        raise UsageError("--oneline and --format exclude each other")
    entries = session.repo().log(revisions, limit=limit, stat=stat, behavior=behavior, allow_python=allow_python)
    if session.json:
        from bvc.render.documents import log_document

        session.document(log_document(entries))
    else:
        screen = session.screen
        session.page(render_log(entries, screen, oneline=oneline, graph=graph, format=format_, now=time.time()))
