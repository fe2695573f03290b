"""The `bvc` command: global options, and what each kind of failure prints and returns."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import bvc
from bvc.cli.command import LazyGroup
from bvc.cli.session import Session
from bvc.cli.streams import error_screen, prepare
from bvc.errors import BvcError, ExitCode
from bvc.render.text import clean

_COMPLETE = "_BVC_COMPLETE"


class Program(LazyGroup):
    """The top group; called, it runs the command line and exits with the contract's code."""

    def main(self, args: Sequence[str] | None = None, *_args: Any, **_options: Any) -> NoReturn:
        """Runs `args` (default: those of the process)."""
        code = run(sys.argv[1:] if args is None else list(args))
        gc.freeze()  # the interpreter's last search for cycles, in memory that is given back whole, is a tenth of `log`
        sys.exit(code)


@click.group("bvc", cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(bvc.__version__, message="%(prog)s %(version)s")
@click.option("-C", "directory", metavar="DIR", multiple=True, help="Run as if started in DIR.")
@click.option("--no-pager", is_flag=True, help="Print long output without a pager.")
@click.option("-q", "--quiet", is_flag=True, help="Print no messages and no progress.")
@click.pass_context
def program(ctx: click.Context, directory: tuple[str, ...], no_pager: bool, quiet: bool) -> None:
    """Version control for model behavior: commit what each checkpoint does, and see what changed."""
    for folder in directory:
        _enter(folder)
    ctx.obj = Session(pager=not no_pager, quiet=quiet)
    ctx.call_on_close(ctx.obj.close)


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise click.UsageError(f"cannot enter {folder!r}: {error.strerror}") from error


def run(arguments: list[str]) -> int:
    """Runs one command; returns its exit code. Every failure is told in one line on standard error."""
    prepare()
    session: list[Session] = []
    try:
        if _COMPLETE in os.environ:
            return _complete()
        code = _invoke(arguments, session)
        sys.stdout.flush()
        return code
    except BaseException as error:  # every way out of a command ends here, with a code of the contract
        return _failed(error, session[0] if session else None)


def _complete() -> int:
    from click.shell_completion import shell_complete

    return shell_complete(program, {}, "bvc", _COMPLETE, os.environ[_COMPLETE])


def _invoke(arguments: list[str], session: list[Session]) -> int:
    try:
        with program.make_context("bvc", arguments) as ctx:
            ctx.call_on_close(lambda: session.append(ctx.obj) if isinstance(ctx.obj, Session) else None)
            result = program.invoke(ctx)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    return result if isinstance(result, int) else int(ExitCode.OK)


def _failed(error: BaseException, session: Session | None) -> int:
    if os.environ.get("BVC_DEBUG") and not isinstance(error, (click.ClickException, SystemExit)):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, BrokenPipeError):
        return _output_closed()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return int(ExitCode.USAGE)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(ExitCode.ERROR)
    code, message, hint = _explain(error, session)
    _tell(message, hint)
    return int(code)


def _explain(error: BaseException, session: Session | None) -> tuple[ExitCode, str, str | None]:
    """Exit code, sentence and hint for a failure."""
    if isinstance(error, click.Abort) or _interrupted(error):
        return ExitCode.INTERRUPTED, "interrupted", None if session is None else session.interrupt_hint
    if isinstance(error, BvcError):
        return error.code, error.message, error.hint
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, OSError):
        return ExitCode.ERROR, _system_error(error), _system_hint(error)
    if isinstance(error, MemoryError):
        return ExitCode.ERROR, "out of memory", "a smaller --batch-size needs less"
    return ExitCode.BUG, f"this is a bug in bvc: {type(error).__name__}: {error}", _bug_hint()


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: Python wraps it while a class is being made, libraries while they load."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _bug_hint() -> str | None:
    if os.environ.get("BVC_DEBUG"):
        return None
    return "run it again with BVC_DEBUG=1 for the traceback, and report that"


def _usage(error: click.ClickException) -> tuple[ExitCode, str, str | None]:
    context = getattr(error, "ctx", None)
    hint = None if context is None else f"`{context.command_path} --help` explains the options"
    close = getattr(error, "possibilities", None)
    if close:
        hint = f"did you mean {' or '.join(f'`{name}`' for name in sorted(close)[:3])}?"
    message = (getattr(error, "message", "") or error.format_message()).rstrip(".")
    if isinstance(error, (click.BadParameter, click.MissingParameter)):
        message = error.format_message().rstrip(".")
    return ExitCode.USAGE, message[:1].lower() + message[1:], hint


def _system_error(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else what


def _system_hint(error: OSError) -> str | None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space; what was committed is intact"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "bvc needs to write in the project's folder"
    return None


def _tell(message: str, hint: str | None) -> None:
    screen = error_screen()
    lines = [f"{screen.paint('bold red', 'error:')} {clean(message)}"]
    if hint:
        lines.append(f"{screen.paint('cyan', 'hint:')} {clean(hint)}")
    try:
        sys.stdout.flush()
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
    except (BrokenPipeError, ValueError):
        _output_closed()


def _output_closed() -> int:
    """Standard output leads nowhere: what is still buffered is thrown away, so that nothing fails at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):
            os.dup2(null, stream.fileno())
    os.close(null)
    return int(ExitCode.BROKEN_PIPE)
