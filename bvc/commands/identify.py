"""`bvc identify`."""

from __future__ import annotations

from typing import Any

import click

from bvc.api.identify_records import PROBES, UNDECIDED
from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.pair_options import hub_cache
from bvc.cli.session import Session
from bvc.errors import ExitCode

_EXAMPLES = """
bvc identify downloads/checkpoint-400
bvc identify checkpoint-400 --against main~5..main --probes 16
bvc identify --outputs answers.jsonl
bvc identify --outputs answers.jsonl --sampled
bvc identify checkpoint-400 --json
"""


@bvc_command("identify", json=True, examples=_EXAMPLES)
@click.argument("checkpoint", required=False)
@click.option(
    "--outputs", metavar="FILE", type=click.Path(dir_okay=False),
    help="Answers of an unknown model instead, as for `bvc commit --outputs`: greedy ones, the first of each probe.",
)  # fmt: skip
@click.option(
    "--sampled", is_flag=True,
    help="The answers in FILE are sampled, several to a probe: compare them with the draws of the commits.",
)  # fmt: skip
@click.option(
    "--against", metavar="REV", multiple=True, shell_complete=completion.revisions,
    help="Compare with this commit or range alone (default: all that is recorded).",
)  # fmt: skip
@click.option(
    "--probes", type=click.IntRange(min=1), metavar="N",
    help=f"Probes to ask (default: the {PROBES} that tell commits apart best), or of a file to compare (default: all).",
)  # fmt: skip
@click.option(
    "--confidence", type=click.FloatRange(0.5, 1, min_open=True, max_open=True), metavar="P", default=0.95,
    show_default=True, help="Probability from which an answer is given.",
)  # fmt: skip
@click.option("--base", metavar="CHECKPOINT", help="Base of the adapter, where nothing leads to it.")
@click.option("--dtype", metavar="TYPE", help="float32, bfloat16, float16 or auto.")
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps or auto.")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Probes that share a forward pass.")
@click.option("--allow-pickle", is_flag=True, help="Load pickled weights. They can run code.")
@click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with a checkpoint.")
def command(session: Session, /, checkpoint: str | None, **options: Any) -> int:
    """Say which recorded commit a checkpoint is, or is nearest to.

    Weights that are recorded are known by their fingerprint, and no model runs. Any other checkpoint answers some of
    the recorded probes under the recipe of the newest commit, and is compared with every recorded model: the answer is
    one of these, or none of them and which is nearest, each with its probability. Nothing is committed.

    With --outputs the answers of a model behind an API are compared by their text alone. They must be greedy
    (temperature 0); or sampled, with --sampled, as the draws of the commits are: at their temperature, with as many
    tokens at most.

    Exit codes: 0 there is an answer; 3 neither answer reaches --confidence.
    """
    session.interrupt_hint = "nothing was committed; the same command goes on"
    options |= {"progress": session.progress, **hub_cache()}
    result = session.repo().identify(checkpoint, **options)
    session.progress.finish()
    if session.json:
        from bvc.render.identify import identify_document

        session.document(identify_document(result))
    else:
        from bvc.render.identify import render_identify

        session.page(render_identify(result, session.screen))
    return int(ExitCode.UNDECIDED if result.answer == UNDECIDED else ExitCode.OK)
