"""SAELens folders, in and out: their arithmetic as it is written there, and refusal of what bvc does not compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bvc.dictionaries import WEIGHTS
from bvc.errors import BadInput
from bvc.features.dictionary import Dictionary
from bvc.features.sae_lens import SETTINGS_FILE, WEIGHTS_FILE, read_sae_lens, write_sae_lens
from tests.features.toy import random_dictionary

D, M = 16, 40
MODEL = "f" * 64


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {
        "W_enc": torch.randn((D, M), generator=g) / 3,
        "b_enc": torch.randn(M, generator=g) / 5,
        "W_dec": torch.randn((M, D), generator=g),
        "b_dec": torch.randn(D, generator=g),
    }


def settings(architecture: str, **more: Any) -> dict[str, Any]:
    """A configuration as SAELens 6 writes it."""
    return {
        "architecture": architecture,
        "d_in": D,
        "d_sae": M,
        "dtype": "float32",
        "device": "cuda",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"sae_lens_version": "6.21.0", "hook_name": "blocks.7.hook_resid_post", "model_name": "gpt2"},
        **more,
    }


def folder(path: Path, config: dict[str, Any], arrays: dict[str, torch.Tensor]) -> Path:
    path.mkdir(exist_ok=True)
    (path / SETTINGS_FILE).write_text(json.dumps(config))
    save_file(arrays, path / WEIGHTS_FILE)
    return path


def reference(config: dict[str, Any], w: dict[str, torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents and reconstruction as SAELens' documentation has them."""
    bias = w["b_dec"] if config["apply_b_dec_to_input"] else 0
    pre = (x - bias) @ w["W_enc"] + w["b_enc"]
    norms = w["W_dec"].norm(dim=-1) if config.get("rescale_acts_by_decoder_norm") else torch.ones(M)
    pre = pre * norms
    f = pre.relu()
    if config["architecture"] == "topk":
        f = torch.zeros_like(f).scatter(-1, pre.topk(config["k"]).indices, pre.topk(config["k"]).values.relu())
    if config["architecture"] == "jumprelu":
        f = f * (pre > w["threshold"])
    if config["architecture"] == "batchtopk":
        f = f * (pre > w["topk_threshold"])
    return f, (f / norms) @ w["W_dec"] + w["b_dec"]


ARRAYS = {
    "standard": {},
    "topk": {},
    "jumprelu": {"threshold": torch.linspace(-0.5, 1.5, M)},
    "batchtopk": {"topk_threshold": torch.tensor(0.7, dtype=torch.float64)},
}
MORE = {"topk": {"k": 6}, "batchtopk": {"k": 6.5}}


SETTINGS = [(name, False) for name in ARRAYS] + [("topk", True), ("batchtopk", True)]


@pytest.mark.parametrize(("architecture", "rescaled"), SETTINGS)
@pytest.mark.parametrize("centered", [True, False])
def test_latents_are_those_of_the_architecture(
    tmp_path: Path, architecture: str, centered: bool, rescaled: bool
) -> None:
    config = settings(architecture, **MORE.get(architecture, {})) | {"apply_b_dec_to_input": centered}
    if rescaled:
        config["rescale_acts_by_decoder_norm"] = True
    weights = tensors() | ARRAYS[architecture]
    dictionary = read_sae_lens(folder(tmp_path / "sae", config, weights), model=MODEL)
    x = 2 * torch.randn((200, D), generator=torch.Generator().manual_seed(5))
    latents, decoded = reference(config, weights, x)
    f = dictionary.encode(x)
    assert 0 < int((f > 0).sum()) < f.numel()
    torch.testing.assert_close(f, latents.float(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(dictionary.decode(f), decoded.float(), atol=1e-4, rtol=1e-4)
    assert (dictionary.spec.layer, dictionary.spec.model) == ("layer.08", MODEL)


def test_a_factor_of_the_activations_is_applied(tmp_path: Path) -> None:
    config = settings("standard", normalize_activations="expected_average_only_in")
    path = folder(tmp_path / "sae", config, tensors())
    with pytest.raises(BadInput, match="factor") as refused:
        read_sae_lens(path, model=MODEL)
    assert "norm_scaling_factor" in (refused.value.hint or "")
    dictionary = read_sae_lens(path, model=MODEL, scale=0.3)
    x = 5 * torch.randn((50, D), generator=torch.Generator().manual_seed(5))
    f, decoded = reference(config, tensors(), x * 0.3)
    torch.testing.assert_close(dictionary.encode(x), f, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(dictionary.decode(f), decoded / 0.3, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("hook", "layer"),
    [
        ("blocks.7.hook_resid_post", "layer.08"),
        ("blocks.7.hook_resid_pre", "layer.07"),
        ("blocks.0.hook_resid_post", "layer.01"),
        ("model.layers.14", "layer.15"),
        ("transformer.h.3", "layer.04"),
    ],
)
def test_hooks_after_a_block_are_known(tmp_path: Path, hook: str, layer: str) -> None:
    config = settings("standard", metadata={"sae_lens_version": "6.1.0", "hook_name": hook})
    assert read_sae_lens(folder(tmp_path / "sae", config, tensors()), model=MODEL).spec.layer == layer


@pytest.mark.parametrize("hook", ["blocks.0.hook_resid_pre", "blocks.7.hook_mlp_out", "blocks.7.attn.hook_z", None])
def test_other_hooks_need_a_layer(tmp_path: Path, hook: str | None) -> None:
    path = folder(tmp_path / "sae", settings("standard", metadata={"hook_name": hook}), tensors())
    with pytest.raises(BadInput, match="not the output of a block"):
        read_sae_lens(path, model=MODEL)
    assert read_sae_lens(path, model=MODEL, layer="layer.02").spec.layer == "layer.02"


def test_without_a_model_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="which model"):
        read_sae_lens(folder(tmp_path / "sae", settings("standard"), tensors()))


def test_folders_older_than_version_6(tmp_path: Path) -> None:
    old = {"d_in": D, "d_sae": M, "hook_point": "blocks.2.hook_resid_post", "normalize_activations": False}
    topk = old | {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 4}, "sae_lens_version": "4.1.0"}
    plain = read_sae_lens(folder(tmp_path / "plain", old, tensors()), model=MODEL)
    assert (plain.spec.kind, plain.spec.layer, plain.spec.centered) == ("relu", "layer.03", True)
    largest = read_sae_lens(folder(tmp_path / "topk", topk, tensors()), model=MODEL)
    assert (largest.spec.kind, largest.spec.k) == ("topk", 4)


REFUSED = {
    "gated": ({"architecture": "gated"}, "gated"),
    "no name": ({"architecture": ["standard"]}, "not supported"),
    "transcoder": ({"architecture": "transcoder"}, "transcoder"),
    "layer norm": ({"normalize_activations": "layer_norm"}, "layer_norm"),
    "by token": ({"normalize_activations": "constant_norm_rescale"}, "constant_norm_rescale"),
    "heads": ({"reshape_activations": "hook_z"}, "attention heads"),
    "version": ({"metadata": {"sae_lens_version": "7.0.0"}}, "7.0.0"),
    "odd version": ({"metadata": {"sae_lens_version": "x"}}, "written by SAELens x"),
    "function": ({"activation_fn": "tanh-relu"}, "tanh-relu"),
    "scaling": ({"finetuning_scaling_factor": True}, "scaling factor"),
    "sizes": ({"d_sae": M + 1}, "W_enc"),
    "k": ({"architecture": "topk", "k": 0}, "whole number"),
    "k as text": ({"architecture": "topk", "k": "6"}, "finite number"),
    "no threshold": ({"architecture": "jumprelu"}, "threshold"),
    "no batch threshold": ({"architecture": "batchtopk", "k": 3}, "topk_threshold"),
    "hostile own part": ({"metadata": {"bvc": {"scale": "1"}}}, "metadata.bvc"),
    "hostile scale": ({"metadata": {"bvc": {"scale": 0.3}}}, "metadata.bvc"),
    "hostile layer": ({"metadata": {"bvc": {"layer": ["x"]}}}, "metadata.bvc"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_bvc_does_not_compute_is_refused(tmp_path: Path, case: str) -> None:
    change, said = REFUSED[case]
    with pytest.raises(BadInput, match=said):
        read_sae_lens(folder(tmp_path / "sae", settings("standard") | change, tensors()), model=MODEL, layer="layer.01")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"cfg"', b"\xff\xfe{", b"[" * 100_000])
def test_a_broken_configuration_is_refused(tmp_path: Path, content: bytes) -> None:
    path = folder(tmp_path / "sae", settings("standard"), tensors())
    (path / SETTINGS_FILE).write_bytes(content)
    with pytest.raises(BadInput, match=SETTINGS_FILE):
        read_sae_lens(path, model=MODEL)


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=SETTINGS_FILE):
        read_sae_lens(tmp_path / "nowhere", model=MODEL)
    path = folder(tmp_path / "sae", settings("standard"), tensors())
    (path / WEIGHTS_FILE).write_bytes(b"\x80\x04pickle")
    with pytest.raises(BadInput, match="not a safetensors file"):
        read_sae_lens(path, model=MODEL)
    (path / WEIGHTS_FILE).unlink()
    with pytest.raises(BadInput, match=WEIGHTS_FILE):
        read_sae_lens(path, model=MODEL)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    weights = tensors()
    weights["W_dec"][3, 3] = torch.nan
    with pytest.raises(BadInput, match="not finite"):
        read_sae_lens(folder(tmp_path / "sae", settings("standard"), weights), model=MODEL)


@pytest.mark.parametrize("kind", ["batchtopk", "jumprelu", "topk", "relu"])
@pytest.mark.parametrize("scale", [1.0, 0.125, 32.0])
@pytest.mark.parametrize("centered", [True, False])
def test_round_trip_is_exact(tmp_path: Path, kind: str, scale: float, centered: bool) -> None:
    dictionary = random_dictionary(kind, scale=scale, centered=centered, architecture="a" * 64)
    write_sae_lens(dictionary, tmp_path / "out")
    again = read_sae_lens(tmp_path / "out")
    assert again.spec == dictionary.spec
    assert all(torch.equal(again.weights[name], dictionary.weights[name]) for name in WEIGHTS)


@pytest.mark.parametrize("scale", [1.0, 0.25, 0.7])
@pytest.mark.parametrize("kind", ["batchtopk", "topk", "relu"])
def test_what_is_written_computes_the_same_in_the_models_own_unit(tmp_path: Path, scale: float, kind: str) -> None:
    dictionary = random_dictionary(kind, scale=scale, width=D, latents=M)
    write_sae_lens(dictionary, tmp_path / "out", model_name="smollm2")
    config = json.loads((tmp_path / "out" / SETTINGS_FILE).read_text())
    x = 3 * torch.randn((100, D), generator=torch.Generator().manual_seed(1))
    latents, decoded = reference(config, load_file(tmp_path / "out" / WEIGHTS_FILE), x)
    torch.testing.assert_close(latents, dictionary.encode(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(decoded, dictionary.decode(dictionary.encode(x)), atol=1e-4, rtol=1e-4)
    assert config["metadata"]["hook_name"] == "blocks.2.hook_resid_post"
    assert config["metadata"]["model_name"] == "smollm2"
    assert config["normalize_activations"] == "none"


def test_a_foreign_folder_comes_out_as_it_went_in(tmp_path: Path) -> None:
    weights = tensors() | {"threshold": torch.linspace(0, 1.5, M)}
    dictionary = read_sae_lens(folder(tmp_path / "sae", settings("jumprelu"), weights), model=MODEL)
    write_sae_lens(dictionary, tmp_path / "out")
    out = load_file(tmp_path / "out" / WEIGHTS_FILE)
    assert set(out) == set(weights)
    assert all(torch.equal(out[name], weights[name]) for name in weights)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    write_sae_lens(random_dictionary(), tmp_path / "out")
    before = (tmp_path / "out" / WEIGHTS_FILE).read_bytes()
    with pytest.raises(BadInput, match="there already"):
        write_sae_lens(random_dictionary(scale=0.5), tmp_path / "out")
    assert (tmp_path / "out" / WEIGHTS_FILE).read_bytes() == before


def test_a_kind_that_saelens_lacks_is_refused(tmp_path: Path) -> None:
    weights = dict(random_dictionary("topk").weights) | {"threshold": torch.ones(60)}
    dictionary = Dictionary.build(kind="topk", layer="layer.01", model="m", k=3, scale=1.0, weights=weights)
    with pytest.raises(BadInput, match="no architecture"):
        write_sae_lens(dictionary, tmp_path / "out")
