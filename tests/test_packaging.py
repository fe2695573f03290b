"""What an installation weighs, and what happens where the model stack is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import bvc

MODEL_STACK = ("torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers", "huggingface_hub")
MEGABYTE = 1_000_000
DOWNLOAD_LIMIT = 60 * MEGABYTE
WITHOUT_NUMPY_LIMIT = 20 * MEGABYTE
INSTALLED_LIMIT = 80 * MEGABYTE

BLOCKER = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {MODEL_STACK!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def required(name: str) -> Iterator[str]:
    """Names of the distributions that `name` needs without any extra."""
    for line in distribution(name).requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name.lower().replace("_", "-")


def light_core() -> set[str]:
    """Everything that `pip install bvc` brings, bvc itself not counted."""
    found: set[str] = set()
    waiting = list(required("bvc"))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += required(name)
    return found


def installed_files(package: Distribution) -> Iterator[Path]:
    """The files that a wheel brought; bytecode that Python wrote later is not among them."""
    for file in package.files or []:
        path = Path(str(package.locate_file(file)))
        if path.suffix != ".pyc" and path.is_file():
            yield path


def installed_size(name: str) -> int:
    return sum(path.stat().st_size for path in installed_files(distribution(name)))


def download_size(name: str) -> int:
    """The size of the wheel, made again by deflating the installed files as a wheel does."""
    return sum(len(zlib.compress(path.read_bytes(), 6)) for path in installed_files(distribution(name)))


def test_light_core_has_no_model_stack() -> None:
    core = light_core()
    assert {"click", "dulwich", "lmdb", "numpy", "xxhash", "backports-zstd"} <= core
    assert core.isdisjoint(name.replace("_", "-") for name in MODEL_STACK)


def test_light_core_is_small() -> None:
    core = light_core()
    sizes = {name: installed_size(name) for name in core}
    assert sizes["numpy"] > 10 * MEGABYTE, "files of numpy were not found"
    assert sum(sizes.values()) < INSTALLED_LIMIT, sizes
    assert sum(sizes.values()) - sizes["numpy"] < WITHOUT_NUMPY_LIMIT, sizes
    assert sum(download_size(name) for name in core) < DOWNLOAD_LIMIT


def test_version_is_the_packages() -> None:
    assert distribution("bvc").version == bvc.__version__


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder whose `sitecustomize` hides the model stack from every Python started with it on the path."""
    folder = tmp_path / "blocker"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCKER, encoding="utf-8")
    return folder


def run_bvc(bare: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(bare)}
    command = [str(Path(sys.executable).parent / "bvc"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


def test_history_works_without_the_model_stack(bare: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"prompt": "Say hi.", "output": "Hi."}) + "\n", encoding="utf-8")
    project = tmp_path / "project"
    for arguments in (
        ["init", str(project)],
        ["-C", str(project), "commit", "--outputs", str(answers), "--model", "m"],
        ["-C", str(project), "log"],
        ["-C", str(project), "show"],
    ):
        run = run_bvc(bare, tmp_path, *arguments)
        assert run.returncode == 0, run.stderr


def test_capture_without_the_model_stack_gives_a_hint(bare: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "model"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text(
        '{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}', encoding="utf-8"
    )
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(4)
    (checkpoint / "model.safetensors").write_bytes(weights)
    (checkpoint / "tokenizer.json").write_text(
        '{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}', encoding="utf-8"
    )
    (checkpoint / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    project = tmp_path / "project"
    assert run_bvc(bare, tmp_path, "init", str(project)).returncode == 0
    run = run_bvc(bare, tmp_path, "-C", str(project), "commit", str(checkpoint))
    assert run.returncode == 16, run.stderr
    assert run.stderr.splitlines()[-2].startswith("error: ")
    assert run.stderr.splitlines()[-1].startswith("hint: ")
    assert "bvc[hf]" in run.stderr
    assert "Traceback" not in run.stderr
