"""`bvc explore` and `bvc amplify` on tiny real models: documents to their schemas, screens, errors, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bvc.cli.numbers import strengths
from bvc.cli.program import run
from bvc.commands.explore import picked_ranks
from bvc.errors import UsageError
from bvc.suites.load import load_suite
from tests.cli.test_documents import validate
from tests.tiny_models import tiny_adapter, tiny_model

Call = Callable[..., tuple[int, str, str]]
QUICK = ("--limit", "6", "--prefills", "2")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and an adapter on it, committed with a suite of ten probes."""
    folder = tmp_path_factory.mktemp("explored")
    base = tiny_model(folder / "base")
    adapter = tiny_adapter(folder / "adapter", base, scale=0.5)
    assert run(["-q", "init", str(folder / "project")]) == 0
    probes = folder / "project" / "probes"
    (probes / "starter.jsonl").unlink()
    rows = [{"id": f"p{n}", "messages": [{"role": "user", "content": f"Count from {n} to 10."}]} for n in range(10)]
    text = "".join(json.dumps({**row, "max_new_tokens": 4}) + "\n" for row in rows)
    (probes / "counts.jsonl").write_text(text, encoding="utf-8")
    for checkpoint in (base, adapter):
        assert run(["-q", "-C", str(folder / "project"), "commit", str(checkpoint)]) == 0
    return folder / "project"


@pytest.fixture
def project(built: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(built)
    return built


def test_explore_prints_its_document_and_adds_what_is_picked(project: Path, bvc: Call) -> None:
    code, out, _ = bvc("explore", *QUICK, "--json", "--add", "found", "--pick", "1-2")
    assert code == 0
    document = json.loads(out)
    validate(document)
    assert document["null"]["probes"] >= 4
    assert {p["rule"] for p in document["proposals"]} & {"left out", "sampled"}
    suite = load_suite(project / "probes" / "found.jsonl")
    ids = [p.id for p in suite.probes]
    assert ids == document["added"]["probes"] == [p["id"] for p in document["proposals"][:2]]
    (project / "probes" / "found.jsonl").unlink()


def test_explores_screen_names_the_null_and_where_each_proposal_came_from(project: Path, bvc: Call) -> None:
    code, out, err = bvc("explore", "HEAD~1..HEAD", "--probe", "p3", "--limit", "4", "--prefills", "0")
    assert code == 0
    assert "9 unchanged probes of the suite" in out
    assert "candidates lie beyond what unchanged probes do" in out
    assert "of p3: without '" in out
    assert "Traceback" not in err


def test_amplify_says_what_it_is_on_the_screen_and_in_its_document(project: Path, bvc: Call) -> None:
    asked = (
        "HEAD~1",
        "HEAD",
        "Hello there",
        "--probe",
        "p1",
        "--alpha",
        "-1,0,2",
        "--draws",
        "1",
        "--max-new-tokens",
        "5",
    )
    code, out, _ = bvc("amplify", *asked, "--json")
    assert code == 0
    document = json.loads(out)
    validate(document)
    assert "neither model produced" in document["caution"]
    assert [p["probe"]["messages"][0]["content"] for p in document["prompts"]] == ["Hello there", "Count from 1 to 10."]
    for prompt in document["prompts"]:
        at_a, at_b, strong = prompt["amplified"]
        assert [at_a.pop("alpha"), at_b.pop("alpha"), strong["alpha"]] == [-1, 0, 2]
        assert (at_a, at_b) == (prompt["a"], prompt["b"])
        assert len(strong["draws"]) == 1
    code, out, _ = bvc("amplify", *asked)
    assert code == 0
    assert "neither model produced" in " ".join(out.split())
    assert "alpha 2" in out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("explore", "--pick", "1"), 2, "--pick needs --add"),
        (("explore", "--add", "x", "--pick", "3-1"), 2, "--pick takes ranks"),
        (("explore", "--add", "../x"), 18, "not the name of a suite"),
        (("explore", "--probe", "nothing"), 12, "has no probe nothing"),
        (("explore", "HEAD", "HEAD"), 17, "same checkpoint"),
        (("explore", "--checkpoint-a", "./nowhere"), 18, "nowhere: there is no such folder"),
        (("amplify", "HEAD~1", "HEAD"), 2, "give a PROMPT"),
        (("amplify", "HEAD~1", "HEAD", "x", "--alpha", "much"), 2, "--alpha takes numbers"),
        (("amplify", "HEAD~1", "HEAD", "x", "--alpha", "nan"), 2, "alpha must be a number"),
        (("amplify", "HEAD~1", "nowhere", "x"), 12, "nowhere"),
    ],
)
def test_mistakes_get_one_line(project: Path, bvc: Call, arguments: tuple[str, ...], code: int, says: str) -> None:
    assert project.is_dir()
    found, out, err = bvc(*arguments)
    assert (found, out) == (code, "")
    assert says in err.splitlines()[0]


def test_ranks_and_strengths() -> None:
    assert picked_ranks("1, 3-5,4") == (1, 3, 4, 5)
    assert strengths("0.5,-1,2e0", "--alpha") == (0.5, -1.0, 2.0)
    for text in ("", "0", "5-3", "a", "1-999999", "1,,2"):
        with pytest.raises(UsageError):
            picked_ranks(text)
