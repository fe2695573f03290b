"""Two texts as one, word by word: `[-gone-]{+new+}` as `git diff --word-diff` writes it, and side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bvc.compare.text import Edit, word_edits
from bvc.render.screen import Screen
from bvc.render.spans import Line, Span, flow, limit, paint, paint_padded
from bvc.render.text import clean

_CONTEXT = 6
"""Unchanged words kept on each side of a change in a shortened diff."""
_MARKS = (("[-", "-]", "red"), ("{+", "+}", "green"))


def word_diff(a: str, b: str, screen: Screen, *, brief: bool) -> list[Span]:
    """Both texts as one run of spans. `brief` puts it on one line and leaves out long unchanged stretches."""
    newline = screen.glyph("newline") + " " if brief else "\n"
    edits = _edits(a, b)
    spans: list[Span] = []
    for edit in _elided(edits, screen) if brief else edits:
        if edit.op == "equal":
            spans.append(Span(_harmless("".join(edit.a), newline), "dim" if brief else ""))
        else:
            spans.extend(_replaced(edit, newline))
    return spans


def brief_lines(a: str, b: str, screen: Screen, width: int, most: int) -> list[str]:
    """The difference in at most `most` lines.

    What does not fit is shown one side after the other, half the lines each, so that a long text that is gone does not
    hide the one that came.
    """
    lines = flow(word_diff(a, b, screen, brief=True), width, most)
    if a and b and len(lines) > most:
        edits = _elided(_edits(a, b), screen)
        return [line for side in (0, 1) for line in _brief_side(edits, side, screen, width, most // 2)]
    return [paint(line, screen).rstrip() for line in limit(lines, most, screen.glyph("ellipsis"))]


def _brief_side(edits: Sequence[Edit], side: int, screen: Screen, width: int, most: int) -> Iterator[str]:
    """One side's text behind `-` or `+`."""
    sign, style = "-+"[side], _MARKS[side][2]
    lines = flow(_side(edits, side, screen.glyph("newline") + " "), width - 2, most)
    for number, line in enumerate(limit(lines, most, screen.glyph("ellipsis"))):
        yield f"{screen.paint(style, sign if number == 0 else ' ')} {paint(line, screen)}".rstrip()


def _elided(edits: Sequence[Edit], screen: Screen) -> list[Edit]:
    """The edits with long unchanged stretches shortened."""
    last = len(edits) - 1
    kept = [_elide(e.a, i == 0, i == last, screen) if e.op == "equal" else e.a for i, e in enumerate(edits)]
    return [Edit(e.op, tuple(k), tuple(k)) if e.op == "equal" else e for e, k in zip(edits, kept, strict=True)]


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
    only_space = bare[0] == bare[1] or any(t and not b for t, b in zip(texts, bare, strict=True))
    return text if only_space else text.rstrip(" \n")


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
    columns = [[[Span(title, "bold")], *flow(_side(edits, i, "\n"), width)] for i, title in enumerate(titles)]
    bar = screen.paint("dim", screen.glyph("column"))
    empty: Line = []
    rows = max(len(lines) for lines in columns)
    left, right = ([*lines, *[empty] * (rows - len(lines))] for lines in columns)
    return [
        f"{paint_padded(one, width, screen)} {bar} {paint(two, screen)}".rstrip()
        for one, two in zip(left, right, strict=True)
    ]


def _side(edits: Sequence[Edit], side: int, newline: str) -> Iterator[Span]:
    """One side's text, what only it has between marks."""
    opening, closing, style = _MARKS[side]
    for edit in edits:
        text = "".join((edit.a, edit.b)[side])
        if edit.op == "equal":
            yield Span(_harmless(text, newline))
        elif text:
            bare = text.rstrip(" \n") or text
            yield Span(opening + _harmless(bare, newline) + closing, style)
            yield Span(_harmless(text[len(bare) :], newline))
