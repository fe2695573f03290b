"""`bvc grep` on the screen and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bvc.api.search_records import GrepMatch, GrepOptions, GrepResult, GrepStretch
from bvc.render.grep import render_grep
from bvc.render.screen import Screen
from tests.cli.conftest import QUESTIONS
from tests.cli.test_documents import validate
from tests.render.samples import HOSTILE, commit
from tests.test_light_imports import HEAVY, loaded

Call = Callable[..., tuple[int, str, str]]
IDS = re.compile(r"\b[0-9a-f]{10}\b")


def plain(text: str) -> list[str]:
    """Lines with commit ids made alike."""
    return IDS.sub("ID", text).splitlines()


def test_each_answer_once_with_where_it_stands(project: Path, bvc: Call) -> None:
    code, out, err = bvc("grep", "réponse est (0|6)\\.")
    assert (code, err) == (0, "")
    assert plain(out) == [
        "sum-0  #arithmetic",
        "  La réponse est 0.",
        "    2 commits, ID to ID, since two answers",
        "    ID six answers",
        "",
        "sum-3  #arithmetic",
        "  La réponse est 6.",
        "    2 commits, ID to ID, since six answers",
    ]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["-l", "réponse"], ["ID merged", "ID six answers", "ID two answers"]),
        (["-c", "réponse"], ["ID 12 merged", "ID  6 six answers", "ID  2 two answers"]),
        (["-c", "réponse", "v1..french"], ["ID 6 six answers"]),
        (["-c", "RÉPONSE EST 0"], []),
        (["-ci", "RÉPONSE EST 0", "main"], ["ID 1 merged"]),
        (["-cF", "est 1.", "main"], []),
        (["-cE", "est 1.\\.", "main"], ["ID 5 merged"]),
        (["-l", "--all", "answer is 22"], ["ID as it came", "ID six answers", "ID two answers"]),
        (["-l", "--probe", "sum-11", "--tag", "arithmetic", "answer", "v1..french"], ["ID six answers"]),
        (["-l", "answer", "--tag", "other"], []),
        (["-c", "--prompts", "plus 3"], ["ID 1 merged", "ID 1 six answers", "ID 1 two answers", "ID 1 as it came"]),
    ],
)  # fmt: skip
def test_commits(arguments: list[str], lines: list[str], project: Path, bvc: Call) -> None:
    code, out, err = bvc("grep", *arguments)
    assert (code, sorted(plain(out))) == (0, sorted(lines))  # the two branches may be of the same second
    assert bool(err) == (not lines)


def test_limit(project: Path, bvc: Call) -> None:
    out = bvc("grep", "-n", "2", "answer")[1]
    assert out.splitlines()[-1] == "and 10 more answers"
    assert len(re.findall("^sum-", out, re.MULTILINE)) == 2


def test_exit_codes(project: Path, bvc: Call) -> None:
    assert bvc("grep", "nothing at all") == (0, "", "no answer matches in 4 commits\n")
    assert bvc("grep", "-q", "--exit-code", "nothing at all") == (1, "", "")
    assert bvc("grep", "-q", "--exit-code", "answer")[0] == 0
    assert bvc("grep", "(")[0] == 2
    assert bvc("grep", "-l", "-c", "answer")[0] == 2
    assert bvc("grep", "answer", "^v1")[0] == 2
    assert bvc("grep", "answer", "nowhere")[0] == 12
    assert bvc("grep", "answer", "--probe", "nothing")[0] == 12


def test_an_empty_project(fresh: Path, bvc: Call) -> None:
    assert bvc("grep", "answer")[0] == 12


def test_document(project: Path, bvc: Call) -> None:
    document = json.loads(bvc("grep", "-i", "RÉPONSE EST 6", "--json")[1])
    validate(document)
    (match,) = document["matches"]
    assert (match["name"], match["text"], match["places"]) == ("sum-3", "La réponse est 6.", [[3, 16]])
    assert (match["greedy"], match["draws"], match["commits"]) == (True, [], 2)
    ends = {end: json.loads(bvc("rev-parse", end, "--json")[1])["ids"][0] for end in ("main", "french")}
    assert match["stretches"] == [{"oldest": ends["french"], "newest": ends["main"], "commits": 2}]
    assert document["searched"] == {"commits": 4, "records": 24}
    counted = json.loads(bvc("grep", "-c", "réponse", "--json")[1])
    validate(counted)
    assert {row["subject"]: row["answers"] for row in counted["commits"]} == {
        "merged": 12, "six answers": 6, "two answers": 2
    }  # fmt: skip
    assert counted["matches"] == []
    nothing = json.loads(bvc("grep", "nothing at all", "--json")[1])
    validate(nothing)
    assert nothing["total"] == 0


def test_hostile_answers(copied: Path, bvc: Call) -> None:
    rows = [{"prompt": q, "output": f"{HOSTILE} marked\nsecond line {i}"} for i, q in enumerate(QUESTIONS)]
    (copied / "h.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert bvc("commit", "--outputs", "h.jsonl", "--model", "h", "-m", HOSTILE)[0] == 0
    code, out, _ = bvc("grep", "marked$", "HEAD")
    assert code == 0
    assert "marked" in out
    assert "second line" not in out
    assert all(c.isprintable() or c == "\n" for c in out)
    out = bvc("grep", "second line 7", "HEAD", "--json")[1]
    validate(json.loads(out))


def a_match(text: str, *places: tuple[int, int], draws: tuple[int, ...] = ()) -> list[str]:
    stretch = GrepStretch(commit(1), commit(2), 2)
    match = GrepMatch("a" * 64, None, (), "s", text, places, not draws, draws, (stretch,), 2)
    result = GrepResult("x", GrepOptions(), 4, 3, (match,), 1)
    return list(render_grep(result, Screen(width=60, color=True)))


def test_matches_are_painted_and_only_their_lines_shown() -> None:
    text = "first\nan x here, an x there\nlast"
    lines = a_match(text, (9, 10), (20, 21), draws=(0, 3))
    red = "\x1b[1;31mx\x1b[0m"
    assert lines[1:-1] == [f"  an {red} here, an {red} there"]
    assert "draws 1 4: " in lines[-1]


def test_long_lines_begin_near_the_match() -> None:
    lines = a_match("word " * 1000 + "x" + " word" * 1000, (5000, 5001))
    assert len(lines) == 5
    assert lines[1].startswith("  \x1b[2m…\x1b[0m")
    assert "\x1b[1;31mx" in "".join(lines)


def test_a_match_over_several_lines_is_one_place() -> None:
    lines = a_match("one\ntwo\nthree", (2, 9))
    assert lines[1] == "  on\x1b[1;31me↵two↵t\x1b[0mhree"


@pytest.mark.parametrize("text", ["", "\n\n", "x"])
def test_places_without_width(text: str) -> None:
    assert len(a_match(text, *((n, n) for n in range(len(text) + 1)))) >= 3


@pytest.mark.parametrize(
    "command", [["grep", "-F", "Hi"], ["grep", "H[io]"], ["log", "-S", "Hi"], ["log", "--probe", "p"]]
)
def test_searching_loads_nothing_heavy(command: list[str], project: Path) -> None:
    assert loaded(project, HEAVY, *(["sum-1" if word == "p" else word for word in command])) == []
