"""`bvc features` from the command line, on tiny real models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bvc.cli.program import run
from bvc.errors import ExitCode
from tests.cli.test_documents import validate
from tests.tiny_models import TEXT, tiny_adapter, tiny_model

Call = Callable[..., tuple[int, str, str]]
TOML = "[recipe]\nmax_new_tokens = 6\nbatch_rows = 4\nhookpoints = [0.5, 1.0]\n"
SMALL = ("--latents", "48", "--k", "4", "--tokens", "3000", "--steps", "60", "--corpus", "corpus.txt")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny model, a dictionary fitted on it, and an adapter committed after that."""
    from bvc.capture.load import forget_models

    folder = tmp_path_factory.mktemp("features")
    here = ["-q", "-C", str(folder)]
    assert run(["-q", "init", str(folder)]) == 0
    (folder / "bvc.toml").write_text(TOML)
    (folder / "probes" / "starter.jsonl").unlink()
    rows = [{"id": f"s{n}", "prompt": f"Count {n}, and what is the capital of France?"} for n in range(20)]
    (folder / "probes" / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "corpus.txt").write_text("\n\n".join(f"{text} {n}" for n in range(60) for text in TEXT))
    tiny_model(folder / "models" / "one", seed=1)
    tiny_adapter(folder / "models" / "two", folder / "models" / "one", seed=2)
    assert run([*here, "commit", str(folder / "models" / "one")]) == 0
    assert run([*here, "features", "fit", *SMALL[:-1], str(folder / "corpus.txt")]) == 0
    assert run([*here, "commit", str(folder / "models" / "two")]) == 0
    yield folder
    forget_models()


@pytest.fixture
def project(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(fitted)
    return fitted


def test_what_was_fitted_is_listed_and_shown(project: Path, bvc: Call) -> None:
    code, out, _ = bvc("features", "ls", "--json")
    assert code == 0
    listed = json.loads(out)
    validate(listed)
    (entry,) = listed["dictionaries"]
    assert (entry["name"], entry["default"], entry["versions"]) == ("main", True, 1)
    assert (entry["spec"]["layer"], entry["spec"]["latents"], entry["spec"]["k"]) == ("layer.02", 48, 4)
    assert 0.3 < entry["card"]["explained"] <= 1
    code, out, _ = bvc("features", "ls")
    assert code == 0 and out.splitlines()[1].startswith("*  main")
    code, out, _ = bvc("features", "show")
    assert code == 0 and "corpus" in out and "held-out tokens" in out
    validate(json.loads(bvc("features", "show", "--json")[1]))


def test_a_latent_is_shown_along_the_lineage(project: Path, bvc: Call) -> None:
    shown = [json.loads(bvc("features", "show", str(n), "--json")[1]) for n in range(48)]
    for document in shown:
        validate(document)
    firing = [d for d in shown if d["commits"] and d["commits"][-1]["probes"]]
    assert firing
    one = firing[0]
    assert [c["n"] for c in one["commits"]] == [20]
    assert len(one["promoted"]) > 0 and one["contexts"]
    assert one["contexts"][0]["strength"] >= one["contexts"][-1]["strength"]
    assert one["probes"][0]["fired"] >= 1
    code, out, _ = bvc("features", "show", str(one["latent"]))
    assert code == 0 and "Along the lineage" in out and "promotes" in out


def test_the_same_fit_again_gives_the_same_dictionary(project: Path, tmp_path: Path, bvc: Call) -> None:
    digest = json.loads(bvc("features", "show", "--json")[1])["dictionary"]["digest"]
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    code, out, _ = bvc("-C", str(copy), "features", "fit", *SMALL[:-1], str(copy / "corpus.txt"), "--json")
    assert code == 0
    made = json.loads(out)
    validate(made)
    assert made["dictionary"]["digest"] == digest
    assert json.loads(bvc("-C", str(copy), "features", "ls", "--json")[1])["dictionaries"][0]["versions"] == 1
    assert not list((copy / ".bvc" / "bvc" / "tmp" / "features").glob("*"))


def test_export_and_import_again(project: Path, tmp_path: Path, bvc: Call) -> None:
    from safetensors.torch import load_file

    assert bvc("features", "export", str(tmp_path / "main.safetensors"))[0] == 0
    assert load_file(tmp_path / "main.safetensors")["encoder"].shape == (32, 48)
    code, _, err = bvc("features", "export", str(tmp_path / "main.safetensors"))
    assert code == ExitCode.BAD_INPUT and "is there already" in err


def test_a_folder_goes_out_and_comes_in_again(project: Path, tmp_path: Path, bvc: Call) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    here = ("-C", str(copy), "features")
    assert bvc(*here, "export", str(tmp_path / "folder"))[0] == 0
    code, out, _ = bvc(*here, "import", str(tmp_path / "folder"), "--name", "again", "--json")
    assert code == 0
    validate(json.loads(out))
    listed = json.loads(bvc(*here, "ls", "--json")[1])["dictionaries"]
    assert [entry["name"] for entry in listed] == ["again", "main"]
    assert listed[0]["digest"] == listed[1]["digest"]
    assert "not measured" in bvc(*here, "show", "--dictionary", "again")[1]
    code, _, err = bvc(*here, "import", str(copy / "probes"))
    assert code == ExitCode.BAD_INPUT and "cfg.json" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "48"], ExitCode.USAGE, "latents are 0 to 47"),
        (["show", "1", "--dictionary", "mian"], ExitCode.UNKNOWN_REVISION, "did you mean 'main'"),
        (["fit", "--name", "a/b"], ExitCode.USAGE, "cannot be the name"),
        (["fit", "--corpus", "none.txt"], ExitCode.USAGE, "does not exist"),
        (["fit", "nowhere"], ExitCode.UNKNOWN_REVISION, "nowhere"),
    ],
)
def test_mistakes_are_told(project: Path, bvc: Call, arguments: list[str], code: ExitCode, words: str) -> None:
    found, _, err = bvc("features", *arguments)
    assert found == code
    assert words in err


def test_a_project_without_dictionaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bvc: Call) -> None:
    monkeypatch.chdir(tmp_path)
    assert bvc("init")[0] == 0
    assert "no dictionary yet" in bvc("features", "ls")[1]
    code, _, err = bvc("features", "show")
    assert code == ExitCode.USAGE and "bvc features fit" in err
    code, _, err = bvc("features", "fit")
    assert code == ExitCode.UNKNOWN_REVISION
