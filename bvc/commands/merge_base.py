"""`bvc merge-base`."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.errors import ExitCode
from bvc.render.documents import ids_document


@bvc_command("merge-base", json=True, examples="bvc merge-base main french\nbvc merge-base --all main french")
@click.argument("revisions", nargs=-1, required=True, metavar="A B", shell_complete=completion.revisions)
@click.option("-a", "--all", "everything", is_flag=True, help="Print all best common ancestors.")
def command(session: Session, revisions: tuple[str, ...], everything: bool) -> int:
    """Find the best common ancestor of two commits.

    Exits with 1 when they have none.
    """
    found = session.repo().merge_base(revisions, all=everything)
    if session.json:
        session.document(ids_document("bvc.merge-base/1", revisions, found))
    else:
        session.print(found)
    return ExitCode.OK if found else ExitCode.DIFFERENT
