"""The state of a bisect on disk: a log of what was asked, marked and seen, one command a line, only ever appended to.

Nothing that can be worked out is kept: what answers showed is read from the captures, what follows is worked out anew.
So a kill at any moment loses nothing, and an edited log replayed gives the edited result. Loads neither numpy nor
torch.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bvc.errors import BadInput, BvcError, Locked
from bvc.files import write_atomic
from bvc.store.files import disk_errors, make_folder, read_optional, sync_folder
from bvc.store.locks import FileLock
from bvc.wording import printable

HEADER = "# log of bvc bisect, version 1"
PREFIX = ("bvc", "bisect")
START, OLD, NEW, SKIP, UNDO = "start", "old", "new", "skip", "undo"
RUN, ANSWER, PICK, ASK, VISIT = "run", "answer", "pick", "ask", "visit"
UNDOABLE = (OLD, NEW, SKIP, ANSWER, VISIT)
"""What `undo` takes back."""

_VALUES: Mapping[str, frozenset[str]] = {
    START: frozenset({"behavior", "expr", "probe", "term-old", "term-new", "confidence", "max-loads", "max-draws"})
    | {"prior"},
    ANSWER: frozenset({"exit"}),
    VISIT: frozenset({"load", "draw"}),
}
_FLAGS: Mapping[str, frozenset[str]] = {
    START: frozenset({"like-bad", "stored", "allow-python"}),
    RUN: frozenset({"noisy"}),
    ANSWER: frozenset({"noisy"}),
}
_FEWEST: Mapping[str, int] = {OLD: 1, NEW: 1, SKIP: 1, RUN: 1, PICK: 1, ANSWER: 2, ASK: 2, VISIT: 2}
_PATIENCE = 0.25
"""Seconds to wait for another process: one that runs models keeps the lock for hours."""


@dataclass(frozen=True)
class Entry:
    """One line: `bvc bisect VERB [--option value]… [argument]…`; of a flag the values are empty."""

    verb: str
    args: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    line: int = 0

    def one(self, name: str) -> str | None:
        """The value of an option, None where it is not given."""
        return next(iter(self.options.get(name, ())), None)

    def text(self, terms: tuple[str, str]) -> str:
        """The line, with the words of this bisect for old and new."""
        verb = dict(zip((OLD, NEW), terms, strict=True)).get(self.verb, self.verb)
        words = [*PREFIX, verb]
        for name, values in self.options.items():
            words += [word for value in values for word in (f"--{name}", value)] or [f"--{name}"]
        words += ["--"] if self.verb == RUN else []
        return " ".join(shlex.quote(" ".join(word.splitlines())) for word in [*words, *self.args])


@dataclass(frozen=True)
class Ranges:
    """Answers number `first` up to `end` (exclusive) of every probe at one commit; 0 is the greedy one."""

    commit: str
    first: int
    end: int

    @classmethod
    def of(cls, entry: Entry) -> Ranges:
        """What an `ask` or `visit` line speaks of. Raises ValueError."""
        first, _, end = entry.args[1].partition("..")
        made = cls(entry.args[0], int(first), int(end))
        if not 0 <= made.first < made.end <= 100_000:
            raise ValueError(entry.args[1])
        return made

    @property
    def argument(self) -> str:
        """As the log writes it."""
        return f"{self.first}..{self.end}"


@dataclass(frozen=True)
class History:
    """The entries that count, in order; `ignored` are answers of visits that were taken back."""

    entries: tuple[Entry, ...]
    ignored: tuple[Ranges, ...] = ()

    def of(self, *verbs: str) -> Iterator[Entry]:
        """The entries of some kinds."""
        return (entry for entry in self.entries if entry.verb in verbs)


def parse_log(text: str, file: str) -> list[Entry]:
    """The entries of a log; comments and empty lines are left out. Raises BadInput naming `file` and the line."""
    entries: list[Entry] = []
    words: dict[str, str] = {OLD: OLD, NEW: NEW, "good": OLD, "bad": NEW}
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("# log of bvc bisect") and line.rstrip() != HEADER:
            raise BadInput("is of another version", file=file, line=number, hint=f"this bvc reads: {HEADER}")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            entry = replace(_entry(line, words), line=number)
            _check_order(entry, entries)
        except ValueError as error:
            raise BadInput(
                f"{error}", file=file, line=number, hint="`bvc bisect log` prints lines as they are"
            ) from None
        if entry.verb == START:
            words = {OLD: OLD, NEW: NEW, (entry.one("term-old") or "good"): OLD, (entry.one("term-new") or "bad"): NEW}
        entries.append(entry)
    if not entries:
        raise BadInput("holds no line of `bvc bisect`", file=file, hint="`bvc bisect log` prints such a file")
    return entries


def _check_order(entry: Entry, before: Sequence[Entry]) -> None:
    if (entry.verb == START) == bool(before):
        raise ValueError("a log begins with `bvc bisect start`" if not before else "there is a second `start`")


def _entry(line: str, terms: Mapping[str, str]) -> Entry:
    words = shlex.split(line)
    if tuple(words[:2]) != PREFIX or len(words) < 3:
        raise ValueError(f"is no line of `bvc bisect`: {printable(line)}")
    verb = terms.get(words[2], words[2])
    if verb not in (START, UNDO, *_FEWEST):
        raise ValueError(f"`bvc bisect {printable(words[2])}` is nothing that a log holds")
    entry = Entry(verb, *_split(verb, words[3:]))
    if len(entry.args) < _FEWEST.get(verb, 0):
        raise ValueError(f"`bvc bisect {words[2]}` needs {_FEWEST[verb]} arguments, not {len(entry.args)}")
    _check_values(entry)
    return entry


def _split(verb: str, words: Sequence[str]) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    args: list[str] = []
    options: dict[str, tuple[str, ...]] = {}
    rest = iter(words)
    for word in rest:
        name = word.removeprefix("--")
        if word == "--":
            args += rest
        elif word == name:
            args.append(word)
        elif name in _FLAGS.get(verb, ()):
            options[name] = ()
        elif name in _VALUES.get(verb, ()) and (value := next(rest, None)) is not None:
            options[name] = (*options.get(name, ()), value)
        else:
            raise ValueError(f"`bvc bisect {verb}` has no option {printable(word)} in a log, or it lacks its value")
    return tuple(args), options


def _check_values(entry: Entry) -> None:
    if entry.verb in (ASK, VISIT):
        try:
            Ranges.of(entry)
        except ValueError:
            raise ValueError(f"answers are FIRST..END, not {printable(entry.args[1])}") from None
    if entry.verb == ANSWER and entry.args[1] not in (OLD, NEW):
        raise ValueError(f"an answer is {OLD} or {NEW}, not {printable(entry.args[1])}")
    for name in ("load", "draw", "confidence", "max-loads", "max-draws", "exit"):
        value = entry.one(name)
        try:
            float(value or 0)
        except ValueError:
            raise ValueError(f"--{name} is a number, not {printable(value or '')}") from None


def effective(entries: Iterable[Entry]) -> History:
    """The entries that are left once each `undo` has taken back the last one that can be."""
    kept: list[Entry] = []
    ignored: list[Ranges] = []
    for entry in entries:
        if entry.verb != UNDO:
            kept.append(entry)
            continue
        last = next((i for i in range(len(kept) - 1, -1, -1) if kept[i].verb in UNDOABLE), None)
        if last is not None:
            gone = kept.pop(last)
            ignored += [Ranges.of(gone)] if gone.verb == VISIT else []
    return History(tuple(kept), tuple(ignored))


class BisectFile:
    """The log of the bisect in progress below `.bvc/bisect`, and the one of the bisect before."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "bisect"
        self.path = self.folder / "log"
        self.last = self.folder / "last.log"

    def text(self) -> str | None:
        """The complete lines of the log; None without a bisect. A line that was torn by a kill never was."""
        data = read_optional(self.path)
        return None if data is None else data[: data.rfind(b"\n") + 1].decode("utf-8", "replace")

    def entries(self) -> list[Entry] | None:
        """The log's entries; None without a bisect."""
        text = self.text()
        return parse_log(text, str(self.path)) if text else None

    def lock(self) -> FileLock:
        """Held by the one process that may write. Raises Locked when it is taken."""
        with disk_errors(f"keep the state of a bisect in {self.folder}"):
            make_folder(self.folder)
        return _Lock(self.folder / "lock", "the bisect of this project", timeout=_PATIENCE)

    def create(self, text: str) -> None:
        """Begins a log with `text`; the one before becomes `last`."""
        self.remove()
        write_atomic(self.path, text.encode())

    def append(self, line: str, comments: Sequence[str] = ()) -> None:
        """Adds a line below its comments; when this returns it survives a kill and a power cut."""
        told = "".join(f"# {printable(comment, 200)}\n" for comment in comments)
        with disk_errors(f"write {self.path}"), self.path.open("r+b") as file:
            whole = file.read()
            file.seek(whole.rfind(b"\n") + 1)
            file.truncate()
            file.write(f"{told}{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> bool:
        """Ends the bisect; its log is kept as `last`. False without one."""
        with disk_errors(f"remove {self.path}"):
            if not self.path.exists():
                return False
            self.path.replace(self.last)
            sync_folder(self.folder)
        return True


class _Lock(FileLock):
    """The lock of a bisect, whose holder may be at work for hours."""

    def acquire(self) -> None:
        try:
            super().acquire()
        except Locked as error:
            raise Locked(
                f"{error.message}: a bisect is running there", hint="wait for it to end; `bvc bisect view` shows it"
            ) from None


def log_text(entries: Sequence[Entry], terms: tuple[str, str], told: Callable[[Entry], Iterable[str]]) -> str:
    """A log of `entries`, each below what `told` says about it."""
    lines = [HEADER]
    for entry in entries:
        lines += [f"# {printable(comment, 200)}" for comment in told(entry)]
        lines.append(entry.text(terms))
    return "".join(f"{line}\n" for line in lines)


def no_bisect() -> BvcError:
    """The error of commands that need a bisect in progress."""
    return BvcError(
        "no bisect is in progress",
        hint="`bvc bisect start BAD GOOD --behavior NAME` begins one, `bvc bisect --help` shows the ways to judge",
    )
