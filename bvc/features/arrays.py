"""Dictionaries to the numpy arrays that a repository stores, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from bvc.dictionaries import DictionarySpec
from bvc.features.dictionary import Dictionary
from bvc.features.files import read_dictionary
from bvc.features.weights import pack_weights

Arrays = Mapping[str, npt.NDArray[np.float32]]


def from_arrays(spec: DictionarySpec, arrays: Arrays) -> Dictionary:
    """The dictionary of `spec` with these weights. Raises DamagedObject where they are not those that the spec names,
    and as `Dictionary` does."""
    return read_dictionary(spec, pack_weights({name: torch.from_numpy(array.copy()) for name, array in arrays.items()}))


def to_arrays(dictionary: Dictionary) -> dict[str, npt.NDArray[np.float32]]:
    """The weights of a dictionary by name."""
    return {name: weight.cpu().numpy() for name, weight in dictionary.weights.items()}
