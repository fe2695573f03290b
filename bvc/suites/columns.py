"""From one row of somebody else's file to a probe: which columns hold the input, the expected answer and the rest.

What is read, first match first: `messages`; `conversations` (ShareGPT's from/value); `prompt`; `instruction` with
`input` (Alpaca); `question`; `input` (OpenAI evals); `text`. Chat forms become messages; a `prompt` or `text` that is
a string becomes a raw prompt. Expected answers (`ideal`, `target`, `answer`, `answers`) become `answer:` tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bvc.records import Probe
from bvc.suites.fields import FieldError, probe_from_fields
from bvc.suites.load import parse_json
from bvc.wording import printable

INPUTS = ("messages", "conversations", "prompt", "instruction", "question", "input", "text")
ANSWER_LIMIT = 80
"""Expected answers longer than this many characters are left out: no answer contains them word for word."""

_GOLD = ("ideal", "target", "answer", "answers")
_TOPICS = ("category", "domain", "subject")
_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "function": "tool",
    "observation": "tool",
}

Fields = dict[str, Any]


def probe_from_row(row: Any) -> Probe:
    """The probe that a row of another format asks. Raises FieldError when the row cannot be used."""
    if not isinstance(row, dict):
        raise FieldError("is not an object with columns")
    columns = {str(key).strip().lower().replace(" ", "_"): value for key, value in row.items() if value is not None}
    fields = _input(columns)
    fields["tags"] = list(dict.fromkeys([*_tags(columns), *answer_tags(_gold(columns))]))
    for key in ("id", "cluster"):
        if key in columns:
            fields[key] = _label(columns[key])
    if columns.get("reference"):
        fields["reference"] = columns["reference"]
    if "max_new_tokens" in columns:
        fields["max_new_tokens"] = _whole(columns["max_new_tokens"])
    return probe_from_fields(fields)


def answer_tags(answers: Iterable[Any]) -> list[str]:
    """`answer:` tags of the expected answers that are one short line each; a GSM8K answer counts from its `####`."""
    texts = (_plain(answer).rpartition("####")[2].strip() for answer in answers)
    return [f"answer:{text}" for text in texts if _is_short(text)]


def _is_short(text: str) -> bool:
    return 0 < len(text) <= ANSWER_LIMIT and text.isprintable()


def _input(columns: Mapping[str, Any]) -> Fields:
    name = next((key for key in INPUTS if columns.get(key) not in (None, "", [])), None)
    if name is None:
        found = ", ".join(printable(key, 30) for key in list(columns)[:12]) or "none"
        raise FieldError("has no column with an input", f"columns found: {found}; expected: {', '.join(INPUTS)}")
    value = _decoded(columns[name])
    if isinstance(value, list):
        return {"messages": _with_system(columns, _conversation(value))}
    if not isinstance(value, str):
        raise FieldError(f"'{name}' must be text or a list of messages")
    if name in ("messages", "conversations"):
        raise FieldError(f"'{name}' must be a list of messages")
    if name in ("prompt", "text") and not _system(columns):
        return {"prompt": value}
    if name == "instruction" and isinstance(columns.get("input"), str) and columns["input"].strip():
        value = f"{value}\n\n{columns['input']}"
    return {"messages": _with_system(columns, [{"role": "user", "content": value}])}


def _decoded(value: Any) -> Any:
    """A list of messages that stands as JSON text in a cell, as that list."""
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        try:
            return parse_json(value)
        except FieldError:
            return value
    return value


def _conversation(turns: list[Any]) -> list[Fields]:
    messages = [_message(turn) for turn in turns]
    while len(messages) > 1 and messages[-1]["role"] == "assistant":
        # Training data end with the answer; the probe ends with the question.
        messages.pop()
    return messages


def _message(turn: Any) -> Fields:
    if not isinstance(turn, dict):
        raise FieldError("a message must be an object")
    role = turn.get("role", turn.get("from"))
    content = turn.get("content", turn.get("value"))
    if not isinstance(role, str):
        raise FieldError("a message has neither 'role' nor 'from'")
    return {"role": _ROLES.get(role.lower(), role.lower()), "content": _content(content)}


def _content(value: Any) -> Any:
    """Plain text, also of the form that is a list of parts. Raises FieldError for images and other parts."""
    if not isinstance(value, list):
        return value
    for part in value:
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            raise FieldError("a message has a part that is not text", "bvc asks in text only")
    return "".join(part["text"] for part in value)


def _system(columns: Mapping[str, Any]) -> Any:
    return columns.get("system") or columns.get("system_prompt")


def _with_system(columns: Mapping[str, Any], messages: list[Fields]) -> list[Fields]:
    system = _system(columns)
    if not system or (messages and messages[0]["role"] == "system"):
        return messages
    return [{"role": "system", "content": system}, *messages]


def _gold(columns: Mapping[str, Any]) -> list[Any]:
    for name in _GOLD:
        value = columns.get(name)
        if isinstance(value, list):
            return [item for item in value if isinstance(item, str | int | float)]
        if isinstance(value, str | int | float):
            return [value]
    return []


def _tags(columns: Mapping[str, Any]) -> list[str]:
    given = columns.get("tags", [])
    if isinstance(given, str):
        given = _tag_list(given)
    if not isinstance(given, list) or not all(isinstance(tag, str) for tag in given):
        raise FieldError("'tags' must be a list of strings, or text with commas")
    topics = [(name, _plain(columns[name])) for name in _TOPICS if isinstance(columns.get(name), str | int)]
    return [*given, *(f"{name}:{text}" for name, text in topics if _is_short(text))]


def _tag_list(text: str) -> Any:
    if text.lstrip().startswith("["):
        try:
            return parse_json(text)
        except FieldError as error:
            raise FieldError(f"'tags' {error.message}") from error
    return [tag.strip() for tag in text.replace(";", ",").split(",") if tag.strip()]


def _label(value: Any) -> Any:
    return _plain(value) if isinstance(value, str | int | float) else value


def _whole(value: Any) -> Any:
    try:
        return int(value) if isinstance(value, str) or (isinstance(value, float) and value.is_integer()) else value
    except ValueError:
        return value


def _plain(value: Any) -> str:
    """A cell as text: `true` for a boolean, no `.0` behind a whole number."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
