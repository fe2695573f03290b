"""`bvc identify` in the terminal: answers, exit codes, the document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.cli.conftest import QUESTIONS, answers, write_outputs
from tests.cli.test_documents import validate

Call = Callable[..., tuple[int, str, str]]


def test_answers_of_a_recorded_model_among_two(project: Path, tmp_path: Path, bvc: Call) -> None:
    path = str(write_outputs(tmp_path / "unknown.jsonl", 12))
    code, out, err = bvc("identify", "--outputs", path, "--against", "HEAD")
    assert (code, err) == (0, "")
    assert out.startswith("unknown is ") and "“merged” (probability 0.9" in out
    assert "by its answers to 12 probes, against 1 recorded model\n" in out
    assert "none of these" in out and "nearest" not in out


def test_what_does_not_decide_is_said_and_leaves_with_three(project: Path, tmp_path: Path, bvc: Call) -> None:
    path = str(write_outputs(tmp_path / "unknown.jsonl", 9))
    code, out, _ = bvc("identify", "--outputs", path)
    assert code == 3
    assert out.startswith("unknown cannot be told: ") and "nearest: " in out
    code, out, _ = bvc("identify", "--outputs", path, "--json")
    assert code == 3
    found = json.loads(out)
    validate(found)
    assert (found["answer"], found["commits"], found["method"]) == ("undecided", [], "outputs")
    assert sum(c["probability"] for c in found["candidates"]) + found["none"] == pytest.approx(1)


def test_the_document_of_an_answer(project: Path, tmp_path: Path, bvc: Call) -> None:
    path = str(write_outputs(tmp_path / "unknown.jsonl", 12))
    code, out, _ = bvc("identify", "--outputs", path, "--against", "v1..HEAD", "--confidence", "0.6", "--json")
    assert code == 0
    found = json.loads(out)
    validate(found)
    assert found["answer"] == "same" and found["candidates"][0]["equal"] == 1.0
    assert found["candidates"][0]["commit"] == found["commits"][0] == found["nearest"]["commit"]


def with_draws(path: Path, word: str, seed: int, answers: int) -> str:
    """Sampled answers: words about `word`, in an order of chance."""
    random = Random(seed)
    rows = [
        {
            "prompt": q,
            "outputs": [" ".join(random.choices(["the", "sum", word, str(2 * n)], k=9)) for _ in range(answers)],
        }
        for n, q in enumerate(QUESTIONS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_sampled_answers(copied: Path, tmp_path: Path, bvc: Call) -> None:
    mine = with_draws(tmp_path / "mine.jsonl", "is", 1, 6)
    code, _, err = bvc("identify", "--outputs", mine, "--sampled")
    assert code == 17 and "no recorded commit has draws" in err and "--more-draws" in err
    for name, word in (("red", "is"), ("blue", "makes")):
        drawn = with_draws(tmp_path / f"{name}.jsonl", word, 2, 9)
        assert bvc("commit", "--outputs", drawn, "--model", name, "-m", f"draws {name}")[0] == 0
    code, out, _ = bvc("identify", "--outputs", mine, "--sampled")
    assert code == 3 and out.startswith("mine cannot be told: ") and "“draws red” with probability 0." in out
    assert "by its sampled answers to 12 probes, against 2 recorded models\n" in out
    assert " of spread" in out and "by the wording of sampled answers" in " ".join(out.split())
    assert "4 recorded models have no draws of these probes" in " ".join(out.split())
    code, out, _ = bvc("identify", "--outputs", mine, "--sampled", "--confidence", "0.51", "--json")
    assert code == 0
    found = json.loads(out)
    validate(found)
    assert (found["answer"], found["candidates"][0]["channel"], found["nearest"]["by"]) == ("same", "draws", "draws")
    code, _, err = bvc("identify", "models/none", "--sampled")
    assert code == 2 and "--outputs FILE" in err


def test_hostile_names_and_subjects_are_spelled_out(copied: Path, tmp_path: Path, bvc: Call) -> None:
    outputs = str(write_outputs(tmp_path / "evil\x1b[31m.jsonl", 12))
    assert bvc("commit", "--outputs", outputs, "--model", "m", "-m", "subject \x1b[2J")[0] == 0
    _, out, _ = bvc("identify", "--outputs", outputs)
    assert "\x1b" not in out and "\\x1b[2J" in out and out.startswith("evil\\x1b[31m ")


def test_errors_name_what_is_wrong(project: Path, tmp_path: Path, bvc: Call) -> None:
    code, _, err = bvc("identify")
    assert code == 2 and "--outputs FILE" in err
    strange = tmp_path / "strange.jsonl"
    strange.write_text('{"prompt": "Who?", "output": "me"}\n')
    code, _, err = bvc("identify", "--outputs", str(strange))
    assert code == 17 and "asks what a recorded probe asks" in err and "hint: " in err
    strange.write_text("".join(f'{{"prompt": {json.dumps(question)}}}\n' for question in QUESTIONS[:2]))
    code, _, err = bvc("identify", "--outputs", str(strange))
    assert code == 18 and "strange.jsonl:1:" in err
    assert bvc("identify", "--outputs", str(strange), "--against", "nowhere")[0] == 12
    assert bvc("identify", "--outputs", str(strange), "--confidence", "1")[0] == 2


def test_a_project_without_commits(fresh: Path, tmp_path: Path, bvc: Call) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"prompt": QUESTIONS[0], "output": answers(0)[0]}))
    assert bvc("init")[0] == 0
    code, _, err = bvc("identify", "--outputs", "a.jsonl")
    assert code == 17 and "no model is recorded here" in err
