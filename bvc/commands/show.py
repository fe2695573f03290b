"""`bvc show`."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session

_EXAMPLES = """
bvc show
bvc show main~2
bvc show --probe weather-03
bvc show v1:probe/weather-03 --json
"""


@bvc_command("show", json=True, examples=_EXAMPLES)
@click.argument("revision", default="HEAD", metavar="[REV]", shell_complete=completion.revisions)
@click.option("--probe", metavar="ID", help="Show one probe: its prompt, answers and log-probabilities.")
def command(session: Session, revision: str, probe: str | None) -> None:
    """Show one commit, or one of its probes.

    ID is a probe's label, its id or an abbreviation of it. REV:probe/ID names the same.
    """
    result = session.repo().show(revision, probe)
    if session.json:
        from bvc.render.documents import show_document

        session.document(show_document(result))
    else:
        from bvc.render.show import render_show

        session.page(render_show(result, session.screen))
