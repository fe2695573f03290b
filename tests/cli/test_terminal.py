"""What a person at a terminal gets: color, the pager, the progress line."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bvc.cli.progress import ProgressLine
from bvc.results import Progress

BVC = [sys.executable, "-m", "bvc"]


def on_terminal(arguments: list[str], **settings: str) -> tuple[int, str]:
    """Runs bvc with standard output and error on a pseudo-terminal; gives exit code and everything shown."""
    leader, follower = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "PAGER", "BVC_PAGER", "LESS", "TERM")}
    environment.update({"TERM": "xterm", "COLUMNS": "100", **settings})
    process = subprocess.Popen([*BVC, *arguments], stdin=follower, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    shown = b"".join(_chunks(leader))
    os.close(leader)
    return process.wait(), shown.decode().replace("\r\n", "\n")


def _chunks(leader: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:  # how Linux says that the other end is closed
            return
        if not data:
            return
        yield data


def test_color_on_a_terminal_only(project: Path) -> None:
    code, shown = on_terminal(["log"], BVC_PAGER="cat")
    assert code == 0
    assert "\x1b[33mcommit " in shown
    assert "\x1b[1;32mmain\x1b[0m" in shown
    piped = subprocess.run([*BVC, "log"], capture_output=True, text=True, check=True)
    assert "\x1b" not in piped.stdout


@pytest.mark.parametrize("settings", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_color_where_it_is_not_wanted(settings: dict[str, str], project: Path) -> None:
    _, shown = on_terminal(["log"], BVC_PAGER="cat", **settings)
    assert "merged" in shown
    assert "\x1b" not in shown


def test_errors_are_colored_too(project: Path) -> None:
    code, shown = on_terminal(["show", "nothing"])
    assert code == 12
    assert shown.startswith("\x1b[1;31merror:\x1b[0m unknown revision: nothing\n\x1b[36mhint:\x1b[0m")


@pytest.mark.parametrize("variable", ["BVC_PAGER", "PAGER"])
def test_pager(variable: str, project: Path) -> None:
    code, shown = on_terminal(["log", "--oneline"], **{variable: "sed s/^/PAGED:/"})
    assert code == 0
    assert all(line.startswith("PAGED:") for line in shown.splitlines())
    assert len(shown.splitlines()) == 4


def test_pager_of_bvc_wins(project: Path) -> None:
    _, shown = on_terminal(["log", "--oneline"], PAGER="false", BVC_PAGER="sed s/^/OURS:/")
    assert shown.startswith("OURS:")


def test_no_pager(project: Path) -> None:
    _, shown = on_terminal(["--no-pager", "log", "--oneline"], BVC_PAGER="sed s/^/PAGED:/")
    assert "PAGED" not in shown
    assert "merged" in shown


def test_a_reader_who_quits_early_is_no_failure(project: Path) -> None:
    code, _ = on_terminal(["log"], BVC_PAGER="true")
    assert code == 0


def test_a_pager_that_is_not_there(project: Path) -> None:
    code, shown = on_terminal(["log", "--oneline"], BVC_PAGER="/nonexistent/pager")
    assert code == 0
    assert len(shown.splitlines()) == 4


def test_errors_are_not_hidden_behind_a_pager(project: Path) -> None:
    code, shown = on_terminal(["log", "nothing"], BVC_PAGER="sed s/^/PAGED:/")
    assert code == 12
    assert "PAGED" not in shown


def test_no_pager_for_json(project: Path) -> None:
    _, shown = on_terminal(["log", "--json"], BVC_PAGER="sed s/^/PAGED:/")
    assert shown.startswith("{")


def test_cat_file_spells_out_what_steers_a_terminal(project: Path) -> None:
    _, shown = on_terminal(["cat-file", "HEAD:sums-does-not-matter"])
    assert "no such path" in shown
    _, shown = on_terminal(["cat-file", "-p", "HEAD"], BVC_PAGER="cat")
    assert "Bvc-Model: all" in shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Callable[[], float]:
    """A clock that stands at 0, 1, 2, ... seconds."""
    now = iter(range(10_000))
    return lambda: float(next(now))


def steps(line: ProgressLine, count: int, *, first: int = 0) -> None:
    for done in range(first, count + 1):
        line(Progress("capture", done, count))


def test_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, clock: Callable[[], float]) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    line = ProgressLine(print, silent=False, clock=clock)
    steps(line, 4)
    line.finish()
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert drawn[1] == "capture ------------------------ 0/4"
    assert drawn[3] == "capture ############------------ 2/4, 1.0/s, 2.0 s left"
    assert drawn[5] == "capture ######################## 4/4, 1.0/s"
    assert drawn[-1] == ""


def test_one_thing_has_no_bar(monkeypatch: pytest.MonkeyPatch, clock: Callable[[], float]) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    ProgressLine(print, silent=False, clock=clock)(Progress("loading the model", 0, 1))
    assert terminal.getvalue() == "\r\x1b[Kloading the model..."


def test_lines_now_and_then_elsewhere(monkeypatch: pytest.MonkeyPatch, clock: Callable[[], float]) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    steps(ProgressLine(print, silent=False, clock=clock), 25)
    assert stream.getvalue().splitlines() == [
        "capture: 10/25, 1.0/s, 15 s left",
        "capture: 20/25, 1.0/s, 5.0 s left",
        "capture: 25/25, 1.0/s",
    ]


def test_a_resumed_capture_does_not_look_fast(monkeypatch: pytest.MonkeyPatch, clock: Callable[[], float]) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    steps(ProgressLine(print, silent=False, clock=clock), 1030, first=1000)
    assert stream.getvalue().splitlines()[0] == "capture: 1,010/1,030, 1.0/s, 20 s left"


def test_short_work_is_silent_and_so_is_quiet(monkeypatch: pytest.MonkeyPatch, clock: Callable[[], float]) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    steps(ProgressLine(print, silent=False, clock=clock), 5)
    steps(ProgressLine(print, silent=True, clock=clock), 500)
    assert stream.getvalue() == ""


def test_notes_pass_through(clock: Callable[[], float]) -> None:
    notes: list[str] = []
    ProgressLine(notes.append, silent=True, clock=clock)(Progress("capture", 1, 2, note="halved the batch"))
    assert notes == ["halved the batch"]
