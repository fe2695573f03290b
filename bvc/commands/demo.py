"""`bvc demo`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bvc.cli.author import find_author
from bvc.cli.command import command as bvc_command
from bvc.cli.session import Session
from bvc.ids import short
from bvc.render.text import clean

if TYPE_CHECKING:
    from bvc.api.demo import DemoResult, Planted
    from bvc.results import CommitResult


@bvc_command("demo", examples="bvc demo\nbvc demo my-demo\nbvc -C bvc-demo log --oneline --graph")
@click.argument("directory", default="bvc-demo", metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path))
def command(session: Session, directory: Path) -> None:
    """Build a small real lineage in DIR (default: bvc-demo) and diff it.

    SmolLM2-135M-Instruct and its fine-tunes are captured on about 60 probes: a few minutes on two cores. Two of the
    fine-tunes plant a behavior; the diff of one is shown. Needs the extra: pip install 'bvc[demo]'.
    """
    from bvc.api.demo import demo

    session.interrupt_hint = "`bvc demo` again goes on where this one stopped"

    def committed(result: CommitResult) -> None:
        from bvc.render.lists import render_commit

        session.progress.finish()
        session.print(render_commit(result, session.screen))

    result = demo(
        directory, models=_models_folder(), author=find_author(None), progress=session.progress, committed=committed
    )
    session.progress.finish()
    _tour(session, result)


def _models_folder() -> Path:
    """Where the base model is kept between runs: the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "bvc" / "models"


def _tour(session: Session, result: DemoResult) -> None:
    """The log, the diff of the first planted step, and where to look next."""
    from bvc.api.handle import open_repo
    from bvc.render.diff import render_diff
    from bvc.render.log import render_log

    screen = session.screen
    with open_repo(result.root) as repo:
        session.print(["", _typed(session, "bvc log --oneline --graph")])
        session.print(render_log(repo.log(), screen, oneline=True, graph=True))
        for planted in result.planted[:1]:
            session.print(["", _typed(session, _diff_of(planted))])
            session.print(render_diff(repo.diff(planted.before, planted.after), screen))
    session.print(_next(session, result))


def _typed(session: Session, text: str) -> str:
    return session.screen.paint("bold", f"$ {text}")


def _diff_of(planted: Planted) -> str:
    return f"bvc diff {short(planted.before)} {short(planted.after)}"


def _next(session: Session, result: DemoResult) -> Iterator[str]:
    """What was planted where, and commands to try."""
    yield ""
    yield session.screen.paint("bold", "Planted on purpose")
    for planted in result.planted:
        yield f"  {clean(planted.name)}, at {short(planted.after)}: {clean(planted.description)}"
        yield f"    {_diff_of(planted)}"
    yield ""
    yield session.screen.paint("bold", "Where to look next")
    yield f"  cd {clean(os.path.relpath(result.root))}"
    for line in ("bvc log --stat", "bvc diff --stat", "bvc show", "bvc commit PATH/TO/YOUR/CHECKPOINT"):
        yield f"  {line}"
