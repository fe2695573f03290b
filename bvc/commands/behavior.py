"""`bvc behavior`: ls, test, add."""

from __future__ import annotations

from typing import Any

import click

from bvc.cli import completion
from bvc.cli.command import SubGroup
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session

_PYTHON = click.option("--allow-python", is_flag=True, help="Run the Python scorers of this project's behaviors.toml.")


@click.group(
    "behavior",
    cls=SubGroup,
    examples="bvc behavior ls\nbvc behavior test refusal\nbvc behavior add mentions-acme --contains Acme",
)
def command() -> None:
    """List, test and add named behaviors.

    A behavior is a table [behavior.NAME] of behaviors.toml with a scorer: what is looked for in every answer. Rates
    come from stored answers; no model runs.
    """


@bvc_command("ls", json=True, examples="bvc behavior ls\nbvc behavior ls HEAD~3\nbvc behavior ls --json")
@click.argument("revision", default="HEAD", metavar="[REV]", shell_complete=completion.revisions)
@_PYTHON
def ls(session: Session, revision: str, allow_python: bool) -> None:
    """List the project's behaviors with their rates at a commit (default HEAD)."""
    listed = session.repo().behaviors(revision, allow_python=allow_python)
    if session.json:
        from bvc.render.behavior_documents import behaviors_document

        session.document(behaviors_document(listed))
    else:
        from bvc.render.behaviors import render_behaviors

        session.page(render_behaviors(listed, session.screen))


@bvc_command("test", json=True, examples="bvc behavior test refusal\nbvc behavior test refusal HEAD~1 --all")
@click.argument("name", shell_complete=completion.behaviors)
@click.argument("revision", default="HEAD", metavar="[REV]", shell_complete=completion.revisions)
@click.option("--all", "everything", is_flag=True, help="Also list answers without it, and every draw.")
@_PYTHON
def test(session: Session, name: str, revision: str, everything: bool, allow_python: bool) -> None:
    """Show what a behavior scores at a commit (default HEAD), and why."""
    result = session.repo().behavior_test(name, revision, allow_python=allow_python)
    if session.json:
        from bvc.render.behavior_documents import behavior_test_document

        session.document(behavior_test_document(result))
    else:
        from bvc.render.behaviors import render_behavior_test

        session.page(render_behavior_test(result, session.screen, everything=everything))


_TEXTS = ("contains", "equals", "not-contains", "not-equals", "choice")
_WORDS = ("regex", "not-regex", "language", "similarity", "python")
_LATENT = "Scorer: a latent of the dictionary that commits use, or of another, fires along the answer."
_FLAGS = ("json-valid", "refusal", "answer", "agrees", "identity", "profanity", "format", "canary")
_NUMBERS = ("min-length", "max-length")


def _number(_context: click.Context, _option: click.Parameter, value: str | None) -> str | int | None:
    """The number of a latent as it is written in behaviors.toml."""
    return int(value) if value is not None and value.isascii() and value.isdigit() else value


def _scorer_options(function: Any) -> Any:
    """An option for each scorer of behaviors.toml, named as its key there."""
    for name in reversed(_FLAGS):
        function = click.option(
            f"--{name}", is_flag=True, default=None, help=f"Scorer: {name.replace('-', '_')} = true."
        )(function)
    for name in reversed(_NUMBERS):
        function = click.option(f"--{name}", type=int, metavar="N", help="Scorer: length of the answer.")(function)
    function = click.option("--latent", metavar="[NAME:]N", callback=_number, help=_LATENT)(function)
    for name in reversed(_WORDS):
        function = click.option(f"--{name}", metavar="TEXT", help=f"Scorer: {name.replace('-', '_')}.")(function)
    for name in reversed(_TEXTS):
        text = f"Scorer: {name.replace('-', '_')}; several times for any of them."
        function = click.option(f"--{name}", metavar="TEXT", multiple=True, help=text)(function)
    return function


@bvc_command(
    "add",
    json=True,
    examples="bvc behavior add mentions-acme --contains Acme --words\n"
    "bvc behavior add french --language fr --on tag:lang:en\n"
    "bvc behavior add long --min-length 40 --description 'talks a lot'\n"
    "bvc behavior add french-latent --latent 1223 --min-strength 2.5",
)
@click.argument("name")
@_scorer_options
@click.option("--unit", type=click.Choice(["words", "tokens"]), help="What a length counts (default words).")
@click.option("--threshold", type=float, metavar="X", help="Least similarity (default 0.8).")
@click.option("--min-strength", type=float, metavar="X", help="With --latent: at least so strongly.")
@click.option("--min-positions", type=int, metavar="N", help="With --latent: at so many positions at least.")
@click.option("--along", type=click.Choice(["answer", "reference"]), help="Text of --latent (default answer).")
@click.option("--words", is_flag=True, default=None, help="With --contains: whole words only.")
@click.option("--ignore-case/--case", default=None, help="Whether upper and lower case are the same.")
@click.option("--on", multiple=True, metavar="PROBES", help="A suite, tag:TAG, a label or an id (default: all probes).")
@click.option("--description", metavar="TEXT", help="What the behavior is, in a few words.")
@_PYTHON
def add(session: Session, name: str, allow_python: bool, **options: Any) -> None:
    """Add a behavior to behaviors.toml and show its rate at the last commits."""
    order = ("description", "on", *sorted(options.keys() - {"description", "on"}))
    table = {key: _plain(options[key]) for key in order if options[key] not in (None, ())}
    added = session.repo(writes=True).behavior_add(name, table, allow_python=allow_python)
    if session.json:
        from bvc.render.behavior_documents import added_document

        session.document(added_document(added))
    else:
        from bvc.render.behaviors import render_added

        session.message(f"behaviors.toml: added {name}")
        session.page(render_added(added, session.screen))


def _plain(value: Any) -> Any:
    """A list for several values, the value itself for one."""
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else list(value)
    return value


for _verb in (ls, test, add):
    command.add_command(_verb)
