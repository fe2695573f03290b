"""`bvc features shift`, `bvc features axis` and the shift in `bvc log --stat`, on tiny real models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bvc.cli.program import run
from bvc.errors import ExitCode
from tests.cli.test_documents import validate
from tests.tiny_models import tiny_adapter, tiny_model

Call = Callable[..., tuple[int, str, str]]
TOML = "[recipe]\nmax_new_tokens = 4\nbatch_rows = 4\ndraws = 0\nhookpoints = [0.5, 1.0]\n"
SITES = ["layer.02/prompt", "layer.04/prompt", "layer.02/reference", "layer.04/reference"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny model and two adapters on it; twelve probes of two tags."""
    from bvc.capture.load import forget_models

    folder = tmp_path_factory.mktemp("shift")
    here = ["-q", "-C", str(folder)]
    assert run(["-q", "init", str(folder)]) == 0
    (folder / "bvc.toml").write_text(TOML)
    (folder / "probes" / "starter.jsonl").unlink()
    rows = [
        {"id": f"s{n}", "prompt": f"{'Count' if n % 2 else 'Ask'} {n}: merci", "tags": ["count" if n % 2 else "ask"]}
        for n in range(12)
    ]
    (folder / "probes" / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tiny_model(folder / "models" / "one", seed=1)
    for seed, name in ((2, "two"), (3, "three")):
        tiny_adapter(folder / "models" / name, folder / "models" / "one", seed=seed, scale=0.5)
    for name in ("one", "two", "three"):
        assert run([*here, "commit", str(folder / "models" / name)]) == 0
    yield folder
    forget_models()


@pytest.fixture
def project(built: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(built)
    return built


def test_a_shift_by_site_on_the_page_and_as_a_document(project: Path, bvc: Call) -> None:
    code, out, err = bvc("features", "shift", "HEAD~2..HEAD", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    validate(document)
    assert [site["site"] for site in document["sites"]] == SITES and "tokens" not in document
    assert document["leading"] in SITES
    assert all(len(site["mean"]) == 32 and site["probes"] == 12 for site in document["sites"])
    code, out, _ = bvc("features", "shift", "HEAD~2", "HEAD")
    assert code == 0 and f"at {document['leading']}" in " ".join(out.split()) and "--tokens" in out
    assert "12 common probes, the same reference in 12" in out


def test_tokens_stand_beside_what_chance_reads_and_no_model_runs(project: Path, bvc: Call) -> None:
    import torch

    passes = []
    handle = torch.nn.modules.module.register_module_forward_hook(lambda module, *_: passes.append(type(module)))
    try:
        code, out, _ = bvc("features", "shift", "--tokens", "--json")
    finally:
        handle.remove()
    assert code == 0 and not [kind for kind in passes if "Norm" not in kind.__name__]
    document = json.loads(out)
    validate(document)
    assert [found["site"] for found in document["tokens"]] == SITES
    for found in document["tokens"]:
        assert 0 < found["chance"] < found["bound"]
        assert len(found["promoted"]) == len(found["demoted"]) == 8
    code, out, _ = bvc("-q", "features", "shift", "--tokens")
    assert code == 0 and out.count("random signs: the strongest reads") == len(SITES)
    assert json.dumps(document) == json.dumps(json.loads(bvc("features", "shift", "--tokens", "--json")[1]))


def test_the_tokens_are_those_of_the_checkpoint_of_b(project: Path, tmp_path: Path, bvc: Call) -> None:
    moved = tmp_path / "elsewhere"
    (project / "models" / "three").rename(moved)
    try:
        code, _, err = bvc("features", "shift", "--tokens")
        assert code == ExitCode.BAD_INPUT and "--checkpoint PATH" in err
        assert bvc("features", "shift", "--tokens", "--checkpoint", str(moved))[0] == 0
        code, _, err = bvc("features", "shift", "--tokens", "--checkpoint", str(project / "models" / "two"))
        assert code == ExitCode.BAD_INPUT and "is not the checkpoint of commit" in err
    finally:
        moved.rename(project / "models" / "three")


def test_what_says_how_to_load_needs_tokens(project: Path, bvc: Call) -> None:
    code, _, err = bvc("features", "shift", "--dtype", "bfloat16")
    assert code == ExitCode.USAGE and "only --tokens loads one" in err


def test_an_axis_and_its_movements_on_the_page_and_as_a_document(project: Path, bvc: Call) -> None:
    code, out, err = bvc("features", "axis", "count", "ask", "--at", "HEAD~2", "--moved", "HEAD~2..HEAD", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    validate(document)
    assert (document["first"], document["second"]) == ({"tag": "count", "probes": 6}, {"tag": "ask", "probes": 6})
    assert {one["site"]: one["separation"] for one in document["sites"]}["layer.04/prompt"] == 1.0
    assert [len(commit["sites"]) for commit in document["moved"]] == [4, 4]
    code, out, _ = bvc("features", "axis", "count", "ask", "--at", "HEAD~2", "--moved", "HEAD")
    assert code == 0 and out.startswith("axis from ask (6 probes) to count (6 probes)")
    assert "How far all probes moved" in out
    code, out, _ = bvc("features", "axis", "count", "ask")
    assert code == 0 and "How far all probes moved" not in out
    code, _, err = bvc("features", "axis", "count", "nothing")
    assert code == ExitCode.NOT_COMPARABLE and "6 probes" in err and "suite show" in err


def test_the_log_has_the_shift_of_each_commit(project: Path, bvc: Call) -> None:
    code, out, _ = bvc("log", "--stat", "--json")
    assert code == 0
    document = json.loads(out)
    validate(document)
    newest, middle, oldest = (commit.get("stat") for commit in document["commits"])
    assert oldest is None and newest["shift"]["sites"] == middle["shift"]["sites"] == 4
    leading = json.loads(bvc("features", "shift", "--json")[1])["leading"]
    assert newest["shift"]["site"] == leading
    low, high = newest["shift"]["ci"]
    assert low < newest["shift"]["relative"] < high
    assert f"% of {leading} [" in bvc("log", "--stat", "--oneline")[1]
