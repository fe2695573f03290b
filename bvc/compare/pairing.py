"""What is compared: two sides of a diff, and blocks of their evidence, streamed so that no suite is held at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bvc.compare.logprob import Table
from bvc.evidence import Evidence
from bvc.records import Capability, Outputs, Recipe, Reference

TEXT, LOGPROB, ACTIVATION = "text", "logprob", "activation"
CHANNELS = (TEXT, LOGPROB, ACTIVATION)
"""Channels in the order in which the capability levels add them."""
DRAWS = "draws"
"""The sampled answers of the text channel."""


@dataclass(frozen=True)
class ProbeSide:
    """What one commit holds of one probe, arrays aside."""

    outputs: Outputs
    reference: Reference | None = None


class PairedBlock(Protocol):
    """Evidence of the probes `ids` on both sides, row by row. Where `identical` is set all channels are known to be
    equal (their stored tiles have one name), and nothing needs to be read."""

    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def a(self) -> Evidence: ...
    @property
    def b(self) -> Evidence: ...
    @property
    def identical(self) -> bool: ...


@dataclass(frozen=True)
class NoisePairs:
    """One commit's N0 re-captures: for some probes the outputs and evidence as first captured (first, a), and as
    captured again under another batch layout (second, b). `blocks` may be read several times, or once if it comes
    from a generator."""

    texts: Mapping[str, tuple[Outputs, Outputs]]
    blocks: Iterable[PairedBlock] = ()


@dataclass(frozen=True)
class Side:
    """One commit: `tokenizer` is the digest of its tokenizer, `table` the bucket of each of its tokens, [vocab];
    `noise` are its own re-captures."""

    recipe: Recipe | None
    capability: Capability
    tokenizer: str | None
    probes: Mapping[str, ProbeSide]
    table: Table | None = None
    noise: NoisePairs | None = None


@dataclass(frozen=True)
class Terms:
    """Under which conditions two sides compare.

    With a `table` log-probs compare position by position, else only in total, per character of the reference;
    `references` are those that both sides share, `apart` the probes whose references differ; `recut`: the texts had
    unlike limits; `draws`: the draws come from the same sampling; `covered`: re-captures under another layout can stand
    for what differs between the recipes; `ranked`: the probes are to be ranked; `reasons` say in sentences what does
    not compare.
    """

    channels: tuple[str, ...]
    table: Table | None
    references: Mapping[str, Reference]
    recut: bool = False
    draws: bool = True
    covered: bool = True
    ranked: bool = True
    apart: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()


def shared_table(a: Table | None, b: Table | None) -> Table | None:
    """The longer of two bucket tables where token ids mean the same in both, as far as both vocabularies go; else None.

    Buckets are hashes of the tokens' bytes, so tables of unlike vocabularies agree at one id in 256.
    """
    if a is None or b is None:
        return None
    shared = min(len(a), len(b))
    if shared == 0 or not np.array_equal(a[:shared], b[:shared]):
        return None
    return a if len(a) >= len(b) else b
