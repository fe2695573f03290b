"""`bvc explore`."""

from __future__ import annotations

import re
from typing import Any

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.pair_options import hub_cache, pair_options
from bvc.cli.session import Session
from bvc.errors import UsageError

_EXAMPLES = """
bvc explore
bvc explore v1 HEAD --probe weather-03 --prefills 0
bvc explore main..french --limit 300
bvc explore main..french --add found
bvc explore main..french --add found --pick 1,3-5
"""
_PIECE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")
_MOST_PICKED = 1000


@bvc_command("explore", json=True, examples=_EXAMPLES)
@click.argument("a", required=False, metavar="[A", shell_complete=completion.revisions)
@click.argument("b", required=False, metavar="[B]]", shell_complete=completion.revisions)
@click.option("--probe", "probes", metavar="ID", multiple=True, help="Vary this probe (default: those that stand out).")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", default=100, show_default=True,
    help="Variations and sampled prompts to try at most.",
)  # fmt: skip
@click.option(
    "--prefills", type=click.IntRange(min=0), metavar="N", default=12, show_default=True,
    help="Prompts sampled from the checkpoints, among those.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), metavar="S", default=0, help="Seed of the samples.")
@click.option(
    "--add", metavar="SUITE", shell_complete=completion.suites, help="Append proposals to probes/SUITE.jsonl."
)
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Probes that share a forward pass.")
@click.option("--pick", metavar="RANKS", help="With --add: these, as 1,3-5 (default: the first 10 that stand out).")
@pair_options
def command(session: Session, /, a: str | None, b: str | None, pick: str | None, **options: Any) -> None:
    """Propose new probes where two checkpoints differ most.

    Default: HEAD~1 and HEAD; A may be a range A..B. The changed probes of the diff are varied by rule (words left out,
    shortened, reworded, words swapped), prompts are sampled from the checkpoints themselves, and all are measured with
    both checkpoints, which must be where they were committed from, beside unchanged probes of the suite. A word whose
    removal takes the change away is put into unchanged prompts, to see whether it brings the change there.

    Nothing is written but the suite of --add. The same command gives the same list.
    """
    if pick is not None and options["add"] is None:
        raise UsageError("--pick needs --add SUITE")
    session.interrupt_hint = "nothing was written"
    ranks = None if pick is None else picked_ranks(pick)
    result = session.repo().explore(a, b, pick=ranks, progress=session.progress, **options, **hub_cache())
    session.progress.finish()
    for note in result.notes:
        session.note(note)
    if session.json:
        from bvc.render.explore import explore_document

        session.document(explore_document(result))
    else:
        from bvc.render.explore import render_explore

        session.page(render_explore(result, session.screen))


def picked_ranks(text: str) -> tuple[int, ...]:
    """Ranks as `1,3-5`. Raises UsageError for anything else."""
    ranks: list[int] = []
    for piece in text.split(","):
        match = _PIECE.fullmatch(piece.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last or last - first >= _MOST_PICKED:
            raise UsageError(f"--pick takes ranks as 1,3-5, not {text!r}")
        ranks += range(first, last + 1)
    return tuple(dict.fromkeys(ranks))
