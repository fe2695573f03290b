"""`bvc capture`."""

from __future__ import annotations

from typing import Any

import click

from bvc.cli import completion
from bvc.cli.command import command as bvc_command
from bvc.cli.pair_options import hub_cache
from bvc.cli.session import Session

_EXAMPLES = """
bvc capture HEAD~2
bvc capture main --more-draws 8
bvc capture main --more-draws 8 --probe weather-03
bvc capture v1 v2 --suite safety
bvc capture v1 v2 v3 --features
bvc capture v1 --checkpoint /new/place/step-200
"""


@bvc_command("capture", json=True, examples=_EXAMPLES)
@click.argument("revisions", nargs=-1, required=True, metavar="REV...", shell_complete=completion.revisions)
@click.option(
    "--more-draws", type=click.IntRange(min=0), default=0, metavar="K", help="K further sampled answers of every probe."
)
@click.option("--probe", "probes", metavar="ID", multiple=True, help="With --more-draws: for these probes only.")
@click.option(
    "--suite", "suites", metavar="NAME", multiple=True, shell_complete=completion.suites,
    help="Add this suite's probes that a commit lacks.",
)  # fmt: skip
@click.option("--features", is_flag=True, help="Add the features of the project's dictionary.")
@click.option("--checkpoint", metavar="PATH", help="Where the checkpoint is, if it has moved since it was committed.")
@click.option("--base", metavar="CHECKPOINT", help="Base of an adapter, where its config does not lead to it.")
@click.option("--dtype", metavar="TYPE", help="For commits without captures: float32, bfloat16, float16 or auto.")
@click.option("--device", metavar="DEVICE", help="For commits without captures: cpu, cuda, cuda:1, mps or auto.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), metavar="N",
    help="For commits without captures: probes that share a forward pass.",
)  # fmt: skip
@click.option(
    "--allow-pickle", is_flag=True, help="Load pickled weights. They can run code: only from people you trust."
)
@click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with the checkpoint.")
def command(session: Session, /, revisions: tuple[str, ...], **options: Any) -> None:
    """Capture what commits lack, and attach it to them.

    A commit made with --no-capture is captured now; --suite, --more-draws and --features add to one that was captured.
    Only what is missing is run: draw number 9 is the same whether it is made together with the others or later, and
    --features reads each probe along its reference without decoding anything. History stays as it is: what is added is
    attached as notes (refs/notes/captures), and every command sees it.

    The checkpoint is looked for where it was when it was committed, and must still be the same. A capture that was
    interrupted goes on where it stopped when the same command is given again.
    """
    session.interrupt_hint = "the same command again goes on where this one stopped"
    repo = session.repo(writes=True)
    result = repo.capture(revisions, progress=session.progress, **options, **hub_cache())
    session.progress.finish()
    for note in dict.fromkeys(note for entry in result.commits for note in entry.notes):
        session.note(note)
    if session.json:
        from bvc.render.capture import capture_document

        session.document(capture_document(result))
    elif not session.quiet:
        from bvc.render.capture import render_capture

        session.print(render_capture(result, session.screen))
