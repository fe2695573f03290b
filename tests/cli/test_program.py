"""Global options, exit codes, errors and hints, streams."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from bvc import __version__, commands
from bvc.cli.command import BvcCommand, SubGroup
from bvc.cli.program import _failed, program
from bvc.cli.table import COMMANDS, SHORT_HELP
from bvc.errors import BadInput, BvcError, ExitCode

Call = Callable[..., tuple[int, str, str]]
BVC = [sys.executable, "-m", "bvc"]


def leaves() -> list[tuple[str, click.Command]]:
    """Every command that does something, with its path."""
    out: list[tuple[str, click.Command]] = []
    for name in SHORT_HELP:
        command = program.get_command(click.Context(program), name)
        assert command is not None
        if isinstance(command, SubGroup):
            out += [(f"{name} {verb}", inner) for verb, inner in command.commands.items()]
        else:
            out.append((name, command))
    return out


@pytest.mark.parametrize(("path", "command"), leaves(), ids=lambda x: x if isinstance(x, str) else "")
def test_every_help_ends_with_examples(path: str, command: BvcCommand, bvc: Call) -> None:
    code, out, err = bvc(*path.split(), "--help")
    assert (code, err) == (0, "")
    assert "-q, --quiet" in out
    tail = out[out.index("\nExamples:\n") :].strip().splitlines()[1:]
    assert tail
    assert all("bvc" in line for line in tail)


def test_table_and_command_files_agree() -> None:
    files = {p.stem.replace("_", "-") for p in Path(commands.__path__[0]).glob("[a-z]*.py")}
    assert files == set(SHORT_HELP)
    assert sum(map(len, COMMANDS.values())) == len(SHORT_HELP)


def test_version(bvc: Call) -> None:
    assert bvc("--version") == (0, f"bvc {__version__}\n", "")
    assert bvc("version")[1].startswith(f"bvc {__version__}\n")


def test_no_command_shows_help_and_is_a_usage_error(bvc: Call) -> None:
    code, out, err = bvc()
    assert (code, out) == (2, "")
    assert "Look:" in err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["lgo"], "did you mean `bvc log`?"),
        (["suite", "lst"], "did you mean `bvc suite ls`?"),
        (["log", "--onelin"], "did you mean `--oneline`?"),
        (["xyzzy"], "`bvc --help` lists the commands"),
        (["log", "-n", "x"], "`bvc log --help` explains the options"),
        (["rev-parse"], "`bvc rev-parse --help` explains the options"),
    ],
)
def test_misspellings_are_usage_errors_with_a_hint(arguments: list[str], hint: str, project: Path, bvc: Call) -> None:
    code, out, err = bvc(*arguments)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("error: ")
    assert lines[1] == f"hint: {hint}"


EXITS: dict[str, tuple[list[str], int]] = {
    "unknown revision": (["show", "nothing"], 12),
    "unknown path": (["cat-file", "HEAD:nothing"], 12),
    "unknown probe": (["show", "--probe", "nothing"], 12),
    "unknown probe of a diff": (["diff", "--probe", "nothing"], 12),
    "unknown branch": (["switch", "nothing"], 12),
    "not a range": (["log", "a..b..c"], 2),
    "contradicting options": (["diff", "--stat", "--probe", "x"], 2),
    "two formats": (["log", "--oneline", "--format", "%H"], 2),
    "unknown placeholder": (["log", "--format", "%Q"], 2),
    "no name to delete": (["branch", "-d"], 2),
    "the current branch": (["branch", "-d", "main"], 2),
    "no checkpoint": (["commit"], 2),
    "no such suite": (["suite", "show", "nothing"], 18),
    "unknown setting": (["config", "nothing.at.all"], 2),
    "no common ancestor is asked of one": (["merge-base", "main"], 2),
    "different": (["diff", "v1", "main", "--exit-code"], 1),
    "same": (["diff", "main", "main", "--exit-code"], 0),
}


@pytest.mark.parametrize("case", EXITS)
def test_exit_codes(case: str, project: Path, bvc: Call) -> None:
    arguments, expected = EXITS[case]
    code, _, err = bvc(*arguments)
    assert code == expected, err
    if code >= 2:
        assert err.startswith("error: ")
        assert "Traceback" not in err
        assert len(err.splitlines()) <= 2


def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bvc: Call) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = bvc("log")
    assert (code, out) == (11, "")
    assert "hint: run `bvc init`" in err


def test_directory_option(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bvc: Call) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = bvc("-C", str(built.parent), "-C", built.name, "log", "--oneline")
    assert code == 0
    assert "merged" in out
    code, _, err = bvc("-C", str(tmp_path / "none"), "log")
    assert code == 2
    assert "cannot enter" in err


def test_hostile_arguments_are_spelled_out(project: Path, bvc: Call) -> None:
    _, _, err = bvc("show", "\x1b[31mred\u202e")
    assert "\x1b" not in err
    assert "\\x1b[31mred\\u202e" in err


def explained(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = _failed(error, None)
    return code, capsys.readouterr().err.splitlines()


def test_failures_and_their_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = explained(RuntimeError("boom\nbang"), capsys)
    assert code == 70
    assert lines[0] == "error: this is a bug in bvc: RuntimeError: boom bang"
    assert "BVC_DEBUG=1" in lines[1]
    code, lines = explained(KeyboardInterrupt(), capsys)
    assert (code, lines) == (130, ["error: interrupted"])
    code, lines = explained(OSError(errno.ENOSPC, "No space left on device", "x"), capsys)
    assert (code, lines[0]) == (10, "error: x: No space left on device")
    assert "intact" in lines[1]
    code, lines = explained(OSError(errno.EROFS, "Read-only file system"), capsys)
    assert (code, lines[0]) == (10, "error: Read-only file system")
    code, lines = explained(MemoryError(), capsys)
    assert (code, lines[0]) == (10, "error: out of memory")
    code, lines = explained(BadInput("bad", file="a.jsonl", line=3, hint="fix it"), capsys)
    assert (code, lines) == (18, ["error: a.jsonl:3: bad", "hint: fix it"])


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BVC_DEBUG", "1")
    code, lines = explained(RuntimeError("boom"), capsys)
    assert code == 70
    assert lines[-2:] == ["RuntimeError: boom", "error: this is a bug in bvc: RuntimeError: boom"]


def test_every_error_class_keeps_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in BvcError.__subclasses__():
        assert explained(kind("x"), capsys) == (int(kind.code), ["error: x"])
    assert {int(kind.code) for kind in BvcError.__subclasses__()} >= {2, 11, 12, 13, 14, 15, 16, 17, 18}


def test_quiet_says_nothing_on_stderr(fresh: Path, bvc: Call) -> None:
    (fresh / "a.csv").write_text("prompt\nOne?\n", encoding="utf-8")
    assert bvc("-q", "suite", "import", "a.csv") == (0, "", "")
    (fresh / "b.csv").write_text("prompt\nOne?\n", encoding="utf-8")
    assert bvc("suite", "import", "b.csv", "-q") == (0, "", "")
    code, out, err = bvc("suite", "check")
    assert (code, out) == (0, "")
    assert "a: 1 probe, ok" in err


def test_broken_pipe(project: Path) -> None:
    """The reader goes away before the first line."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*BVC, "log"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (int(ExitCode.BROKEN_PIPE), "")


def test_control_c(fresh: Path) -> None:
    """Interrupted while it reads outputs from a pipe that never ends."""
    os.mkfifo(fresh / "outputs.jsonl")
    process = subprocess.Popen(
        [*BVC, "commit", "--outputs", "outputs.jsonl", "--model", "m"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with (fresh / "outputs.jsonl").open("w") as pipe:  # opens once the command has opened its end
        pipe.write("{")
        pipe.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (int(ExitCode.INTERRUPTED), "")
    assert err.splitlines()[0] == "error: interrupted"
    assert "goes on where this one stopped" in err


def test_output_of_a_poor_locale(project: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "100"}
    done = subprocess.run([*BVC, "diff", "v1", "main"], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"r\\xe9ponse" in done.stdout
    assert done.stdout.isascii()
