"""`bvc reflog`."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.render.documents import reflog_document
from bvc.render.lists import render_reflog


@bvc_command("reflog", json=True, examples="bvc reflog\nbvc reflog main -n 5", short_count=True)
@click.argument("ref", default="HEAD", metavar="[REF]", shell_complete=completion.branches)
@click.option("-n", "--max-count", "limit", type=click.IntRange(min=0), metavar="N", help="At most N entries.")
def command(session: Session, ref: str, limit: int | None) -> None:
    """Show where a branch or HEAD has been, newest first.

    What is named here can be reached as REF@{n}, also after the branch has moved on.
    """
    entries = session.repo().reflog(ref)[:limit]
    if session.json:
        session.document(reflog_document(ref, entries))
    else:
        session.page(render_reflog(entries, ref, session.screen))
