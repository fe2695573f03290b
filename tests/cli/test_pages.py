"""The pages of `docs/cli/` say what the commands' help says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
GENERATOR = TOP / "docs" / "generate_cli.py"


def generate(script: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(script), *arguments], cwd=TOP, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_pages_are_up_to_date() -> None:
    assert generate(GENERATOR, "--check") == (0, "")


def test_check_finds_stale_missing_and_left_over_pages(tmp_path: Path) -> None:
    script = tmp_path / "generate_cli.py"
    script.write_text(GENERATOR.read_text(encoding="utf-8"), encoding="utf-8")
    assert generate(script)[0] == 0
    assert generate(script, "--check") == (0, "")
    pages = tmp_path / "cli"
    (pages / "log.md").write_text("old", encoding="utf-8")
    (pages / "show.md").unlink()
    (pages / "gone.md").write_text("left over", encoding="utf-8")
    code, told = generate(script, "--check")
    assert code == 1
    assert told.startswith("out of date: log.md, show.md, gone.md;")
    assert generate(script)[0] == 0
    assert sorted(p.name for p in pages.glob("*.md")) == sorted(p.name for p in (TOP / "docs" / "cli").glob("*.md"))
