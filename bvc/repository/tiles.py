"""Tiles to evidence blocks and back: the only place that knows how channels lie in chunks. Layer 2, numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from bvc.errors import DamagedObject
from bvc.evidence import (
    MASS_BUCKETS,
    TOP_TOKENS,
    ActivationBlock,
    AnswerFeatures,
    Evidence,
    FeatureBlock,
    LogprobBlock,
)
from bvc.repository.manifest import ANSWER_FEATURE, CHANNELS, FEATURE, Field, Manifest
from bvc.store.chunks import Chunks

Arrays = dict[str, np.ndarray[Any, Any]]

_Latents = TypeVar("_Latents", bound=FeatureBlock)

_TOP, _MASS = (TOP_TOKENS,), (MASS_BUCKETS,)
_LOGPROB_ROWS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "token_ids": ("<u4", ()),
    "characters": ("<u2", ()),
    "target": ("<f4", ()),
    "entropy": ("<f4", ()),
    "top_ids": ("<u4", _TOP),
    "top_logprobs": ("<f4", _TOP),
    "residual": ("<f4", ()),
    "buckets": ("<f2", _MASS),
}
"""Type and shape of a row of each field of `LogprobBlock`."""
_FEATURE_ROWS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "positions": ("<u4", ()),
    "energy": ("<f4", ()),
    "missed": ("<f4", ()),
    "latent": ("<u4", ()),
    "fired": ("<u2", ()),
    "strongest": ("<f4", ()),
    "total": ("<f4", ()),
    "peak": ("<u2", ()),
}
"""Type and shape of a row of each field of `FeatureBlock`."""
_ANSWER_ROWS = {**_FEATURE_ROWS, "reached": ("<u4", ())}
"""The same of `AnswerFeatures`."""


def read_block(chunks: Chunks, manifests: Mapping[str, Manifest], index: int, probes: int) -> Evidence:
    """The evidence of probe block `index` of a snapshot of `probes` probes. Raises DamagedObject for tiles that do
    not have the shape that their manifest states."""
    logprob, activation, feature, answer = (manifests.get(channel) for channel in CHANNELS)
    return Evidence(
        logprob=None if logprob is None else _read_logprob(chunks, logprob, index),
        activation=None if activation is None else _read_activation(chunks, activation, index, probes),
        feature=None if feature is None else _read_latents(chunks, feature, index, FeatureBlock, _FEATURE_ROWS),
        answer_feature=None if answer is None else _read_latents(chunks, answer, index, AnswerFeatures, _ANSWER_ROWS),
    )


def _read_logprob(chunks: Chunks, manifest: Manifest, index: int) -> LogprobBlock:
    if {name: (spec.dtype, spec.shape) for name, spec in manifest.fields.items()} != _LOGPROB_ROWS:
        raise DamagedObject("a logprob signature has other fields than it should", hint="run `bvc fsck`")
    lengths = _lengths(manifest, index)
    arrays = _read_fields(chunks, manifest, index, dict.fromkeys(manifest.fields, int(lengths.sum())))
    return LogprobBlock(lengths, *(arrays[name] for name in LogprobBlock.FIELDS))


def _read_activation(chunks: Chunks, manifest: Manifest, index: int, probes: int) -> ActivationBlock:
    if any(spec.dtype != "<f4" or len(spec.shape) != 1 for spec in manifest.fields.values()):
        raise DamagedObject("an activation signature has fields that are no vectors", hint="run `bvc fsck`")
    rows = min(manifest.block, probes - index * manifest.block)
    return ActivationBlock(_read_fields(chunks, manifest, index, dict.fromkeys(manifest.fields, rows)))


def _read_latents(
    chunks: Chunks,
    manifest: Manifest,
    index: int,
    kind: type[_Latents],
    fields: Mapping[str, tuple[str, tuple[int, ...]]],
) -> _Latents:
    if {name: (spec.dtype, spec.shape) for name, spec in manifest.fields.items()} != fields:
        raise DamagedObject("a feature signature has other fields than it should", hint="run `bvc fsck`")
    lengths = _lengths(manifest, index)
    rows = dict.fromkeys(kind.BY_PROBE, len(lengths)) | dict.fromkeys(kind.FIELDS, int(lengths.sum()))
    arrays = _read_fields(chunks, manifest, index, rows)
    block = kind(lengths, *(arrays[name] for name in (*kind.BY_PROBE, *kind.FIELDS)))
    if not _is_possible(block, manifest.latents):
        raise DamagedObject("the tiles of a feature signature hold numbers that cannot be", hint="run `bvc fsck`")
    return block


def _is_possible(block: FeatureBlock, latents: int) -> bool:
    """Whether a reader can rely on the numbers: latents that the dictionary has, ascending within each probe, at
    positions that the probe has, and nothing that is not finite."""
    probe = np.repeat(np.arange(len(block)), block.lengths)
    positions = block.positions[probe]
    ascending = (np.diff(block.latent.astype(np.int64)) > 0) | (np.diff(probe) > 0)
    placed = (block.fired > 0) & (block.fired <= positions) & (block.peak < positions) & (block.latent < latents)
    finite = (np.isfinite(getattr(block, name)).all() for name in ("energy", "missed", "strongest", "total"))
    return bool(ascending.all() and placed.all() and all(finite))


def _lengths(manifest: Manifest, index: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(manifest.lengths[index * manifest.block : (index + 1) * manifest.block], dtype=np.int64)


def _read_fields(chunks: Chunks, manifest: Manifest, index: int, rows: Mapping[str, int]) -> Arrays:
    """The tiles of block `index`, which have as many rows as `rows` says for each field."""
    out: Arrays = {}
    for name, spec in manifest.fields.items():
        array = chunks.get(spec.tiles[index])
        if array.shape != (rows[name], *spec.shape) or array.dtype != np.dtype(spec.dtype):
            raise DamagedObject(
                f"tile {spec.tiles[index]} of {manifest.channel}/{name} has shape {array.shape} and type "
                f"{array.dtype}, its manifest says {(rows[name], *spec.shape)} and {spec.dtype}",
                hint="run `bvc fsck`",
            )
        out[name] = array
    return out


def channel_arrays(evidence: Evidence) -> dict[str, Arrays]:
    """`{channel: {field: rows}}` of an evidence block, as its tiles store it."""
    out: dict[str, Arrays] = {}
    if evidence.logprob is not None:
        out["logprob"] = {name: getattr(evidence.logprob, name) for name in LogprobBlock.FIELDS}
    if evidence.activation is not None:
        out["activation"] = dict(evidence.activation.vectors)
    for channel, block in latents_of(evidence).items():
        out[channel] = {name: getattr(block, name) for name in (*block.BY_PROBE, *block.FIELDS)}
    return out


def latents_of(evidence: Evidence) -> dict[str, FeatureBlock]:
    """The feature channels of an evidence block that were captured, by name."""
    found = {FEATURE: evidence.feature, ANSWER_FEATURE: evidence.answer_feature}
    return {channel: block for channel, block in found.items() if block is not None}


def field_spec(array: np.ndarray[Any, Any], tiles: tuple[str, ...]) -> Field:
    """The manifest entry of a field whose tiles look like `array`."""
    return Field(array.dtype.newbyteorder("<").str, array.shape[1:], tiles)


def concatenate(parts: list[Evidence]) -> Evidence:
    """The probes of several evidence blocks in order; all must hold the same channels, but for features, which are
    left out where some lack them."""
    logprobs = [p.logprob for p in parts if p.logprob is not None]
    activations = [p.activation for p in parts if p.activation is not None]
    features = [p.feature for p in parts if p.feature is not None]
    answers = [p.answer_feature for p in parts if p.answer_feature is not None]
    return Evidence(
        logprob=LogprobBlock.concatenate(logprobs) if logprobs else None,
        activation=ActivationBlock.concatenate(activations) if activations else None,
        feature=FeatureBlock.concatenate(features) if features and len(features) == len(parts) else None,
        answer_feature=AnswerFeatures.concatenate(answers) if answers and len(answers) == len(parts) else None,
    )


def rows(evidence: Evidence, start: int, stop: int) -> Evidence:
    """Probes `start` to `stop` (exclusive) of a block."""
    return Evidence(
        logprob=None if evidence.logprob is None else evidence.logprob.rows(start, stop),
        activation=None if evidence.activation is None else evidence.activation.rows(start, stop),
        feature=None if evidence.feature is None else evidence.feature.rows(start, stop),
        answer_feature=None if evidence.answer_feature is None else evidence.answer_feature.rows(start, stop),
    )
