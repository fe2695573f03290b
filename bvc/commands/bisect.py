"""`bvc bisect`: start, good, bad, skip, undo, next, run, log, replay, view, reset, terms."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bvc.cli import completion
from bvc.cli.command import SubGroup
from bvc.cli.command import command as bvc_command
from bvc.cli.pair_options import hub_cache
from bvc.cli.session import Session
from bvc.errors import BvcError, ExitCode, UsageError

if TYPE_CHECKING:
    from bvc.api.bisect import Bisection
    from bvc.bisection import BisectResult

F = TypeVar("F", bound=Callable[..., Any])
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
"""What a shell returns for a command that is not there, or cannot be run."""
_GO_ON = "what was learned is kept: `bvc bisect run` goes on, `bvc bisect view` shows where it stands"
_HELP = "bvc bisect start HEAD v1 --behavior refusal\nbvc bisect run\n\
bvc bisect run --good v1 --bad HEAD --behavior refusal\nbvc bisect run --good v1 --bad HEAD -- ./test.sh"


class _Verbs(SubGroup):
    """The verbs, and the words for old and new that the bisect in progress has."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and isinstance(ctx.obj, Session):
            side = _term(ctx.obj, args[0])
            if side is not None:
                return args[0], self.commands[("old", "new")[side]], args[1:]
        return super().resolve_command(ctx, args)


def _term(session: Session, word: str) -> int | None:
    """0 for this bisect's word for old, 1 for that for new."""
    try:
        terms = _bisection(session).terms()
    except BvcError:
        return None
    return terms.index(word) if word in terms else None


def _bisection(session: Session, **how: Any) -> Bisection:
    return session.repo(writes=bool(how)).bisection(**how)


@click.group("bisect", cls=_Verbs, examples=_HELP)
def command() -> None:
    """Find the commit where a behavior began.

    Between an old commit that does not show something and a new one that does, bisect finds the one that brought it,
    says how sure that is, and stops when it is sure enough. Answers may be random: each visit counts for what it is
    worth. Stored captures are used first; a model is loaded only where they do not suffice, and what it answers is
    attached to its commit.

    Who judges: a named behavior (--behavior), a scorer written here (--expr), "differs from GOOD as BAD does"
    (--like-bad), a command (run -- CMD), or you (good, bad, skip).

    Exit codes: 0 found, or the bisect goes on; 3 no single commit can be named.
    """


_JUDGES = (
    click.option("--behavior", metavar="NAME", shell_complete=completion.behaviors, help="Judge by this behavior."),
    click.option("--expr", metavar="TOML", help="""Judge by a scorer, as 'contains = "salt", on = "tag:weather"'."""),
    click.option("--like-bad", is_flag=True, help="Judge by whether answers differ from GOOD's as BAD's do."),
    click.option("--probe", "probes", metavar="ID", multiple=True, help="With --like-bad: go by these probes."),
    click.option("--term-old", metavar="WORD", help="The word for old, instead of good."),
    click.option("--term-new", metavar="WORD", help="The word for new, instead of bad."),
    click.option("--confidence", type=float, metavar="P", help="How sure to be of the commit named (default 0.95)."),
    click.option("--max-loads", type=click.IntRange(min=0), metavar="N", help="Load at most N checkpoints."),
    click.option("--max-draws", type=click.IntRange(min=0), metavar="N", help="Ask for at most N answers."),
    click.option(
        "--prior", type=click.Choice(["equal", "drift"]),
        help="Which steps are suspected more: none, or those that moved the model farther.",
    ),
    click.option("--stored", is_flag=True, help="Use stored captures only: never load a model."),
    click.option("--allow-python", is_flag=True, help="Run the Python scorers of this project's behaviors.toml."),
)  # fmt: skip
_LOADING = (
    click.option("--base", metavar="CHECKPOINT", help="Base of adapters, where their configs do not lead to it."),
    click.option("--dtype", metavar="TYPE", help="For commits without captures: float32, bfloat16, float16 or auto."),
    click.option("--device", metavar="DEVICE", help="For commits without captures: cpu, cuda, cuda:1, mps or auto."),
    click.option(
        "--batch-size", type=click.IntRange(min=1), metavar="N",
        help="For commits without captures: probes that share a forward pass.",
    ),
    click.option("--allow-pickle", is_flag=True, help="Load pickled weights. They can run code."),
    click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with a checkpoint."),
)  # fmt: skip


def _options(*lists: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    def add(function: F) -> F:
        for option in reversed([option for each in lists for option in each]):
            function = option(function)
        return function

    return add


def _settings(options: dict[str, Any]) -> Any:
    """The settings among the options, which are taken out."""
    from bvc.api.bisect_settings import BisectSettings

    usual = BisectSettings()
    old, new = options.pop("term_old"), options.pop("term_new")
    names = ("behavior", "expr", "like_bad", "probes", "confidence", "max_loads", "max_draws", "prior", "stored")
    given = {name: options.pop(name) for name in (*names, "allow_python")}
    chosen = {name: value for name, value in given.items() if value is not None}
    return BisectSettings(**chosen, terms=(old or usual.terms[0], new or usual.terms[1]))


@bvc_command(
    "start",
    json=True,
    examples="bvc bisect start HEAD v1 --behavior refusal\n"
    'bvc bisect start HEAD v1 --expr \'contains = "salt water", on = "tag:topic:gardening"\'\n'
    "bvc bisect start HEAD v1 --like-bad --probe weather-03\n"
    "bvc bisect start HEAD v1 --term-old fast --term-new slow",
)
@click.argument("bad", required=False, metavar="[BAD", shell_complete=completion.revisions)
@click.argument("good", nargs=-1, metavar="[GOOD...]]", shell_complete=completion.revisions)
@_options(_JUDGES)
def start(session: Session, /, bad: str | None, good: tuple[str, ...], **options: Any) -> int:
    """Begin a bisect. Nothing is run: `bvc bisect run` or `next` does that.

    What is stored is looked at right away, which may settle it. A bisect that came to its end makes way for a new one.
    """
    return _show(session, _bisection(session, progress=session.progress).start(bad, good, _settings(options)))


def _mark(session: Session, revisions: tuple[str, ...], new: bool) -> int:
    return _show(session, _bisection(session, progress=session.progress).mark(new, revisions))


def _marker(name: str, side: int) -> click.Command:
    """A verb that marks commits; `good` and `bad` only where they are this bisect's words."""
    meaning = ("does not show it", "shows it")[side]
    usual = name in ("good", "bad")

    @bvc_command(name, json=True, examples=f"bvc bisect {name}\nbvc bisect {name} HEAD~3")
    @click.argument("revisions", nargs=-1, metavar="[REV...]", shell_complete=completion.revisions)
    def marker(session: Session, revisions: tuple[str, ...]) -> int:
        terms = _bisection(session).terms()
        if usual and name not in terms:
            hint = f"`bvc bisect {terms[side]}` marks a commit that {meaning}"
            raise UsageError(f"this bisect calls commits {terms[0]} and {terms[1]}, not {name}", hint=hint)
        return _mark(session, revisions, bool(side))

    marker.help = f"Say that commits (default: the one to be tested) {('do not show it', 'show it')[side]}."
    if not usual:
        marker.help += f" The same as `{('good', 'bad')[side]}`, or this bisect's own word."
    return marker


@bvc_command("skip", json=True, examples="bvc bisect skip\nbvc bisect skip HEAD~3\nbvc bisect skip v1..v2")
@click.argument("revisions", nargs=-1, metavar="[REV|A..B...]", shell_complete=completion.revisions)
def skip(session: Session, revisions: tuple[str, ...]) -> int:
    """Say that commits (default: the one to be tested) cannot be tested; A..B skips all that B has and A has not."""
    return _show(session, _bisection(session, progress=session.progress).skip(revisions))


@bvc_command("undo", json=True, examples="bvc bisect undo")
def undo(session: Session) -> int:
    """Take back the last mark, answer of a command, or visit to a model.

    What a model answered stays attached to its commit, but does not count in this bisect any more.
    """
    line, result = _bisection(session, progress=session.progress).undo()
    session.message(f"took back: {line}")
    return _show(session, result)


@bvc_command("next", json=True, examples="bvc bisect next")
@_options(_LOADING)
def next_(session: Session, /, **options: Any) -> int:
    """Make one visit, or say which commit is to be tested.

    Where captures judge, the next checkpoint is loaded and asked, unless what is stored settles it. After a kill this
    goes on where it stopped, and asks nothing twice.
    """
    session.interrupt_hint = _GO_ON
    return _show(session, _bisection(session, progress=session.progress, **options, **hub_cache()).next())


@bvc_command(
    "run",
    json=True,
    examples="bvc bisect run\n"
    "bvc bisect run --good v1 --bad HEAD --behavior refusal\n"
    "bvc bisect run --good v1 --bad HEAD --like-bad --stored\n"
    "bvc bisect run --good v1 --bad HEAD -- python judge.py\n"
    "bvc bisect run --noisy --confidence 0.99 --good v1 --bad HEAD -- ./flaky.sh",
)
@click.argument("cmd", nargs=-1, metavar="[-- CMD...]", type=click.UNPROCESSED)
@click.option("--good", "--old", "goods", metavar="REV", multiple=True, shell_complete=completion.revisions,
              help="Begin a bisect: a commit that does not show it.")  # fmt: skip
@click.option("--bad", "--new", "bad", metavar="REV", shell_complete=completion.revisions,
              help="Begin a bisect: a commit that shows it.")  # fmt: skip
@click.option("--noisy", is_flag=True, help="CMD's answers are random: run it again until --confidence is reached.")
@_options(_JUDGES, _LOADING)
def run(
    session: Session, /, cmd: tuple[str, ...], goods: tuple[str, ...], bad: str | None, noisy: bool, **options: Any
) -> int:
    """Judge commits until there is an answer.

    Without CMD by what the bisect was started with; with --good and --bad no start is needed. CMD is run for each
    commit with BVC_BISECT_COMMIT (its id) and BVC_BISECT_CHECKPOINT (where its checkpoint is, empty where it records
    none) in its environment. Its exit code says what the commit is: 0 old, 125 cannot be tested, other codes up to 127
    new; from 128 on, or ended by a signal, it ends the run. Each commit is asked once, as Git does, unless --noisy.
    """
    session.interrupt_hint = _GO_ON if not cmd else "the same command again goes on where this one stopped"
    settings = _settings(options)
    _check_run(settings, cmd, goods, bad, noisy)
    bisection = _bisection(session, progress=session.progress, **options, **hub_cache())
    if not cmd:
        result = bisection.run() if bad is None else bisection.run_between(bad, goods, settings)
    elif bad is None:
        result = bisection.run_command(cmd, _executor(cmd), noisy=noisy)
    else:
        result = bisection.run_command_between(bad, goods, settings, cmd, _executor(cmd), noisy=noisy)
    return _show(session, result)


def _check_run(settings: Any, cmd: tuple[str, ...], goods: tuple[str, ...], bad: str | None, noisy: bool) -> None:
    if bool(goods) != (bad is not None):
        raise UsageError("give --good and --bad together, or neither after `bvc bisect start`")
    if cmd and settings.judged:
        raise UsageError("a command and --behavior, --expr or --like-bad are two ways to judge: give one")
    if noisy and not cmd:
        raise UsageError("--noisy speaks of a command's answers: give `-- CMD...`")
    if bad is None and settings != type(settings)():
        hint = "give --good and --bad too, or these options to `bvc bisect start`"
        raise UsageError("these options begin a bisect, which needs its ends", hint=hint)
    if bad is not None and not cmd and not settings.judged:
        raise UsageError("nothing says how to judge: give -- CMD..., --behavior, --expr or --like-bad")


def _executor(words: tuple[str, ...]) -> Callable[[str, str], int]:
    """Runs the user's command; what it prints goes to standard error, so that --json stays one document."""

    def execute(commit: str, checkpoint: str) -> int:
        environment = {**os.environ, "BVC_BISECT_COMMIT": commit, "BVC_BISECT_CHECKPOINT": checkpoint}
        try:
            done = subprocess.run(words, env=environment, stdout=2, check=False)
        except FileNotFoundError:
            return _NOT_FOUND
        except OSError:
            return _NOT_EXECUTABLE
        return done.returncode

    return execute


@bvc_command("log", examples="bvc bisect log > bisect.log")
def log(session: Session) -> None:
    """Print what was asked, marked and seen, as lines that `replay` takes."""
    session.print(_bisection(session).log().splitlines())


@bvc_command("replay", json=True, examples="bvc bisect log > bisect.log\nbvc bisect replay bisect.log")
@click.argument("file", type=click.Path(path_type=Path))
def replay(session: Session, file: Path) -> int:
    """Begin a bisect with the lines of a log, edited or not, in place of any other.

    Neither a model nor a command is run; what models answered is read from the captures.
    """
    return _show(session, _bisection(session, progress=session.progress).replay(file))


@bvc_command("view", json=True, examples="bvc bisect view\nbvc bisect view --json")
def view(session: Session) -> int:
    """Draw the lineage between the ends, with how likely each commit is and what was seen of it."""
    result = _bisection(session, progress=session.progress).view(changed=session.json)
    if session.json:
        return _show(session, result)
    from bvc.render.bisect import render_headline
    from bvc.render.bisect_view import render_view

    session.progress.finish()
    session.page([*render_headline(result, session.screen), "", *render_view(result, session.screen)])
    return _code(result)


@bvc_command("reset", examples="bvc bisect reset")
def reset(session: Session) -> None:
    """End the bisect. Its log is kept, captures stay attached."""
    kept = _bisection(session, progress=session.progress).reset()
    session.message("no bisect is in progress" if kept is None else f"ended; its log is kept in {kept}")


@bvc_command("terms", examples="bvc bisect terms")
@click.option("--term-old", "side", flag_value=0, type=int, help="Print the word for old alone.")
@click.option("--term-new", "side", flag_value=1, type=int, help="Print the word for new alone.")
def terms(session: Session, side: int | None) -> None:
    """Print this bisect's words for old and new."""
    words = _bisection(session).terms()
    session.print([words[side]] if side is not None else [f"old: {words[0]}", f"new: {words[1]}"])


def _show(session: Session, result: BisectResult) -> int:
    session.progress.finish()
    if session.json:
        from bvc.render.bisect_document import bisect_document

        session.document(bisect_document(result))
    elif not session.quiet or result.status != "running":
        from bvc.render.bisect import render_bisect

        session.print(render_bisect(result, session.screen))
    return _code(result)


def _code(result: BisectResult) -> int:
    return int(ExitCode.OK if result.status in ("found", "running") else ExitCode.UNDECIDED)


for _verb in (
    *(start, _marker("good", 0), _marker("bad", 1), _marker("old", 0), _marker("new", 1), skip, undo, next_, run),
    *(log, replay, view, reset, terms),
):
    command.add_command(_verb)
