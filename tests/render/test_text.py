"""Hostile text becomes harmless; widths are those of a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.render.screen import Screen
from bvc.render.spans import Span, flow, limit, paint
from bvc.render.text import cells, clean, clean_lines, cut, pad, shorten, wrap
from tests.render.samples import HOSTILE

ANY = st.text(st.characters(), max_size=80)


def harmless(text: str) -> bool:
    """Whether a terminal shows every character of `text` as itself."""
    return all(c.isprintable() or c in "\u200c\u200d" or unicodedata.category(c) == "Zs" for c in text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\udc80", "\\udc80"),
        ("over\rwrite", "over\\x0dwrite"),
        ("\U000e0041", "\\U000e0041"),
        ("a\nb\tc", "a b    c"),
        ("日本 é 👩\u200d👧", "日本 é 👩\u200d👧"),
        ("a\u00a0b", "a\u00a0b"),
    ],
)
def test_clean_spells_out_what_steers(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(ANY)
def test_clean_text_is_harmless(text: str) -> None:
    assert harmless(clean(text))
    assert all(harmless(line) for line in clean_lines(text))


def test_clean_counts_what_it_leaves_out() -> None:
    shown = clean("x" * 1_000_000)
    assert len(shown) < 21_000
    assert shown.endswith("[980000 more characters]")


@pytest.mark.parametrize(("text", "size"), [("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1), ("👍", 2), ("ｗ", 2)])
def test_cells(text: str, size: int) -> None:
    assert cells(text) == size


@given(ANY.map(clean), st.integers(2, 30))
def test_cutting_and_wrapping_keep_to_the_width(text: str, width: int) -> None:
    assert cells(cut(text, width)) <= width
    assert cells(shorten(text, width)) <= width
    assert all(cells(line) <= width for line in wrap(text, width))
    assert "".join(wrap(text, width)).replace(" ", "") == text.replace(" ", "")


def test_shorten_marks_what_is_missing() -> None:
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("日本語", 5) == "日本…"
    assert shorten("abcdef", 5, "...") == "ab..."


def test_pad_counts_cells() -> None:
    assert pad("日", 4) == "日  "
    assert pad("7", 3, right=True) == "  7"


@given(st.lists(st.tuples(ANY, st.sampled_from(["", "red", "dim"]))), st.integers(2, 30))
def test_flow_keeps_styles_words_and_width(pieces: list[tuple[str, str]], width: int) -> None:
    spans = [Span(clean(text, newline="\n"), style) for text, style in pieces]
    lines = flow(spans, width)
    assert all(cells("".join(s.text for s in line).rstrip(" ")) <= width for line in lines)
    for style in ("", "red", "dim"):
        before = "".join(s.text for s in spans if s.style == style).replace(" ", "").replace("\n", "")
        after = "".join(s.text for line in lines for s in line if s.style == style).replace(" ", "")
        assert before == after


def test_flow_stops_early_and_says_so() -> None:
    lines = flow([Span("word " * 10_000)], 20, most=2)
    assert len(lines) == 3
    shown = [paint(line, Screen()) for line in limit(lines, 2, "…")]
    assert len(shown) == 2
    assert shown[-1].endswith(" …")


def test_styles_are_closed_on_each_line() -> None:
    lines = flow([Span("one two three", "red")], 5)
    assert [paint(line, Screen(color=True)) for line in lines] == [
        "\x1b[31mone\x1b[0m",
        "\x1b[31mtwo\x1b[0m",
        "\x1b[31mthree\x1b[0m",
    ]


def test_hostile_sample_is_hostile() -> None:
    assert not harmless(HOSTILE)
