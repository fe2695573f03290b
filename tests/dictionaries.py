"""Random dictionaries for tests of what stores them and encodes with them: about a tenth of the latents fire."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bvc.dictionaries import DictionaryCard, DictionarySpec, LatentCard
from bvc.repository.dictionaries import find_dictionary, put_dictionary

if TYPE_CHECKING:
    from bvc.dictionaries import StoredDictionary
    from bvc.features.dictionary import Dictionary
    from bvc.repository.repository import Repository

AUTHOR = "Ada Lovelace <ada@example.org>"
Arrays = Mapping[str, np.ndarray[Any, Any]]


def random_arrays(width: int = 32, latents: int = 64, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays of a dictionary."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(latents, width)).astype("<f4")
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return {
        "encoder": np.ascontiguousarray(directions.T),
        "encoder_bias": np.zeros(latents, "<f4"),
        "decoder": directions,
        "decoder_bias": np.zeros(width, "<f4"),
        "threshold": np.full(latents, 0.5, "<f4"),
    }


def random_dictionary(*, width: int = 32, latents: int = 64, layer: str = "layer.02", seed: int = 0) -> Dictionary:
    """A dictionary that torch can run, of a model of any name."""
    import torch

    from bvc.features.dictionary import Dictionary

    weights = {name: torch.from_numpy(array) for name, array in random_arrays(width, latents, seed).items()}
    return Dictionary.build(kind="jumprelu", layer=layer, model="f" * 64, k=6.0, scale=1.0, weights=weights)


def card(name: str = "lineage", **settings: Any) -> DictionaryCard:
    """The card of a dictionary that was never fitted."""
    return DictionaryCard(name, explained=0.5, active=6.0, dead=0, tokens=1000, **settings)


def spec(width: int = 32, latents: int = 64, *, layer: str = "layer.02", seed: int = 0) -> DictionarySpec:
    """What fixes the dictionary of `random_arrays`."""
    made = DictionarySpec("jumprelu", layer, "f" * 64, width, latents, 6.0, 1.0, "")
    state = hashlib.sha256(made.weights_head)
    for array in random_arrays(width, latents, seed).values():
        state.update(array.tobytes())
    return replace(made, weights=state.hexdigest())


def cards(latents: int = 64) -> list[LatentCard]:
    """One for each latent."""
    return [LatentCard(j, 0.1, 0.7, ((f"text {j}", 1.5),), ((" token", 0.25),)) for j in range(latents)]


def put_random(repository: Repository, name: str = "lineage", **settings: Any) -> StoredDictionary:
    """Stores a dictionary that torch can run."""
    from bvc.features.arrays import to_arrays

    made = random_dictionary(**settings)
    put_dictionary(repository, name, made.spec, card(name), (), to_arrays(made), AUTHOR)
    return find_dictionary(repository, name)
