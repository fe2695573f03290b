"""`bvc status`."""

from __future__ import annotations

from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.render.documents import status_document
from bvc.render.status import render_status


@bvc_command("status", json=True, examples="bvc status\nbvc status --json")
def command(session: Session) -> None:
    """Show what stands between the project and HEAD.

    The branch, changes of suites and behaviors since HEAD, checkpoints that lie beside committed ones and were not
    committed, and captures that were interrupted.
    """
    result = session.repo().status()
    if session.json:
        session.document(status_document(result))
    else:
        session.print(render_status(result, session.screen))
