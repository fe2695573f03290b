"""Every `--json` output against its schema in `docs/schemas/`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bvc.render.diff_document import diff_document
from bvc.render.documents import fsck_document, log_document, show_document, status_document
from bvc.results import FsckResult, LogEntry, Overall, Problem, StatusResult, SuiteChange, Verdict
from tests.cli.conftest import write_outputs
from tests.render.samples import HOSTILE, commit, diff, history, probe_diff, shown

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
Call = Callable[..., tuple[int, str, str]]


def validate(document: Any) -> None:
    name = document["schema"].removeprefix("bvc.").removesuffix("/1")
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document)
    json.dumps(document, allow_nan=False)


COMMANDS = {
    "log": ["log"],
    "log --stat": ["log", "--stat", "main", "french"],
    "show": ["show"],
    "show --probe": ["show", "--probe", "sum-3"],
    "diff": ["diff"],
    "diff --probe": ["diff", "v1", "main", "--probe", "sum-3"],
    "diff --channel": ["diff", "v1", "main", "--channel", "text"],
    "status": ["status"],
    "version": ["version"],
    "branch": ["branch"],
    "tag": ["tag"],
    "reflog": ["reflog"],
    "suite ls": ["suite", "ls"],
    "suite show": ["suite", "show", "sums"],
    "suite check": ["suite", "check"],
    "rev-parse": ["rev-parse", "HEAD", "v1"],
    "merge-base": ["merge-base", "main", "french"],
    "cat-file": ["cat-file", "HEAD:snapshot.json"],
    "cat-file of a tree": ["cat-file", "HEAD:probes"],
    "config": ["config"],
    "config KEY": ["config", "recipe.draws"],
    "fsck": ["fsck"],
    "noise show": ["noise", "show"],
    "behavior ls": ["behavior", "ls"],
    "behavior test": ["behavior", "test", "other-language"],
    "log --behavior": ["log", "--behavior", "other-language"],
    "blame": ["blame", "sum-3", "sum-11"],
    "blame --behavior": ["blame", "--behavior", "other-language"],
    "log -S": ["log", "-S", "réponse"],
    "log --probe": ["log", "--probe", "sum-3", "--stat"],
    "grep": ["grep", "answer"],
    "grep --count": ["grep", "--count", "réponse", "v1..main"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_reading_commands(name: str, project: Path, bvc: Call) -> None:
    code, out, err = bvc(*COMMANDS[name], "--json")
    assert (code, err) == (0, "")
    validate(json.loads(out))


def test_writing_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bvc: Call) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = bvc("init", "--json")
    assert code == 0
    validate(json.loads(out))
    (tmp_path / "more.csv").write_text("prompt\nOne?\nTwo?\n", encoding="utf-8")
    code, out, _ = bvc("suite", "import", "more.csv", "--json")
    assert code == 0
    validate(json.loads(out))
    write_outputs(tmp_path / "answers.jsonl", 3)
    (tmp_path / "probes" / "starter.jsonl").unlink()
    rows = [{"prompt": "One?", "output": "1"}, {"prompt": "Two?", "output": "2"}]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    code, out, _ = bvc("commit", "--outputs", "answers.jsonl", "--model", "m", "--json")
    assert code == 0
    made = json.loads(out)
    validate(made)
    assert made["captured"] == 2
    assert made["parents"] == []


def test_documents_of_a_bisect(copied: Path, bvc: Call) -> None:
    for arguments in (["start", "main", "v1"], ["view"], ["skip", "french"], ["undo"]):
        code, out, _ = bvc("bisect", *arguments, "--json")
        assert code == 0
        validate(json.loads(out))


def test_what_the_documents_say(project: Path, bvc: Call) -> None:
    log = json.loads(bvc("log", "--json")[1])["commits"]
    assert log[0]["subject"] == "merged"
    assert log[-1]["subject"] == "as it came"
    assert log[0]["refs"] == ["HEAD -> main"]
    assert len(log[0]["parents"]) == 2
    assert log[0]["probes"] == 12
    assert log[0]["capability"] == "text"
    assert log[0]["model"]["name"] == "all"
    assert log[0]["model"]["location"].endswith("all.jsonl")
    difference = json.loads(bvc("diff", "v1", "french", "--json")[1])
    assert difference["summary"]["identical_text"] == 6
    assert [p["rank"] for p in difference["probes"]] == list(range(1, 13))
    changed = {p["name"]: p["text"] for p in difference["probes"] if p["text"]["first_difference"] is not None}
    assert set(changed) == {f"sum-{i}" for i in range(6)}
    assert changed["sum-2"] == {"a": "The answer is 4.", "b": "La réponse est 4.", "first_difference": 0}
    one = json.loads(bvc("diff", "v1", "main", "--probe", "sum-3", "--json")[1])
    assert [p["name"] for p in one["probes"]] == ["sum-3"]
    view = json.loads(bvc("show", "main:probe/sum-3", "--json")[1])["probe"]
    assert view["outputs"]["greedy"]["text"] == "La réponse est 6."
    base = json.loads(bvc("merge-base", "main~1", "french", "--json")[1])["ids"]
    assert base == [log[-1]["commit"]]


def test_documents_of_rich_results() -> None:
    result = diff()
    validate(diff_document(result))
    validate(diff_document(result, [result.probes[3]]))
    validate(log_document(history()))
    validate(show_document(shown()))
    validate(show_document(shown(with_probe=True)))
    state = StatusResult(None, None, (SuiteChange("a", "invalid", 0, 0),), False, ("/x",), (("m", 3),))
    validate(status_document(state))
    validate(fsck_document(FsckResult(False, {"blobs": 3}, (Problem("corrupt", "x", "y"),))))


def test_numbers_that_json_lacks_become_null() -> None:
    odd = replace(probe_diff(1, Verdict.CHANGED, score=float("inf")), q_value=float("nan"))
    result = replace(diff(1, 0, 0), probes=(odd,), overall=Overall(None, Verdict.CHANGED, float("inf")))
    result = replace(result, null={"N0": {"text": {"band": float("inf")}}})
    document = diff_document(result)
    validate(document)
    assert document["probes"][0]["score"] is None
    assert document["null"]["N0"]["text"]["band"] is None


def test_commits_without_snapshot() -> None:
    bare = replace(commit(1), snapshot=None, trailers={})
    document = log_document([LogEntry(bare)])
    validate(document)
    assert document["commits"][0]["model"] is None


def test_json_is_ascii(project: Path, bvc: Call) -> None:
    assert bvc("diff", "v1", "main", "--json")[1].isascii()


def test_schemas_refuse_what_is_wrong() -> None:
    document = diff_document(diff())
    document["probes"][0]["verdict"] = HOSTILE
    with pytest.raises(Exception, match="is not one of"):
        validate(document)
    document = log_document(history())
    del document["commits"][0]["parents"]
    with pytest.raises(Exception, match="'parents' is a required property"):
        validate(document)


def test_every_schema_belongs_to_a_document() -> None:
    package = Path(__file__).resolve().parents[2] / "bvc"
    sources = [p.read_text(encoding="utf-8") for part in ("render", "commands") for p in (package / part).glob("*.py")]
    assert [p.stem for p in SCHEMAS.glob("*.json") if not any(f"bvc.{p.stem}/1" in text for text in sources)] == []
