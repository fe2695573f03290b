"""`bvc bisect` from the command line: verbs, words, exit codes, commands with git's codes, the screens."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bvc.cli.program import run
from bvc.errors import ExitCode
from tests.cli.conftest import QUESTIONS, write_outputs
from tests.cli.test_documents import validate

Call = Callable[..., tuple[int, str, str]]
STEP = 5
FRENCH = '[behavior.french]\ndescription = "answers in French"\ncontains = "réponse"\n'
EVIL = "\x1b]0;owned\x07\x1b[2J‮step $(reboot)"


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine commits; from the sixth on all answers are in French. One subject is hostile."""
    folder = tmp_path_factory.mktemp("line")
    assert run(["-q", "init", str(folder)]) == 0
    (folder / "probes" / "starter.jsonl").unlink()
    (folder / "behaviors.toml").write_text(FRENCH, encoding="utf-8")
    rows = [json.dumps({"id": f"sum-{i}", "prompt": q}) for i, q in enumerate(QUESTIONS)]
    (folder / "probes" / "sums.jsonl").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    for number in range(9):
        made = write_outputs(folder / "o.jsonl", len(QUESTIONS) if number >= STEP else number % 2)
        subject = EVIL if number == 3 else f"step {number}"
        assert (
            run(["-q", "-C", str(folder), "commit", "--outputs", str(made), "--model", f"m{number}", "-m", subject])
            == 0
        )
    return folder


@pytest.fixture
def here(line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy as working folder."""
    import shutil

    folder = tmp_path / "line"
    shutil.copytree(line, folder)
    monkeypatch.chdir(folder)
    return folder


def document(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out)
    validate(found)
    return found


def script(folder: Path, body: str) -> str:
    """An executable shell script."""
    path = folder / "judge.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_run_needs_no_start(here: Path, bvc: Call) -> None:
    code, out, err = bvc("bisect", "run", "--good", "HEAD~8", "--bad", "HEAD", "--behavior", "french")
    assert (code, err) == (0, "")
    culprit = bvc("rev-parse", "HEAD~3")[1].strip()
    assert culprit in out and "FOUND  first bad commit" in out and "step 5" in out
    assert "answers in French" in out and "0 loads and 0 draws" in out
    assert f"`bvc diff {bvc('rev-parse', 'HEAD~4')[1][:10]} {culprit[:10]}`" in out
    assert "English to French" in out and "0 → 12 answers" in out, "what it changed is told"
    code, out, _ = bvc("bisect", "view")
    assert code == 0
    rows = out.split("\n\n")[1].splitlines()
    assert "<- bad" in rows[0] and "<- good" in rows[-1]
    assert next(row for row in rows if "first bad" in row).count("█") == 16
    assert "\x1b" not in out and "‮" not in out


def test_json_everywhere(here: Path, bvc: Call) -> None:
    start = document(bvc("bisect", "start", "HEAD", "HEAD~8", "--json")[1])
    assert (start["status"], start["first_bad"]) == ("running", None)
    assert len(start["candidates"]) == 8 and start["next"] is not None
    for verb in (["good", "HEAD~6"], ["skip", "HEAD~5"], ["undo"], ["next"], ["view"], ["bad", "HEAD~2"]):
        code, out, _ = bvc("bisect", *verb, "--json")
        assert code == 0
        assert document(out)["terms"] == {"old": "good", "new": "bad"}
    (here / "log").write_text(bvc("bisect", "log")[1], encoding="utf-8")
    assert document(bvc("bisect", "replay", "log", "--json")[1])["observations"][-1]["source"] == "mark"
    bvc("bisect", "reset")
    found = document(bvc("bisect", "run", "--good", "HEAD~8", "--bad", "HEAD", "--behavior", "french", "--json")[1])
    assert found["status"] == "found" and found["first_bad"] == bvc("rev-parse", "HEAD~3")[1].strip()
    assert found["rates"]["old"]["rate"] < 0.1 < 0.9 < found["rates"]["new"]["rate"]
    assert found["rates"]["new"]["n"] == 4 * len(QUESTIONS)
    like = document(bvc("bisect", "run", "--good", "HEAD~8", "--bad", "HEAD", "--like-bad", "--json")[1])
    assert like["first_bad"] == found["first_bad"]
    assert all("mean" in seen for seen in like["observations"])


def test_nothing_to_name_exits_with_3(here: Path, bvc: Call) -> None:
    code, out, _ = bvc("bisect", "run", "--good", "HEAD~2", "--bad", "HEAD", "--behavior", "french")
    assert code == ExitCode.UNDECIDED
    assert "NOT REPRODUCIBLE" in out and "would have been found with probability 80 %" in out
    code, out, _ = bvc("bisect", "view", "--json")
    assert (code, document(out)["status"]) == (ExitCode.UNDECIDED, "not_reproducible")


def test_a_person_judges(here: Path, bvc: Call) -> None:
    code, out, _ = bvc("bisect", "start")
    assert code == 0 and "waiting for a bad commit" in out
    assert bvc("bisect", "bad", "HEAD")[0] == 0
    out = bvc("bisect", "good", "HEAD~8")[1]
    assert "Next: " in out and "`bvc bisect good`" in out
    for _ in range(3):
        asked = json.loads(bvc("bisect", "view", "--json")[1])["next"]["commit"]
        new = asked in bvc("rev-parse", "HEAD", "HEAD~1", "HEAD~2", "HEAD~3")[1].split()
        out = bvc("bisect", "bad" if new else "good")[1]
    assert "FOUND" in out and "step 5" in out


def test_words_of_ones_own(here: Path, bvc: Call) -> None:
    bvc("bisect", "start", "HEAD", "HEAD~8", "--term-old", "english", "--term-new", "french")
    assert bvc("bisect", "terms")[1] == "old: english\nnew: french\n"
    assert bvc("bisect", "terms", "--term-new")[1] == "french\n"
    assert bvc("bisect", "english", "HEAD~6")[0] == 0
    assert bvc("bisect", "new", "HEAD~1")[0] == 0
    code, _, err = bvc("bisect", "bad")
    assert code == ExitCode.USAGE
    assert "calls commits english and french, not bad" in err and "`bvc bisect french`" in err
    code, _, err = bvc("bisect", "frensh")
    assert code == ExitCode.USAGE and "no command 'frensh'" in err


def test_outside_of_a_bisect(here: Path, bvc: Call) -> None:
    for verb in ("good", "bad", "skip", "undo", "next", "run", "log", "view", "terms"):
        code, out, err = bvc("bisect", verb)
        assert (code, out) == (ExitCode.ERROR, ""), verb
        assert "error: no bisect is in progress" in err and "hint: " in err
    assert bvc("bisect", "reset")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--bad", "HEAD", "--behavior", "french"], "--good and --bad together"),
        (["run", "--behavior", "french"], "needs its ends"),
        (["run", "--good", "HEAD~8", "--bad", "HEAD"], "nothing says how to judge"),
        (["run", "--good", "HEAD~8", "--bad", "HEAD", "--behavior", "french", "--", "true"], "two ways to judge"),
        (["run", "--noisy"], "--noisy speaks of"),
        (["start", "HEAD", "HEAD~8", "--behavior", "french", "--like-bad"], "two ways to judge"),
        (["start", "HEAD", "HEAD~8", "--probe", "x"], "--like-bad"),
        (["start", "HEAD", "HEAD~8", "--confidence", "1"], "below 1"),
        (["start", "HEAD", "HEAD~8", "--behavior", "frensh"], "no behavior named frensh"),
        (["start", "HEAD~8", "HEAD"], "is an ancestor of"),
        (["start", "HEAD", "HEAD~8", "--stored"], "needs --behavior"),
    ],
)  # fmt: skip
def test_what_is_refused(arguments: list[str], words: str, here: Path, bvc: Call) -> None:
    code, out, err = bvc("bisect", *arguments)
    assert (code, out) == (ExitCode.USAGE, ""), err
    assert words in err and err.count("\n") <= 2


def test_a_command_judges_with_gits_codes(here: Path, bvc: Call) -> None:
    ids = bvc("log", "--format", "%H")[1].split()
    judge = script(here, f'echo seen; case "{" ".join(ids[:4])}" in *$BVC_BISECT_COMMIT*) exit 1;; esac')
    code, out, _ = bvc("bisect", "run", "--good", "HEAD~8", "--bad", "HEAD", "--json", "--", judge)
    assert code == 0
    found = document(out)
    assert found["first_bad"] == ids[3]
    assert {seen["source"] for seen in found["observations"]} == {"mark", "command"}
    assert found["loads"] == 3


def test_a_command_that_is_not_there(here: Path, bvc: Call) -> None:
    code, _, err = bvc("bisect", "run", "--good", "HEAD~8", "--bad", "HEAD", "--", "./no-such-command")
    assert code == ExitCode.USAGE
    assert "exits with 127 on the good commit" in err


@pytest.mark.parametrize("body", ["exit 200", "kill -9 $$"])
def test_a_command_that_gives_up(body: str, here: Path, bvc: Call) -> None:
    code, out, _ = bvc("bisect", "run", "--good", "HEAD~8", "--bad", "HEAD", "--", script(here, body))
    assert code == ExitCode.UNDECIDED
    assert "ABORTED" in out and ("signal 9" in out or "exited with 200" in out)
    assert document(bvc("bisect", "view", "--json")[1])["status"] == "running", "the bisect itself goes on"


def test_status_tells_of_it(here: Path, bvc: Call) -> None:
    assert "Bisecting" not in bvc("status")[1]
    bvc("bisect", "start", "HEAD", "HEAD~8")
    bvc("bisect", "bad", "HEAD~1")
    out = bvc("status")[1]
    assert "Bisecting (1 visit so far" in out and "the first bad commit" in out
    assert document(bvc("status", "--json")[1])["bisect"]["visits"] == 1
    (here / ".bvc" / "bisect" / "log").write_text("nonsense\n")
    assert "its log cannot be read" in bvc("status")[1]
    code, _, err = bvc("bisect", "view")
    assert code == ExitCode.BAD_INPUT and f"{os.sep}log:1: " in err


def test_merged_history(copied: Path, bvc: Call) -> None:
    """main: as it came, two answers, merge of `french` (six answers), all answers."""
    (copied / "behaviors.toml").write_text(FRENCH, encoding="utf-8")
    code, out, _ = bvc("bisect", "run", "--good", "v1", "--bad", "main", "--behavior", "french")
    assert code in (0, ExitCode.UNDECIDED)
    code, out, _ = bvc("bisect", "view")
    assert "╮" in out or "\\" in out or "╭" in out or "╯" in out, "the merge is drawn"
    assert len([row for row in out.splitlines() if "*" in row]) == 4


def test_quiet_prints_results_alone(here: Path, bvc: Call) -> None:
    assert bvc("bisect", "start", "HEAD", "HEAD~8", "--behavior", "french", "-q")[2] == ""
    code, out, err = bvc("bisect", "run", "-q")
    assert (code, err) == (0, "") and "FOUND" in out


def commit_lines(folder: Path, hits: list[int]) -> None:
    """Commits with so many answers in French."""
    for number, count in enumerate(hits):
        made = write_outputs(folder / "o.jsonl", count)
        assert run(["-q", "commit", "--outputs", str(made), "--model", f"n{number}", "-m", f"n{number}"]) == 0


def test_screens_of_what_is_no_single_step(here: Path, bvc: Call) -> None:
    all_ = len(QUESTIONS)
    commit_lines(here, [0, 0, 0, all_, all_, all_])
    code, out, _ = bvc("bisect", "run", "--good", "HEAD~14", "--bad", "HEAD", "--behavior", "french")
    assert code == ExitCode.UNDECIDED
    assert "INTERMITTENT" in out and "without" in out
    assert [line.split()[0] for line in out.splitlines() if "appeared" in line or "vanished" in line] == [
        "appeared", "vanished", "appeared",
    ]  # fmt: skip
    drawn = bvc("bisect", "view")[1]
    assert "<- vanished" in drawn and "█" not in drawn
    found = document(bvc("bisect", "view", "--json")[1])
    assert [step["kind"] for step in found["steps"]] == ["appeared", "vanished", "appeared"]
    assert sum(found["rates"][side]["n"] for side in ("old", "new")) <= 15 * all_


def test_long_quiet_stretches_are_folded(here: Path, bvc: Call) -> None:
    commit_lines(here, [len(QUESTIONS)] * 12)
    bvc("bisect", "run", "--good", "HEAD~20", "--bad", "HEAD", "--behavior", "french")
    out = bvc("bisect", "view")[1]
    (folded,) = [line for line in out.splitlines() if " commits" in line and "n4" not in line and "█" not in line][:1]
    count = int(folded.split()[-2])
    assert count >= 12 and f"{count * len(QUESTIONS)}/{count * len(QUESTIONS)}" in folded
    assert len(out.splitlines()) < 14
