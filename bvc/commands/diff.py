"""`bvc diff`."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.errors import ExitCode, UsageError
from bvc.results import DiffResult, Verdict

_EXAMPLES = """
bvc diff
bvc diff v1 HEAD --stat
bvc diff main..french --all
bvc diff --probe weather-03
bvc diff --exit-code --quiet || echo "behavior changed"
"""


@bvc_command("diff", json=True, examples=_EXAMPLES)
@click.argument("a", required=False, metavar="[A", shell_complete=completion.revisions)
@click.argument("b", required=False, metavar="[B]]", shell_complete=completion.revisions)
@click.option("--stat", is_flag=True, help="One line per probe.")
@click.option("--probe", metavar="ID", help="One probe in full.")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    type=click.Choice(["text", "logprob", "activation"]),
    help="Judge by this channel only (may be repeated).",
)
@click.option("--all", "everything", is_flag=True, help="List every probe, also those that are the same.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 when anything changed.")
def command(
    session: Session,
    a: str | None,
    b: str | None,
    stat: bool,
    probe: str | None,
    channels: tuple[str, ...],
    everything: bool,
    exit_code: bool,
) -> int:
    """Show what changed between two commits, most deserving first.

    Default: HEAD~1 and HEAD. With A alone, A and HEAD; A may be a range A..B.

    The score says how far a probe stands out of the drift of the whole model. The N0 band beside a distance is how far
    re-capturing the same weights moves.
    """
    if stat and probe is not None:
        raise UsageError("--stat and --probe exclude each other")
    result = session.repo().diff(a, b, channels=channels)
    _show(session, result, stat=stat, probe=probe, everything=everything)
    different = result.overall.verdict is Verdict.CHANGED or result.summary.changed > 0
    return ExitCode.DIFFERENT if exit_code and different else ExitCode.OK


def _show(session: Session, result: DiffResult, *, stat: bool, probe: str | None, everything: bool) -> None:
    from bvc.render.diff_probe import render_probe_diff, select_probe

    chosen = None if probe is None else select_probe(result, probe)
    screen = session.screen
    if session.json:
        from bvc.render.documents import diff_document

        session.document(diff_document(result, None if chosen is None else [chosen]))
    elif chosen is not None:
        session.page(render_probe_diff(result, chosen, screen))
    elif stat:
        from bvc.render.diff_stat import render_stat

        session.page(render_stat(result, screen, everything=everything))
    else:
        from bvc.render.diff import render_diff

        session.page(render_diff(result, screen, everything=everything))
