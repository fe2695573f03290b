"""Stored JSON to records, with the types checked: a commit may come from anywhere. Layer 2, no numpy.

Each function raises KeyError, TypeError, ValueError or AttributeError for what is not such a record.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from bvc.dictionaries import KINDS, LATENTS_LIMIT, TILE_NUMBERS, DictionaryCard, DictionarySpec, LatentCard
from bvc.ids import is_digest
from bvc.records import Generation, Outputs, Probe, Reference
from bvc.repository.manifest import Field, Manifest, check_version

_LAYER = re.compile(r"layer\.[0-9]{2,5}")


def outputs_of(data: Any) -> Outputs:
    """The greedy text and draws of a record."""
    check_version(data, "an output")
    outputs = Outputs.from_json(data)
    for answer in (outputs.greedy, *outputs.draws):
        _check_answer(answer)
    return outputs


def _check_answer(answer: Generation) -> None:
    _check(answer.text, str)
    _check(answer.finish, str)
    _check(answer.tokens, int, type(None))


def reference_of(data: Any) -> Reference:
    """The continuation of a record."""
    reference = Reference.from_json(data)
    _check(reference.text, str)
    return reference


def probe_of(data: Any) -> Probe:
    """The probe of a record."""
    probe = Probe.from_json(data)
    for text in (probe.prompt, probe.name, probe.reference, probe.cluster):
        _check(text, str, type(None))
    for text in (*probe.tags, *(t for m in probe.messages or () for t in (m.role, m.content))):
        _check(text, str)
    _check(probe.max_new_tokens, int, type(None))
    if (probe.messages is None) == (probe.prompt is None):
        raise ValueError("a probe has either messages or a prompt")
    return probe


def order_of(data: Any) -> tuple[str, ...]:
    """The probe ids of a tile grid, in the order of its rows."""
    check_version(data, "a probe order")
    order = tuple(data["probes"])
    if not all(map(is_digest, order)) or len(set(order)) < len(order):
        raise ValueError("a probe order is a list of distinct ids")
    return order


def manifest_of(channel: str, probes: int, data: Any) -> Manifest:
    """The tile grid of `channel` over that many probes."""
    manifest = Manifest.from_json(data)
    manifest.check(channel, probes)
    return manifest


def dictionary_of(data: Any) -> tuple[DictionarySpec, DictionaryCard]:
    """What fixes a dictionary, and its card."""
    check_version(data, "a dictionary")
    spec = DictionarySpec.from_json(data["spec"])
    if spec.kind not in KINDS or not _LAYER.fullmatch(spec.layer) or not is_digest(spec.weights):
        raise ValueError("a dictionary has a kind, a layer and the digest of its weights")
    if not all(type(n) is int and 0 < n <= LATENTS_LIMIT for n in (spec.width, spec.latents)):
        raise ValueError("a size of a dictionary is not possible")
    if number_of(spec.k) < 0 or number_of(spec.scale) <= 0:
        raise ValueError("a dictionary's numbers are not possible")
    for text in (spec.model, spec.loader):
        _check(text, str)
    _check(spec.architecture, str, type(None))
    _check(spec.centered, bool)
    return spec, _card_of(data["card"])


def _card_of(data: Any) -> DictionaryCard:
    card = DictionaryCard(**{name: data[name] for name in DictionaryCard.__dataclass_fields__})
    _check(card.name, str)
    for count in (card.dead, card.tokens):
        _check(count, int)
    for number in (card.explained, card.active, *(() if card.loss_ratio is None else (card.loss_ratio,))):
        number_of(number)
    if not isinstance(card.fit, Mapping):
        raise TypeError("the settings of a fit are a table")
    for text in (card.license, card.source):
        _check(text, str, type(None))
    return card


def latents_of(spec: DictionarySpec, data: Any) -> list[LatentCard]:
    """The cards of some of a dictionary's latents."""
    check_version(data, "a list of latents")
    return [_latent_of(spec, row) for row in data["latents"]]


def _latent_of(spec: DictionarySpec, row: Any) -> LatentCard:
    if type(row["latent"]) is not int or not 0 <= row["latent"] < spec.latents:
        raise ValueError("a dictionary has no such latent")
    told = [tuple((_text_of(text), number_of(value)) for text, value in row[key]) for key in ("contexts", "promoted")]
    return LatentCard(row["latent"], number_of(row["rate"]), number_of(row["strength"]), *told)


def weights_of(spec: DictionarySpec, data: Any) -> dict[str, Field]:
    """The tiles of a dictionary's arrays by name, with the shapes that its sizes ask for."""
    check_version(data, "a dictionary's signature")
    shapes = spec.shapes
    found = {name: Field(f["dtype"], tuple(f["shape"]), tuple(f["tiles"])) for name, f in data["fields"].items()}
    if {name: f.shape for name, f in found.items()} != shapes or any(f.dtype != "<f4" for f in found.values()):
        raise ValueError("the arrays of a dictionary have other names, types or shapes")
    for name, field in found.items():
        if len(field.tiles) != -(-math.prod(shapes[name]) // TILE_NUMBERS) or not all(map(is_digest, field.tiles)):
            raise ValueError("the arrays of a dictionary have other tiles")
    return found


def number_of(value: Any) -> float:
    """A finite number. Raises TypeError or ValueError for anything else."""
    _check(value, int, float)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return float(value)


def _text_of(value: Any) -> str:
    _check(value, str)
    return str(value)


def _check(value: object, *kinds: type) -> None:
    if type(value) not in kinds:
        raise TypeError(f"{type(value).__name__} where {kinds[0].__name__} belongs")
