"""One run of the command line: what was asked for globally, and where results, messages and progress go."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from bvc.cli.streams import error_screen, is_terminal, output_screen
from bvc.render.screen import Screen
from bvc.render.text import clean

if TYPE_CHECKING:
    from bvc.api.handle import Repo
    from bvc.cli.progress import ProgressLine


class Session:
    """Shared by all commands of one process. `json` and `quiet` are set by the options of that name."""

    def __init__(self, *, pager: bool = True, quiet: bool = False) -> None:
        self.pager = pager
        self.quiet = quiet
        self.json = False
        self.interrupt_hint: str | None = None
        self._repo: Repo | None = None
        self._progress: ProgressLine | None = None
        self._notes: set[str] = set()

    def repo(self, *, writes: bool = False) -> Repo:
        """The project here or above; for commands that write, with the author who is known here."""
        from bvc.api.handle import open_repo

        if self._repo is None:
            self._repo = open_repo(".")
        if writes:
            from bvc.cli.author import find_author

            self._repo.default_author = find_author(self._repo.config_get("author"))
        return self._repo

    def close(self) -> None:
        """Clears the progress line and releases the project."""
        if self._progress is not None:
            self._progress.finish()
        if self._repo is not None:
            self._repo.close()

    @property
    def screen(self) -> Screen:
        """How standard output shows text."""
        return output_screen()

    def page(self, lines: Iterable[str]) -> None:
        """Prints lines, through the pager where a person reads them."""
        if self.pager and is_terminal(sys.stdout):
            from bvc.cli.pager import page

            page(lines)
        else:
            self.print(lines)

    def print(self, lines: Iterable[str]) -> None:
        """Prints lines on standard output."""
        for line in lines:
            sys.stdout.write(f"{line}\n")

    def document(self, value: dict[str, Any]) -> None:
        """Prints the one JSON document of this run."""
        from bvc.codec import pretty

        sys.stdout.write(pretty(value) + "\n")

    def message(self, text: str) -> None:
        """Tells a person what happened, on standard error."""
        if not self.quiet:
            self._above_progress(clean(text))

    def note(self, text: str) -> None:
        """A remark, once per run."""
        if self.quiet or text in self._notes:
            return
        self._notes.add(text)
        self._above_progress(f"{error_screen().paint('yellow', 'note:')} {clean(text)}")

    def _above_progress(self, line: str) -> None:
        if self._progress is not None:
            self._progress.clear()
        click.echo(line, err=True, color=True)

    @property
    def progress(self) -> ProgressLine:
        """Where long work reports to."""
        if self._progress is None:
            from bvc.cli.progress import ProgressLine

            self._progress = ProgressLine(self.note, silent=self.quiet)
        return self._progress
