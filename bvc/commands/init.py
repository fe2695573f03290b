"""`bvc init`."""

from __future__ import annotations

import click

from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.render.documents import init_document
from bvc.render.text import clean


@bvc_command("init", json=True, examples="bvc init\nbvc init my-project\nbvc -C my-project suite ls")
@click.argument("directory", default=".", metavar="[DIR]", type=click.Path(file_okay=False))
def command(session: Session, directory: str) -> None:
    """Make DIR (default: here) a bvc project.

    Creates .bvc/, bvc.toml, behaviors.toml and probes/starter.jsonl, a built-in suite. What exists is kept as it is, so
    running it again is safe.
    """
    from bvc.api.handle import init

    result = init(directory)
    if session.json:
        session.document(init_document(str(result.root), result.created, result.kept))
        return
    if session.quiet:
        return
    session.print(f"{session.screen.paint('green', 'created')}  {clean(name)}" for name in result.created)
    session.print(f"{session.screen.paint('dim', 'kept')}     {clean(name)}" for name in result.kept)
    session.message(f"Project in {result.root}. Next: `bvc commit CHECKPOINT`.")
