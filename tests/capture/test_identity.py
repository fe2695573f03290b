"""Checkpoints named by content: what keeps a fingerprint, what changes it, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bvc.capture.identity import MAX_CHAIN, earlier_checkpoints, identify, tokenizer_folder
from bvc.errors import BadInput, BvcError, EngineError, ExitCode
from tests.tiny_models import tiny_adapter, tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, an adapter on it, and the same model in shards; never changed."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("made")
    tiny_model(folder / "model")
    tiny_adapter(folder / "adapter", folder / "model")
    shutil.copytree(folder / "model", folder / "sharded")
    (folder / "sharded" / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(folder / "model").save_pretrained(folder / "sharded", max_shard_size="60KB")
    return folder


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "model", tmp_path / "model"))


@pytest.fixture
def adapter(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "adapter", tmp_path / "adapter"))


def edit(path: Path, **changes: Any) -> None:
    value = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({k: v for k, v in {**value, **changes}.items() if v != "DROP"}))


def flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_a_model_folder(made: Path) -> None:
    found = identify(str(made / "model"))
    assert (found.name, found.kind, found.architecture) == ("model", "hf", "LlamaForCausalLM")
    assert len(found.fingerprint) == 64 and found.tokenizer is not None and len(found.tokenizer) == 64
    assert found.base is None and found.facts == {} and found.location == str(made / "model")


def test_moving_renaming_and_linking_keep_the_fingerprint(made: Path, model: Path, tmp_path: Path) -> None:
    wanted = identify(str(made / "model"))
    moved = model.rename(tmp_path / "other name")
    (tmp_path / "link").symlink_to(moved)
    for place in (moved, tmp_path / "link"):
        found = identify(str(place))
        assert (found.fingerprint, found.tokenizer) == (wanted.fingerprint, wanted.tokenizer)
    assert identify(str(moved)).name == "other name"
    assert identify(str(tmp_path / "link")).name == "link"
    assert identify(str(tmp_path / "link")).location == str(moved)


def test_relative_paths(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = identify(str(model))
    monkeypatch.chdir(model)
    assert identify(".") == wanted
    monkeypatch.chdir(model.parent)
    assert identify("model") == identify("./model") == identify("model/") == wanted
    monkeypatch.chdir(model)
    assert identify("../model") == wanted


@pytest.mark.parametrize(
    "change",
    [
        lambda m: edit(
            m / "config.json", _name_or_path="/elsewhere", transformers_version="4.1", torch_dtype="bfloat16"
        ),
        lambda m: edit(m / "config.json", dtype="DROP", sliding_window=None),
        lambda m: (m / "config.json").write_text(json.dumps(json.loads((m / "config.json").read_text()), indent=7)),
        lambda m: edit(m / "generation_config.json", transformers_version="4.1"),
        lambda m: (m / "README.md").write_text("a model"),
        lambda m: (m / "optimizer.pt").write_bytes(b"pickle"),
        lambda m: os.utime(m / "model.safetensors", (1, 1)),
    ],
)
def test_what_does_not_make_another_model(model: Path, change: Callable[[Path], object]) -> None:
    wanted = identify(str(model))
    change(model)
    assert identify(str(model)) == wanted


@pytest.mark.parametrize(
    "change",
    [
        lambda m: flip_last_byte(m / "model.safetensors"),
        lambda m: edit(m / "config.json", rms_norm_eps=1e-5),
        lambda m: edit(m / "generation_config.json", eos_token_id=5),
        lambda m: (m / "generation_config.json").unlink(),
    ],
)
def test_what_makes_another_model(model: Path, change: Callable[[Path], object]) -> None:
    wanted = identify(str(model))
    change(model)
    found = identify(str(model))
    assert found.fingerprint != wanted.fingerprint and found.tokenizer == wanted.tokenizer


def test_code_in_the_folder_counts_where_the_config_uses_it(model: Path) -> None:
    (model / "modeling.py").write_text("x = 1\n")
    without = identify(str(model)).fingerprint
    (model / "modeling.py").write_text("x = 2\n")
    assert identify(str(model)).fingerprint == without
    edit(model / "config.json", auto_map={"AutoModelForCausalLM": "modeling.Model"})
    first = identify(str(model)).fingerprint
    (model / "modeling.py").write_text("x = 3\n")
    assert identify(str(model)).fingerprint != first


def test_infinity_in_a_config_is_accepted(model: Path) -> None:
    text = (model / "config.json").read_text().rstrip().removesuffix("}")
    (model / "config.json").write_text(text + ', "time_step_limit": [0.0, Infinity]}')
    assert identify(str(model)).fingerprint


def test_shards(made: Path, tmp_path: Path) -> None:
    sharded = Path(shutil.copytree(made / "sharded", tmp_path / "sharded"))
    wanted = identify(str(sharded))
    assert wanted.fingerprint == identify(str(made / "sharded")).fingerprint
    shards = sorted(sharded.glob("model-*.safetensors"))
    assert len(shards) > 2
    flip_last_byte(shards[1])
    assert identify(str(sharded)).fingerprint != wanted.fingerprint
    shards[0].unlink()
    shards[2].unlink()
    with pytest.raises(BadInput, match=rf"2 of {len(shards)} weight files are missing, first {shards[0].name}"):
        identify(str(sharded))


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "sub/x.safetensors", ".."])
def test_an_index_cannot_name_files_elsewhere(made: Path, tmp_path: Path, name: str) -> None:
    sharded = Path(shutil.copytree(made / "sharded", tmp_path / "sharded"))
    edit(sharded / "model.safetensors.index.json", weight_map={"a": name})
    with pytest.raises(BadInput, match="outside its folder"):
        identify(str(sharded))


def test_trainer_folders(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for step in (20, 100, 200, 1000):
        shutil.copytree(made / "model", run / f"checkpoint-{step}")
        edit(run / f"checkpoint-{step}" / "trainer_state.json", global_step=step)
    (run / "checkpoint-150").write_text("a file")
    (run / "checkpoint-best").mkdir()
    found = identify(str(run / "checkpoint-200"))
    assert found.name == "run/checkpoint-200"
    assert found.facts == {"trainer_step": 200, "trainer_previous": "checkpoint-100"}
    assert identify(str(run / "checkpoint-20")).facts == {"trainer_step": 20}
    assert [p.name for p in earlier_checkpoints(run / "checkpoint-200")] == ["checkpoint-100", "checkpoint-20"]
    assert earlier_checkpoints(run) == ()
    assert found.fingerprint == identify(str(made / "model")).fingerprint
    with pytest.raises(BadInput, match="not a model folder") as raised:
        identify(str(run))
    assert raised.value.hint is not None and "checkpoint-" in raised.value.hint


# Adapters


def test_an_adapter_and_its_base(made: Path) -> None:
    base, found = identify(str(made / "model")), identify(str(made / "adapter"))
    assert (found.kind, found.architecture, found.tokenizer) == ("peft", base.architecture, base.tokenizer)
    assert found.base == base and found.facts == {"base": base.fingerprint}
    assert found.fingerprint != base.fingerprint
    assert tokenizer_folder(found) == made / "model"


def test_an_adapter_with_a_tokenizer_of_its_own(made: Path, adapter: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(made / "model" / name, adapter / name)
    (adapter / "chat_template.jinja").write_text("another")
    found = identify(str(adapter))
    assert found.base is not None and found.tokenizer != found.base.tokenizer
    assert tokenizer_folder(found) == adapter


def test_moving_base_and_adapter_keeps_the_fingerprint(adapter: Path, model: Path) -> None:
    wanted = identify(str(adapter)).fingerprint
    edit(adapter / "adapter_config.json", base_model_name_or_path=str(model), revision="main", peft_version="0.1")
    assert identify(str(adapter)).fingerprint == wanted
    modules = json.loads((adapter / "adapter_config.json").read_text())["target_modules"]
    edit(adapter / "adapter_config.json", target_modules=modules[::-1], inference_mode=False, new_setting=None)
    assert identify(str(adapter)).fingerprint == wanted


@pytest.mark.parametrize(
    "change",
    [
        lambda a: edit(a / "adapter_config.json", lora_alpha=99),
        lambda a: edit(a / "adapter_config.json", target_modules=["q_proj"]),
        lambda a: flip_last_byte(a / "adapter_model.safetensors"),
    ],
)
def test_what_makes_another_adapter(adapter: Path, change: Callable[[Path], object]) -> None:
    wanted = identify(str(adapter)).fingerprint
    change(adapter)
    assert identify(str(adapter)).fingerprint != wanted


def test_another_base_makes_another_adapter(adapter: Path, model: Path) -> None:
    wanted = identify(str(adapter), base=str(model)).fingerprint
    flip_last_byte(model / "model.safetensors")
    assert identify(str(adapter), base=str(model)).fingerprint != wanted


@pytest.mark.parametrize("named", ["../model", "model"])
def test_a_relative_base_is_found(adapter: Path, model: Path, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    edit(adapter / "adapter_config.json", base_model_name_or_path=named)
    found = identify(str(adapter))
    assert found.base is not None and found.base.location == str(model)


@pytest.mark.parametrize("named", ["/no/such/folder", "DROP", "", 7, "./gone", "nobody/nothing-of-this-name"])
def test_a_base_that_cannot_be_found(adapter: Path, named: Any, tmp_path: Path) -> None:
    edit(adapter / "adapter_config.json", base_model_name_or_path=named)
    with pytest.raises(BadInput, match=r"adapter_config.json: the adapter's base cannot be found") as raised:
        identify(str(adapter), hub_cache=tmp_path / "cache")
    assert raised.value.code is ExitCode.BAD_INPUT and raised.value.hint == "say where it is: --base FOLDER"


def test_an_adapter_on_an_adapter(made: Path, adapter: Path, tmp_path: Path) -> None:
    second = Path(shutil.copytree(made / "adapter", tmp_path / "second"))
    edit(second / "adapter_config.json", base_model_name_or_path=str(adapter))
    found = identify(str(second))
    assert found.base is not None and found.base.base is not None
    assert found.base.base.location == str(made / "model")
    assert found.base.fingerprint != found.fingerprint


def test_an_adapter_on_itself_is_refused(adapter: Path) -> None:
    edit(adapter / "adapter_config.json", base_model_name_or_path=str(adapter))
    with pytest.raises(BadInput, match=f"more than {MAX_CHAIN} adapters"):
        identify(str(adapter))


def test_base_does_not_apply_to_a_whole_model(made: Path) -> None:
    with pytest.raises(BadInput, match="--base does not apply"):
        identify(str(made / "model"), base=str(made / "model"))


def test_a_model_and_an_adapter_in_one_folder_is_refused(made: Path, model: Path) -> None:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(made / "adapter" / name, model / name)
    with pytest.raises(BadInput, match="both a whole model and an adapter"):
        identify(str(model))


# The hub


def cached(cache: Path, repo: str, source: Path, commit: str = "c0ffee") -> Path:
    """Lays `source` out as the hub's client does: blobs, and a snapshot of links."""
    home = cache / f"models--{repo.replace('/', '--')}"
    snapshot = home / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    for file in source.iterdir():
        shutil.copy(file, home / "blobs" / file.name)
        (snapshot / file.name).symlink_to(Path("../../blobs") / file.name)
    return snapshot


def test_a_hub_id_in_the_local_cache(made: Path, tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "someone/tiny", made / "model")
    local, found = identify(str(made / "model")), identify("someone/tiny", hub_cache=tmp_path)
    assert (found.fingerprint, found.tokenizer) == (local.fingerprint, local.tokenizer)
    assert (found.name, found.kind, found.location) == ("someone/tiny", "hub", str(snapshot))
    assert found.facts == {"hub": "someone/tiny", "hub_revision": "c0ffee"}
    assert identify("someone/tiny@c0ffee", hub_cache=tmp_path).fingerprint == found.fingerprint


def test_an_adapter_whose_base_is_in_the_cache(made: Path, adapter: Path, tmp_path: Path) -> None:
    cached(tmp_path / "cache", "someone/tiny", made / "model")
    edit(adapter / "adapter_config.json", base_model_name_or_path="someone/tiny", revision="main")
    found = identify(str(adapter), hub_cache=tmp_path / "cache")
    assert found.base is not None and found.base.name == "someone/tiny"
    assert found.fingerprint == identify(str(adapter), base=str(made / "model")).fingerprint


def test_offline_a_hub_id_that_is_not_cached_is_an_engine_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot fetch nobody/nothing from the hub") as raised:
        identify("nobody/nothing", hub_cache=tmp_path)
    assert raised.value.code is ExitCode.ENGINE and raised.value.hint


def test_a_cached_snapshot_without_weights_is_not_enough(made: Path, tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "someone/tiny", made / "model")
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(BvcError) as raised:
        identify("someone/tiny", hub_cache=tmp_path)
    assert raised.value.code in (ExitCode.ENGINE, ExitCode.BAD_INPUT)


# Refused


@pytest.mark.parametrize("place", ["/no/such/folder", "./gone", "../gone", "a b", "x/y/z", "", "a..b"])
def test_a_path_that_is_nothing(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"no such folder|not a model folder"):
        identify(place, hub_cache=tmp_path)


def test_a_missing_folder_beside_others_is_not_taken_for_a_hub_id(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent.parent)
    with pytest.raises(BadInput, match="no such folder"):
        identify(f"{model.parent.name}/step-9")


def test_a_file_is_not_a_checkpoint(model: Path) -> None:
    with pytest.raises(BadInput, match="is a file"):
        identify(str(model / "model.safetensors"))


@pytest.mark.parametrize("keep", [0, 4, 8, 500, -1])
def test_truncated_weights(model: Path, keep: int) -> None:
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(whole[:keep])
    with pytest.raises(BadInput, match=r"model.safetensors: is truncated") as raised:
        identify(str(model))
    assert raised.value.file == str(model / "model.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "Git LFS pointer"),
        (b"\xff" * 64, "not a safetensors file"),
        ((5).to_bytes(8, "little") + b"{nope", "damaged safetensors header"),
        ((2).to_bytes(8, "little") + b"[]", "damaged safetensors header"),
        ((14).to_bytes(8, "little") + b'{"a":{"b": 1}}', "damaged safetensors header"),
        ((2).to_bytes(8, "little") + b"{}more", "longer than its header says"),
    ],
)
def test_weights_that_are_none(model: Path, content: bytes, message: str) -> None:
    (model / "model.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match=message):
        identify(str(model))


def test_missing_weights_say_what_is_there(model: Path) -> None:
    (model / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="weights are missing"):
        identify(str(model))
    (model / "model.Q4.gguf").write_bytes(b"GGUF")
    with pytest.raises(BadInput) as raised:
        identify(str(model))
    assert raised.value.hint is not None and "GGUF" in raised.value.hint


@pytest.mark.parametrize("content", ["", "{", "[]", "\udcff", "[" * 100_000])
def test_a_config_that_is_not_json(model: Path, content: str) -> None:
    (model / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadInput, match=r"config.json: is not"):
        identify(str(model))


def test_pickled_weights_only_when_asked_for(model: Path) -> None:
    (model / "model.safetensors").unlink()
    with zipfile.ZipFile(model / "pytorch_model.bin", "w") as archive:
        archive.writestr("data.pkl", b"x" * 300)
    with pytest.raises(BadInput, match="pickled weights") as raised:
        identify(str(model))
    assert raised.value.hint is not None and "--allow-pickle" in raised.value.hint
    assert identify(str(model), allow_pickle=True).fingerprint
    (model / "pytorch_model.bin").write_bytes((model / "pytorch_model.bin").read_bytes()[:-30])
    with pytest.raises(BadInput, match="is truncated"):
        identify(str(model), allow_pickle=True)


def test_pickled_adapters_only_when_asked_for(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(BadInput, match="pickled weights"):
        identify(str(adapter))
    assert identify(str(adapter), allow_pickle=True).kind == "peft"


def test_control_characters_in_a_folder_name_do_not_reach_the_name(model: Path) -> None:
    odd = model.rename(model.parent / "a\nBvc-Model: x\x1b[2J")
    assert identify(str(odd)).name == "a?Bvc-Model: x?[2J"


def test_neither_torch_nor_numpy_is_loaded(made: Path) -> None:
    program = (
        "import sys; from bvc.capture.identity import identify; identify(sys.argv[1]); "
        "print({'torch', 'transformers', 'numpy', 'huggingface_hub'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(made / "adapter")], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "set()\n"
