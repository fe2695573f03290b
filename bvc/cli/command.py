"""What all commands share: lazy loading, help with examples, --json and --quiet, suggestions for misspelled names."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from bvc.cli.session import Session
from bvc.cli.table import COMMANDS, SHORT_HELP
from bvc.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")


class BvcCommand(click.Command):
    """A command whose help ends with examples, and which takes `-5` for `-n 5` where `short_count` is set."""

    def __init__(self, *args: Any, examples: str = "", short_count: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.short_count = short_count

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Examples as they are typed, not rewrapped."""
        write_examples(formatter, self.examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Git's `-5`, `-n5` and `-n 5` become `--max-count`; anything after `--` is left alone.

        The long form is also cheaper: click loads its spelling suggestions for every short option.
        """
        if self.short_count:
            end = args.index("--") if "--" in args else len(args)
            args = [*map(_long_count, args[:end]), *args[end:]]
        return super().parse_args(ctx, args)


def _long_count(argument: str) -> str:
    if argument == "-n":
        return "--max-count"
    digits = argument.removeprefix("-").removeprefix("n")
    return f"--max-count={digits}" if argument[:1] == "-" and digits.isdigit() else argument


def write_examples(formatter: click.HelpFormatter, examples: str) -> None:
    """The section `Examples`, one command a line."""
    lines = [line.strip() for line in examples.strip().splitlines()]
    if lines:
        with formatter.section("Examples"):
            for line in lines:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class LazyGroup(click.Group):
    """The top group: a command's module is imported when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(SHORT_HELP)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in SHORT_HELP:
            return None
        module = importlib.import_module(f"bvc.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        refuse_unknown(args[0], list(SHORT_HELP), "bvc")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """One section per kind of command."""
        width = max(map(len, SHORT_HELP))
        for title, commands in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in commands.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        write_examples(formatter, "bvc init\nbvc commit path/to/checkpoint\nbvc diff\nbvc COMMAND --help")


class SubGroup(click.Group):
    """A command with verbs of its own, as `bvc suite`."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        refuse_unknown(args[0], self.list_commands(ctx), ctx.command_path)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        write_examples(formatter, self.examples)


def refuse_unknown(name: str, known: Sequence[str], path: str) -> None:
    """Raises UsageError for a misspelled command, with the one that was probably meant."""
    if name in known or name.startswith("-"):
        return
    from bvc.wording import nearest

    meant = nearest(name, known)
    hint = f"did you mean `{path} {meant}`?" if meant else f"`{path} --help` lists the commands"
    raise UsageError(f"`{path}` has no command {name!r}", hint=hint)


def command(
    name: str, *, examples: str, json: bool = False, short_count: bool = False
) -> Callable[[Callable[Concatenate[Session, P], R]], BvcCommand]:
    """A command whose function takes the session first; `json` adds `--json`, `-q/--quiet` is always there."""

    def decorate(function: Callable[Concatenate[Session, P], R]) -> BvcCommand:
        target: Any = click.pass_obj(function)
        target = _flag(target, "--quiet", "-q", attribute="quiet", text="Print no messages and no progress.")
        if json:
            target = _flag(target, "--json", attribute="json", text="Print one JSON document instead of text.")
        make = click.command(name, cls=BvcCommand, examples=examples, short_count=short_count)
        made: BvcCommand = make(target)
        made.params.sort(key=lambda p: p.name in ("json", "quiet"))
        return made

    return decorate


def _flag(function: Any, *names: str, attribute: str, text: str) -> Any:
    def note(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value and isinstance(ctx.obj, Session):
            setattr(ctx.obj, attribute, True)

    option = click.option(*names, is_flag=True, expose_value=False, callback=note, help=text)
    return option(function)
