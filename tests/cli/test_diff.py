"""`bvc diff`: its screens, its options, and when `--exit-code` says 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]


def test_the_page(project: Path, bvc: Call) -> None:
    text = bvc("diff", "v1", "french", "--all")[1]
    for line in ("How far the model moved", "What moved more than that", "Where to look first", "Measured against"):
        assert f"\n{line}\n" in text
    assert "6 of 12 answers are word for word the same" in text
    assert "[-The answer is-]{+La réponse est+}" in text


def test_proposed_commands_repeat_the_question_and_work(project: Path, bvc: Call) -> None:
    text = bvc("diff", "v1..french", "--channel", "text")[1]
    lines = text.split("\nNext\n")[1].splitlines()
    proposed = [line.strip().split("  ")[0] for line in lines if line.startswith("  bvc ")]
    assert any(command == "bvc diff v1..french --channel text --all" for command in proposed)
    for command in proposed:
        code, out, err = bvc(*command.removeprefix("bvc ").split())
        assert (code, err) == (0, ""), command
        assert out


def test_stat(project: Path, bvc: Call) -> None:
    lines = bvc("diff", "v1..french", "--stat", "--all")[1].splitlines()
    assert len(lines) == 13
    assert lines[-1].startswith(" 12 probes: ")


def test_probe(project: Path, bvc: Call) -> None:
    text = bvc("diff", "v1", "french", "--probe", "sum-2")[1]
    assert "What is 2 plus 2?" in text
    assert "Reference" not in text
    document = json.loads(bvc("diff", "v1", "french", "--probe", "sum-2", "--json")[1])
    assert document["detail"] == {"tokens": [], "draws": {"a": [], "b": []}}


@pytest.mark.parametrize("options", [("--stat", "--probe", "x"), ("--stat", "--behavior", "x"),
                                     ("--probe", "x", "--behavior", "x")])  # fmt: skip
def test_screens_exclude_each_other(options: tuple[str, ...], project: Path, bvc: Call) -> None:
    code, out, err = bvc("diff", *options)
    assert (code, out) == (2, "")
    assert err == "error: --stat, --probe and --behavior exclude each other\n"


def test_an_unknown_behavior_is_a_usage_error(project: Path, bvc: Call) -> None:
    code, out, err = bvc("diff", "--behavior", "no-such-behavior")
    assert (code, out) == (2, "")
    assert err.startswith("error: no behavior ")


@pytest.fixture
def asked_often(fresh: Path, bvc: Call) -> Path:
    """Two commits of recorded answers with nine draws each: one probe changed for certain, one stayed."""
    (fresh / "probes" / "starter.jsonl").unlink()
    rows = [{"id": name, "prompt": name} for name in ("moved", "still")]
    (fresh / "probes" / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for version, moved in (("one", "yes"), ("two", "no")):
        answers = [{"prompt": "moved", "outputs": [moved] * 9}, {"prompt": "still", "outputs": ["as ever"] * 9}]
        (fresh / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers), encoding="utf-8")
        assert bvc("commit", "--outputs", "answers.jsonl", "--model", version, "-q")[0] == 0
    return fresh


def test_exit_code_is_about_what_is_shown(asked_often: Path, bvc: Call) -> None:
    assert bvc("diff", "--exit-code")[0] == 1
    assert bvc("diff", "--stat", "--exit-code")[0] == 1
    assert bvc("diff", "--json", "--exit-code")[0] == 1
    assert bvc("diff", "--probe", "moved", "--exit-code")[0] == 1
    assert bvc("diff", "--probe", "still", "--exit-code")[0] == 0
    assert bvc("diff")[0] == 0
    assert bvc("diff", "HEAD", "HEAD", "--exit-code")[0] == 0


def test_draws_are_on_the_probe_page(asked_often: Path, bvc: Call) -> None:
    text = bvc("diff", "--probe", "moved")[1]
    assert "Draws of a  8, 1 distinct\n  - 8 × yes\nDraws of b  8, 1 distinct\n  + 8 × no\n" in text


def test_a_judging_server_is_asked_only_when_its_key_is_set(
    copied: Path, bvc: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in (("method", "endpoint"), ("endpoint", "http://127.0.0.1:9/v1"), ("model", "judge")):
        assert bvc("config", f"substance.{key}", value)[0] == 0
    monkeypatch.delenv("BVC_JUDGE_KEY", raising=False)
    code, _, err = bvc("diff", "v1", "french")
    assert code == 2
    assert "BVC_JUDGE_KEY" in err
    monkeypatch.setenv("BVC_JUDGE_KEY", "secret")
    code, _, err = bvc("diff", "v1", "french")
    assert code == 16  # nobody listens there
    assert "secret" not in err
