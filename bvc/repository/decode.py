"""Stored JSON to records, with the types checked: a commit may come from anywhere. Layer 2, no numpy.

Each function raises KeyError, TypeError, ValueError or AttributeError for what is not such a record.
"""

from __future__ import annotations

from typing import Any

from bvc.ids import is_digest
from bvc.records import Generation, Outputs, Probe, Reference
from bvc.repository.manifest import Manifest, check_version


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


def _check(value: object, *kinds: type) -> None:
    if type(value) not in kinds:
        raise TypeError(f"{type(value).__name__} where {kinds[0].__name__} belongs")
