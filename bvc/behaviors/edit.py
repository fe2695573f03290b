"""Adding to `behaviors.toml` without losing what people wrote into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bvc.behaviors.parse import is_behavior_name, parse_behaviors
from bvc.behaviors.records import Behavior
from bvc.errors import BadInput, UsageError
from bvc.files import write_atomic
from bvc.wording import printable


def append_behavior(path: Path, name: str, table: Mapping[str, Any], check: Callable[[Behavior], None]) -> None:
    """Adds `[behavior.NAME]` with the keys of `table` at the file's end, in one step; everything else stays as it is.
    `check` is given the behavior before anything is written, and may raise.

    Raises UsageError for a name that is taken or cannot be one and for a table that is not valid, BadInput when the
    file was not valid before; the file is then as it was.
    """
    import tomlkit

    if not is_behavior_name(name):
        raise UsageError(
            f"'{printable(name)}' cannot be the name of a behavior", hint="use ASCII letters, digits, _, - and ."
        )
    before = path.read_bytes() if path.exists() else b""
    if name in {behavior.name for behavior in parse_behaviors(before, str(path))}:
        raise UsageError(f"there is a behavior named {name}", hint=f"choose another name, or edit {path.name}")
    added = tomlkit.document()
    added["behavior"] = tomlkit.table(is_super_table=True)
    added["behavior"][name] = dict(table)
    text = before.decode("utf-8-sig")
    gap = "" if not text.strip() else "\n" if text.endswith("\n") else "\n\n"
    content = (text + gap + tomlkit.dumps(added)).encode()
    try:
        made = {behavior.name: behavior for behavior in parse_behaviors(content, str(path))}
    except BadInput as error:
        where = f"{path}: " if error.line is None else f"{path}:{error.line}: "
        raise UsageError(error.message.removeprefix(where), hint=error.hint) from error
    check(made[name])
    write_atomic(path, content)
