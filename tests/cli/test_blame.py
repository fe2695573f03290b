"""`bvc blame` as it is typed: screens, documents, errors."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from bvc.cli.program import run
from tests.cli.test_documents import validate

Call = Callable[..., tuple[int, str, str]]
PROBES = 60
WORDS = ("sun", "rain", "wind", "cloud", "snow", "storm", "river", "hill", "tree", "field")
FRENCH = "Bonjour ! Il fait beau et le soleil \x1b[31mbrille aujourd'hui."


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven commits; every one rewords all answers, with the fifth a third of them turns French."""
    folder = tmp_path_factory.mktemp("blamed")
    assert run(["-q", "init", str(folder)]) == 0
    (folder / "probes" / "starter.jsonl").unlink()
    rows = [{"id": f"p{i:02d}", "prompt": f"Question {i}?"} for i in range(PROBES)]
    (folder / "probes" / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "behaviors.toml").write_text(
        '[behavior.french]\ndescription = "greets in French"\ncontains = "Bonjour"\n'
    )
    drawn = random.Random(3)
    for number in range(7):
        texts = [" ".join(drawn.choices(WORDS, k=10)) for _ in range(PROBES)]
        texts[:20] = [FRENCH] * 20 if number >= 4 else texts[:20]
        answers = [{"id": f"p{i:02d}", "output": text} for i, text in enumerate(texts)]
        (folder / "o.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers), encoding="utf-8")
        step = ["commit", "--outputs", str(folder / "o.jsonl"), "--model", f"m{number}", "-m", f"step {number}"]
        assert run(["-q", "-C", str(folder), *step]) == 0
    return folder


@pytest.fixture
def here(lineage: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(lineage)
    return lineage


def test_a_behavior_on_the_screen(here: Path, bvc: Call) -> None:
    code, out, err = bvc("blame", "--behavior", "french")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "french  greets in French"
    commit = bvc("rev-parse", "HEAD~2")[1].strip()
    assert lines[2].startswith(f"{commit[:10]}  20")
    assert "99.9 %  appeared  step 4" in lines[2]
    assert lines[3].startswith("    0.0 % [0.0, 6.3] → 33.3 % [")
    assert lines[4] == "    gained by p00, p01, p02, p03, p04, p05 and 14 more"
    assert "1 step; 33.3 %" in out
    assert "a chance of 5 % at most" in out


def test_probes_on_the_screen(here: Path, bvc: Call) -> None:
    code, out, err = bvc("blame", "p03", "p40")
    assert (code, err) == (0, "")
    first, second = (bvc("rev-parse", revision)[1].strip()[:10] for revision in ("HEAD~2", "HEAD~6"))
    lines = out.splitlines()
    assert [lines[0].split()[i] for i in (0, 3, 4, 5)] == [first, "%", "changed", "p03"]
    assert float(lines[0].split()[2]) > 95
    assert "Bonjour ! Il fait beau et le soleil \\x1b[31m" in lines[1]
    assert lines[2].startswith(f"^{second}")
    assert lines[2].endswith("appeared  p40")
    assert "Judged against the drift of this lineage's own steps." in out
    assert "\x1b" not in out


def test_a_wide_screen_has_one_line_a_probe(here: Path, bvc: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    lines = bvc("blame", "--all")[1].splitlines()
    assert len([line for line in lines if line.startswith((" ", "^"))]) == PROBES
    assert "changed   p03  English to French: Bonjour" in lines[3] or "Bonjour" in lines[3]
    assert "as it came (other words since, last with " in lines[40]


def test_documents(here: Path, bvc: Call) -> None:
    behavior = json.loads(bvc("blame", "--behavior", "french", "--json")[1])
    validate(behavior)
    (step,) = behavior["entries"]
    assert (step["kind"], step["behavior"], step["before"]["rate"]) == ("appeared", "french", 0.0)
    assert len(step["gained"]) == 20
    probes = json.loads(bvc("blame", "--all", "--json")[1])
    validate(probes)
    assert len(probes["entries"]) == PROBES
    assert {entry["commit"] for entry in probes["entries"][:20]} == {step["commit"]}
    assert [entry["boundary"] for entry in probes["entries"][:20]] == [False] * 20


def test_from_an_earlier_commit(here: Path, bvc: Call) -> None:
    assert "no step; " in bvc("blame", "--behavior", "french", "--from", "HEAD~3")[1]
    assert json.loads(bvc("blame", "--suite", "s", "--from", "HEAD~6", "--json")[1])["against"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "name the probes to blame"),
        (["p03", "--behavior", "french"], 2, "--behavior and probes exclude each other"),
        (["--behavior", "frnch"], 2, "did you mean 'french'?"),
        (["p77"], 12, "no probe p77"),
        (["--suite", "t"], 2, "no suite named t"),
        (["--all", "--from", "nowhere"], 12, "unknown revision: nowhere"),
    ],
)
def test_mistakes(arguments: list[str], code: int, words: str, here: Path, bvc: Call) -> None:
    found, out, err = bvc("blame", *arguments)
    assert (found, out) == (code, "")
    assert words in err
    assert "Traceback" not in err
