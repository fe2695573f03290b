"""The arithmetic of a dictionary, held to the words of `bvc.dictionaries`, and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bvc.dictionaries import KINDS, LOADER
from bvc.errors import BadInput
from bvc.features.dictionary import Dictionary
from tests.features.toy import random_dictionary, random_weights


def by_hand(dictionary: Dictionary, x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Latents and reconstruction from the formulas, in double precision and plain loops over tokens."""
    spec = dictionary.spec
    w = {name: array.double().numpy() for name, array in dictionary.weights.items()}
    latents, decoded = [], []
    for row in x.double().numpy():
        pre = ((row * spec.scale) - (w["decoder_bias"] if spec.centered else 0)) @ w["encoder"] + w["encoder_bias"]
        fires = pre > w["threshold"]
        if spec.kind == "topk":
            fires &= np.isin(np.arange(len(pre)), np.argsort(-pre)[: int(spec.k)])
        f = np.where(fires, pre, 0)
        latents.append(f)
        decoded.append((f @ w["decoder"] + w["decoder_bias"]) / spec.scale)
    return np.array(latents), np.array(decoded)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("centered", [True, False])
def test_arithmetic_is_the_documented_one(kind: str, centered: bool) -> None:
    dictionary = random_dictionary(kind, centered=centered)
    x = torch.randn(50, 24, generator=torch.Generator().manual_seed(1)) * 3
    latents, decoded = by_hand(dictionary, x)
    f = dictionary.encode(x)
    assert (latents != 0).any()
    assert np.array_equal(f.numpy() != 0, latents != 0)
    np.testing.assert_allclose(f.numpy(), latents, atol=1e-5)
    np.testing.assert_allclose(dictionary.decode(f).numpy(), decoded, atol=1e-5)


def test_topk_keeps_k_latents_at_most_and_fewer_where_fewer_are_above_the_threshold() -> None:
    dictionary = random_dictionary("topk", k=5)
    f = dictionary.encode(torch.randn(200, 24, generator=torch.Generator().manual_seed(2)))
    assert int((f > 0).sum(1).max()) == 5
    high = dict(dictionary.weights) | {"threshold": torch.full((60,), 2.0)}
    few = Dictionary.build(kind="topk", layer="l", model="m", k=5, scale=0.7, weights=high)
    counts = (few.encode(torch.randn(200, 24, generator=torch.Generator().manual_seed(2))) > 0).sum(1)
    assert 0 <= int(counts.min()) < 5


def test_a_latent_at_its_threshold_does_not_fire() -> None:
    weights = {
        "encoder": torch.eye(2),
        "encoder_bias": torch.zeros(2),
        "decoder": torch.eye(2),
        "decoder_bias": torch.zeros(2),
        "threshold": torch.tensor([1.0, 1.0]),
    }
    dictionary = Dictionary.build(kind="jumprelu", layer="l", model="m", k=0, scale=1.0, weights=weights)
    assert dictionary.encode(torch.tensor([[1.0, 1.0000001]])).tolist() == [[0.0, pytest.approx(1.0)]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_encoded_as_their_float32_values(dtype: torch.dtype) -> None:
    dictionary = random_dictionary()
    x = torch.randn(10, 24, generator=torch.Generator().manual_seed(3)).to(dtype)
    assert dictionary.encode(x).dtype == torch.float32
    assert torch.equal(dictionary.encode(x), dictionary.encode(x.float()))


def test_encoding_leaves_the_activations_as_they_were() -> None:
    dictionary = random_dictionary(scale=1.0, centered=False)
    x = torch.randn(10, 24)
    before = x.clone()
    dictionary.encode(x)
    assert torch.equal(x, before)


def test_build_takes_the_sizes_and_is_the_same_for_the_same_weights() -> None:
    one, two = random_dictionary(), random_dictionary()
    assert (one.spec.width, one.spec.latents) == (24, 60)
    assert one.spec == two.spec
    doubled = {name: array.double() for name, array in one.weights.items()}
    assert random_dictionary(weights=doubled).spec == one.spec


@pytest.mark.parametrize("name", ["encoder", "encoder_bias", "decoder", "decoder_bias", "threshold"])
def test_each_array_and_each_setting_is_part_of_the_identity(name: str) -> None:
    base = random_dictionary()
    weights = {key: array.clone() for key, array in base.weights.items()}
    weights[name].view(-1)[0] += 1
    assert random_dictionary(weights=weights).spec.digest != base.spec.digest
    changed = [random_dictionary(scale=0.5), random_dictionary(layer="layer.04"), random_dictionary(centered=False)]
    assert len({d.spec.digest for d in [base, *changed]}) == 4
    assert replace(base.spec, loader="bvc-dictionary/2").digest != base.spec.digest


SETTINGS = {
    "kind": "gated",
    "loader": "bvc-dictionary/99",
    "scale": 0.0,
    "k": -1,
    "width": 0,
    "latents": True,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_unknown_and_senseless_settings_are_refused(name: str) -> None:
    dictionary = random_dictionary()
    with pytest.raises(BadInput, match=name if name != "kind" else "gated"):
        Dictionary(replace(dictionary.spec, **{name: SETTINGS[name]}), dictionary.weights)


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None])
@pytest.mark.parametrize("name", ["scale", "k"])
def test_numbers_must_be_finite_numbers(name: str, value: object) -> None:
    dictionary = random_dictionary()
    with pytest.raises(BadInput, match=name):
        Dictionary(replace(dictionary.spec, **{name: value}), dictionary.weights)


@pytest.mark.parametrize("k", [0, 2.5, 61])
def test_k_of_topk_is_a_whole_number_of_latents(k: float) -> None:
    with pytest.raises(BadInput, match="whole number from 1 to 60"):
        random_dictionary("topk", k=k)


def test_refusals_say_what_to_do() -> None:
    dictionary = random_dictionary()
    with pytest.raises(BadInput) as refused:
        Dictionary(replace(dictionary.spec, loader="bvc-dictionary/99"), dictionary.weights)
    assert LOADER in refused.value.message
    assert "update" in (refused.value.hint or "")


def broken(name: str) -> dict[str, torch.Tensor]:
    weights = random_weights(24, 60)
    changes = {
        "shape": {"encoder_bias": torch.zeros(59)},
        "transposed": {"decoder": weights["decoder"].T},
        "type": {"decoder": weights["decoder"].double()},
        "nan": {"encoder": weights["encoder"].clone().fill_(math.nan)},
        "infinite": {"decoder_bias": torch.full((24,), math.inf)},
        "negative": {"threshold": torch.full((60,), -0.1)},
        "extra": {"more": torch.zeros(1)},
    }
    return weights | changes[name]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("shape", "encoder_bias is 59, it should be 60"),
        ("transposed", "decoder is 24 x 60"),
        ("type", "float64"),
        ("nan", "not finite"),
        ("infinite", "decoder_bias holds numbers that are not finite"),
        ("negative", "negative"),
        ("extra", "more"),
    ],
)
def test_arrays_that_no_dictionary_has_are_refused(case: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Dictionary(random_dictionary().spec, broken(case))


def test_build_says_which_array_is_missing() -> None:
    weights = random_weights(24, 60)
    del weights["threshold"]
    with pytest.raises(BadInput, match="lacks threshold"):
        Dictionary.build(kind="relu", layer="l", model="m", k=0, scale=1.0, weights=weights)
    flat = random_weights(24, 60) | {"encoder": torch.zeros(24)}
    with pytest.raises(BadInput, match="two dimensions"):
        Dictionary.build(kind="relu", layer="l", model="m", k=0, scale=1.0, weights=flat)
