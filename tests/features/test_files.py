"""Dictionaries as files: the same bytes for the same weights, and nothing else is read."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from bvc.dictionaries import WEIGHTS, DictionarySpec
from bvc.errors import BadInput, BvcError, DamagedObject
from bvc.features.files import read_dictionary, write_dictionary
from tests.features.toy import random_dictionary


def named_by(spec: DictionarySpec, data: bytes) -> DictionarySpec:
    """The spec of a dictionary that claims these bytes as its weights."""
    return replace(spec, weights=hashlib.sha256(data).hexdigest())


def test_round_trip_is_exact() -> None:
    dictionary = random_dictionary()
    data = write_dictionary(dictionary)
    again = read_dictionary(dictionary.spec, data)
    assert again.spec == dictionary.spec
    assert all(torch.equal(again.weights[name], dictionary.weights[name]) for name in WEIGHTS)
    assert write_dictionary(again) == data
    assert hashlib.sha256(data).hexdigest() == dictionary.spec.weights


def test_the_bytes_do_not_depend_on_memory_layout_or_order_of_arrays() -> None:
    dictionary = random_dictionary()
    turned = {name: dictionary.weights[name] for name in reversed(WEIGHTS)}
    turned["encoder"] = turned["encoder"].T.contiguous().T
    assert write_dictionary(random_dictionary(weights=turned)) == write_dictionary(dictionary)


def test_the_format_never_changes() -> None:
    """A dictionary is named by the hash of its file: other bytes for the same weights would orphan every one."""
    weights = {
        "encoder": torch.tensor([[1.0, 2.0]]),
        "encoder_bias": torch.tensor([0.5, -0.5]),
        "decoder": torch.tensor([[1.0], [-1.0]]),
        "decoder_bias": torch.tensor([0.25]),
        "threshold": torch.zeros(2),
    }
    dictionary = random_dictionary("relu", weights=weights, k=0, scale=1.0)
    assert dictionary.spec.weights == "3a94e6bf74165b7373ec74d6c242da9cd4e0c6824e2f9921958359ce2ed7b5e1"
    assert dictionary.spec.digest == "cbe527cffdf7c0ac45e4c3ddc4bf7a6d9304079fb99e2c97b415188a191c30ba"


def test_others_can_read_the_file(tmp_path: Path) -> None:
    dictionary = random_dictionary()
    path = tmp_path / "dictionary.safetensors"
    path.write_bytes(write_dictionary(dictionary))
    assert {name: tuple(a.shape) for name, a in load_file(path).items()} == {
        name: tuple(array.shape) for name, array in dictionary.weights.items()
    }


@pytest.mark.parametrize("place", [0, 9, 200, -1])
def test_a_changed_byte_is_found(place: int) -> None:
    dictionary = random_dictionary()
    data = bytearray(write_dictionary(dictionary))
    data[place] ^= 1
    with pytest.raises(DamagedObject, match="checksum") as refused:
        read_dictionary(dictionary.spec, bytes(data))
    assert refused.value.hint


def test_a_cut_file_is_found() -> None:
    dictionary = random_dictionary()
    with pytest.raises(DamagedObject):
        read_dictionary(dictionary.spec, write_dictionary(dictionary)[:-4])


def hostile() -> dict[str, bytes]:
    good = write_dictionary(random_dictionary())
    header = json.dumps({"encoder": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}}).encode()
    return {
        "empty": b"",
        "text": b"not a file of weights",
        "pickle": pickle.dumps({"encoder": [1.0]}),
        "huge header": (2**62).to_bytes(8, "little") + b"{}",
        "huge array": len(header).to_bytes(8, "little") + header,
        "cut": good[:-4],
        "more behind it": good + b"\0\0\0\0",
    }


@pytest.mark.parametrize("case", hostile())
def test_files_that_are_no_safetensors_are_refused_even_under_their_own_hash(case: str) -> None:
    data = hostile()[case]
    with pytest.raises(DamagedObject, match="not a safetensors file"):
        read_dictionary(named_by(random_dictionary().spec, data), data)


def other_arrays() -> dict[str, dict[str, torch.Tensor]]:
    weights = dict(random_dictionary().weights)
    return {
        "half precision": {name: array.half() for name, array in weights.items()},
        "other shapes": weights | {"threshold": torch.zeros(61)},
        "not finite": weights | {"encoder_bias": torch.full((60,), torch.nan)},
        "one missing": {name: array for name, array in weights.items() if name != "decoder"},
        "one more": weights | {"code": torch.zeros(3)},
    }


@pytest.mark.parametrize("case", other_arrays())
def test_arrays_that_no_dictionary_has_are_refused_even_under_their_own_hash(case: str) -> None:
    data = save({name: array.contiguous() for name, array in other_arrays()[case].items()})
    with pytest.raises(BadInput):
        read_dictionary(named_by(random_dictionary().spec, data), data)


@pytest.mark.parametrize("change", [{"loader": "x"}, {"kind": "x"}, {"width": 25}, {"latents": 61}, {"scale": "2"}])
def test_a_spec_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    dictionary = random_dictionary()
    with pytest.raises(BvcError):
        read_dictionary(replace(dictionary.spec, **change), write_dictionary(dictionary))  # type: ignore[arg-type]
