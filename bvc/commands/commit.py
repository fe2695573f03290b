"""`bvc commit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.pair_options import hub_cache
from bvc.cli.session import Session
from bvc.render.documents import commit_document
from bvc.render.lists import render_commit

_EXAMPLES = """
bvc commit checkpoints/step-200 -m "after the safety data"
bvc commit adapters/french --base models/SmolLM2-135M-Instruct
bvc commit checkpoints/step-200 --suite starter --draws 8
bvc commit --outputs answers.jsonl --model gpt-4.1
bvc commit checkpoints/step-300 --no-capture
"""


@bvc_command("commit", json=True, examples=_EXAMPLES)
@click.argument("checkpoint", required=False)
@click.option("-m", "--message", metavar="MSG", help="Commit message (default: the model's name).")
@click.option(
    "--parent", "parents", metavar="REV", multiple=True, shell_complete=completion.revisions,
    help="Parent commit (default: HEAD). Several make a merge.",
)  # fmt: skip
@click.option(
    "--suite", "suites", metavar="NAME", multiple=True, shell_complete=completion.suites,
    help="Suite to capture (default: those of bvc.toml, else all).",
)  # fmt: skip
@click.option(
    "--draws", type=click.IntRange(min=0), metavar="K", help="Sampled answers per probe, beside the greedy one."
)
@click.option("--max-new-tokens", type=click.IntRange(min=1), metavar="N", help="Longest answer in tokens.")
@click.option("--no-capture", "capture", flag_value=False, default=True, help="Only register the checkpoint.")
@click.option(
    "--no-reuse", "reuse", flag_value=False, default=True,
    help="Run everything again, even where this model was captured under this recipe.",
)  # fmt: skip
@click.option("--dtype", metavar="TYPE", help="float32, bfloat16, float16 or auto.")
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps or auto.")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Probes that share a forward pass.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of the draws.")
@click.option("--base", metavar="CHECKPOINT", help="Base of an adapter, where its config does not lead to it.")
@click.option(
    "--outputs", type=click.Path(path_type=Path), metavar="FILE", help="Commit recorded outputs (JSONL or JSON)."
)
@click.option("--model", metavar="NAME", help="With --outputs: the name of the model that gave them.")
@click.option(
    "--allow-pickle", is_flag=True, help="Load pickled weights. They can run code: only from people you trust."
)
@click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with the checkpoint.")
def command(session: Session, /, checkpoint: str | None, **options: Any) -> None:
    """Capture what a checkpoint does and commit it.

    CHECKPOINT is a Hugging Face folder, a PEFT adapter folder or a hub id. What earlier commits hold is not run again,
    except with --no-reuse. An interrupted capture goes on where it stopped when the same command is given again.
    """
    session.interrupt_hint = "the same command again goes on where this one stopped"
    repo = session.repo(writes=True)
    options |= hub_cache()
    result = repo.commit(checkpoint, author=repo.default_author, progress=session.progress, **options)
    session.progress.finish()
    for note in result.notes:
        session.note(note)
    if session.json:
        session.document(commit_document(result))
    elif not session.quiet:
        session.print(render_commit(result, session.screen))
