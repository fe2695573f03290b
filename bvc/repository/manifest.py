"""`signatures/<channel>.json`: which tiles hold a channel's numbers. Pure values; layer 2, no numpy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bvc.dictionaries import LATENTS_LIMIT
from bvc.errors import BvcError, DamagedObject
from bvc.ids import is_digest
from bvc.records import FORMAT_VERSION, Json

BLOCK = 16
"""Probes of one tile: 16 probes x 48 positions x 512 bytes of buckets stay under 1 MiB."""
LOGPROB, ACTIVATION = "logprob", "activation"
FEATURE, ANSWER_FEATURE = "feature", "answer-feature"
"""Latents along the references, and along the model's own greedy answers."""
FEATURES = (FEATURE, ANSWER_FEATURE)
CHANNELS = (LOGPROB, ACTIVATION, *FEATURES)
_RAGGED = (LOGPROB, *FEATURES)
"""Channels in which a probe has as many rows as `lengths` says."""

_LARGEST_SIZE = 1 << 40
_NUMERIC = re.compile(r"<[iuf][248]|\|[iu]1")


@dataclass(frozen=True)
class Field:
    """One array of a channel: numpy type string, shape of a row, and the SHA-256 of each tile."""

    dtype: str
    shape: tuple[int, ...]
    tiles: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """The tile grid of one channel; tile i covers probes `i * block` up to `(i + 1) * block` of the probe order.

    `lengths` are the rows per probe where they vary (positions of the log-prob channel, latents of a feature channel;
    empty otherwise), `bucket_table` the chunk that maps token ids to mass buckets, `token_texts` the one that has their
    texts (older commits lack it). A feature channel names the digest of its `dictionary` and how many `latents` that
    has.
    """

    channel: str
    block: int
    fields: Mapping[str, Field]
    lengths: tuple[int, ...] = ()
    bucket_table: str | None = None
    token_texts: str | None = None
    dictionary: str | None = None
    latents: int = 0

    def tile_row(self, index: int) -> tuple[str, ...]:
        """The tiles of all fields for block `index`, in the order of the sorted field names."""
        return tuple(self.fields[name].tiles[index] for name in sorted(self.fields))

    def to_json(self) -> Json:
        out: Json = {
            "version": FORMAT_VERSION,
            "channel": self.channel,
            "block": self.block,
            "fields": {
                name: {"dtype": f.dtype, "shape": list(f.shape), "tiles": list(f.tiles)}
                for name, f in self.fields.items()
            },
        }
        if self.lengths:
            out["lengths"] = list(self.lengths)
        if self.bucket_table is not None:
            out["buckets_table"] = self.bucket_table
        if self.token_texts is not None:
            out["token_texts"] = self.token_texts
        if self.dictionary is not None:
            out |= {"dictionary": self.dictionary, "latents": self.latents}
        return out

    def check(self, channel: str, probes: int) -> None:
        """Raises ValueError unless this can be the grid of `channel` over that many probes."""
        if self.channel != channel or self.block != BLOCK:
            raise ValueError(f"it is not a {channel} grid of {BLOCK} probes a tile")
        count = -(-probes // BLOCK)
        for spec in self.fields.values():
            if len(spec.tiles) != count or not all(map(is_digest, spec.tiles)) or not _NUMERIC.fullmatch(spec.dtype):
                raise ValueError(f"its fields do not have {count} tiles of numbers")
        _check_sizes([n for spec in self.fields.values() for n in spec.shape])
        _check_sizes(self.lengths)
        if not all(map(is_digest, filter(None, (self.bucket_table, self.token_texts)))):
            raise ValueError("it names a table that is no digest")
        if len(self.lengths) != (probes if channel in _RAGGED else 0):
            raise ValueError(f"it has {len(self.lengths)} lengths for {probes} probes")
        self._check_dictionary()

    def _check_dictionary(self) -> None:
        if (self.dictionary is not None) != (self.channel in FEATURES):
            raise ValueError("features are those of a dictionary, other channels of none")
        _check_sizes([self.latents])
        if self.dictionary is not None and not (is_digest(self.dictionary) and 0 < self.latents <= LATENTS_LIMIT):
            raise ValueError("it does not name a dictionary that is possible")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        check_version(data, "a signature")
        return cls(
            channel=data["channel"],
            block=data["block"],
            fields={n: Field(f["dtype"], tuple(f["shape"]), tuple(f["tiles"])) for n, f in data["fields"].items()},
            lengths=tuple(data.get("lengths", ())),
            bucket_table=data.get("buckets_table"),
            token_texts=data.get("token_texts"),
            dictionary=data.get("dictionary"),
            latents=data.get("latents", 0),
        )


def _check_sizes(sizes: Sequence[Any]) -> None:
    if not all(type(n) is int and 0 <= n < _LARGEST_SIZE for n in sizes):
        raise ValueError("a size in it is not possible")


def check_version(data: Mapping[str, Any], what: str) -> None:
    """Raises BvcError when a stored record is newer than this program reads, DamagedObject when it has no version."""
    version = data.get("version") if isinstance(data, Mapping) else None
    if not isinstance(version, int):
        raise DamagedObject(f"{what} has no version: it is not a bvc record", hint="run `bvc fsck`")
    if version > FORMAT_VERSION:
        raise BvcError(
            f"{what} has format version {version}; this bvc reads up to {FORMAT_VERSION}", hint="update bvc to read it"
        )


def blocks(order: Sequence[str], size: int) -> list[Sequence[str]]:
    """`order` cut into the probe blocks of a tile grid."""
    return [order[start : start + size] for start in range(0, len(order), size)]
