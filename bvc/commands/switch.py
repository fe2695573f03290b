"""`bvc switch`."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.ids import short

_EXAMPLES = """
bvc switch main
bvc switch -c french
bvc switch --detach v1
"""


@bvc_command("switch", examples=_EXAMPLES)
@click.argument("target", metavar="BRANCH", shell_complete=completion.branches)
@click.option("-c", "--create", is_flag=True, help="Create the branch at HEAD first.")
@click.option("--detach", is_flag=True, help="Stand on a commit instead of a branch.")
def command(session: Session, target: str, create: bool, detach: bool) -> None:
    """Make HEAD follow another branch.

    The project's files stay as they are: HEAD only says where the next commit goes and what diffs compare with.
    """
    status = session.repo(writes=True).switch(target, create=create, detach=detach)
    if status.branch is not None:
        session.message(f"Switched to {'a new ' if create else ''}branch '{status.branch}'")
    elif status.head is not None:
        session.message(f"HEAD is now at {short(status.head.id)} {status.head.subject}")
