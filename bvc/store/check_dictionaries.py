"""fsck's check of dictionaries: what their commits say of them and hold must agree. No array is loaded with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bvc.codec import parse
from bvc.dictionaries import TILE_NUMBERS, WEIGHTS, DictionarySpec
from bvc.errors import DamagedObject
from bvc.ids import is_digest

if TYPE_CHECKING:
    from bvc.store.packs import Array

DICTIONARY_TRAILER = "Bvc-Dictionary"
CARD_FILE = "dictionary.json"
WEIGHTS_FILE = "dictionary.json"
"""Below `signatures/`."""

Tiles = Mapping[str, tuple[str, ...]]
"""The digests of the tiles of each array."""


def check_dictionary(stated: str, card_file: bytes, weights_file: bytes) -> tuple[DictionarySpec, Tiles]:
    """Whether `dictionary.json` and `signatures/dictionary.json` are those of the dictionary of the digest that the
    commit's message states (as `sha256:…`), and what they say. Raises DamagedObject."""
    try:
        card, signature = parse(card_file), parse(weights_file)
        spec = DictionarySpec.from_json(card["spec"])
        fits = stated == f"sha256:{spec.digest}"
        sizes = {name: tuple(field["shape"]) for name, field in signature["fields"].items()}
        complete = sizes == spec.shapes and all(_is_tiled(field) for field in signature["fields"].values())
        tiles = {name: tuple(field["tiles"]) for name, field in signature["fields"].items()}
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DamagedObject("its records are not those of a dictionary") from error
    if not fits:
        raise DamagedObject("its dictionary does not have the digest that its message states")
    if not complete:
        raise DamagedObject("its signature does not have the arrays of its dictionary")
    return spec, tiles


def _is_tiled(field: Mapping[str, Any]) -> bool:
    """Whether an array has as many tiles as its shape asks for."""
    tiles, shape = field["tiles"], field["shape"]
    whole = all(type(size) is int for size in shape)
    return whole and len(tiles) == -(-math.prod(shape) // TILE_NUMBERS) and all(map(is_digest, tiles))


def check_weights(spec: DictionarySpec, tiles: Tiles, read: Callable[[str], Array]) -> None:
    """Whether the tiles, which `read` gives one at a time, are those of the weights that the spec names by their
    SHA-256. Raises DamagedObject, and as `read` does."""
    import hashlib  # loads the cryptographic library, which looking at dictionaries does without

    state = hashlib.sha256(spec.weights_head)
    for name in WEIGHTS:
        for tile in _tiles(name, math.prod(spec.shapes[name]), map(read, tiles[name])):
            state.update(tile.data)
    if state.hexdigest() != spec.weights:
        raise DamagedObject("the tiles of its dictionary do not have the SHA-256 of its weights")


def _tiles(name: str, numbers: int, tiles: Iterator[Array]) -> Iterator[Array]:
    """The tiles of an array of so many numbers. Raises DamagedObject for what cannot be them."""
    for tile in tiles:
        if tile.ndim != 1 or tile.dtype.str != "<f4" or tile.size > TILE_NUMBERS:
            raise DamagedObject(f"a tile of its {name} is no tile of a dictionary")
        numbers -= tile.size
        yield tile
    if numbers:
        raise DamagedObject(f"the tiles of its {name} do not have its shape")
