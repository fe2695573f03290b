"""Commands that look at history load neither the model stack nor numpy, and help loads no command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bvc.cli.program import run
from tests.api.doubles import Project

HEAVY = ["numpy", "torch", "transformers", "peft", "backports.zstd", "tomlkit", "jsonschema", "dulwich.object_store"]
WRAPPER = """
import json, sys
from bvc.cli.program import run
code = run(sys.argv[2:])
sys.stderr.write(json.dumps({"code": code, "loaded": sorted(set(json.loads(sys.argv[1])) & set(sys.modules))}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("light")
    assert run(["-q", "init", str(folder)]) == 0
    (folder / "probes" / "starter.jsonl").write_text('{"id": "p", "prompt": "Hello"}\n', encoding="utf-8")
    for answer in ("Hi.", "Salut."):
        (folder / "o.jsonl").write_text(json.dumps({"id": "p", "output": answer}) + "\n", encoding="utf-8")
        assert run(["-q", "-C", str(folder), "commit", "--outputs", "o.jsonl", "--model", answer]) == 0
    return folder


def loaded(folder: Path, modules: list[str], *arguments: str) -> list[str]:
    """Which of `modules` a command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", WRAPPER, json.dumps(modules), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stderr[done.stderr.rindex("{") :])
    assert told["code"] == 0, done.stderr
    found: list[str] = told["loaded"]
    return found


@pytest.mark.parametrize(
    "command",
    [
        "log", "log --json", "log --graph --stat", "log --oneline -n 20", "show", "show --json", "status", "branch",
        "branch -v", "tag", "reflog", "rev-parse HEAD~1", "merge-base HEAD HEAD~1", "suite ls", "suite show starter",
        "config", "version --json", "completion bash", "--help", "cat-file HEAD:snapshot.json", "tag v1", "switch -c b",
    ],
)  # fmt: skip
def test_light_commands_stay_light(command: str, project: Path) -> None:
    assert loaded(project, HEAVY, *command.split()) == []


def test_a_log_that_knows_its_shifts_loads_no_numpy(tmp_path: Path) -> None:
    made = Project(tmp_path / "states", probes=6)
    for name in ("one", "two", "three"):
        made.commit(name)
    made.repo.close()
    assert loaded(made.folder, HEAVY, "log") == []
    assert "numpy" in loaded(made.folder, HEAVY, "log", "--stat")
    for form in (["log", "--stat"], ["log", "--stat", "--json"], ["log", "--stat", "--oneline", "--graph"]):
        assert loaded(made.folder, HEAVY, *form) == []


def test_the_test_can_see_a_heavy_module(project: Path) -> None:
    assert loaded(project, ["bvc.compare.diff", *HEAVY], "diff")


def test_help_imports_no_command(project: Path) -> None:
    commands = [f"bvc.commands.{p.stem}" for p in (Path(__file__).parents[1] / "bvc/commands").glob("[a-z]*.py")]
    assert len(commands) > 15
    assert loaded(project, [*commands, "bvc.api.handle", "bvc.store.store"], "--help") == []
    assert loaded(project, commands, "log", "--oneline") == ["bvc.commands.log"]


def test_a_bisect_of_stored_captures_loads_no_model(tmp_path: Path) -> None:
    assert run(["-q", "init", str(tmp_path)]) == 0
    rows = [{"id": f"p{n}", "prompt": f"Hello {n}"} for n in range(6)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "probes" / "starter.jsonl").write_text(text, encoding="utf-8")
    for answer in ("Hi.", "Hi.", "Salut.", "Salut."):
        (tmp_path / "o.jsonl").write_text("".join(json.dumps({**r, "output": answer}) + "\n" for r in rows))
        assert run(["-q", "-C", str(tmp_path), "commit", "--outputs", "o.jsonl", "--model", answer]) == 0
    ends, judge = ["--good", "HEAD~3", "--bad", "HEAD"], ["--expr", 'contains = "Salut"']
    stack = ["torch", "transformers", "peft", "tokenizers", "safetensors"]
    assert loaded(tmp_path, [*stack, "numpy"], "bisect", "run", *ends, *judge) == ["numpy"]
    for verb in ("log", "terms", "reset"):
        assert loaded(tmp_path, HEAVY, "bisect", verb) == [], verb
