"""`bvc log -S`, `-G` and `--probe`, and how changed answers are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bvc.records import AnswerChange, AnswerChanges, BehaviorRate, LogEntry
from bvc.render.answer_changes import change_lines
from bvc.render.log import render_log
from bvc.render.screen import Screen
from bvc.render.sparkline import rate_bar, sparkline
from tests.cli.test_documents import validate
from tests.cli.test_grep import plain
from tests.render.samples import HOSTILE, commit

Call = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("arguments", "subjects"),
    [
        (["-S", "réponse est 6"], ["six answers"]),
        (["-S", "answer is 6."], ["six answers", "as it came"]),
        (["-S", "ANSWER IS 6."], []),
        (["-i", "-S", "ANSWER IS 6."], ["six answers", "as it came"]),
        (["-G", "est [02]\\."], ["six answers", "two answers"]),
        (["-i", "-G", "^LA"], ["merged", "six answers", "two answers"]),
        (["--probe", "sum-11"], ["merged", "as it came"]),
        (["--probe", "sum-11", "--probe", "sum-3"], ["merged", "six answers", "as it came"]),
        (["--probe", "sum-3", "-S", "réponse"], ["six answers"]),
        (["-S", "réponse", "-n", "1"], ["merged"]),
        (["-S", "réponse", "v1..french"], ["six answers"]),
    ],
)
def test_which_commits_are_listed(arguments: list[str], subjects: list[str], project: Path, bvc: Call) -> None:
    code, out, err = bvc("log", "--format", "%s", *arguments, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    validate(document)
    # The two branches may be of the same second.
    assert sorted(row["subject"] for row in document["commits"]) == sorted(subjects)
    assert all(row["answers"]["shown"] for row in document["commits"])
    named = "--probe" in arguments
    out = bvc("log", "--format", "%s", *arguments)[1]
    assert sorted(line for line in out.splitlines() if not line.startswith(" ")) == sorted(subjects)
    assert (out.count("\n") == len(subjects)) is (not named)


def test_the_change_is_shown(project: Path, bvc: Call) -> None:
    assert plain(bvc("log", "--oneline", "--probe", "sum-3")[1]) == [
        "ID (french) six answers",
        " sum-3: The answer is 6. → La réponse est 6.",
        "ID (tag: v1) as it came",
        " sum-3: (none) → The answer is 6.",
    ]
    assert plain(bvc("log", "-S", "réponse", "-1")[1])[-6:] == [
        " sum-10: The answer is 20. → La réponse est 20.",
        " sum-11: The answer is 22. → La réponse est 22.",
        " sum-6: The answer is 12. → La réponse est 12.",
        " sum-7: The answer is 14. → La réponse est 14.",
        " sum-8: The answer is 16. → La réponse est 16.",
        " and 1 more probe",
    ]


def test_listed_commits_are_joined_in_the_drawing(project: Path, bvc: Call) -> None:
    out = bvc("log", "--oneline", "--graph", "--probe", "sum-11")[1]
    assert [re.sub("[0-9a-f]{10}", "ID", line).split(" ", 1)[0] for line in out.splitlines()] == ["*", "│", "*", ""]


def test_what_is_refused(project: Path, bvc: Call) -> None:
    for arguments in (["-S", ""], ["-G", ""], ["-S", "a", "-G", "b"], ["-G", "("]):
        assert bvc("log", *arguments)[0] == 2
    assert bvc("log", "--probe", "nothing")[0] == 12


def changed(old: str | None, new: str | None, draw: int | None = None, differing: int = 1) -> list[str]:
    change = AnswerChange("a" * 64, None, draw, old, new, differing)
    return list(change_lines(AnswerChanges(3, (change,)), Screen(width=60)))[:-1]


def test_lines_of_a_change() -> None:
    assert changed("a", "b") == [" aaaaaaaaaa: a → b"]
    assert changed("a\nb", "", draw=1, differing=3) == [" aaaaaaaaaa draw 2 (and 2 more texts): a↵b → (empty)"]
    assert changed("a", "a", differing=0) == [" aaaaaaaaaa: same text, ended otherwise"]
    long = "so it is said " * 20
    head, old, new = changed(f"{long}yes", f"{long}no")
    assert head == " aaaaaaaaaa"
    assert (old[:5], old[-3:], new[:5], new[-2:]) == ("   - ", "yes", "   + ", "no")
    assert "…" in old
    assert all(c.isprintable() for line in changed(HOSTILE, None) for c in line)


@pytest.mark.parametrize(
    ("values", "drawn", "plainly"),
    [
        ([0, 0.5, 1], "▁▅█", "_=#"),
        ([0, 0.01], "▁█", "_#"),
        ([0.0, 0.0], "▁▁", "__"),
        ([None, 0.2, None], " █ ", " # "),
        ([0.001, 1.0], "▂█", ".#"),
        ([], "", ""),
        ([0] * 4 + [1] * 4 + [0.5] * 4, "▁█▅", "_#="),
    ],
)
def test_sparkline(values: list[float | None], drawn: str, plainly: str) -> None:
    width = 3
    assert sparkline(values, Screen(), width) == drawn
    assert sparkline(values, Screen(unicode=False), width) == plainly


def test_bars() -> None:
    assert rate_bar(BehaviorRate("b", 0.5, 10, (0.2, 0.8)), Screen(), 10) == "█████───  "
    assert rate_bar(BehaviorRate("b", 0.5, 10, (0.2, 0.8)), Screen(unicode=False), 10) == "#####---  "
    assert rate_bar(BehaviorRate("b", 0.0, 0, (0.0, 1.0)), Screen(), 10) == ""


def test_a_log_with_a_behavior_is_drawn_above() -> None:
    rates = [(0.5, (0.4, 0.6)), None, (0.0, (0.0, 0.1))]
    entries = [
        LogEntry(commit(5 - n), behavior=None if rate is None else BehaviorRate("b\x1b", rate[0], 50, rate[1]))
        for n, rate in enumerate(rates)
    ]
    lines = list(render_log(entries, Screen(), oneline=True, summary=True))
    assert lines[:4] == [
        "b\\x1b  0.0 % [0.0, 10.0] → 50.0 % [40.0, 60.0]",
        "▁ █",
        "oldest to newest of 3 commits, highest 50.0 %",
        "",
    ]
    assert lines[4].startswith("5000000000 █████─      50.0 % [ 40.0, 60.0] of 50   ")
    assert list(render_log(entries[:1], Screen(), oneline=True, summary=True)) == lines[4:5]
