"""Dictionaries as bytes: one safetensors file of their arrays, named by its hash in the dictionary's spec."""

from __future__ import annotations

from bvc.dictionaries import DictionarySpec
from bvc.errors import DamagedObject
from bvc.features.dictionary import Dictionary, check_spec
from bvc.features.weights import pack_weights, unpack_weights, weights_digest


def write_dictionary(dictionary: Dictionary) -> bytes:
    """The safetensors file whose SHA-256 is `dictionary.spec.weights`. The same bytes for the same weights."""
    return pack_weights(dictionary.weights)


def read_dictionary(spec: DictionarySpec, data: bytes) -> Dictionary:
    """The dictionary of `spec`, on the CPU, from the file that `write_dictionary` gave.

    Raises DamagedObject for bytes whose hash is not the spec's or that are no safetensors file, and BadInput for a spec
    or arrays that no dictionary has (see `Dictionary`).
    """
    check_spec(spec)
    if weights_digest(data) != spec.weights:
        raise DamagedObject(
            "a dictionary's weights do not match their checksum", hint="fetch or import the dictionary again"
        )
    return Dictionary(spec, unpack_weights(data))
