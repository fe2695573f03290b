"""Two texts as one, word by word: `[-gone-]{+new+}` as `git diff --word-diff` writes it, and side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bvc.compare.text import Edit, word_edits
from bvc.render.screen import Screen
from bvc.render.spans import Line, Span, flow, paint, paint_padded
from bvc.render.text import clean

_CONTEXT = 6
"""Unchanged words kept on each side of a change in a shortened diff."""
_MARKS = (("[-", "-]", "red"), ("{+", "+}", "green"))


def word_diff(a: str, b: str, screen: Screen, *, brief: bool) -> list[Span]:
    """Both texts as one run of spans. `brief` puts it on one line and leaves out long unchanged stretches."""
    newline = screen.glyph("newline") + " " if brief else "\n"
    edits = _edits(a, b)
    spans: list[Span] = []
    for number, edit in enumerate(edits):
        if edit.op == "equal":
            words = _elide(edit.a, number == 0, number == len(edits) - 1, screen) if brief else edit.a
            spans.append(Span(_harmless("".join(words), newline), "dim" if brief else ""))
        else:
            spans.extend(_replaced(edit, newline))
    return spans


def _edits(a: str, b: str) -> list[Edit]:
    """Word edits; words at the ends of a replacement that differ only in the space behind them count as equal."""
    return [part for edit in word_edits(a, b) for part in _trimmed(edit)]


def _trimmed(edit: Edit) -> list[Edit]:
    a, b = edit.a, edit.b
    shortest = min(len(a), len(b))
    head = next((i for i in range(shortest) if not _same_word(a[i], b[i])), shortest)
    tail = next((i for i in range(shortest - head) if not _same_word(a[-1 - i], b[-1 - i])), shortest - head)
    if edit.op != "replace" or not head + tail or head + tail == len(a) == len(b):
        return [edit]
    parts = (
        Edit("equal", b[:head], b[:head]),
        Edit("replace", a[head : len(a) - tail], b[head : len(b) - tail]),
        Edit("equal", b[len(b) - tail :], b[len(b) - tail :]),
    )
    return [part for part in parts if part.a or part.b]


def _same_word(a: str, b: str) -> bool:
    return a.rstrip(" ") == b.rstrip(" ") != ""


def _harmless(text: str, newline: str) -> str:
    """Clean text with `newline` where its lines end."""
    return newline.join(clean(line, newline="") for line in text.split("\n"))


def _replaced(edit: Edit, newline: str) -> Iterator[Span]:
    """What is gone, then what is new, then the space that followed."""
    texts = ["".join(words) for words in (edit.a, edit.b)]
    for text, (opening, closing, style) in zip(texts, _MARKS, strict=True):
        if text:
            yield Span(opening + _harmless(_bare(text, texts), newline) + closing, style)
    last = texts[1] or texts[0]
    yield Span(_harmless(last[len(_bare(last, texts)) :], newline))


def _bare(text: str, texts: Sequence[str]) -> str:
    """`text` without the space that follows it, which stands behind the marks, unless space is all that differs."""
    bare = [t.rstrip(" \n") for t in texts]
    return (
        text
        if bare[0] == bare[1] or not all(b or not t for b, t in zip(bare, texts, strict=True))
        else text.rstrip(" \n")
    )


def _elide(words: Sequence[str], first: bool, last: bool, screen: Screen) -> Sequence[str]:
    """An unchanged stretch with its middle (or its outer end) replaced by an ellipsis."""
    head = 0 if first else _CONTEXT
    tail = 0 if last else _CONTEXT
    if len(words) <= head + tail + 2:
        return words
    return [*words[:head], screen.glyph("ellipsis") + " ", *(words[len(words) - tail :])]


def side_by_side(a: str, b: str, screen: Screen, titles: tuple[str, str]) -> list[str]:
    """Both texts in two columns, what only one of them has in color and between marks."""
    width = (screen.width - 3) // 2
    edits = _edits(a, b)
    columns = [[[Span(title, "bold")], *flow(_side(edits, i), width)] for i, title in enumerate(titles)]
    bar = screen.paint("dim", screen.glyph("column"))
    empty: Line = []
    rows = max(len(lines) for lines in columns)
    left, right = ([*lines, *[empty] * (rows - len(lines))] for lines in columns)
    return [
        f"{paint_padded(one, width, screen)} {bar} {paint(two, screen)}".rstrip()
        for one, two in zip(left, right, strict=True)
    ]


def _side(edits: Sequence[Edit], side: int) -> Iterator[Span]:
    opening, closing, style = _MARKS[side]
    for edit in edits:
        text = "".join((edit.a, edit.b)[side])
        if edit.op == "equal":
            yield Span(_harmless(text, "\n"))
        elif text:
            bare = text.rstrip(" \n") or text
            yield Span(opening + _harmless(bare, "\n") + closing, style)
            yield Span(_harmless(text[len(bare) :], "\n"))
