"""The head of every screen of `bvc diff`: both commits, what is compared, what could not be."""

from __future__ import annotations

from collections.abc import Iterator

from bvc.ids import short
from bvc.records import CommitInfo
from bvc.render.commits import capability_text, model_text, plural
from bvc.render.diff_layout import brief
from bvc.render.screen import Screen
from bvc.render.text import cells, pad, shorten, wrap
from bvc.results import DiffResult

_REASON = 1000


def diff_header(result: DiffResult, screen: Screen) -> Iterator[str]:
    """Both commits, what they are compared on, and what could not be compared."""
    yield from both_commits(result.a, result.b, screen)
    compared = f"{plural(result.summary.probes, 'common probe')}, compared by {capability_text(result.capability)}"
    yield from (f"   {line}" for line in wrap(compared, max(20, screen.width - 3)))
    for reason in [*result.reasons, *_unpaired(result)]:
        for row, line in enumerate(wrap(brief(reason, _REASON, screen), max(20, screen.width - 5))):
            yield f"   {screen.paint('yellow', '!') if row == 0 else ' '} {line}"


def both_commits(a: CommitInfo, b: CommitInfo, screen: Screen) -> Iterator[str]:
    """One line for each side: letter, id, model, subject."""
    ellipsis = screen.glyph("ellipsis")
    most = max(16, screen.width // 2)
    models = [shorten(_model(commit), most, ellipsis) for commit in (a, b)]
    width = max(cells(model) for model in models)
    for side, commit, model in zip("ab", (a, b), models, strict=True):
        letter = screen.paint("red" if side == "a" else "green", side)
        line = f"{letter}  {screen.paint('yellow', short(commit.id))}  {screen.paint('cyan', pad(model, width))}  "
        yield (line + brief(commit.subject, max(8, screen.width - width - 17), screen)).rstrip()


def _model(commit: CommitInfo) -> str:
    return "" if commit.snapshot is None else model_text(commit.snapshot.model)


def _unpaired(result: DiffResult) -> Iterator[str]:
    for side, ids in (("a", result.only_a), ("b", result.only_b)):
        if ids:
            yield f"{plural(len(ids), 'probe')} only in {side}: not compared"
