"""The lineage drawing: exact pictures of small histories, and rules that hold for every one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.render.graph import Graph
from bvc.render.screen import Screen

History = Sequence[tuple[str, Sequence[str]]]


def picture(history: History, *, unicode: bool = True) -> list[str]:
    graph = Graph(Screen(unicode=unicode))
    lines: list[str] = []
    for name, parents in history:
        rows = graph.add(name, parents)
        lines += [row.rstrip() for row in (rows.before, f"{rows.node} {name}", rows.link) if row is not None]
    return lines


PICTURES: dict[str, tuple[History, list[str]]] = {
    "line": ([("c", "b"), ("b", "a"), ("a", "")], ["* c", "* b", "* a"]),
    "merge": (
        [("d", "bc"), ("c", "a"), ("b", "a"), ("a", "")],
        ["*   d", "├─╮", "│ * c", "* │ b", "├─╯", "* a"],
    ),
    "two branches": (
        [("c", "a"), ("b", "a"), ("a", "")],
        ["* c", "│ * b", "├─╯", "* a"],
    ),
    "unrelated": ([("b", ""), ("a", "")], ["* b", "", "* a"]),
    "octopus": (
        [("e", "bcd"), ("d", "a"), ("c", "a"), ("b", "a"), ("a", "")],
        ["*     e", "├─┬─╮", "│ │ * d", "│ * │ c", "│ ├─╯", "* │ b", "├─╯", "* a"],
    ),
    "crossing": (
        [("f", "c"), ("e", "b"), ("d", "ca"), ("c", "a"), ("b", "a"), ("a", "")],
        ["* f", "│ * e", "│ │ * d", "├─│─┤", "* │ │ c", "├─│─╯", "│ * b", "├─╯", "* a"],
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(name: str) -> None:
    history, lines = PICTURES[name]
    drawn = picture([(commit, list(parents)) for commit, parents in history])
    assert drawn == lines, "\n" + "\n".join(drawn)


def test_ascii_picture() -> None:
    history = [("d", ["b", "c"]), ("c", ["a"]), ("b", ["a"]), ("a", [])]
    assert picture(history, unicode=False) == ["*   d", "|-.", "| * c", "* | b", "|-'", "* a"]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, list[str]]]:
    """Commits newest first, each with parents among the later ones."""
    size = draw(st.integers(1, 14))
    return [
        (str(i), draw(st.lists(st.integers(i + 1, size - 1).map(str), max_size=3, unique=True)) if i < size - 1 else [])
        for i in range(size)
    ]


@given(histories())
def test_every_commit_has_one_node_and_lines_join(history: list[tuple[str, list[str]]]) -> None:
    graph = Graph(Screen())
    below: str = ""
    for name, parents in history:
        rows = graph.add(name, parents)
        assert rows.node.count("*") == 1
        column = rows.node.index("*")
        link = rows.link or rows.after
        joined = [i for i, c in enumerate(below.rstrip()) if c in "│├┤┼╮╭┬"]
        here = [i for i, c in enumerate(rows.node) if c in "│*"]
        assert set(joined) <= set(here), "a line from above ends in nothing"
        if parents:
            assert link[column : column + 1] not in ("", " "), "a commit with parents has no line below it"
        below = rows.link if rows.link is not None else rows.after
