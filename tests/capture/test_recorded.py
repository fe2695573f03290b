"""Recorded outputs: every form that users have, matched to probes, kept unchanged, errors with their line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.capture.recorded import RecordedRun, read_outputs
from bvc.codec import canonical, parse
from bvc.errors import BadInput, BvcError, UsageError
from bvc.records import Capability, Generation, Message, Outputs, Probe, Suite

PARIS = Probe(messages=(Message("user", "Capital of France?"),), name="paris")
SYSTEM = Probe(messages=(Message("system", "Be brief."), Message("user", "Hello")), name="system", max_new_tokens=5)
RAW = Probe(prompt="Once upon a time", name="raw")
SUITE = Suite("facts", (PARIS, SYSTEM, RAW))


def run(tmp_path: Path, content: Any, suites: tuple[Suite, ...] = (SUITE,), model: str = "gpt") -> RecordedRun:
    """Reads `content`: bytes or text as they are, a list of rows as JSONL, anything else as one JSON document."""
    path = tmp_path / "outputs.jsonl"
    if isinstance(content, list):
        content = "".join(json.dumps(row) + "\n" for row in content)
    elif not isinstance(content, bytes | str):
        content = json.dumps(content)
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    return read_outputs(path, model, suites)


def texts(found: RecordedRun) -> dict[str, tuple[str, ...]]:
    """The texts by label, else by what was asked."""
    probes = {p.id: p for suite in found.suites for p in suite.probes}
    return {
        probes[i].name or probes[i].text: (o.greedy.text, *(d.text for d in o.draws)) for i, o in found.outputs.items()
    }


@pytest.mark.parametrize(
    "row",
    [
        {"id": "paris"},
        {"id": PARIS.id},
        {"id": PARIS.id[:8]},
        {"messages": [{"role": "user", "content": "Capital of France?"}]},
        {"messages": [{"role": "user", "content": "Capital of France?", "name": "bob"}]},
        {"prompt": "Capital of France?"},
        {"prompt": [{"role": "user", "content": "Capital of France?"}]},
        {"instruction": "Capital of France?"},
        {"instruction": "Capital of France?", "input": ""},
        {"id": "paris", "prompt": "Capital of France?"},
        {"id": "my own", "prompt": "Capital of France?"},
        {"id": 17, "instruction": "Capital of France?", "generator": "x", "dataset": "y"},
    ],
)
def test_a_row_finds_its_probe(tmp_path: Path, row: dict[str, Any]) -> None:
    found = run(tmp_path, [{**row, "output": "Paris"}])
    assert found.outputs == {PARIS.id: Outputs(Generation("Paris"))}
    assert found.suites == (Suite("facts", (PARIS,)),)
    assert found.capability is Capability.TEXT


@pytest.mark.parametrize(
    "given_outputs",
    [
        {"output": ["a", "b", "c"]},
        {"outputs": ["a", "b", "c"]},
        {"responses": [{"text": "a"}, {"content": "b", "role": "assistant"}, "c"]},
        {"completions": ["a", None, "b", "c"]},
    ],
)
def test_the_first_output_is_greedy_and_the_others_are_draws(tmp_path: Path, given_outputs: dict[str, Any]) -> None:
    found = run(tmp_path, [{"id": "raw", **given_outputs}])
    assert texts(found) == {"raw": ("a", "b", "c")}
    assert found.recipe.draws == 2 and found.recipe.engine == "recorded"


def test_several_rows_of_a_probe_are_draws(tmp_path: Path) -> None:
    assert texts(run(tmp_path, [{"id": "raw", "output": "a"}, {"prompt": RAW.prompt, "output": "b"}])) == {
        "raw": ("a", "b")
    }


@pytest.mark.parametrize(
    ("row", "finish"),
    [
        ({"output": "x", "finish_reason": "stop"}, "stop"),
        ({"output": "x", "finish_reason": "length"}, "length"),
        ({"output": "x", "finish_reason": "max_tokens"}, "length"),
        ({"output": {"text": "x", "finish_reason": "end_turn"}}, "stop"),
        ({"output": {"text": "x"}, "finish_reason": "stop"}, "stop"),
        ({"output": "x", "finish_reason": 7}, "unknown"),
    ],
)
def test_how_it_ended_is_kept(tmp_path: Path, row: dict[str, Any], finish: str) -> None:
    assert run(tmp_path, [{"id": "raw", **row}]).outputs[RAW.id].greedy == Generation("x", finish)


ROWS = [{"id": "raw", "output": "a"}, {"id": "paris", "output": "b"}]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        json.dumps({"data": ROWS}),
        json.dumps({"data": ROWS, "model": "m"}, indent=2),
        json.dumps({"raw": "a", "paris": "b"}),
        json.dumps({"raw": ["a"], PARIS.id: {"text": "b"}}, indent=2),
        "\ufeff" + "\r\n".join(map(json.dumps, ROWS)),
        "\n\n  " + "\n\n".join(map(json.dumps, ROWS)) + "\n\n",
        "  [\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
    ],
)
def test_every_form_of_file(tmp_path: Path, content: str) -> None:
    assert texts(run(tmp_path, content)) == {"raw": ("a",), "paris": ("b",)}


def test_a_file_of_one_row(tmp_path: Path) -> None:
    assert texts(run(tmp_path, json.dumps(ROWS[0]))) == {"raw": ("a",)}
    assert texts(run(tmp_path, json.dumps(ROWS[0], indent=1))) == {"raw": ("a",)}


def test_line_separators_of_unicode_do_not_end_a_row(tmp_path: Path) -> None:
    content = '{"id": "raw", "output": "a\u2028b\u0085c"}\n{"id": "paris", "output": "d"}\n'
    assert texts(run(tmp_path, content)) == {"raw": ("a\u2028b\u0085c",), "paris": ("d",)}


def test_rows_without_a_probe_become_a_suite(tmp_path: Path) -> None:
    rows = [
        {"id": "q1", "instruction": "Add", "input": "1 2", "output": "3"},
        {"prompt": "free text", "output": "x"},
        {"messages": [{"role": "user", "content": "hi"}], "output": "y"},
        {"id": "bad\u001b[2J", "prompt": "odd label", "output": "z"},
        {"prompt": "free text", "output": "x2"},
    ]
    found = run(tmp_path, rows)
    assert [s.name for s in found.suites] == ["recorded"]
    probes = found.suites[0].probes
    assert probes == (
        Probe(messages=(Message("user", "Add\n\n1 2"),), name="q1"),
        Probe(prompt="free text"),
        Probe(messages=(Message("user", "hi"),)),
        Probe(prompt="odd label"),
    )
    assert found.outputs[probes[1].id] == Outputs(Generation("x"), (Generation("x2"),))


def test_both_kinds_of_rows_and_a_suite_of_that_name(tmp_path: Path) -> None:
    taken = Suite("recorded", (RAW,))
    found = run(tmp_path, [{"id": "raw", "output": "a"}, {"prompt": "new", "output": "b"}], suites=(taken,))
    assert [(s.name, len(s.probes)) for s in found.suites] == [("recorded", 1), ("recorded-recorded", 1)]


def test_a_prompt_and_a_message_of_the_same_text_are_told_apart_where_both_exist(tmp_path: Path) -> None:
    chat, raw = Probe(messages=(Message("user", "Hi"),), name="chat"), Probe(prompt="Hi", name="raw")
    rows = [{"prompt": "Hi", "output": "r"}, {"messages": [{"role": "user", "content": "Hi"}], "output": "c"}]
    assert texts(run(tmp_path, rows, suites=(Suite("s", (chat, raw)),))) == {"raw": ("r",), "chat": ("c",)}


def test_a_probe_of_two_suites_is_in_both(tmp_path: Path) -> None:
    found = run(tmp_path, [{"id": "raw", "output": "a"}], suites=(SUITE, Suite("more", (RAW,))))
    assert [(s.name, s.probes) for s in found.suites] == [("facts", (RAW,)), ("more", (RAW,))]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    rows = [{"id": "raw", "output": "a", "logprobs": [-1.0]}, {"id": "paris", "output": None}]
    found = run(tmp_path, rows, suites=(SUITE, Suite("untouched", (Probe(prompt="?"),))))
    assert found.notes == (
        "2 of 3 probes of suite facts have no recorded output",
        "1 row without an output (null) left out",
        "log-probs in the file are not kept: recorded outputs are compared by text",
    )


def test_the_identity_is_the_outputs_and_the_name(tmp_path: Path) -> None:
    rows = [{"id": "raw", "output": "a"}, {"id": "paris", "output": "b"}]
    first = run(tmp_path, rows)
    assert (first.identity.name, first.identity.kind, len(first.identity.fingerprint)) == ("gpt", "recorded", 64)
    assert first.identity.location == str(tmp_path / "outputs.jsonl")
    same = [run(tmp_path, rows[::-1]), run(tmp_path, {"raw": "a", "paris": "b"})]
    assert {found.identity.fingerprint for found in same} == {first.identity.fingerprint}
    others = [
        run(tmp_path, rows, model="gpt-2"),
        run(tmp_path, [rows[0], {"id": "paris", "output": "c"}]),
        run(tmp_path, [rows[0], {"id": "system", "output": "b"}]),
    ]
    assert len({first.identity.fingerprint, *(found.identity.fingerprint for found in others)}) == 4
    assert first.recipe.digest == others[0].recipe.digest


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "a\udfffb", "\x1b]0;x\x07", "x" * 3_000_000, "𝒳\u202e", "\r\n"])
def test_hostile_texts_are_kept_as_they_are(tmp_path: Path, text: str) -> None:
    found = run(tmp_path, [{"id": "raw", "output": text}])
    assert texts(found) == {"raw": (text,)}
    stored = parse(canonical(found.outputs[RAW.id].to_json()))
    assert Outputs.from_json(stored).greedy.text == text


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_text_comes_through(tmp_path_factory: pytest.TempPathFactory, outputs: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")
    assert texts(run(folder, [{"id": "raw", "outputs": outputs}])) == {"raw": tuple(outputs)}


GOOD = '{"id": "raw", "output": "a"}\n'


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", None, "is empty"),
        (" \n\n", None, "is empty"),
        ("[]", None, "holds no outputs"),
        ("{}", None, "holds no outputs"),
        ('{"data": []}', None, "holds no outputs"),
        ('{"id": "raw", "output": null}', None, "holds no outputs"),
        (GOOD + "not json\n", 2, r"is not JSON: Expecting value \(column 1\)"),
        ("not json\n" + GOOD, 1, "is not JSON"),
        (GOOD + GOOD[:-4] + "\n" + GOOD, 2, "is not JSON"),
        (GOOD[:-4] + "\n" + GOOD, 1, "is not JSON"),
        (GOOD + "\n\n" + GOOD[:10], 4, "is not JSON"),
        (GOOD + "[" * 100_000 + "\n", 2, "nested too deeply"),
        ("[" * 100_000, None, "nested too deeply"),
        (GOOD + '"text"\n', 2, "is not a JSON object but a string"),
        (GOOD + "[1]\n", 2, "is not a JSON object but a list"),
        (GOOD + "null\n", 2, "is not a JSON object but null"),
        ('"text"', None, "row 1 is not a JSON object"),
        ("[\n" + GOOD + ",\n  7]", 4, "is not a JSON object but a number"),
        ("[\n" + GOOD + ",\n]", 4, "is not JSON"),
        ("[\n" + GOOD + GOOD + "]", 3, "is not JSON: Expecting ',' or ']'"),
        ("[\n" + GOOD + "]\nmore", 4, "is not JSON: Extra data"),
        ("[\n" + GOOD, 3, "is not JSON"),
        ("[", 1, "is not JSON"),
        ('{\n "raw": "a",\n "b" \n}', 4, "is not JSON"),
        ('{"data": [{"id": "raw"}]}', None, "row 1 has no 'output' or 'outputs'"),
        (GOOD + '{"id": "raw"}\n', 2, "has no 'output' or 'outputs'"),
        (GOOD + '{"output": "a"}\n', 2, "does not say what was asked"),
        (GOOD + '{"id": "nobody", "output": "a"}\n', 2, "has the id 'nobody', which no probe"),
        (GOOD + '{"id": "raw", "prompt": "other", "output": "a"}\n', 2, "of a probe that asks something else"),
        (GOOD + '{"id": true, "output": "a"}\n', 2, "'id' must be a string"),
        (GOOD + '{"id": [], "output": "a"}\n', 2, "'id' must be a string"),
        (GOOD + '{"prompt": 7, "output": "a"}\n', 2, "'prompt' must be a string"),
        (GOOD + '{"instruction": {}, "output": "a"}\n', 2, "'instruction' must be a string"),
        (GOOD + '{"instruction": "x", "input": 5, "output": "a"}\n', 2, "'input' must be a string"),
        (GOOD + '{"messages": [], "output": "a"}\n', 2, "'messages' must be a list"),
        (GOOD + '{"messages": [{"role": "user"}], "output": "a"}\n', 2, "every message must have"),
        (GOOD + '{"messages": ["hi"], "output": "a"}\n', 2, "every message must have"),
        (GOOD + '{"id": "raw", "output": 5}\n', 2, "'output' must be text or a list of texts, not a number"),
        (GOOD + '{"id": "raw", "outputs": ["a", [1]]}\n', 2, "'outputs' must be text or a list of texts, not a list"),
        (GOOD + '{"id": "raw", "output": {"foo": 1}}\n', 2, "'output' must be text"),
        (GOOD + '{"id": "raw", "output": ' + "9" * 5000 + "}\n", 2, "a number is too long"),
        (GOOD.encode() + b'{"id": "raw", "output": "\xff"}\n', 2, "is not UTF-8 text"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, content: str | bytes, line: int | None, message: str) -> None:
    with pytest.raises(BadInput, match=message) as raised:
        run(tmp_path, content)
    assert raised.value.file == str(tmp_path / "outputs.jsonl")
    assert raised.value.line == line


def test_an_id_that_several_probes_have(tmp_path: Path) -> None:
    twin = Suite("twin", (Probe(prompt="another", name="raw"),))
    with pytest.raises(BadInput, match="which 2 probes have"):
        run(tmp_path, GOOD, suites=(SUITE, twin))
    assert texts(run(tmp_path, [{"id": "raw", "prompt": "another", "output": "a"}], suites=(twin,))) == {"raw": ("a",)}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        read_outputs(tmp_path / "none", "gpt", [])
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        read_outputs(tmp_path, "gpt", [])


@pytest.mark.parametrize("name", ["", "  ", "a\nBvc-Root: x", "\x1b[2J", "a\0"])
def test_a_model_name_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a model cannot be called"):
        run(tmp_path, GOOD, model=name)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    try:
        assert run(folder, content).outputs
    except BvcError as error:
        assert str(folder) in error.message
