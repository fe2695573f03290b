"""Writes the pages of `docs/cli/` from the commands' own help.

python docs/generate_cli.py           writes the pages
python docs/generate_cli.py --check   exits with 1 and names the pages that are out of date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from bvc.cli.program import program
from bvc.cli.table import COMMANDS

FOLDER = Path(__file__).resolve().parent / "cli"
WIDTH = 100


def context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    """A context that lays help out in a fixed width."""
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    return click.Context(command, info_name=name, parent=parent, **settings)


def help_block(ctx: click.Context) -> str:
    """The help of one command as a fenced block."""
    return f"```text\n{ctx.get_help().rstrip()}\n```\n"


def command_page(name: str, top: click.Context) -> str:
    """The page of one command with its verbs."""
    command = program.get_command(top, name)
    if command is None:
        raise LookupError(name)
    ctx = context(command, name, top)
    parts = [f"# bvc {name}\n", help_block(ctx)]
    if isinstance(command, click.Group):
        for verb in command.list_commands(ctx):
            inner = command.get_command(ctx, verb)
            if inner is not None:
                parts += [f"## bvc {name} {verb}\n", help_block(context(inner, verb, ctx))]
    return "\n".join(parts)


def index_page(top: click.Context) -> str:
    """The list of all commands."""
    lines = ["# Commands\n", "Written from `bvc --help` by `docs/generate_cli.py`.\n", help_block(top)]
    for title, commands in COMMANDS.items():
        lines.append(f"## {title}\n")
        lines += [f"- [`bvc {name}`]({name}.md): {text}" for name, text in commands.items()]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def pages() -> Mapping[str, str]:
    """File name to content."""
    top = context(program, "bvc")
    commands = [name for section in COMMANDS.values() for name in section]
    return {"index.md": index_page(top), **{f"{name}.md": command_page(name, top) for name in commands}}


def outdated(folder: Path, wanted: Mapping[str, str]) -> Iterator[str]:
    """Names of pages that are missing, differ, or describe no command any more."""
    for name, content in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            yield name
    yield from (path.name for path in sorted(folder.glob("*.md")) if path.name not in wanted)


def write(folder: Path, wanted: Mapping[str, str]) -> None:
    """Writes all pages and removes those of commands that are gone."""
    folder.mkdir(exist_ok=True)
    for name in list(outdated(folder, wanted)):
        if name in wanted:
            (folder / name).write_text(wanted[name], encoding="utf-8")
        else:
            (folder / name).unlink()


def main(arguments: list[str]) -> int:
    """Writes or checks the pages; returns the exit code."""
    if arguments != ["--check"]:
        write(FOLDER, pages())
        return 0
    stale = list(outdated(FOLDER, pages()))
    if stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run python docs/generate_cli.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
