"""`bvc noise`."""

from __future__ import annotations

import click

from bvc.cli import completion
from bvc.cli.command import SubGroup
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.errors import UsageError
from bvc.results import NoiseResult

_EXAMPLES = """
bvc noise learn --benign base self-distilled
bvc noise learn --benign base..more-wikipedia --as N2
bvc noise show
bvc noise forget base self-distilled
"""
_PAIRS = """
bvc noise learn --benign base self-distilled
bvc noise learn --benign base seed-1 --benign base seed-2
bvc noise learn --benign base..more-wikipedia --as N2
"""


@click.group("noise", cls=SubGroup, examples=_EXAMPLES)
def command() -> None:
    """Learn and show how far harmless change moves a model.

    A diff is judged against what harmless change does: N0, the same weights in other batches, which every commit
    measures itself; N1, a benign update such as another seed, and N2, generic continued training, from pairs of commits
    that you trust; and the steps of the lineage around the commits compared.
    """


@bvc_command("learn", json=True, examples=_PAIRS)
@click.argument("revisions", nargs=-1, required=True, metavar="A B...", shell_complete=completion.revisions)
@click.option("--benign", is_flag=True, help="Yes: I trust that these pairs differ by a harmless update.")
@click.option("--as", "level", type=click.Choice(["N1", "N2"]), default="N1", show_default=True,
              help="N1: a benign update. N2: generic continued training.")  # fmt: skip
def learn(session: Session, revisions: tuple[str, ...], benign: bool, level: str) -> None:
    """Measure a pair of commits that you trust to be benign, and remember it.

    A pair is A B or A..B; several may be given. bvc cannot know that an update is harmless: it takes your word, and
    from then on explains changes of that size by it.
    """
    if not benign:
        raise UsageError(
            "say --benign: bvc takes your word that these pairs are harmless", hint="see `bvc noise --help`"
        )
    from bvc.api.noise_pairs import pairs_of

    repo = session.repo(writes=True)
    _show(session, repo.noise_learn(pairs_of(revisions), level))


@bvc_command("show", json=True, examples="bvc noise show\nbvc noise show v1 --json")
@click.argument("revision", default="HEAD", metavar="[REV]", shell_complete=completion.revisions)
def show(session: Session, revision: str) -> None:
    """Show which harmless changes are known for REV (default HEAD), with their bands."""
    _show(session, session.repo().noise(revision))


@bvc_command("forget", examples="bvc noise forget base self-distilled")
@click.argument("revisions", nargs=-1, required=True, metavar="A B...", shell_complete=completion.revisions)
def forget(session: Session, revisions: tuple[str, ...]) -> None:
    """Trust a pair no longer."""
    from bvc.api.noise_pairs import pairs_of

    session.repo(writes=True).noise_forget(pairs_of(revisions))


def _show(session: Session, result: NoiseResult) -> None:
    from bvc.render.noise import noise_document, render_noise

    if session.json:
        session.document(noise_document(result))
    elif not session.quiet:
        session.page(render_noise(result, session.screen))


for _verb in (learn, show, forget):
    command.add_command(_verb)
