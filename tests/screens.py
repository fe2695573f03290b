"""Runs the ```console blocks of a Markdown page and compares what they print with what the page shows.

A page is a list of steps in one empty folder. A fenced block whose info string is `LANGUAGE NAME` (such as
```jsonl answers.jsonl) writes the file NAME. In a ```console block each line `$ COMMAND` is run by bash (a command
goes on over the next line where it ends with a backslash); the lines below it are what it prints, on stdout and stderr.
Ids, times and dates are masked on both sides, and a line `...` stands for any lines.

    python -m tests.screens PAGE.md     writes what the commands print now into the page
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w+)?(?: +(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MASKS = (
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,64}\b"), "<id>"),
    (re.compile(r"\S+ <[^<>\s@]+@[^<>\s]+>"), "<author>"),
    (re.compile(r"\b\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4} [+-]\d{4}"), "<date>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?(?: ?[+-]\d{4}|Z)?)?"), "<date>"),
    (re.compile(r"\b(?:just now|\d+ (?:second|minute|hour)s? ago)\b"), "<date>"),
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|seconds|probes/s|tokens/s)\b"), "<time>"),
)
HERE = "/home/you/support"
"""What stands on a page for the folder that the commands run in."""


@dataclass(frozen=True)
class Command:
    """One command of a page with the output that the page shows for it."""

    text: str
    shown: str


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the file it is (or None), its text."""

    language: str
    file: str | None
    text: str


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for match in FENCE.finditer(page):
        yield Block(match[1] or "", match[2], match[3])


def commands(text: str) -> Iterator[Command]:
    """The commands of one console block."""
    for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = piece.splitlines()
        end = next((i for i, line in enumerate(lines) if not line.endswith("\\")), len(lines) - 1)
        yield Command("\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :]).strip("\n"))


def masked(output: str) -> list[str]:
    """Lines of output without what differs from run to run."""
    for pattern, word in MASKS:
        output = pattern.sub(word, output)
    return [re.sub(r"\s+", " ", line).rstrip() for line in output.strip("\n").splitlines()]


def agrees(shown: list[str], printed: list[str]) -> bool:
    """Whether printed lines are the shown ones, where `...` stands for any lines."""
    if not shown:
        return not printed
    if shown[0].strip() == "...":
        return any(agrees(shown[1:], printed[skip:]) for skip in range(len(printed) + 1))
    return bool(printed) and shown[0] == printed[0] and agrees(shown[1:], printed[1:])


def environment(home: Path) -> dict[str, str]:
    """A reader's shell: bvc on the path, no color, an empty home."""
    kept = {k: v for k, v in os.environ.items() if k in ("LANG", "SSL_CERT_FILE", "TMPDIR")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    fixed = {"HOME": str(home), "PATH": path, "NO_COLOR": "1", "COLUMNS": "100", "LC_ALL": "C.UTF-8"}
    return {**kept, **fixed, "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}


def run(command: str, folder: Path, environ: dict[str, str]) -> str:
    """What a command prints, stdout and stderr as they come."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.replace(str(folder.resolve()), HERE).replace(str(folder), HERE)


def play(page: str, folder: Path) -> Iterator[tuple[Command, str]]:
    """Runs all steps of a page in `folder`; yields each command with what it printed."""
    environ = environment(folder.parent)
    for block in blocks(page):
        if block.file is not None:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text, encoding="utf-8")
        if block.language == "console":
            for command in commands(block.text):
                yield command, run(command.text, folder, environ)


def agreeing(command: Command, printed: str) -> bool:
    """Whether a command printed what the page shows."""
    return agrees(masked(command.shown), masked(printed))


def rewritten(page: str, folder: Path) -> str:
    """The page with what its commands print now; unchanged where all of it agrees: ids on it stay consistent."""
    played = list(play(page, folder))
    if all(agreeing(command, printed) for command, printed in played):
        return page
    steps = iter(played)

    def again(match: re.Match[str]) -> str:
        if match[1] != "console":
            return match[0]
        shown = [_shown(*next(steps)) for _ in commands(match[3])]
        return f"```console\n{''.join(shown)}```"

    return FENCE.sub(again, page)


def _shown(command: Command, printed: str) -> str:
    """A step as the page shows it; an output with `...` that agrees stays as it is."""
    elided = "..." in command.shown.splitlines() and agreeing(command, printed)
    text = command.shown if elided else printed.strip("\n")
    return "".join(f"{line.rstrip()}\n" for line in [f"$ {command.text}", *text.splitlines()])


def in_empty_folder(work: Callable[[Path], str]) -> str:
    """Runs `work` in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / "work"
        folder.mkdir()
        return work(folder)


def main(pages: list[str]) -> None:
    """Brings the screens of each page up to date."""
    for name in pages:
        page = Path(name)
        text = page.read_text(encoding="utf-8")
        page.write_text(in_empty_folder(lambda folder, text=text: rewritten(text, folder)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
