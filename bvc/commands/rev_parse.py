"""`bvc rev-parse`."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.ids import short
from bvc.render.documents import ids_document

_EXAMPLES = """
bvc rev-parse HEAD~2
bvc rev-parse --short v1
bvc rev-parse HEAD:snapshot.json
"""


@bvc_command("rev-parse", json=True, examples=_EXAMPLES)
@click.argument("revisions", nargs=-1, required=True, metavar="REV...", shell_complete=completion.revisions)
@click.option("--short", "abbreviate", is_flag=True, help="Print abbreviated ids.")
def command(session: Session, revisions: tuple[str, ...], abbreviate: bool) -> None:
    """Print the full id that a revision names.

    A revision is written as in Git: an id or its beginning, a branch, a tag, HEAD, @, ~n, ^n, @{n}, REV:path, and
    REV:probe/ID for what a commit recorded of a probe.
    """
    repo = session.repo()
    ids = [repo.rev_parse(revision) for revision in revisions]
    if session.json:
        session.document(ids_document("bvc.rev-parse/1", revisions, ids))
    else:
        session.print(short(oid) if abbreviate else oid for oid in ids)
