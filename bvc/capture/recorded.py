"""Recorded outputs of a model that bvc does not run: one file of answers, matched to the probes of the suites.

JSONL (one row a line) or JSON (a list of rows, `{"data": [rows]}`, or a mapping of probe id to output). A row names its
probe by `id` (the label or id of a suite's probe) or by what was asked (`messages`, `prompt`, or `instruction` with an
optional `input`) and holds `output` or `outputs`: texts, the first of which counts as the greedy one.
Layer 2, standard library only; the texts are hostile data and are never interpreted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bvc.errors import BadInput, UsageError
from bvc.ids import digest_value
from bvc.records import Capability, Generation, Message, ModelIdentity, Outputs, Probe, Recipe, Suite
from bvc.wording import printable

SUITE = "recorded"
"""Name of the suite that rows without a probe of the project's suites become, unless the caller gives one."""
_OUTPUT_KEYS = ("output", "outputs", "response", "responses", "completion", "completions", "generated_text")
_TEXT_KEYS = ("text", "content", "output")
_FINISH = {"stop": "stop", "eos": "stop", "end_turn": "stop", "length": "length", "max_tokens": "length"}
_SPACE = " \t\r\n"
_BLANK = re.compile(r"[ \t\r\n]*")
_LABEL_LIMIT = 200
_PREFIX = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class RecordedRun:
    """What a file of recorded outputs gives: `suites` hold the answered probes only (suites without any are left out),
    `outputs` an entry for each of their probes by id; `notes` are remarks for the user."""

    identity: ModelIdentity
    recipe: Recipe
    suites: tuple[Suite, ...]
    outputs: Mapping[str, Outputs]
    capability: Capability = Capability.TEXT
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Row:
    """One row as read: its line (None where the format has no line to name), its place counted from 1, its value."""

    value: Any
    number: int
    line: int | None


@dataclass
class _Answers:
    """What was gathered: answers by probe id in order of first appearance, and probes that no suite has."""

    generations: dict[str, list[Generation]] = field(default_factory=dict)
    strangers: dict[str, Probe] = field(default_factory=dict)
    empty: int = 0
    logprobs: bool = False


def read_outputs(path: Path, model_name: str, suites: Sequence[Suite], *, name: str = SUITE) -> RecordedRun:
    """The outputs in the file at `path` of the model that the user calls `model_name`.

    A row is matched to a probe of `suites` by label, id (or 8 digits of it and more) or content; a row without one
    becomes a probe of a suite called `name`. Several rows of one probe are further draws. The fingerprint covers the
    outputs and the model's name. Raises BadInput with file and line, UsageError for an unusable model name.
    """
    model = _checked_name(model_name)
    index, answers = _Index(suites), _Answers()
    for row in _rows(path):
        try:
            _take(row.value, index, answers)
        except _RowError as problem:
            place = "" if row.line is not None else f"row {row.number} "
            raise BadInput(place + problem.args[0], file=str(path), line=row.line, hint=problem.hint) from problem
    if not answers.generations:
        raise BadInput("holds no outputs", file=str(path))
    outputs = {probe: Outputs(found[0], tuple(found[1:])) for probe, found in answers.generations.items()}
    return RecordedRun(
        identity=ModelIdentity(model, _fingerprint(model, outputs), "recorded", location=str(path.resolve())),
        recipe=_recipe(outputs),
        suites=_answered(suites, outputs, answers.strangers, name),
        outputs=outputs,
        notes=_notes(suites, outputs, answers),
    )


class _RowError(ValueError):
    """What is wrong with a row, without its place."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def _checked_name(name: str) -> str:
    stripped = name.strip()
    if not stripped or not stripped.isprintable():
        raise UsageError(f"a model cannot be called {printable(name)!r}", hint="use a short name on one line")
    return stripped


def _recipe(outputs: Mapping[str, Outputs]) -> Recipe:
    """One recipe for all recorded outputs: how they came about is not known."""
    return Recipe("recorded", dtype="unknown", device="unknown", draws=max(len(o.draws) for o in outputs.values()))


def _fingerprint(model: str, outputs: Mapping[str, Outputs]) -> str:
    return digest_value("recorded/1", [model, {probe: output.to_json() for probe, output in outputs.items()}])


def _answered(
    suites: Sequence[Suite], outputs: Mapping[str, Outputs], strangers: Mapping[str, Probe], name: str
) -> tuple[Suite, ...]:
    kept = [Suite(s.name, tuple(p for p in s.probes if p.id in outputs)) for s in suites]
    taken = {s.name for s in suites}
    while name in taken:
        name += "-recorded"
    return tuple(s for s in (*kept, Suite(name, tuple(strangers.values()))) if s.probes)


def _notes(suites: Sequence[Suite], outputs: Mapping[str, Outputs], answers: _Answers) -> tuple[str, ...]:
    notes = []
    for suite in suites:
        missing = sum(p.id not in outputs for p in suite.probes)
        if 0 < missing < len(suite.probes):
            notes.append(f"{missing} of {len(suite.probes)} probes of suite {suite.name} have no recorded output")
    if answers.empty:
        rows = "1 row" if answers.empty == 1 else f"{answers.empty} rows"
        notes.append(f"{rows} without an output (null) left out")
    if answers.logprobs:
        notes.append("log-probs in the file are not kept: recorded outputs are compared by text")
    return tuple(notes)


# Reading rows


def _rows(path: Path) -> Iterator[_Row]:
    text = _text(path)
    try:
        if text.lstrip(_SPACE).startswith("["):
            yield from _list_rows(text)
        else:
            yield from _object_rows(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"is not JSON: {error.msg} (column {error.colno})", file=str(path), line=error.lineno) from error
    except RecursionError as error:
        raise BadInput("is not JSON that can be read: nested too deeply", file=str(path)) from error
    except ValueError as error:
        raise BadInput(f"is not JSON that can be read: {error}", file=str(path)) from error


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BadInput("is not UTF-8 text", file=str(path), line=line, hint="save the file as UTF-8") from error
    if not text.strip(_SPACE):
        raise BadInput("is empty", file=str(path))
    return text


def _list_rows(text: str) -> Iterator[_Row]:
    """The items of a JSON list, each with the line where it starts."""
    decoder, number = json.JSONDecoder(), 0
    at = _skip(text, text.index("[") + 1)
    line, counted = 1, 0
    while number or text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        value, at = decoder.raw_decode(text, at)
        number += 1
        yield _Row(value, number, line)
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            break
        if text[at : at + 1] != ",":
            raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
        at = _skip(text, at + 1)
    if _skip(text, at + 1) < len(text):
        raise json.JSONDecodeError("Extra data", text, _skip(text, at + 1))


def _skip(text: str, at: int) -> int:
    """The first place from `at` that is not white space."""
    found = _BLANK.match(text, at)
    return at if found is None else found.end()


def _object_rows(text: str) -> Iterator[_Row]:
    """A JSON document that is no list, or else JSONL; what is neither is taken for what it seems to begin as."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        if error.lineno > 1 and not error.msg.startswith("Extra data"):
            raise
        yield from _line_rows(text)
    else:
        yield from (_Row(value, number, None) for number, value in enumerate(_values(document), start=1))


def _line_rows(text: str) -> Iterator[_Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip(_SPACE):
            yield _Row(_parsed(line, number), number, number)


def _parsed(line: str, number: int) -> Any:
    try:
        return json.loads(line)
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "\n" * (number - 1) + line, number - 1) from error
    except json.JSONDecodeError as error:  # it counts lines from 1
        raise json.JSONDecodeError(error.msg, "\n" * (number - 1) + line, number - 1 + error.pos) from error
    except ValueError as error:
        raise json.JSONDecodeError("a number is too long", "\n" * (number - 1) + line, number - 1) from error


def _values(document: Any) -> list[Any]:
    """The rows of a document: those under "data", itself, or one for each id of a mapping."""
    if not isinstance(document, dict):
        return [document]
    if isinstance(document.get("data"), list):
        return list(document["data"])
    if any(key in document for key in _OUTPUT_KEYS):
        return [document]
    return [{"id": key, "output": value} for key, value in document.items()]


# One row


class _Index:
    """Finds the probe that a row is about."""

    def __init__(self, suites: Sequence[Suite]) -> None:
        probes = {probe.id: probe for suite in suites for probe in suite.probes}
        self._by_id = probes
        self._by_name: dict[str, list[str]] = {}
        self._by_content: dict[str, str] = {}
        self._by_form: dict[str, str] = {}
        for identifier, probe in probes.items():
            if probe.name is not None:
                self._by_name.setdefault(probe.name, []).append(identifier)
            self._by_content.setdefault(_content(probe), identifier)
            self._by_form.setdefault(_form(probe), identifier)

    def by_label(self, label: str) -> str | None:
        """The id of the probe with that label, id or unambiguous start of an id. Raises _RowError when several fit."""
        found = self._by_name.get(label) or ([label] if label in self._by_id else [])
        if not found and _PREFIX.fullmatch(label):
            found = [identifier for identifier in self._by_id if identifier.startswith(label)]
        if len(found) > 1:
            raise _RowError(f"has the id '{printable(label)}', which {len(found)} probes have", "use their full ids")
        return found[0] if found else None

    def by_content(self, asked: Probe) -> str | None:
        """The id of the probe that asks the same, whatever its decoding settings; one of the same form if there is."""
        return self._by_form.get(_form(asked)) or self._by_content.get(_content(asked))

    def asks(self, identifier: str, asked: Probe) -> bool:
        """Whether a probe of the suites asks what `asked` does."""
        return _content(self._by_id[identifier]) == _content(asked)


def _content(probe: Probe) -> str:
    """What is asked; a prompt and a single user message of the same text are the same question to a model behind an
    API, which sees messages only."""
    if probe.messages is None:
        return digest_value("asked/1", [["user", probe.prompt]])
    return digest_value("asked/1", [[m.role, m.content] for m in probe.messages])


def _form(probe: Probe) -> str:
    """What is asked and whether as messages or as a raw prompt."""
    return f"{probe.messages is None} {_content(probe)}"


def _take(value: Any, index: _Index, answers: _Answers) -> None:
    if not isinstance(value, dict):
        raise _RowError(f"is not a JSON object but {_kind(value)}")
    key = next((k for k in _OUTPUT_KEYS if k in value), None)
    if key is None:
        raise _RowError("has no 'output' or 'outputs'")
    asked, label = _asked(value), _label(value)
    identifier = _match(asked, label, index)
    answers.logprobs |= value.get("logprobs") is not None
    found = _generations(value[key], key, _finish(value.get("finish_reason")))
    if not found:
        answers.empty += 1
        return
    if identifier not in answers.generations and asked is not None and index.by_content(asked) is None:
        answers.strangers.setdefault(identifier, asked)
    answers.generations.setdefault(identifier, []).extend(found)


def _match(asked: Probe | None, label: str | None, index: _Index) -> str:
    by_label = None if label is None else index.by_label(label)
    if by_label is not None and asked is not None and not index.asks(by_label, asked):
        raise _RowError(f"has the id '{printable(str(label))}' of a probe that asks something else")
    if by_label is not None:
        return by_label
    if asked is not None:
        return index.by_content(asked) or asked.id
    if label is None:
        raise _RowError("does not say what was asked", "give 'id', 'messages', 'prompt' or 'instruction'")
    raise _RowError(
        f"has the id '{printable(label)}', which no probe of the suites has",
        "select the suite with --suite, or give 'messages' or 'prompt' in the row",
    )


def _label(value: Mapping[str, Any]) -> str | None:
    label = value.get("id")
    if label is None:
        return None
    if isinstance(label, bool) or not isinstance(label, str | int):
        raise _RowError(f"'id' must be a string, not {_kind(label)}")
    return str(label)


def _asked(value: Mapping[str, Any]) -> Probe | None:
    """The input of a row as a probe, None where it has none."""
    label = _label(value)
    name = label if label and label.isprintable() and len(label) <= _LABEL_LIMIT else None
    if value.get("messages") is not None:
        return Probe(messages=_messages(value["messages"]), name=name)
    if value.get("prompt") is not None:
        if isinstance(value["prompt"], list):
            return Probe(messages=_messages(value["prompt"]), name=name)
        return Probe(prompt=_string("prompt", value["prompt"]), name=name)
    if value.get("instruction") is not None:
        text, more = _string("instruction", value["instruction"]), value.get("input")
        joined = f"{text}\n\n{_string('input', more)}" if more else text
        return Probe(messages=(Message("user", joined),), name=name)
    return None


def _messages(value: Any) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise _RowError("'messages' must be a list of at least one message")
    for item in value:
        if (
            not isinstance(item, dict)
            or not isinstance(item.get("role"), str)
            or not isinstance(item.get("content"), str)
        ):
            raise _RowError("every message must have a 'role' and a 'content' that are strings")
    return tuple(Message(item["role"], item["content"]) for item in value)


def _generations(value: Any, key: str, finish: str) -> list[Generation]:
    """The texts of a row's output: a string, an object with a text, or a list of these; null is none."""
    if isinstance(value, list):
        return [generation for item in value for generation in _generations_of_item(item, key, finish)]
    return _generations_of_item(value, key, finish)


def _generations_of_item(value: Any, key: str, finish: str) -> list[Generation]:
    if value is None:
        return []
    if isinstance(value, dict):
        own = value.get("finish_reason", value.get("finish"))
        text = next((value[k] for k in _TEXT_KEYS if isinstance(value.get(k), str)), None)
        value, finish = text, finish if own is None else _finish(own)
    if not isinstance(value, str):
        raise _RowError(f"'{key}' must be text or a list of texts, not {_kind(value)}")
    return [Generation(value, finish)]


def _finish(value: Any) -> str:
    return _FINISH.get(value, "unknown") if isinstance(value, str) else "unknown"


def _string(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _RowError(f"'{key}' must be a string, not {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
