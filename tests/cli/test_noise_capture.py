"""`bvc capture` and `bvc noise` from the command line, on a tiny real model and on recorded outputs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bvc.cli.program import run
from bvc.errors import ExitCode
from tests.cli.test_documents import validate
from tests.tiny_models import tiny_model

Call = Callable[..., tuple[int, str, str]]
TOML = "[recipe]\nmax_new_tokens = 6\nbatch_rows = 4\ndraws = 1\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two tiny models, the second committed without capture."""
    from bvc.capture.load import forget_models

    monkeypatch.chdir(tmp_path)
    assert run(["-q", "init"]) == 0
    (tmp_path / "bvc.toml").write_text(TOML)
    (tmp_path / "probes" / "starter.jsonl").unlink()
    rows = [{"id": f"s{n}", "prompt": f"Count {n}"} for n in range(4)]
    (tmp_path / "probes" / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, seed, options in (("one", 1, []), ("two", 2, ["--no-capture"]), ("three", 3, ["--no-capture"])):
        tiny_model(tmp_path / "models" / name, seed=seed)
        assert run(["-q", "commit", f"models/{name}", *options]) == 0
    yield tmp_path
    forget_models()


def test_capture_and_learn(project: Path, bvc: Call) -> None:
    code, out, err = bvc("capture", "HEAD~1", "HEAD", "--json")
    assert code == 0
    made = json.loads(out)
    validate(made)
    assert [(c["captured"], c["drawn"], c["draws"]) for c in made["commits"]] == [(4, 0, 1), (4, 0, 1)]
    assert [c["capability"] for c in json.loads(bvc("log", "--json")[1])["commits"]] == ["activations"] * 3
    code, out, err = bvc("capture", "HEAD", "--more-draws", "2")
    assert code == 0 and "loading the model" not in out
    first, second, third = out.splitlines()
    assert first.startswith("commit ") and "three (checkpoint)" in first
    assert second == (
        "  0 probes captured, 4 at hand, 8 draws added; now 4 probes, 3 draws each, text, log-probs, activations"
    )
    assert third.startswith("attached in ")
    code, out, err = bvc("capture", "HEAD")
    assert (code, out.splitlines()[1]) == (0, "  nothing is missing")
    assert "note: nothing is missing" in err
    code, out, _ = bvc("noise", "learn", "--benign", "HEAD~2..HEAD~1", "--json")
    assert code == 0
    learned = json.loads(out)
    validate(learned)
    assert learned["nulls"].keys() == {"N0", "N1", "steps"}
    assert [(p["level"], p["used"], p["problem"]) for p in learned["pairs"]] == [("N1", True, None)]
    code, out, err = bvc("noise", "show")
    assert (code, err) == (0, "")
    assert "N1  benign updates that you trust" in out and "Trusted pairs" in out and "Steps of the lineage" in out
    rows = [line.split() for line in out.splitlines() if line.startswith("  logprob")]
    assert [row[-5:] for row in rows] == [["4", "probes", "of", "1", "pair"]] * 2 + [
        ["8", "probes", "of", "2", "pairs"]
    ]
    assert bvc("noise", "forget", "HEAD~2", "HEAD~1")[0] == 0
    assert "none known" in bvc("noise", "show")[1]
    assert bvc("fsck")[0] == 0


def test_a_commit_that_reuses_nothing(project: Path, bvc: Call) -> None:
    found = [json.loads(bvc("commit", "models/one", "--json", *options)[1]) for options in ([], ["--no-reuse"], [])]
    assert [(made["captured"], made["reused"]) for made in found] == [(0, 4), (4, 0), (0, 4)]
    assert len({bvc("rev-parse", f"HEAD~{n}^{{tree}}")[1] for n in range(3)}) == 1
    code, _, err = bvc("commit", "models/one", "--no-reuse", "--no-capture")
    assert code == ExitCode.USAGE and "--no-capture and --no-reuse exclude each other" in err


def test_what_is_refused(project: Path, bvc: Call) -> None:
    (project / "models" / "three").rename(project / "models" / "moved")
    for arguments, code, words in (
        (["capture", "HEAD"], ExitCode.BAD_INPUT, "--checkpoint PATH"),
        (["capture", "HEAD", "--checkpoint", "models/two"], ExitCode.BAD_INPUT, "is not the checkpoint of commit"),
        (["capture", "nowhere"], ExitCode.UNKNOWN_REVISION, "unknown revision"),
        (["capture", "HEAD", "--probe", "s1"], ExitCode.USAGE, "--more-draws"),
        (["capture", "HEAD~2", "--more-draws", "1", "--probe", "zzz"], ExitCode.UNKNOWN_REVISION, "has no probe zzz"),
        (["capture", "HEAD~2", "--suite", "none"], ExitCode.BAD_INPUT, "no suite named none"),
        (["capture"], ExitCode.USAGE, "Missing argument"),
        (["noise", "learn", "HEAD~2", "HEAD"], ExitCode.USAGE, "say --benign"),
        (["noise", "learn", "--benign", "HEAD"], ExitCode.USAGE, "two revisions"),
        (["noise", "learn", "--benign", "HEAD~2", "HEAD"], ExitCode.NOT_COMPARABLE, "registered without capture"),
        (["noise", "forget", "HEAD~2", "HEAD"], ExitCode.USAGE, "not a trusted pair"),
        (["noise", "lern"], ExitCode.USAGE, "did you mean"),
    ):
        found, out, err = bvc(*arguments)
        assert (found, out) == (code, ""), (arguments, err)
        assert words.lower() in err.lower(), (arguments, err)
        assert "Traceback" not in err
    assert bvc("capture", "HEAD", "--checkpoint", "models/moved", "-q") == (0, "", "")


def test_an_engine_error_ends_with_16(project: Path, bvc: Call) -> None:
    (project / "models" / "three" / "tokenizer.json").write_text("{}")
    code, out, err = bvc("capture", "HEAD")
    assert code in (ExitCode.ENGINE, ExitCode.BAD_INPUT) and out == "" and "Traceback" not in err
