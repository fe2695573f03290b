"""Corpus files: texts in order, and clear errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.errors import BadInput
from bvc.suites.corpus import builtin_texts, corpus_file, corpus_texts, joined


def test_plain_text_is_read_by_paragraphs(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    long = "word " * 500
    path.write_text(f"one\nstill one\n\n\n  \ntwo\n\n{long}\n\nlast", encoding="utf-8")
    assert list(corpus_texts(path)) == ["one\nstill one\n\ntwo", long, "last"]


def test_jsonl_is_read_by_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one\\n\\ntwo"}\n\n{"text": "three", "other": 1}\n', encoding="utf-8")
    assert list(corpus_texts(path)) == ["one\n\ntwo", "three"]


@pytest.mark.parametrize("line", ["{", '{"texts": "x"}', '{"text": 3}', "[]", "[" * 100_000])
def test_bad_lines_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        list(corpus_texts(path))
    assert (caught.value.file, caught.value.line) == (str(path), 2)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    binary = tmp_path / "b.txt"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, word in ((tmp_path / "none.txt", "cannot be read"), (binary, "UTF-8")):
        with pytest.raises(BadInput, match=word):
            list(corpus_texts(path))
    with pytest.raises(BadInput, match="cannot be read"):
        corpus_file(tmp_path / "none.txt")


def test_digests_follow_the_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "1.txt", tmp_path / "2.txt"
    one.write_text("a")
    two.write_text("b")
    assert corpus_file(one).digest != corpus_file(two).digest
    two.write_text("a")
    assert corpus_file(one).digest == corpus_file(two).digest


def test_the_builtin_corpus_is_prose_and_code() -> None:
    texts = list(builtin_texts())
    assert sum(map(len, texts)) > 300_000
    assert any("statement" in text for text in texts)


@given(st.lists(st.text(max_size=900)))
def test_joining_loses_nothing_but_blank_paragraphs(paragraphs: list[str]) -> None:
    texts = list(joined(paragraphs))
    assert "\n\n".join(texts) == "\n\n".join(filter(str.strip, paragraphs))
    assert all(len(text) <= 2_002 for text in texts)
