"""`bvc branch`."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.errors import UsageError
from bvc.ids import short
from bvc.render.documents import branches_document
from bvc.render.lists import render_branches

_EXAMPLES = """
bvc branch
bvc branch french HEAD~2
bvc branch -m french fr
bvc branch -d fr
"""


@bvc_command("branch", json=True, examples=_EXAMPLES)
@click.argument("name", required=False, shell_complete=completion.branches)
@click.argument("revision", required=False, metavar="[REV]", shell_complete=completion.revisions)
@click.option("-v", "--verbose", is_flag=True, help="Show commit and subject too.")
@click.option("-d", "--delete", is_flag=True, help="Delete NAME if HEAD reaches all of it.")
@click.option("-D", "force_delete", is_flag=True, help="Delete NAME whatever it holds.")
@click.option("-m", "--move", is_flag=True, help="Rename NAME (or the current branch) to the other name given.")
@click.option("-f", "--force", is_flag=True, help="Move NAME where it exists.")
def command(
    session: Session,
    name: str | None,
    revision: str | None,
    verbose: bool,
    delete: bool,
    force_delete: bool,
    move: bool,
    force: bool,
) -> None:
    """List, create, rename or delete branches.

    Without NAME it lists them. With NAME it creates a branch at REV (default HEAD).
    """
    if delete or force_delete:
        _delete(session, name, revision, force_delete or force)
    elif move:
        _move(session, name, revision)
    elif name is not None:
        session.repo(writes=True).create_branch(name, revision or "HEAD", force=force)
    elif session.json:
        session.document(branches_document(session.repo().branches()))
    else:
        session.page(render_branches(session.repo().branches(), session.screen, verbose=verbose))


def _delete(session: Session, name: str | None, extra: str | None, force: bool) -> None:
    if name is None or extra is not None:
        raise UsageError("give the name of one branch to delete")
    gone = session.repo(writes=True).delete_branch(name, force=force)
    session.message(f"Deleted branch {gone.name} (was {short(gone.commit)}).")


def _move(session: Session, first: str | None, second: str | None) -> None:
    """`-m NEW` renames the current branch, `-m OLD NEW` any."""
    if first is None:
        raise UsageError("give the new name of the branch")
    repo = session.repo(writes=True)
    old, new = (first, second) if second is not None else (_current(session), first)
    repo.rename_branch(old, new)


def _current(session: Session) -> str:
    current = [entry.name for entry in session.repo().branches() if entry.current]
    if not current:
        raise UsageError("HEAD follows no branch", hint="give both names: `bvc branch -m OLD NEW`")
    return current[0]
