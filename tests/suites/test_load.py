"""Suite files: what is accepted, every mistake with file and line, and writing that reading gives back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.config import is_suite_name
from bvc.errors import BadInput, BvcError
from bvc.records import Message, Probe, Suite
from bvc.suites.load import load_suite, parse_suite, suite_bytes, suite_name, write_suite

GOOD = {"messages": [{"role": "user", "content": "Hi"}]}


def asked(**fields: Any) -> str:
    return json.dumps({**GOOD, **fields})


def test_all_fields_are_read_in_order() -> None:
    full = {
        "id": "greet/hi",
        "tags": ["family:greet", "answer:hello"],
        "cluster": "greet",
        "messages": [{"role": "system", "content": ""}, {"role": "user", "content": "Hi\n☃"}],
        "reference": " Hello.",
        "max_new_tokens": 5,
    }
    lines = [json.dumps({"prompt": "Once"}), "", "  ", json.dumps(full)]
    first, second = parse_suite("\r\n".join(lines).encode(), file="x")
    assert first == Probe(prompt="Once")
    assert second == Probe(
        messages=(Message("system", ""), Message("user", "Hi\n☃")),
        name="greet/hi",
        tags=("family:greet", "answer:hello"),
        cluster="greet",
        reference=" Hello.",
        max_new_tokens=5,
    )


def test_null_means_absent_and_a_byte_order_mark_is_skipped() -> None:
    (probe,) = parse_suite(b"\xef\xbb\xbf" + asked(prompt=None, tags=None, id=None).encode(), file="x")
    assert probe == Probe(messages=(Message("user", "Hi"),))


def test_a_line_of_a_megabyte_and_line_separators_inside_text_are_fine() -> None:
    text = "word\u2028 \x85" * 200_000
    (probe,) = parse_suite(json.dumps({"prompt": text}, ensure_ascii=False).encode(), file="x")
    assert probe.prompt == text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "is not JSON: Expecting property name"),
        ("hello", "is not JSON"),
        ('{"prompt": "a"} {"prompt": "b"}', "is not JSON: Extra data at column 17"),
        ('{"prompt": "a", "max_new_tokens": NaN}', "NaN is no JSON number"),
        ("[" * 100_000, "nested too deeply"),
        ('{"prompt": "a", "max_new_tokens": ' + "9" * 5000 + "}", "is not JSON"),
        ('["a"]', "is not a JSON object but a list"),
        ('"a"', "is not a JSON object but a string"),
        ("null", "is not a JSON object but null"),
        ("{}", "has no input"),
        ('{"id": "a"}', "has no input"),
        ('{"prompt": null}', "has no input"),
        (asked(prompt="x"), "has both 'messages' and 'prompt'"),
        ('{"prompt": "a", "prompt": "b"}', "has the key 'prompt' twice"),
        ('{"messages": [{"role": "user", "role": "user", "content": "a"}]}', "has the key 'role' twice"),
        ('{"prompt": 3}', "'prompt' must be a string, not a number"),
        ('{"prompt": " \\n"}', "'prompt' is empty"),
        ('{"prompt": "a\\u0000b"}', "'prompt' has a NUL character"),
        ('{"prompt": "\\ud83d"}', "half of a surrogate pair"),
        ('{"messages": "Hi"}', "'messages' must be a list, not a string"),
        ('{"messages": []}', "'messages' is empty"),
        ('{"messages": ["Hi"]}', "message 1 must be an object with 'role' and 'content', not a string"),
        ('{"messages": [{"role": "user"}]}', "message 1 has no 'content'"),
        ('{"messages": [{"content": "Hi"}]}', "message 1 has no 'role'"),
        ('{"messages": [{"role": 1, "content": "Hi"}]}', "the role of message 1 must be a string"),
        ('{"messages": [{"role": "usr", "content": "Hi"}]}', "message 1 has the unknown role 'usr'"),
        (
            '{"messages": [{"role": "user", "content": ["Hi"]}]}',
            "the content of message 1 must be a string, not a list",
        ),
        ('{"messages": [{"role": "user", "content": "Hi", "name": "A"}]}', "message 1 has the unknown field 'name'"),
        ('{"messages": [{"role": "user", "content": " "}]}', "the last message is empty"),
        ('{"messages": [{"role": "assistant", "content": "Hi"}]}', "the last message is the assistant's"),
        (asked(tags="a"), "'tags' must be a list of strings, not a string"),
        (asked(tags=[1]), "a tag must be a string, not a number"),
        (asked(tags=["a", "b", "a"]), "has the tag 'a' twice"),
        (asked(tags=[""]), "a tag is empty"),
        (asked(id=7), "'id' must be a string, not a number"),
        (asked(id=" a"), "'id' is empty or has spaces around it"),
        (asked(id="a\x1b[31m"), "'id' has control characters: 'a\\x1b[31m'"),
        (asked(id="a" * 201), "'id' is longer than 200 characters"),
        (asked(cluster=["a"]), "'cluster' must be a string, not a list"),
        (asked(reference=""), "'reference' is empty"),
        (asked(reference=5), "'reference' must be a string"),
        (asked(max_new_tokens=0), "'max_new_tokens' must be a whole number from 1 to 32768, not 0"),
        (asked(max_new_tokens=True), "'max_new_tokens' must be a whole number"),
        (asked(max_new_tokens=4.0), "'max_new_tokens' must be a whole number"),
        (asked(max_new_tokens="4"), "'max_new_tokens' must be a whole number"),
        (asked(refrence="x"), "unknown field 'refrence'"),
    ],
)
def test_mistakes_are_named_with_their_line(line: str, words: str) -> None:
    data = b'{"prompt": "first"}\n\n' + line.encode() + b'\n{"prompt": "last"}\n'
    with pytest.raises(BadInput) as caught:
        parse_suite(data, file="probes/x.jsonl")
    assert caught.value.message.startswith("probes/x.jsonl:3: ")
    assert words in caught.value.message
    assert caught.value.message.isprintable()
    assert (caught.value.file, caught.value.line) == ("probes/x.jsonl", 3)


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("refrence", "did you mean 'reference'?"),
        ("question", "`bvc suite import FILE` converts"),
        ("zzz", "fields are:"),
    ],
)
def test_unknown_fields_get_a_suggestion(field: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_suite(asked(**{field: "x"}).encode(), file="x")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"prompt": "a\xff"}', "is not UTF-8 (byte 14 of the line)"),
        (b'{"prompt": "a\0"}', "has a NUL byte"),
        ('{"prompt": "a"}'.encode("utf-16"), "is UTF-16 text"),
        ('{"prompt": "a"}'.encode("utf-16-le"), "has a NUL byte"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not UTF-8"),
    ],
)
def test_bytes_that_are_no_text_are_named(data: bytes, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_suite(data, file="x")
    assert words in caught.value.message
    assert caught.value.line == 1


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_a_file_without_probes_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="x: holds no probes"):
        parse_suite(data, file="x")


def test_the_same_id_or_the_same_question_twice_is_refused_with_both_lines() -> None:
    same_id = '{"prompt": "a", "id": "x"}\n\n{"prompt": "b", "id": "x"}'
    with pytest.raises(BadInput, match=r"f:3: has the id 'x' of line 1"):
        parse_suite(same_id.encode(), file="f")
    same_question = '{"prompt": "a", "id": "x"}\n{"prompt": "b"}\n{"prompt": "a", "tags": ["t"]}'
    with pytest.raises(BadInput, match=r"f:3: asks the same as line 1"):
        parse_suite(same_question.encode(), file="f")
    other_length = '{"prompt": "a"}\n{"prompt": "a", "max_new_tokens": 9}'
    assert len(parse_suite(other_length.encode(), file="f")) == 2


def test_further_problems_are_counted() -> None:
    with pytest.raises(BadInput) as caught:
        parse_suite(b'{"prompt": "a"}\n{}\n[]\nx\n1\n2\n', file="f")
    assert caught.value.message == "f:2: has no input (and 4 more problems, lines 3, 4, 5, …)"
    with pytest.raises(BadInput, match=r"has no input \(and 1 more problem, line 3\)$"):
        parse_suite(b'{"prompt": "a"}\n{}\n[]\n', file="f")


def test_a_suite_is_named_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "my-suite.v2.jsonl"
    path.write_text(asked(), encoding="utf-8")
    assert load_suite(path).name == "my-suite.v2"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("my suite.jsonl", "my-suite.jsonl"),
        ("-x.jsonl", "x.jsonl"),
        ("é.jsonl", "imported.jsonl"),
        ("a..jsonl", "a.jsonl"),
    ],
)
def test_names_that_are_unsafe_in_a_tree_are_refused(tmp_path: Path, name: str, suggestion: str) -> None:
    path = tmp_path / name
    path.write_text(asked(), encoding="utf-8")
    with pytest.raises(BadInput, match="cannot be the name of a suite") as caught:
        load_suite(path)
    assert caught.value.hint == f"rename it, for example to {suggestion}"


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".git", "a/b", "a\\b", "a\nb", "a b", "a.", "x" * 101, "ａ", "a:b", "~"]
)
def test_unsafe_names(name: str) -> None:
    assert not is_suite_name(name)


@given(st.text(max_size=150))
def test_a_name_made_from_any_text_is_safe(text: str) -> None:
    assert is_suite_name(suite_name(text))


def test_files_that_cannot_be_read_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        load_suite(tmp_path / "none.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(BadInput, match="is not a regular file"):
        load_suite(tmp_path / "folder.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(BadInput, match="is not a regular file"):
        load_suite(tmp_path / "pipe.jsonl")
    with pytest.raises(BadInput, match=r"does not end in \.jsonl"):
        load_suite(tmp_path / "x.json")


def test_writing_replaces_in_one_step_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o640)
    suite = Suite("s", (Probe(prompt="a"),))
    write_suite(path, suite)
    assert load_suite(path) == suite
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.jsonl"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_writing_what_could_not_be_read_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text("old", encoding="utf-8")
    for probes in (
        (),
        (Probe(prompt="a"), Probe(prompt="a")),
        (Probe(prompt="\ud800"),),
        (Probe(prompt="a", name=""),),
    ):
        with pytest.raises(BadInput):
            write_suite(path, Suite("s", probes))
    with pytest.raises(BvcError, match="cannot write"):
        write_suite(tmp_path / "none" / "s.jsonl", Suite("s", (Probe(prompt="a"),)))
    assert path.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.jsonl"]


def test_a_link_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    target = tmp_path / "outside.txt"
    target.write_text("precious", encoding="utf-8")
    link = tmp_path / "s.jsonl"
    link.symlink_to(target)
    write_suite(link, Suite("s", (Probe(prompt="a"),)))
    assert target.read_text(encoding="utf-8") == "precious"
    assert not link.is_symlink()


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
ASKED = TEXT.filter(lambda text: bool(text.strip()))
LABEL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda text: text == text.strip()
)
MESSAGES = st.tuples(
    st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), TEXT), max_size=3),
    st.builds(Message, st.just("user"), ASKED),
).map(lambda parts: (*parts[0], parts[1]))
SETTINGS = {
    "name": st.none() | LABEL,
    "tags": st.lists(LABEL, unique=True, max_size=3).map(tuple),
    "reference": st.none() | TEXT.filter(bool),
    "max_new_tokens": st.none() | st.integers(1, 32768),
    "cluster": st.none() | LABEL,
}
PROBES = st.builds(Probe, messages=MESSAGES, **SETTINGS) | st.builds(Probe, prompt=ASKED, **SETTINGS)


@given(st.lists(PROBES, min_size=1, max_size=5, unique_by=(lambda p: p.id, lambda p: p.name or p.id)))
def test_any_probes_survive_writing_and_reading(probes: list[Probe]) -> None:
    content = suite_bytes(probes)
    assert parse_suite(content, file="x") == tuple(probes)
    assert suite_bytes(parse_suite(content, file="x")) == content
    assert len(content.decode("utf-8").splitlines()) == len(probes)


@given(
    st.binary(max_size=80)
    | st.recursive(
        st.none() | st.text(max_size=3) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["messages", "prompt", "role", "content", "tags", "id"]), inner, max_size=4
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_content_is_probes_or_one_printable_error(data: bytes) -> None:
    try:
        assert parse_suite(data, file="x")
    except BadInput as error:
        assert error.message.startswith("x:")
        assert error.message.isprintable()
