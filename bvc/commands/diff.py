"""`bvc diff`."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.judge_key import judge_key
from bvc.cli.session import Session
from bvc.errors import ExitCode, UsageError
from bvc.results import DiffResult, Verdict

_EXAMPLES = """
bvc diff
bvc diff v1 HEAD --stat
bvc diff main..french --all
bvc diff --probe weather-03
bvc diff v1 v2 --behavior refuses
bvc diff --exit-code --quiet || echo "behavior changed"
"""


@bvc_command("diff", json=True, examples=_EXAMPLES)
@click.argument("a", required=False, metavar="[A", shell_complete=completion.revisions)
@click.argument("b", required=False, metavar="[B]]", shell_complete=completion.revisions)
@click.option("--stat", is_flag=True, help="One line per probe.")
@click.option("--probe", metavar="ID", help="One probe in full.")
@click.option(
    "--behavior",
    metavar="N",
    shell_complete=completion.behaviors,
    help="One behavior, and the probes that gained or lost it.",
)
@click.option(
    "--channel",
    "channels",
    multiple=True,
    type=click.Choice(["text", "logprob", "activation"]),
    help="Judge by this channel only (may be repeated).",
)
@click.option("--all", "everything", is_flag=True, help="Leave nothing out of the lists.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 when anything that is shown changed.")
def command(
    session: Session,
    a: str | None,
    b: str | None,
    stat: bool,
    probe: str | None,
    behavior: str | None,
    channels: tuple[str, ...],
    everything: bool,
    exit_code: bool,
) -> int:
    """Show what changed between two commits, most deserving first.

    Default: HEAD~1 and HEAD. With A alone, A and HEAD; A may be a range A..B.

    The page gives two answers: how far the whole model moved, beside what a harmless update does, and which probes
    moved more than that. Then what changed in words, and the probes by rank. The score says how far a probe stands out
    of the drift of the whole model.
    """
    if sum((stat, probe is not None, behavior is not None)) > 1:
        raise UsageError("--stat, --probe and --behavior exclude each other")
    repo = session.repo()
    result = repo.diff(a, b, channels=channels, judge_key=judge_key(repo), progress=session.progress)
    session.progress.finish()
    revisions = tuple(revision for revision in (a, b) if revision is not None)
    if probe is not None:
        different = _probe(session, result, probe)
    elif behavior is not None:
        different = _behavior(session, result, behavior, everything)
    else:
        different = _whole(session, result, (revisions, channels), stat=stat, everything=everything)
    return ExitCode.DIFFERENT if exit_code and different else ExitCode.OK


def _whole(
    session: Session,
    result: DiffResult,
    asked: tuple[tuple[str, ...], tuple[str, ...]],
    *,
    stat: bool,
    everything: bool,
) -> bool:
    """Shows the whole diff, which was `asked` for by revisions and channels; whether the model, a probe or a behavior
    changed."""
    if session.json:
        from bvc.render.diff_document import diff_document

        session.document(diff_document(result))
    elif stat:
        from bvc.render.diff_stat import render_stat

        session.page(render_stat(result, session.screen, everything=everything))
    else:
        from bvc.render.diff import render_diff
        from bvc.render.diff_layout import Asked

        session.page(render_diff(result, session.screen, everything=everything, asked=Asked(*asked)))
    behaviors = any(behavior.verdict is Verdict.CHANGED for behavior in result.behaviors)
    return result.overall.verdict is Verdict.CHANGED or result.summary.changed > 0 or behaviors


def _probe(session: Session, result: DiffResult, wanted: str) -> bool:
    """Shows one probe; whether it changed."""
    from bvc.api.diff_probe import select_probe

    chosen = select_probe(result, wanted)
    detail = session.repo().probe_detail(result.a.id, result.b.id, chosen.probe.id)
    if session.json:
        from bvc.render.diff_document import diff_document

        session.document(diff_document(result, [chosen], detail=detail))
    else:
        from bvc.render.diff_probe import render_probe_diff

        session.page(render_probe_diff(result, chosen, session.screen, detail))
    return chosen.verdict is Verdict.CHANGED


def _behavior(session: Session, result: DiffResult, name: str, everything: bool) -> bool:
    """Shows one behavior; whether it changed."""
    from bvc.render.diff_behavior import behavior_probes, render_behavior_diff, select_behavior

    chosen = select_behavior(result, name)
    if session.json:
        from bvc.render.diff_document import diff_document

        gained, lost = behavior_probes(result, chosen)
        session.document(diff_document(result, [*gained, *lost], behaviors=[chosen]))
    else:
        session.page(render_behavior_diff(result, chosen, session.screen, everything=everything))
    return chosen.verdict is Verdict.CHANGED
