"""fsck's check of dictionaries: what their commits say of them and hold must agree. The standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bvc.codec import parse
from bvc.dictionaries import DictionarySpec
from bvc.errors import DamagedObject

DICTIONARY_TRAILER = "Bvc-Dictionary"
CARD_FILE = "dictionary.json"
WEIGHTS_FILE = "dictionary.json"
"""Below `signatures/`."""


def check_dictionary(stated: str, card_file: bytes, weights_file: bytes) -> None:
    """Whether `dictionary.json` and `signatures/dictionary.json` are those of the dictionary of the digest that the
    commit's message states (as `sha256:…`). Raises DamagedObject."""
    try:
        card, signature = parse(card_file), parse(weights_file)
        spec = DictionarySpec.from_json(card["spec"])
        fits = stated == f"sha256:{spec.digest}"
        sizes = {name: tuple(field["shape"]) for name, field in signature["fields"].items()}
        complete = sizes == spec.shapes and all(_is_tiled(field) for field in signature["fields"].values())
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DamagedObject("its records are not those of a dictionary") from error
    if not fits:
        raise DamagedObject("its dictionary does not have the digest that its message states")
    if not complete:
        raise DamagedObject("its signature does not have the arrays of its dictionary")


def _is_tiled(field: Mapping[str, Any]) -> bool:
    """Whether there is a tile at all for an array that has numbers."""
    tiles, shape = field["tiles"], field["shape"]
    return (len(tiles) > 0) is (math.prod(shape) > 0)
