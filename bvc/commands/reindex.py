"""`bvc reindex`."""

from __future__ import annotations

from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session


@bvc_command("reindex", examples="bvc reindex")
def command(session: Session) -> None:
    """Rebuild everything that is derived.

    Throws the index away and builds it anew from commits and packs. Nothing recorded can get lost by it.
    """
    session.repo(writes=True).reindex(session.progress)
    session.progress.finish()
    session.message("index rebuilt")
