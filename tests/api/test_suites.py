"""The suites of a project."""

from __future__ import annotations

from pathlib import Path

import pytest

import bvc
from bvc.errors import BadInput


def test_a_project_has_the_suites_of_its_probes_folder(tmp_path: Path) -> None:
    bvc.init(tmp_path)
    repo = bvc.open(tmp_path)
    folder = tmp_path / "probes"
    (folder / "starter.jsonl").unlink()
    assert repo.suite_check() == []
    for name in ("b.jsonl", "a.jsonl", ".a.jsonl", "notes.txt"):
        (folder / name).write_text('{"prompt": "Count"}\n', encoding="utf-8")
    assert [suite.name for suite in repo.suites()] == [suite.name for suite in repo.suite_check()] == ["a", "b"]
    (folder / "A.jsonl").write_text('{"prompt": "Count"}\n', encoding="utf-8")
    with pytest.raises(BadInput, match="only in upper and lower case"):
        repo.suite_check()
    assert [suite.name for suite in repo.suite_check(["a"])] == ["a"]
