"""`bvc fsck`."""

from __future__ import annotations

from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.errors import ExitCode
from bvc.render.documents import fsck_document
from bvc.render.lists import render_fsck


@bvc_command("fsck", json=True, examples="bvc fsck\nbvc fsck --json")
def command(session: Session) -> int:
    """Check every stored byte.

    Reads all commits, records and arrays, and compares each with its SHA-256 and checksum. Exits with 14 when something
    is damaged or missing.
    """
    result = session.repo().fsck(session.progress)
    session.progress.finish()
    if session.json:
        session.document(fsck_document(result))
    else:
        session.print(render_fsck(result, session.screen))
    return ExitCode.OK if result.ok else ExitCode.DAMAGED
