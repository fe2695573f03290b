"""Loading: adapters on a base that stays what it is, weights that must not or cannot be loaded, memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bvc.capture.engine import EngineOutOfMemory, ProbeRequest
from bvc.capture.load import forget_models
from bvc.capture.transformers_engine import open_engine
from bvc.errors import BadInput, BvcError, EngineError
from bvc.records import ModelIdentity
from tests.engines import captures, chat, differences, identity, numbers, opened, probes, recipe
from tests.tiny_models import tiny_adapter, tiny_model

HOW = recipe(draws=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(autouse=True)
def _forget() -> Any:
    yield
    forget_models()


def all_captures(folder: Path, *, base: Path | None = None) -> dict[str, Any]:
    engine = open_engine(identity(folder, base=base), HOW)
    try:
        return captures(engine, probes(), HOW)  # type: ignore[arg-type]
    finally:
        engine.close()


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(differences(a[i], b[i]) == [] for i in a)


def test_adapters_in_turn_load_the_base_once_and_leave_it_as_it_was(base: Path, tmp_path: Path) -> None:
    one, two = (tiny_adapter(tmp_path / str(i), base, seed=i) for i in (1, 2))
    fresh = {}
    for folder in (one, two):
        fresh[folder] = all_captures(folder, base=base)
        forget_models()
    before = all_captures(base)
    first = open_engine(identity(one, base=base), HOW)
    core = first._loaded.core  # type: ignore[attr-defined]
    first.close()
    for folder in (one, two, one):
        engine = open_engine(identity(folder, base=base), HOW)
        assert engine._loaded.core is core  # type: ignore[attr-defined]
        assert same(captures(engine, probes(), HOW), fresh[folder])  # type: ignore[arg-type]
        engine.close()
    assert same(all_captures(base), before)
    assert not same(fresh[one], before) and not same(fresh[one], fresh[two])


def test_two_open_engines_do_not_share_a_base(base: Path, tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "adapter", base)
    expected = all_captures(base)
    with opened(base, HOW) as plain, opened(adapter, HOW, base=base) as adapted:
        assert plain._loaded.core is not adapted._loaded.core
        assert same(captures(plain, probes(), HOW), expected)
        assert not same(captures(adapted, probes(), HOW), expected)


def test_an_adapter_agrees_with_its_merged_model(base: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    adapter = tiny_adapter(tmp_path / "adapter", base)
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).merge_and_unload()
    folder = tiny_model(tmp_path / "merged")
    merged.save_pretrained(folder)
    adapted, whole = all_captures(adapter, base=base), all_captures(folder)
    for probe_id, capture in adapted.items():
        other = whole[probe_id]
        assert capture.outputs == other.outputs
        assert abs(capture.evidence.logprob.target - other.evidence.logprob.target).max() < 1e-4


def test_an_adapter_on_an_adapter(base: Path, tmp_path: Path) -> None:
    lower, upper = (tiny_adapter(tmp_path / str(i), base, seed=i) for i in (1, 2))
    below = identity(lower, base=base)
    stacked = ModelIdentity("stacked", "stacked", "peft", base=below, location=str(upper))
    engine = open_engine(stacked, HOW)
    found = captures(engine, probes(), HOW)  # type: ignore[arg-type]
    engine.close()
    assert not same(found, all_captures(upper, base=base)) and not same(found, all_captures(lower, base=base))


def test_an_adapter_without_its_base_or_with_missing_weights(base: Path, tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "adapter", base)
    with pytest.raises(EngineError, match="base model is not known"):
        open_engine(ModelIdentity("a", "f", "peft", location=str(adapter)), HOW)
    weights = load_file(adapter / "adapter_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, adapter / "adapter_model.safetensors")
    with pytest.raises(EngineError, match="lacks weights of its adapter"):
        open_engine(identity(adapter, base=base), HOW)


def test_an_adapter_that_changes_the_prompt_is_refused(base: Path, tmp_path: Path) -> None:
    from peft import PromptTuningConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(tmp_path / "soft")
    with pytest.raises(EngineError, match="PROMPT_TUNING adapter"):
        open_engine(identity(tmp_path / "soft", base=base), HOW)


class Planted:
    """Runs code when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def pickle_instead(folder: Path, extra: dict[str, Any] | None = None) -> Path:
    torch.save({**load_file(folder / "model.safetensors"), **(extra or {})}, folder / "pytorch_model.bin")
    return folder


def test_pickled_weights_are_refused_unless_asked_for(tmp_path: Path) -> None:
    folder = pickle_instead(tiny_model(tmp_path / "pickled"))
    expected = all_captures(folder)
    forget_models()
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="pickled"):
        open_engine(identity(folder), HOW)
    with opened(folder, HOW, allow_pickle=True) as engine:
        found = captures(engine, probes(), HOW)
    for probe, capture in expected.items():
        assert found[probe].outputs == capture.outputs
        wanted, read = numbers(capture), numbers(found[probe])
        for name in wanted.keys() - {"top_ids", "top_logprobs", "residual", "buckets"}:
            # The last bits depend on where in memory the weights lie.
            np.testing.assert_allclose(read[name], wanted[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_a_pickle_beside_safetensors_is_never_opened(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    folder = pickle_instead(tiny_model(tmp_path / "both"), {"planted": Planted(trace)})
    all_captures(folder)
    assert not trace.exists()


def test_code_in_a_pickle_does_not_run_even_when_pickles_are_allowed(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    folder = pickle_instead(tiny_model(tmp_path / "planted"), {"planted": Planted(trace)})
    (folder / "model.safetensors").unlink()
    with pytest.raises(EngineError, match="cannot load planted"):
        open_engine(identity(folder), HOW, allow_pickle=True)
    assert not trace.exists()


def test_weights_that_are_missing_or_have_another_shape(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    name = next(k for k in weights if "layers.1.mlp.up_proj" in k)
    removed = weights.pop(name)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineError, match="lacks 1 of the model's weights"):
        open_engine(identity(folder), HOW)
    save_file({**weights, name: removed[:-1].clone()}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineError, match="cannot load model"):
        open_engine(identity(folder), HOW)


def test_damaged_or_absent_files(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    data = (folder / "model.safetensors").read_bytes()
    for broken in (data[: len(data) // 2], b"", b"x" * 100):
        (folder / "model.safetensors").write_bytes(broken)
        with pytest.raises(BvcError, match="model"):
            open_engine(identity(folder), HOW)
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="weights are missing"):
        open_engine(identity(folder), HOW)
    with pytest.raises(EngineError, match="not known where the weights"):
        open_engine(ModelIdentity("gone", "f", "hf"), HOW)


def test_models_that_bring_their_own_code_are_refused(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "unheard_of", "auto_map": {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n")
    with pytest.raises(EngineError, match="custom code") as caught:
        open_engine(identity(folder), HOW)
    assert "--trust-remote-code" in (caught.value.hint or "")
    assert not (tmp_path / "ran").exists()


def test_models_that_are_no_causal_language_models(tmp_path: Path) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    folder = tiny_model(tmp_path / "t5")
    sizes = {"d_model": 16, "d_ff": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "vocab_size": 400}
    T5ForConditionalGeneration(T5Config(**sizes)).save_pretrained(folder)
    with pytest.raises(EngineError, match="encoder-decoder"):
        open_engine(identity(folder), HOW)


@pytest.mark.parametrize("settings,words", [({"dtype": "int3"}, "dtype 'int3'"), ({"device": "cuda"}, "not available")])
def test_dtypes_and_devices_that_cannot_be_had(base: Path, settings: dict[str, str], words: str) -> None:
    if settings.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(EngineError, match=words):
        open_engine(identity(base), recipe(**settings))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
        MemoryError(),
    ],
)
def test_running_out_of_memory_is_told_apart(base: Path, error: Exception) -> None:
    def fail(module: Any, inputs: Any) -> None:
        raise error

    with opened(base, HOW) as engine:
        engine._loaded.core.model.layers[1].register_forward_pre_hook(fail)
        (batch,) = engine.plan([ProbeRequest(chat("hi"))], HOW)
        with pytest.raises(EngineOutOfMemory, match="out of memory"):
            engine.run(batch)


def test_any_other_failure_of_the_model_is_an_engine_error(base: Path) -> None:
    def fail(module: Any, inputs: Any) -> None:
        raise ValueError("shapes do not match\nmore lines")

    with opened(base, HOW) as engine:
        engine._loaded.core.model.layers[1].register_forward_pre_hook(fail)
        (batch,) = engine.plan([ProbeRequest(chat("hi"))], HOW)
        with pytest.raises(EngineError, match=r"the model failed .*: shapes do not match$"):
            engine.run(batch)


def test_plans_keep_to_the_dtype_that_was_loaded(base: Path) -> None:
    with opened(base, HOW) as engine, pytest.raises(EngineError, match="loaded as float32"):
        engine.plan([ProbeRequest(chat("hi"))], recipe(dtype="bfloat16"))
