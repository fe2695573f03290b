"""`bvc features shift` and `bvc features axis`: what hidden states show without a dictionary."""

from __future__ import annotations

from typing import Any

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.pair_options import hub_cache, loading_options
from bvc.cli.session import Session
from bvc.errors import UsageError

_SHIFTS = """
bvc features shift
bvc features shift v1 HEAD
bvc features shift main..french --tokens
"""
_AXES = """
bvc features axis topic:weather topic:travel
bvc features axis topic:weather topic:travel --at v1 --moved v1..HEAD
bvc features axis harmful harmless --moved main --moved french --json
"""


@bvc_command("shift", json=True, examples=_SHIFTS)
@click.argument("a", required=False, metavar="[A", shell_complete=completion.revisions)
@click.argument("b", required=False, metavar="[B]]", shell_complete=completion.revisions)
@click.option("--tokens", is_flag=True, help="Load B's checkpoint and show the tokens that the shift promotes.")
@click.option("--checkpoint", metavar="PATH", help="Where the checkpoint of B is now.")
@loading_options
def shift(session: Session, /, a: str | None, b: str | None, tokens: bool, **options: Any) -> None:
    """Show how far hidden states moved together from A to B, site by site. No dictionary is needed.

    Default: HEAD~1 and HEAD. A site is a layer, at the end of the prompt or on average over the reference. Of the mean
    shift over prompts: its length, also as a share of the states' own; how stable its direction is; the chance of as
    long a shift if the prompts shared none; and how many directions their single shifts span beyond chance.

    With --tokens the unembedding of B's checkpoint says which tokens the shift speaks for, beside what the same look
    reads of shifts with random signs. The model is loaded and not run.
    """
    given = [name for name, value in options.items() if value]
    if given and not tokens:
        raise UsageError(f"--{given[0].replace('_', '-')} says how a checkpoint is loaded: only --tokens loads one")
    loading = {**options, **hub_cache(), "progress": session.progress} if tokens else {}
    result = session.repo().features_shift(a, b, tokens=tokens, **loading)
    if tokens:
        session.progress.finish()
    from bvc.render import shift as render

    if session.json:
        session.document(render.shift_document(result))
    else:
        session.page(render.render_shift(result, session.screen))


@bvc_command("axis", json=True, examples=_AXES)
@click.argument("first", metavar="FIRST")
@click.argument("second", metavar="SECOND")
@click.option("--at", metavar="REV", default="HEAD", show_default=True, shell_complete=completion.revisions,
              help="The commit whose hidden states make the axis.")  # fmt: skip
@click.option("--moved", metavar="REV", multiple=True, shell_complete=completion.revisions,
              help="Show how far this commit, or each of a range, moved along it (may be repeated).")  # fmt: skip
def axis(session: Session, first: str, second: str, at: str, moved: tuple[str, ...]) -> None:
    """Show the axis that tells probes tagged FIRST from those tagged SECOND, and how far commits moved along it.

    The axis is the difference of both groups' mean hidden states, at each site; 4 probes of each tag are needed. Its
    separation is measured on probes that did not make it. A commit's movement is that of all probes, from the commit of
    --at, as a share of the gap between the groups, with its 95 % interval.
    """
    result = session.repo().axis(first, second, at, moved)
    from bvc.render import axis as render

    if session.json:
        session.document(render.axis_document(result))
    else:
        session.page(render.render_axis(result, session.screen))
