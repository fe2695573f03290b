"""Alignment of two tokenizations: any cuts of any text."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.errors import UsageError
from bvc.features.alignment import Alignment, Tokenization, align, equal_stretches

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(
    ["a👩‍👩‍👧‍👦b", "naïve café ﬁ", "日本語のテキスト", "\x00\ufffd\r\n\t", "  \n\n  ", "e\u0301e\u0301", "🇫🇷🇩🇪"]
)


@st.composite
def byte_pieces(draw: st.DrawFn, data: bytes) -> list[bytes | None]:
    """Any cut of the bytes, within characters too, with special tokens and empty ones between."""
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=20)) | {0, len(data)})
    pieces: list[bytes | None] = []
    for start, end in pairwise(places):
        pieces += [*draw(st.lists(st.sampled_from([None, b""]), max_size=1)), data[start:end]]
    return [*pieces, *draw(st.lists(st.none(), max_size=2))]


def offsets_of(text: str, pieces: list[bytes | None]) -> list[tuple[int, int]]:
    """What a fast tokenizer says of such pieces: characters that a token has a byte of; (0, 0) for special tokens."""
    starts = [0]
    for character in text:
        starts.append(starts[-1] + len(character.encode()))
    at, found = 0, []
    for piece in pieces:
        if not piece:
            found.append((0, 0))
            continue
        first = max(i for i, start in enumerate(starts) if start <= at)
        at += len(piece)
        found.append((first, min(i for i, start in enumerate(starts) if start >= at)))
    return found


def check(found: Alignment, a: Tokenization, b: Tokenization) -> None:
    """What holds of every alignment."""
    for window in found.windows:
        (a0, a1), (b0, b1) = window.text_a, window.text_b
        assert a.text[a0:a1] == b.text[b0:b1] != ""
        assert (a.ends[window.pair[0]], b.ends[window.pair[1]]) == (a1, b1)
    for one, two in pairwise(found.windows):
        for name in ("a", "b", "text_a", "text_b"):
            assert getattr(one, name)[1] <= getattr(two, name)[0]
            assert getattr(two, name)[0] < getattr(two, name)[1]
    assert 0.0 <= found.share <= 1.0


@given(st.data())
def test_two_cuts_of_the_same_bytes_align_wherever_both_end(data: st.DataObject) -> None:
    text = data.draw(TEXTS).encode()
    cuts = [data.draw(byte_pieces(text)) for _ in range(2)]
    a, b = (Tokenization.from_pieces(cut) for cut in cuts)
    found = align(a, b)
    check(found, a, b)
    assert found.share == 1.0
    assert found.breaks == 0
    assert {w.text_a[1] for w in found.windows} == {e for e in a.ends if e} & {e for e in b.ends if e}


@given(st.data())
def test_offsets_of_a_fast_tokenizer_align_the_same_text(data: st.DataObject) -> None:
    text = data.draw(TEXTS)
    cuts = [data.draw(byte_pieces(text.encode())) for _ in range(2)]
    a, b = (Tokenization.from_offsets(text, offsets_of(text, cut)) for cut in cuts)
    found = align(a, b)
    check(found, a, b)
    assert found.share == 1.0
    for side, tokens in ((a, [w.pair[0] for w in found.windows]), (b, [w.pair[1] for w in found.windows])):
        for token in tokens:
            assert all(end is None or end > side.ends[token] for end in side.ends[token + 1 :])  # type: ignore[operator]


@given(st.data())
def test_texts_that_differ_are_aligned_where_they_agree(data: st.DataObject) -> None:
    texts = [data.draw(TEXTS).encode(), data.draw(TEXTS).encode()]
    shared = data.draw(TEXTS).encode()
    a, b = (Tokenization.from_pieces(data.draw(byte_pieces(text + shared))) for text in texts)
    check(align(a, b), a, b)


@given(TEXTS, TEXTS)
def test_stretches_agree_and_rise(a: str, b: str) -> None:
    at_a = at_b = 0
    for start_a, start_b, length in equal_stretches(a, b):
        assert length > 0
        assert start_a >= at_a
        assert start_b >= at_b
        at_a, at_b = start_a + length, start_b + length
        assert a[start_a:at_a] == b[start_b:at_b]


def words(text: str) -> Tokenization:
    """Tokens are words with the space before them."""
    ends = [i for i, c in enumerate(text) if c == " "] + [len(text)]
    return Tokenization(text, tuple(ends))


def test_a_window_grows_until_both_sides_end_together() -> None:
    a = Tokenization.from_pieces([None, b"un", b"believ", b"able", b" news"])
    b = Tokenization.from_pieces([b"unb", b"elievable", b" ne", b"ws", None])
    found = align(a, b)
    assert found.pairs == ((3, 1), (4, 3))
    assert [w.a for w in found.windows] == [(0, 4), (4, 5)]


def test_the_bytes_of_an_emoji_end_with_the_last_of_them() -> None:
    a = Tokenization.from_offsets("a🙂b", [(0, 0), (0, 1), (1, 2), (1, 2), (1, 2), (2, 3), (0, 0)])
    b = Tokenization.from_offsets("a🙂b", [(0, 1), (1, 2), (2, 3)])
    assert align(a, b).pairs == ((1, 0), (4, 1), (5, 2))


def test_alignment_goes_on_after_a_letter_that_one_tokenizer_changes() -> None:
    before, after = "the first part of the text is read by both ", " and the rest goes on as it was"
    a, b = words(before + "ﬁre" + after), words(before + "fire" + after)
    found = align(a, b)
    assert found.breaks == 1
    assert len(found.windows) == len(a.ends) - 1
    changed = before.count(" ")
    assert [token for token in range(len(a.ends)) if token not in {w.pair[0] for w in found.windows}] == [changed]
    assert found.pairs[-1] == (len(a.ends) - 1, len(b.ends) - 1)
    assert 0.85 < found.share < 1


def test_what_comes_after_too_long_a_difference_is_left_out() -> None:
    a, b = words("same start " + "x" * 2000 + " same end of it"), words("same start " + "y" * 2000 + " same end of it")
    found = align(a, b)
    assert len(found.windows) == 2
    assert found.share < 0.01


def test_nothing_in_common_gives_no_pairs() -> None:
    assert align(words("abcdefgh ijk"), words("zyxwvuts rqp")).windows == ()
    empty = Tokenization("", ())
    assert align(empty, empty) == Alignment((), 1.0, 0)


def test_ends_that_go_backwards_are_refused() -> None:
    with pytest.raises(UsageError):
        Tokenization("abc", (2, 1))
    with pytest.raises(UsageError):
        Tokenization("abc", (4,))


def test_long_texts_with_many_differences_take_time_in_proportion() -> None:
    def seconds(repeats: int) -> float:
        line = "some words that both read alike {} and then some more of them "
        a, b = (words("".join(line.format(mark) for _ in range(repeats))) for mark in ("ﬁ", "fi"))
        started = time.process_time()
        assert align(a, b).breaks == repeats
        return time.process_time() - started

    assert seconds(4000) < 16 * max(seconds(500), 0.005)
