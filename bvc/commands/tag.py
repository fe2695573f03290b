"""`bvc tag`."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.errors import UsageError
from bvc.ids import short
from bvc.render.documents import tags_document
from bvc.render.lists import render_tags

_EXAMPLES = """
bvc tag
bvc tag v1
bvc tag v2 main~1 -m "released to testers"
bvc tag -d v1
"""


@bvc_command("tag", json=True, examples=_EXAMPLES)
@click.argument("name", required=False, shell_complete=completion.tags)
@click.argument("revision", default="HEAD", metavar="[REV]", shell_complete=completion.revisions)
@click.option("-v", "--verbose", is_flag=True, help="Show commit and subject too.")
@click.option("-d", "--delete", is_flag=True, help="Delete NAME.")
@click.option("-m", "--message", metavar="MSG", help="Make an annotated tag with this message.")
@click.option("-f", "--force", is_flag=True, help="Move NAME where it exists.")
def command(
    session: Session, name: str | None, revision: str, verbose: bool, delete: bool, message: str | None, force: bool
) -> None:
    """List, create or delete tags.

    Without NAME it lists them. With NAME it tags REV (default HEAD).
    """
    if delete:
        if name is None:
            raise UsageError("give the name of the tag to delete")
        gone = session.repo(writes=True).delete_tag(name)
        session.message(f"Deleted tag {gone.name} (was {short(gone.commit)}).")
    elif name is not None:
        session.repo(writes=True).create_tag(name, revision, message=message, force=force)
    elif session.json:
        session.document(tags_document(session.repo().tags()))
    else:
        session.page(render_tags(session.repo().tags(), session.screen, verbose=verbose))
