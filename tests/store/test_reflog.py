"""Reflog lines: in Git's form, each with a check of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.errors import DamagedObject
from bvc.store.reflog import (
    LogNote,
    append_line,
    damaged_lines,
    identity,
    last_value,
    log_line,
    parse_line,
    read_log,
    zone_seconds,
    zone_text,
)

A, B = "a" * 40, "b" * 40
NOTE = LogNote("commit: first step", "Ada <ada@example.org>", 1_700_000_000, 3600)


@given(st.text(), st.text(), st.integers(0, 2**33), st.integers(-50_000, 50_000))
def test_any_note_makes_one_line_that_reads_back(message: str, author: str, date: int, zone: int) -> None:
    line = log_line(A, B, LogNote(message, author, date, zone))
    assert line.count(b"\n") == 1
    entry = parse_line(line[:-1], 0)
    assert entry is not None
    assert (entry.old, entry.new, entry.date) == (A, B, date)
    assert entry.message == " ".join(message.replace("\0", "").split()).encode("utf-8", "replace").decode()


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    lines = log_line(None, A, NOTE) + log_line(A, B, NOTE)
    path = tmp_path / "log"
    for position in range(len(lines)):
        for bit in range(8):
            altered = bytearray(lines)
            altered[position] ^= 1 << bit
            path.write_bytes(altered)
            assert damaged_lines(path), (position, bit)


def test_a_damaged_line_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(log_line(None, A, NOTE) + log_line(A, B, NOTE).replace(b"first", b"worst"))
    with pytest.raises(DamagedObject, match="line 2"):
        read_log(path)


def test_lines_of_git_are_read_without_a_check(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(f"{A} {B} G <g@example.org> 1700000000 -0130\tupdate by push\n".encode())
    (entry,) = read_log(path)
    assert (entry.message, entry.timezone) == ("update by push", -5400)
    assert damaged_lines(path) == []


def test_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "HEAD"
    for old, new in ((None, A), (A, B)):
        append_line(path, log_line(old, new, NOTE))
    assert [(e.index, e.new) for e in read_log(path)] == [(0, B), (1, A)]
    assert last_value(path) == B


def test_a_torn_last_line_is_ignored_and_then_removed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(log_line(None, A, NOTE) + log_line(A, B, NOTE)[:70])
    assert [e.new for e in read_log(path)] == [A]
    append_line(path, log_line(A, B, NOTE))
    assert [e.new for e in read_log(path)] == [B, A]
    assert damaged_lines(path) == []


def test_no_log_is_an_empty_log(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none") == []
    assert last_value(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("Ada <a@b>", "Ada <a@b>"),
        ("Ada", "Ada <>"),
        ("", "unknown <>"),
        ("<a@b>", "unknown <a@b>"),
        ("A\nB <x\ny@z>", "A B <xy@z>"),
        ("A <b> <c>", "A <bc>"),
    ],
)
def test_identities_that_git_accepts(typed: str, stored: str) -> None:
    assert identity(typed) == stored


@given(st.integers(-14 * 60, 14 * 60))
def test_zones_survive(minutes: int) -> None:
    assert zone_seconds(zone_text(minutes * 60)) == minutes * 60


def test_impossible_zones_are_cut_off() -> None:
    assert zone_text(10**6) == "+1400"
    assert zone_text(-(10**6)) == "-1400"
