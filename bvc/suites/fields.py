"""One probe of a suite file: which fields it may have, and what each must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bvc.config import MAX_NEW_TOKENS
from bvc.records import Message, Probe
from bvc.wording import nearest, printable

FIELDS = ("messages", "prompt", "id", "tags", "reference", "max_new_tokens", "cluster")
ROLES = ("system", "developer", "user", "assistant", "tool")
LABEL_LIMIT = 200
"""The most characters of an id, a cluster or a tag: they are names, shown in tables."""


class FieldError(ValueError):
    """What is wrong with one probe, without its place; with a hint where something helps."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def probe_from_fields(value: Any) -> Probe:
    """The probe that one parsed line of a suite file describes; a field that is null counts as absent.

    Raises FieldError for anything that is not exactly such a probe.
    """
    if not isinstance(value, dict):
        raise FieldError(f"is not a JSON object but {_kind(value)}")
    for key in value:
        _known_field(key)
    given = {key: item for key, item in value.items() if item is not None}
    _one_input(given)
    return Probe(
        messages=_messages(given["messages"]) if "messages" in given else None,
        prompt=_prompt(given["prompt"]) if "prompt" in given else None,
        name=_label("id", given["id"]) if "id" in given else None,
        tags=_tags(given.get("tags", [])),
        reference=_reference(given["reference"]) if "reference" in given else None,
        max_new_tokens=_count("max_new_tokens", given["max_new_tokens"]) if "max_new_tokens" in given else None,
        cluster=_label("cluster", given["cluster"]) if "cluster" in given else None,
    )


def _known_field(key: str) -> None:
    if key in FIELDS:
        return
    close = nearest(key, FIELDS)
    hint = f"did you mean '{close}'?" if close else f"fields are: {', '.join(FIELDS)}"
    if key in ("instruction", "question", "input", "text", "conversations"):
        hint = "`bvc suite import FILE` converts files with such columns"
    raise FieldError(f"unknown field '{printable(key)}'", hint)


def _one_input(given: Mapping[str, Any]) -> None:
    if "messages" in given and "prompt" in given:
        raise FieldError("has both 'messages' and 'prompt'", "a probe asks one thing: keep one of the two")
    if "messages" not in given and "prompt" not in given:
        raise FieldError("has no input", """give {"messages": [{"role": "user", "content": "…"}]} or {"prompt": "…"}""")


def _messages(value: Any) -> tuple[Message, ...]:
    if not isinstance(value, list):
        raise FieldError(f"'messages' must be a list, not {_kind(value)}")
    if not value:
        raise FieldError("'messages' is empty")
    messages = tuple(_message(item, f"message {number}") for number, item in enumerate(value, start=1))
    if messages[-1].role == "assistant":
        raise FieldError(
            "the last message is the assistant's, so nothing is asked",
            "end with a user message; a fixed continuation belongs into 'reference'",
        )
    if not messages[-1].content.strip():
        raise FieldError("the last message is empty, so nothing is asked")
    return messages


def _message(value: Any, where: str) -> Message:
    if not isinstance(value, dict):
        raise FieldError(f"{where} must be an object with 'role' and 'content', not {_kind(value)}")
    for key in value:
        if key not in ("role", "content"):
            raise FieldError(f"{where} has the unknown field '{printable(key)}'", "a message has 'role' and 'content'")
    for key in ("role", "content"):
        if key not in value:
            raise FieldError(f"{where} has no '{key}'")
    return Message(_role(value["role"], where), _text(f"the content of {where}", value["content"]))


def _role(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise FieldError(f"the role of {where} must be a string, not {_kind(value)}")
    if value not in ROLES:
        close = nearest(value, ROLES)
        hint = f"did you mean '{close}'?" if close else f"roles are: {', '.join(ROLES)}"
        raise FieldError(f"{where} has the unknown role '{printable(value)}'", hint)
    return value


def _prompt(value: Any) -> str:
    text = _text("'prompt'", value)
    if not text.strip():
        raise FieldError("'prompt' is empty")
    return text


def _reference(value: Any) -> str:
    text = _text("'reference'", value)
    if not text:
        raise FieldError("'reference' is empty", "leave it out to follow the first commit's own answer")
    return text


def _tags(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise FieldError(f"'tags' must be a list of strings, not {_kind(value)}")
    tags = tuple(_label("a tag", item) for item in value)
    if len(set(tags)) < len(tags):
        twice = next(tag for tag in tags if tags.count(tag) > 1)
        raise FieldError(f"has the tag '{printable(twice)}' twice")
    return tags


def _count(name: str, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_NEW_TOKENS:
        raise FieldError(f"'{name}' must be a whole number from 1 to {MAX_NEW_TOKENS}, not {printable(repr(value))}")
    return value


def _label(name: str, value: Any) -> str:
    quoted = name if " " in name else f"'{name}'"
    if not isinstance(value, str):
        raise FieldError(f"{quoted} must be a string, not {_kind(value)}")
    if not value or value != value.strip():
        raise FieldError(f"{quoted} is empty or has spaces around it")
    if len(value) > LABEL_LIMIT:
        raise FieldError(f"{quoted} is longer than {LABEL_LIMIT} characters: '{printable(value, 40)}'")
    if any(ord(character) < 32 or ord(character) == 127 for character in value) or _has_surrogate(value):
        raise FieldError(f"{quoted} has control characters: '{printable(value)}'")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise FieldError(f"{name} must be a string, not {_kind(value)}")
    if "\0" in value:
        raise FieldError(f"{name} has a NUL character")
    if _has_surrogate(value):
        raise FieldError(
            f"{name} has half of a surrogate pair, which is no character", "write the character itself, or both halves"
        )
    return value


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    names = {type(None): "null", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
