"""Every error bvc raises on purpose, each with the exit code that the public contract gives it."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Process exit codes of the command line (a public contract: never renumber)."""

    OK = 0
    DIFFERENT = 1
    USAGE = 2
    UNDECIDED = 3
    ERROR = 10
    NO_REPOSITORY = 11
    UNKNOWN_REVISION = 12
    AMBIGUOUS_ID = 13
    DAMAGED = 14
    LOCKED = 15
    ENGINE = 16
    NOT_COMPARABLE = 17
    BAD_INPUT = 18
    BUG = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class BvcError(Exception):
    """A failure with one clear sentence for the user and, where something helps, a hint."""

    code: ExitCode = ExitCode.ERROR

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BvcError):
    """Options or arguments that contradict each other."""

    code = ExitCode.USAGE


class NoRepository(BvcError):
    """No `.bvc` folder here or in any folder above."""

    code = ExitCode.NO_REPOSITORY


class UnknownRevision(BvcError):
    """A revision, path or probe id that names nothing."""

    code = ExitCode.UNKNOWN_REVISION


class AmbiguousId(BvcError):
    """An abbreviated id that fits several objects."""

    code = ExitCode.AMBIGUOUS_ID


class DamagedObject(BvcError):
    """Stored bytes that do not match their checksum, or are missing."""

    code = ExitCode.DAMAGED


class Locked(BvcError):
    """Another process holds a lock that this one needs."""

    code = ExitCode.LOCKED


class EngineError(BvcError):
    """A model or engine that cannot be loaded or failed while running."""

    code = ExitCode.ENGINE


class NotComparable(BvcError):
    """Two commits that share no suite, probe or channel."""

    code = ExitCode.NOT_COMPARABLE


class BadInput(BvcError):
    """A file of the user's that cannot be used; names the file and, where there is one, the line."""

    code = ExitCode.BAD_INPUT

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, hint: str | None = None
    ) -> None:
        where = "" if file is None else f"{file}:{line}: " if line is not None else f"{file}: "
        super().__init__(where + message, hint=hint)
        self.file = file
        self.line = line
