"""Text distance and word edits: exact where they say so, lossless, and bounded on hostile input."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.compare.text import first_difference, text_distance, word_edits, words

ANY_TEXT = st.text(alphabet=st.sampled_from("ab c.\n\t日é\U0001f600\u0e01"), max_size=40)
FEW_WORDS = st.lists(st.sampled_from(["one", "two", "three", "four"]), max_size=14)


def plain_levenshtein(a: list[str], b: list[str]) -> int:
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(row[-1] + 1, previous[j] + 1, previous[j - 1] + (x != y)))
        previous = row
    return previous[-1]


@given(FEW_WORDS, FEW_WORDS)
def test_distance_is_the_edit_distance_over_the_longer_text(a: list[str], b: list[str]) -> None:
    expected = plain_levenshtein(a, b) / max(len(a), len(b), 1)
    assert text_distance(" ".join(a), " ".join(b)) == pytest.approx(expected)


@given(ANY_TEXT, ANY_TEXT)
def test_distance_is_symmetric_bounded_and_zero_for_equal_texts_only(a: str, b: str) -> None:
    assert text_distance(a, b) == text_distance(b, a)
    assert 0 <= text_distance(a, b) <= 1
    assert (text_distance(a, b) == 0) == (a == b)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("", "", 0.0),
        ("", "now here", 1.0),
        ("the cat sat", "the dog sat", 1 / 3),
        ("the cat sat", "a dog ran", 1.0),
        ("a , b", "a, b", 0.5 / 3),
        ("one\ntwo", "one two", 1 / 3),
        ("東京は晴れ", "東京は雨", 2 / 5),
    ],
)
def test_distances_of_known_texts(a: str, b: str, expected: float) -> None:
    assert text_distance(a, b) == pytest.approx(expected)


def test_scripts_without_spaces_count_by_character_and_words_by_run() -> None:
    assert words("Hello, 東京 don't\n  x_1") == ["Hello", ",", "東", "京", "don", "'", "t", "\n", "  ", "x_1"]


@given(ANY_TEXT, ANY_TEXT)
def test_edits_rebuild_both_texts_and_alternate(a: str, b: str) -> None:
    edits = word_edits(a, b)
    assert "".join("".join(e.a) for e in edits) == a
    assert "".join("".join(e.b) for e in edits) == b
    assert all(e.a == e.b for e in edits if e.op == "equal")
    assert all(not e.a for e in edits if e.op == "insert")
    assert all(not e.b for e in edits if e.op == "delete")
    assert all(x.op != y.op for x, y in itertools.pairwise(edits))


def test_edits_name_the_words_that_changed() -> None:
    edits = word_edits("It is Paris.\nBye now", "It surely is Lyon.\nBye now")
    assert [(e.op, "".join(e.a), "".join(e.b)) for e in edits if e.op != "equal"] == [
        ("insert", "", "surely "),
        ("replace", "Paris", "Lyon"),
    ]


@given(ANY_TEXT, ANY_TEXT)
def test_first_difference_is_where_the_common_start_ends(a: str, b: str) -> None:
    at = first_difference(a, b)
    if at is None:
        assert a == b
    else:
        assert a[:at] == b[:at]
        assert a[at : at + 1] != b[at : at + 1]


HOSTILE = {
    "one long word": ("a" * 1_000_000, "a" * 999_999 + "b"),
    "no common word": (" ".join(map(str, range(150_000))), " ".join(map(str, range(150_000, 300_000)))),
    "two words over and over": ("a b " * 250_000, "b a a " * 160_000),
    "marks": (".,;" * 333_000, ",.;" * 333_000),
    "empty lines": ("\n" * 1_000_000, "\n" * 999_998 + "x\n"),
    "ideographs": ("中文字" * 333_000, "中字文" * 333_000),
    "just below the limit": (" ".join(map(str, range(20_000))), " ".join(map(str, range(20_000, 40_000)))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_of_hostile_text_takes_bounded_time(name: str) -> None:
    a, b = HOSTILE[name]
    start = time.process_time()
    assert 0 < text_distance(a, b) <= 1
    edits = word_edits(a, b)
    assert first_difference(a, b) is not None
    assert time.process_time() - start < 5
    assert "".join("".join(e.b) for e in edits) == b
