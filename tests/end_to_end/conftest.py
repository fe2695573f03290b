"""The real command line as a process, on real projects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import bvc
from tests.tiny_models import tiny_model

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "BVC_AUTHOR": "Ada <ada@example.org>"}


@dataclass(frozen=True)
class Done:
    """What a process did: exit code, standard output, and the lines of standard error."""

    code: int
    out: str
    err: list[str]


class Shell:
    """A project and the `bvc` command in it."""

    def __init__(self, folder: Path, probes: int = 4) -> None:
        bvc.init(folder)
        self.folder = folder
        (folder / "probes" / "starter.jsonl").unlink()
        self.write("probes/sums.jsonl", "".join(f'{{"id": "s{n}", "prompt": "Count {n}"}}\n' for n in range(probes)))
        rows = [{"prompt": f"Count {n}", "output": f"{n}!"} for n in range(probes)]
        self.write("answers.json", json.dumps(rows))

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """The command, running."""
        command = [sys.executable, "-m", "bvc", *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=self.folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str | Path) -> Done:
        """The command, to its end."""
        process = self.start(*arguments)
        out, err = process.communicate()
        return Done(process.returncode, out, err.splitlines())

    def refuse(self, code: int, *arguments: str | Path) -> str:
        """The one error line of a command that has to fail with `code` and a hint or none, and lose nothing."""
        done = self.run(*arguments)
        assert done.code == code, done
        assert [line.split(": ")[0] for line in done.err] in (["error"], ["error", "hint"]), done.err
        assert done.out == ""
        return "\n".join(done.err)

    def sound(self) -> None:
        """Everything stored is right, and the next commit works."""
        with bvc.open(self.folder) as repo:
            assert repo.fsck().ok
            tips = {entry.commit for entry in repo.branches()}
            repo.commit(outputs=self.folder / "answers.json", model="next")
            assert tips <= {entry.commit.id for entry in repo.log(list(tips | {"HEAD"}))}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A fresh project, which has to be sound at the end."""
    made = Shell(tmp_path / "project")
    yield made
    made.sound()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real model; never changed."""
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")
