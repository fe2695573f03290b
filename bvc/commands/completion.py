"""`bvc completion`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.errors import UsageError

_SHELLS = ("bash", "zsh", "fish")
_EXAMPLES = """
eval "$(bvc completion bash)"
bvc completion fish > ~/.config/fish/completions/bvc.fish
"""


@bvc_command("completion", examples=_EXAMPLES)
@click.argument("shell", required=False, metavar="[bash|zsh|fish]", type=click.Choice(_SHELLS))
def command(session: Session, shell: str | None) -> None:
    """Print the completion script for a shell (default: yours).

    Commands, options, branches, tags, suites and settings are completed.
    """
    from click.shell_completion import get_completion_class

    from bvc.cli.program import program

    chosen = shell or Path(os.environ.get("SHELL", "")).name
    kind = get_completion_class(chosen) if chosen in _SHELLS else None
    if kind is None:
        raise UsageError(f"there is no completion for the shell {chosen!r}", hint=f"name one of {', '.join(_SHELLS)}")
    session.print([kind(program, {}, "bvc", "_BVC_COMPLETE").source()])
