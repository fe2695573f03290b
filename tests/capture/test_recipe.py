"""Recipes: settings and options, what "auto" means, and the versions and hardware that numbers depend on."""

from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from bvc.capture import recipe as recipes
from bvc.capture.recipe import make_recipe
from bvc.config import Config
from bvc.errors import UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine laid out in a folder: `dev`, `gpus` and `cpuinfo`."""
    monkeypatch.setattr(recipes, "_DEVICES", tmp_path / "dev")
    monkeypatch.setattr(recipes, "_GPUS", tmp_path / "gpus")
    monkeypatch.setattr(recipes, "_CPUS", tmp_path / "cpuinfo")
    (tmp_path / "dev").mkdir()
    return tmp_path


def installed_torch(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    real = metadata.version

    def found(name: str) -> str:
        if name != "torch":
            return real(name)
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", found)


def add_gpu(machine: Path, name: str = "NVIDIA H100 80GB HBM3") -> None:
    number = len(list(machine.glob("gpus/*")))
    (machine / "dev" / f"nvidia{number}").write_text("")
    folder = machine / "gpus" / f"0000:0{number}:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text(f"Model: \t\t {name}\nIRQ:   \t 16\nGPU UUID: \t GPU-1\n")


def test_settings_and_options(tmp_path: Path) -> None:
    config = Config(draws=3, seed=7, hookpoints=(0.5,), prompt_buckets=(16, 32), temperature=0.7, dtype="float16")
    found = make_recipe(config, None, {"draws": 0, "seed": None, "dtype": "bfloat16", "batch_rows": 2})
    assert (found.engine, found.draws, found.seed, found.dtype, found.batch_rows) == (
        "transformers",
        0,
        7,
        "bfloat16",
        2,
    )
    assert (found.hookpoints, found.prompt_buckets, found.temperature) == ((0.5,), (16, 32), 0.7)
    assert found == make_recipe(config, None, {"draws": 0, "dtype": "bfloat16", "batch_rows": 2})


def test_the_environment_names_versions_hardware_and_template(tmp_path: Path) -> None:
    without = make_recipe(Config(device="cpu"), tmp_path).environment
    assert without["torch"] == metadata.version("torch") and without["transformers"] == metadata.version("transformers")
    assert without["chat_template"] == "none" and without["capture"] == recipes.CAPTURE_VERSION
    assert without["hardware"].startswith(platform.machine())
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    with_template = make_recipe(Config(device="cpu"), tmp_path)
    assert len(with_template.environment["chat_template"]) == 64
    assert with_template.digest != make_recipe(Config(device="cpu"), None).digest


@pytest.mark.parametrize(
    ("torch", "gpu", "device", "dtype"),
    [
        ("2.13.0+cpu", True, "cpu", "float32"),
        ("2.13.0", False, "cpu", "float32"),
        ("2.13.0", True, "cuda", "bfloat16"),
        ("2.13.0+cu130", True, "cuda", "bfloat16"),
        (None, True, "cpu", "float32"),
    ],
)
def test_auto(
    machine: Path, monkeypatch: pytest.MonkeyPatch, torch: str | None, gpu: bool, device: str, dtype: str
) -> None:
    installed_torch(monkeypatch, torch)
    if gpu:
        add_gpu(machine)
    found = make_recipe(Config(), None)
    assert (found.device, found.dtype) == (device, dtype)
    assert found.environment["torch"] == (torch or "none")


def test_the_gpu_is_named_by_its_driver(machine: Path) -> None:
    assert make_recipe(Config(device="cuda"), None).environment["hardware"] == "cuda"
    add_gpu(machine)
    add_gpu(machine, "NVIDIA L4")
    assert make_recipe(Config(device="cuda"), None).environment["hardware"] == "NVIDIA H100 80GB HBM3"
    assert make_recipe(Config(device="cuda:1"), None).environment["hardware"] == "NVIDIA L4"
    assert make_recipe(Config(device="cuda:5"), None).environment["hardware"] == "cuda"


def test_the_cpu_is_named_by_model_and_instructions(machine: Path) -> None:
    assert make_recipe(Config(device="cpu"), None).environment["hardware"].startswith(platform.machine())
    first = "processor\t: 0\nmodel name\t: Some  CPU @ 2GHz\nflags\t\t: fpu avx2 avx512f\n\n"
    (machine / "cpuinfo").write_text(first + first.replace("Some", "Other"))
    assert (
        make_recipe(Config(device="cpu"), None).environment["hardware"]
        == f"{platform.machine()} Some CPU @ 2GHz avx512f"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"batch_rows": 0},
        {"batch_rows": True},
        {"max_new_tokens": 0},
        {"max_new_tokens": 1.5},
        {"draws": -1},
        {"seed": -1},
        {"seed": "7"},
        {"dtype": "float64"},
        {"dtype": 16},
        {"device": "gpu"},
        {"device": "cuda:x"},
        {"device": 0},
        {"colour": "red"},
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        make_recipe(Config(), None, options)


def test_draws_do_not_change_the_digest_but_everything_else_does() -> None:
    found = make_recipe(Config(device="cpu"), None)
    assert replace(found, draws=5).digest == found.digest
    for change in ({"dtype": "bfloat16"}, {"batch_rows": 3}, {"seed": 1}, {"max_new_tokens": 5}, {"environment": {}}):
        assert replace(found, **change).digest != found.digest  # type: ignore[arg-type]


def test_torch_is_not_imported() -> None:
    program = (
        "import sys; from bvc.capture.recipe import make_recipe; from bvc.config import Config; "
        "make_recipe(Config(), None); "
        "print({'torch', 'transformers', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "set()\n"
