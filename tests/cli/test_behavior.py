"""`bvc behavior` and `bvc log --behavior` on the screen and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bvc.api.handle import open_repo
from tests.api.test_latent_behaviors import Latents
from tests.cli.conftest import write_outputs
from tests.cli.test_documents import validate
from tests.test_light_imports import HEAVY, loaded

Call = Callable[..., tuple[int, str, str]]


def test_ls(project: Path, bvc: Call) -> None:
    code, out, err = bvc("behavior", "ls")
    assert (code, err) == (0, "")
    line = next(line for line in out.splitlines() if line.startswith("other-language"))
    assert line.split()[1:6] == ["100.0", "%", "[71.2,", "100.0]", "of"]
    assert next(line for line in out.splitlines() if line.startswith("refusal")).split()[1:3] == ["no", "probe"]


def test_log(project: Path, bvc: Call) -> None:
    code, out, _ = bvc("log", "--oneline", "--behavior", "other-language")
    assert code == 0
    head, drawn, scale, empty, *lines = out.splitlines()
    assert head == "other-language  0.0 % [0.0, 28.8] → 100.0 % [71.2, 100.0]"
    assert drawn in ("▁▂▅█", "▁▅▂█")  # the two branches may be of the same second
    assert (scale, empty) == ("oldest to newest of 4 commits, highest 100.0 %", "")
    assert sorted(line.split(" %")[0].split()[-1] for line in lines) == ["0.0", "100.0", "16.7", "50.0"]
    assert lines[0].split(maxsplit=1)[1].startswith("██████████ 100.0 % [ 71.2,100.0] of 12   (HEAD -> main) ")
    rows = json.loads(bvc("log", "--behavior", "other-language", "--json")[1])["commits"]
    assert sorted(row["behavior"]["rate"] for row in rows) == pytest.approx([0, 1 / 6, 0.5, 1])
    assert rows[0]["behavior"]["n"] == 12
    assert "behavior" not in json.loads(bvc("log", "--json")[1])["commits"][0]
    assert bvc("log", "--behavior", "nothing")[0] == 2


def test_test_shows_what_decided(project: Path, bvc: Call) -> None:
    code, out, _ = bvc("behavior", "test", "brief", "v1")
    assert code == 0
    assert "sum-3" in out
    assert "4 words" in out
    assert "of 12 probes" in out
    document = json.loads(bvc("behavior", "test", "other-language", "HEAD", "--json")[1])
    validate(document)
    assert document["rate"]["rate"] == 1.0
    assert {answer["why"] for probe in document["probes"] for answer in probe["answers"]} == {
        "in French, asked for English"
    }
    assert bvc("behavior", "test", "refusal")[1].splitlines()[-1] == "12 probes not selected by `on`"
    assert bvc("behavior", "test", "breif")[0] == 2


def test_hidden_answers_are_listed_on_demand(project: Path, bvc: Call) -> None:
    assert "12 probes without it" in bvc("behavior", "test", "profanity")[1]
    assert "sum-11" in bvc("behavior", "test", "profanity", "--all")[1]


def test_add(fresh: Path, bvc: Call) -> None:
    (fresh / "probes" / "starter.jsonl").unlink()
    answers = str(write_outputs(fresh / "o.jsonl", 3))
    assert bvc("commit", "--outputs", answers, "--model", "m")[0] == 0
    before = (fresh / "behaviors.toml").read_text(encoding="utf-8")
    code, out, err = bvc("behavior", "add", "french", "--contains", "réponse", "--contains", "la", "--words")
    assert (code, err) == (0, "behaviors.toml: added french\n")
    assert "25.0 %" in out
    text = (fresh / "behaviors.toml").read_text(encoding="utf-8")
    assert text == before + '\n[behavior.french]\ncontains = ["réponse", "la"]\nwords = true\n'
    code, out, _ = bvc("behavior", "add", "long", "--min-length", "40", "--unit", "tokens", "--json")
    assert code == 0
    document = json.loads(out)
    validate(document)
    assert document["history"][0]["rate"] is None
    code, _, err = bvc("behavior", "add", "x", "--regex", "(")
    assert code == 2
    assert err.startswith("error: behavior x regex is not a regular expression")
    assert bvc("behavior", "add", "x")[0] == 2


def test_hostile_answers_are_harmless_on_the_screen(fresh: Path, bvc: Call) -> None:
    (fresh / "probes" / "starter.jsonl").unlink()
    (fresh / "o.jsonl").write_text(json.dumps({"prompt": "Hi\x1b[2J", "output": "\x1b[31mfuck\x07 \u202e"}) + "\n")
    assert bvc("commit", "--outputs", "o.jsonl", "--model", "m")[0] == 0
    for arguments in (["test", "profanity", "--all"], ["ls"]):
        out = bvc("behavior", *arguments)[1]
        assert "\x1b" not in out
        assert "\x07" not in out
        assert "\u202e" not in out


@pytest.mark.parametrize("command", ["log --behavior other-language", "behavior ls", "behavior ls --json"])
def test_known_rates_load_nothing_heavy(command: str, project: Path, bvc: Call) -> None:
    assert bvc(*command.split())[0] == 0
    assert loaded(project, [*HEAVY, "regex", "py3langid"], *command.split()) == []


@pytest.fixture
def latents(tmp_path: Path) -> Latents:
    """Two commits with features of a dictionary; the latent of `fires` comes with the second."""
    made = Latents(tmp_path / "latents")
    made.line([0, 12])
    made.repo.close()
    return made


def test_a_latent_is_a_behavior(latents: Latents, bvc: Call) -> None:
    here = ("-C", str(latents.file.parent))
    code, out, err = bvc(*here, "behavior", "add", "new", "--latent", "3", "--min-strength", "2.5", "--along", "answer")
    assert (code, err) == (0, "behaviors.toml: added new\n") and "30.0 %" in out
    assert latents.file.read_text().endswith('[behavior.new]\nalong = "answer"\nlatent = 3\nmin_strength = 2.5\n')
    out = bvc(*here, "behavior", "test", "new")[1]
    assert "latent 3 fires at 2 of 34 positions, up to 3, most after “answer”" in out and "[answer] 1 to q0" in out
    for verb in (["test", "new"], ["ls"]):
        validate(json.loads(bvc(*here, "behavior", *verb, "--json")[1]))
    document = json.loads(bvc(*here, "blame", "--behavior", "new", "--json")[1])
    validate(document)
    assert [entry["subject"] for entry in document["entries"]] == ["Step 1"]
    assert "1 step; 30.0 %" in bvc(*here, "blame", "--behavior", "new")[1]
    code, out, _ = bvc(*here, "bisect", "run", "--good", "HEAD~1", "--bad", "HEAD", "--behavior", "new", "--json")
    assert code == 0
    validate(json.loads(out))
    code, out, err = bvc(*here, "behavior", "add", "far", "--latent", "lineage:16")
    assert (code, out) == (2, "") and "behavior far cannot be scored: lineage has no latent 16" in err


def test_what_a_side_lacks_is_said(latents: Latents, bvc: Call) -> None:
    here = ("-C", str(latents.file.parent))
    latents.file.write_text('[behavior.x]\nlatent = "\\u001b[31mred:3"\n')
    found = json.loads(bvc(*here, "diff", "--json")[1])
    validate(found)
    assert (found["behaviors"], [one["name"] for one in found["unscored"]]) == ([], ["x"])
    out = bvc(*here, "diff")[1]
    assert "x is left out: no dictionary is called" in out and "\x1b" not in out
    code, out, err = bvc(*here, "diff", "--behavior", "x")
    assert (code, out) == (17, "") and err.startswith("error: behavior x cannot be scored: no dictionary is called")
    out = bvc(*here, "behavior", "ls")[1]
    assert "no answer can be scored" in out and "x is left out: no dictionary" in out and "\x1b" not in out
    validate(json.loads(bvc(*here, "behavior", "ls", "--json")[1]))
    for verb in (["behavior", "test", "x"], ["log", "--behavior", "x"], ["blame", "--behavior", "x"]):
        code, out, err = bvc(*here, *verb)
        assert (code, out) == (18, "") and "behaviors.toml:2: behavior x cannot be scored" in err and "\x1b" not in err


def test_blame_says_which_commits_lack_features(latents: Latents, bvc: Call) -> None:
    latents.repo = open_repo(latents.file.parent)
    latents.commit(None)
    latents.line([24])
    latents.repo.close()
    out = " ".join(bvc("-C", str(latents.file.parent), "blame", "--behavior", "fires")[1].split())
    assert "or a commit that was captured without its features, or never: " in out
    assert "1 captured commit lacks the features that this asks for and was passed over" in out
    document = json.loads(bvc("-C", str(latents.file.parent), "blame", "--behavior", "fires", "--json")[1])
    validate(document)
    assert document["featureless"] == 1


def test_features_are_read_without_the_model_stack(latents: Latents) -> None:
    command = ["log", "--behavior", "fires"]
    folder = latents.file.parent
    assert loaded(folder, HEAVY, *command) == ["backports.zstd", "numpy"]
    assert loaded(folder, HEAVY, *command) == [], "what is known takes no numbers"
