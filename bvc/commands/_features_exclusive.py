"""`bvc features exclusive`: what only one of two models has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.pair_options import hub_cache, pair_options
from bvc.cli.session import Session
from bvc.exclusive import METHODS

_EXAMPLES = """
bvc features exclusive main other-model
bvc features exclusive v1 HEAD --method difference --corpus chats.jsonl
bvc features exclusive main other-model --tokens 400000 --latents 4096 --seeds 5
"""


@bvc_command("exclusive", json=True, examples=_EXAMPLES)
@click.argument("a", required=False, metavar="[A", shell_complete=completion.revisions)
@click.argument("b", required=False, metavar="[B]]", shell_complete=completion.revisions)
@click.option(
    "--method", type=click.Choice(METHODS),
    help="Which coder (default: crosscoder within one architecture, dedicated across).",
)  # fmt: skip
@click.option(
    "--depth", type=click.FloatRange(0, 1, min_open=True), metavar="SHARE", default=0.5, show_default=True,
    help="Share of each model's blocks after which its stream is read.",
)  # fmt: skip
@click.option(
    "--tokens", type=click.IntRange(min=2000), metavar="N", default=100_000, show_default=True,
    help="Tokens that both read alike, at most.",
)  # fmt: skip
@click.option("--latents", type=click.IntRange(min=2), metavar="N", default=1024, show_default=True, help="How many.")
@click.option(
    "--k", type=click.IntRange(min=1), metavar="N", default=24, show_default=True, help="Latents that fire per token."
)
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Steps of each fit (default: by the tokens).")
@click.option(
    "--seeds", type=click.IntRange(min=3), metavar="N", default=3, show_default=True,
    help="Fits of the pair, and of each null pair.",
)  # fmt: skip
@click.option(
    "--corpus", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", multiple=True,
    help='Texts to read: plain text, or JSONL with a field "text" (default: texts that ship with Python).',
)  # fmt: skip
@click.option("--suite/--no-suite", default=True, help="Whether the common probes are read too, with both answers.")
@click.option("--again", is_flag=True, help="Look again where the same search is kept.")
@click.option("--all", "everything", is_flag=True, help="Leave nothing out of the lists.")
@pair_options
def exclusive(session: Session, /, a: str | None, b: str | None, everything: bool, **options: Any) -> None:
    """Look for features that only the model of A, or only that of B, has.

    Default: HEAD~1 and HEAD. The two may be of different architectures and tokenizers. Coders are fitted on both
    models' streams from several seeds; a latent counts where the other model's activations do not say when it fires.
    The same is done on pairs with nothing to find, whose yield stands beside the result. What was found is kept, and
    `bvc diff` names it.
    """
    session.interrupt_hint = "the same command goes on where it stopped"
    repo = session.repo(writes=True)
    found = repo.features_exclusive(a, b, progress=session.progress, **options, **hub_cache())
    session.progress.finish()
    if session.json:
        from bvc.render.exclusive_document import exclusive_document

        session.document(exclusive_document(found))
    else:
        from bvc.render.exclusive import render_exclusive

        session.page(render_exclusive(found, session.screen, everything=everything))
