"""`bvc amplify`."""

from __future__ import annotations

from typing import Any

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.numbers import strengths
from bvc.cli.pair_options import hub_cache, pair_options
from bvc.cli.session import Session

_EXAMPLES = """
bvc amplify HEAD~1 HEAD "Tell me about trees."
bvc amplify v1 v2 "Who are you?" "What is 7 plus 8?" --alpha 1,3
bvc amplify v1 v2 --probe weather-03 --draws 4 --max-new-tokens 40
"""


@bvc_command("amplify", json=True, examples=_EXAMPLES)
@click.argument("a", metavar="A", shell_complete=completion.revisions)
@click.argument("b", metavar="B", shell_complete=completion.revisions)
@click.argument("prompts", nargs=-1, metavar="[PROMPT]...")
@click.option("--alpha", metavar="LIST", default="0.5,1,2,4", show_default=True, help="Strengths, separated by commas.")
@click.option(
    "--draws", type=click.IntRange(min=0), metavar="K", default=0, help="Sampled texts beside the greedy one."
)
@click.option("--max-new-tokens", type=click.IntRange(min=1), metavar="N", help="Longest text in tokens.")
@click.option("--probe", "probes", metavar="ID", multiple=True, help="A probe of B, beside the prompts.")
@click.option(
    "--plausible", type=click.FloatRange(0, 1), metavar="SHARE",
    help="Least probability of a token, as a share of the most likely one's in B (default: 0.01).",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), metavar="S", help="Seed of the draws.")
@pair_options
def command(session: Session, /, a: str, b: str, prompts: tuple[str, ...], alpha: str, **options: Any) -> None:
    """Exaggerate what B does otherwise than A, to see it.

    Texts are sampled from logits of B + alpha x (logits of B - logits of A), beside what A and B say themselves.
    Neither model produces them: they are to show a rare behavior, not to test for it. Alpha 0 is B, alpha -1 is A. A
    and B must have the same tokenizer, and both checkpoints must fit into memory (adapters share their base).
    """
    session.interrupt_hint = "nothing was written"
    options |= {"alphas": strengths(alpha, "--alpha"), "progress": session.progress, **hub_cache()}
    result = session.repo().amplify(a, b, prompts, **options)
    session.progress.finish()
    if session.json:
        from bvc.render.amplify import amplify_document

        session.document(amplify_document(result))
    else:
        from bvc.render.amplify import render_amplify

        session.page(render_amplify(result, session.screen))
