"""`bvc config`."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.render.documents import config_document
from bvc.render.lists import render_config, setting_text

_EXAMPLES = """
bvc config
bvc config recipe.draws
bvc config recipe.draws 8
bvc config author "Ada Lovelace <ada@example.org>"
"""


@bvc_command("config", json=True, examples=_EXAMPLES)
@click.argument("key", required=False, shell_complete=completion.settings)
@click.argument("value", required=False)
def command(session: Session, key: str | None, value: str | None) -> None:
    """Read or change the project's settings (bvc.toml).

    Without KEY it prints all that are in force, with KEY that one, with VALUE it changes it and keeps the file's
    comments.
    """
    repo = session.repo()
    if key is not None and value is not None:
        repo.config_set(key, value)
        return
    values = repo.config_list() if key is None else {key: repo.config_get(key)}
    if session.json:
        session.document(config_document(values))
    elif key is None:
        session.page(render_config(values))
    else:
        session.print([setting_text(values[key])])
