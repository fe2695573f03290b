"""`bvc blame`."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.errors import UsageError

_EXAMPLES = """
bvc blame weather-03
bvc blame --all
bvc blame --suite safety --from v2
bvc blame --behavior refusal
bvc blame --behavior refusal --json
"""


@bvc_command("blame", json=True, examples=_EXAMPLES)
@click.argument("probes", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Blame every probe.")
@click.option(
    "--suite",
    "suites",
    multiple=True,
    metavar="N",
    shell_complete=completion.suites,
    help="Blame the probes of a suite.",
)
@click.option(
    "--behavior",
    metavar="N",
    shell_complete=completion.behaviors,
    help="Show the commits with which the rate of a behavior changed.",
)
@click.option(
    "--from",
    "revision",
    default="HEAD",
    show_default=True,
    metavar="REV",
    shell_complete=completion.revisions,
    help="Where to begin.",
)
@click.option("--allow-python", is_flag=True, help="Run the Python scorers of this project's behaviors.toml.")
def command(
    session: Session,
    probes: tuple[str, ...],
    everything: bool,
    suites: tuple[str, ...],
    behavior: str | None,
    revision: str,
    allow_python: bool,
) -> None:
    """Show the commit that last changed each probe, or each step of a behavior.

    ID is a probe's label, id or the beginning of its id. What counts is the verdict, not the bytes: an answer that was
    only reworded, as all are by any update, did not change. The lineage's own steps say how far that goes; over all
    probes and steps 5 % of the changes that are named may be false.

    With --behavior nothing is compared but rates: the commits with which the behavior appeared, vanished or changed,
    however often. In a lineage without any such step one is named with a chance of 5 % at most.
    """
    if behavior is not None and (probes or everything or suites):
        raise UsageError("--behavior and probes exclude each other")
    found = session.repo().blame(
        probes,
        revision,
        behavior=behavior,
        suites=suites,
        everything=everything,
        allow_python=allow_python,
        progress=session.progress,
    )
    session.progress.finish()
    from bvc.render.blame import blame_document, render_blame

    for note in found.notes:
        session.note(note)
    if session.json:
        session.document(blame_document(found))
    else:
        session.page(render_blame(found, session.screen))
