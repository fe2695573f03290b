"""`bvc grep`."""

from __future__ import annotations

from typing import Any

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.errors import ExitCode, UsageError
from bvc.render.commits import plural

_EXAMPLES = """
bvc grep "as an AI"
bvc grep -i -F "i'm sorry" v1..HEAD
bvc grep "\\b(Paris|London)\\b" HEAD
bvc grep -l French
bvc grep --tag arithmetic "[0-9]{4}" --json
bvc grep --exit-code -q password HEAD
"""


@bvc_command("grep", json=True, examples=_EXAMPLES, short_count=True)
@click.argument("pattern")
@click.argument("revisions", nargs=-1, metavar="[REV]...", shell_complete=completion.revisions)
@click.option("-i", "--ignore-case", is_flag=True, help="Upper and lower case are the same.")
@click.option("-F", "--fixed-strings", "fixed", is_flag=True, help="PATTERN is a text, not a regular expression.")
@click.option(
    "-E", "--extended-regexp", is_flag=True, expose_value=False, help="PATTERN is a regular expression (the default)."
)
@click.option("-l", "--commits", is_flag=True, help="List the commits that hold an answer that matches.")
@click.option("-c", "--count", is_flag=True, help="List those commits with the number of such answers.")
@click.option("--probe", "probes", metavar="ID", multiple=True, help="Only answers to this probe (label or id).")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only answers to probes with this tag.")
@click.option("--prompts", is_flag=True, help="Search what was asked, not what was answered.")
@click.option("--all", "every_ref", is_flag=True, help="Search what any branch or tag reaches.")
@click.option(
    "-n",
    "--max-count",
    "limit",
    type=click.IntRange(min=0),
    metavar="N",
    help="At most N answers or commits (also -N).",
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 when nothing matches, as `git grep` does.")
def command(
    session: Session,
    /,
    pattern: str,
    revisions: tuple[str, ...],
    commits: bool,
    count: bool,
    exit_code: bool,
    **options: Any,
) -> ExitCode:
    """Find answers that match, over history.

    Searches the greedy answers and the draws of every commit that HEAD reaches; each distinct answer is shown once,
    with the commits in which it stands. REV searches that commit alone, A..B the commits that B has and A has not.

    PATTERN is a regular expression of the Python module `regex`; ^ and $ are the ends of lines.
    """
    if commits and count:
        raise UsageError("--commits and --count exclude each other")
    found = session.repo().grep(pattern, revisions, counts=commits or count, progress=session.progress, **options)
    if session.json:
        from bvc.render.grep import grep_document

        session.document(grep_document(found))
    elif found.total:
        from bvc.render.grep import render_grep

        session.page(render_grep(found, session.screen, count=count))
    else:
        what = "prompt" if options["prompts"] else "answer"
        session.message(f"no {what} matches in {plural(found.commits, 'commit')}")
    return ExitCode.DIFFERENT if exit_code and not found.total else ExitCode.OK
