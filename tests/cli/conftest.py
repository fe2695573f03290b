"""A small project with a branched history of recorded outputs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bvc.cli.program import run

QUESTIONS = [f"What is {i} plus {i}?" for i in range(12)]


def answers(changed: int) -> list[str]:
    """One answer a question; the first `changed` are in French."""
    french = [f"La réponse est {2 * i}." for i in range(changed)]
    return french + [f"The answer is {2 * i}." for i in range(changed, len(QUESTIONS))]


def write_outputs(path: Path, changed: int) -> Path:
    rows = [{"prompt": q, "output": a} for q, a in zip(QUESTIONS, answers(changed), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """main: three commits, the last a merge of branch `french`; tag v1 on the first."""
    folder = tmp_path_factory.mktemp("project")
    assert run(["-q", "init", str(folder)]) == 0
    (folder / "probes" / "starter.jsonl").unlink()
    suite = [{"id": f"sum-{i}", "prompt": q, "tags": ["arithmetic"]} for i, q in enumerate(QUESTIONS)]
    text = "".join(json.dumps(row) + "\n" for row in suite)
    (folder / "probes" / "sums.jsonl").write_text(text, encoding="utf-8")
    steps = [
        ["commit", "--outputs", str(write_outputs(folder / "base.jsonl", 0)), "--model", "base", "-m", "as it came"],
        ["tag", "v1"],
        ["branch", "french"],
        ["commit", "--outputs", str(write_outputs(folder / "two.jsonl", 2)), "--model", "two", "-m", "two answers"],
        ["switch", "french"],
        ["commit", "--outputs", str(write_outputs(folder / "six.jsonl", 6)), "--model", "six", "-m", "six answers"],
        ["switch", "main"],
        ["commit", "--outputs", str(write_outputs(folder / "all.jsonl", 12)), "--model", "all", "-m", "merged",
         "--parent", "main", "--parent", "french"],
    ]  # fmt: skip
    for step in steps:
        assert run(["-q", "-C", str(folder), *step]) == 0
    return folder


@pytest.fixture
def project(built: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The built project as working folder; for tests that only read, which is checked for its settings and refs."""
    monkeypatch.chdir(built)
    before = _written(built)
    yield built
    assert _written(built) == before, "this test writes to the project that all tests share: it needs `copied`"


@pytest.fixture
def copied(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the built project as working folder, to write to."""
    folder = tmp_path / "copied"
    shutil.copytree(built, folder)
    monkeypatch.chdir(folder)
    return folder


def _written(folder: Path) -> dict[str, bytes]:
    files = [*folder.glob("*.toml"), *(folder / ".bvc" / "refs").rglob("*"), folder / ".bvc" / "HEAD"]
    return {str(file): file.read_bytes() for file in files if file.is_file()}


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project as working folder."""
    monkeypatch.chdir(tmp_path)
    assert run(["-q", "init"]) == 0
    return tmp_path


@pytest.fixture
def bvc(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs one command in this process; gives exit code, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(list(arguments))
        out, err = capsys.readouterr()
        return code, out, err

    return call
