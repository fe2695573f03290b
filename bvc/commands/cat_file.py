"""`bvc cat-file`."""

from __future__ import annotations

import sys

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.cli.streams import is_terminal
from bvc.errors import UsageError
from bvc.render.documents import object_document
from bvc.render.text import clean_lines

_EXAMPLES = """
bvc cat-file -p HEAD
bvc cat-file -p HEAD:snapshot.json
bvc cat-file -p HEAD:probe/weather-03
bvc cat-file -t 9bc2d01e
"""


@bvc_command("cat-file", json=True, examples=_EXAMPLES)
@click.argument("name", metavar="OBJECT", shell_complete=completion.revisions)
@click.option("-p", "print_content", is_flag=True, help="Print the content (the default).")
@click.option("-t", "print_kind", is_flag=True, help="Print the kind: commit, tree, blob or tag.")
@click.option("-s", "print_size", is_flag=True, help="Print the size in bytes.")
def command(session: Session, name: str, print_content: bool, print_kind: bool, print_size: bool) -> None:
    """Print a stored object.

    OBJECT is an id, a revision, REV:path or REV:probe/ID. In a terminal, bytes that could steer it are spelled out;
    into a file or a pipe they go as they are.
    """
    if print_content + print_kind + print_size > 1:
        raise UsageError("-p, -t and -s exclude each other")
    found = session.repo().cat_file(name)
    if session.json:
        session.document(object_document(name, found.kind, found.size, found.data))
    elif print_kind or print_size:
        session.print([found.kind if print_kind else str(found.size)])
    elif is_terminal(sys.stdout):
        text = found.data.decode("utf-8", "backslashreplace")
        session.page(clean_lines(text.removesuffix("\n")))
    else:
        sys.stdout.buffer.write(found.data)
