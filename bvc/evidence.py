"""Numeric evidence in memory: log-prob sketches along references, and activations. Layer 1, numpy only.

Blocks hold several probes at once, ragged along positions, so that comparison is vectorised and memory is that of
a block, never of a suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

TOP_TOKENS = 64
"""Tokens per position whose log-probability is stored one by one."""
NO_TOKEN = 0xFFFFFFFF
"""Fills the rows of `top_ids` where a vocabulary has fewer tokens than TOP_TOKENS."""
MASS_BUCKETS = 256
"""Buckets, keyed by a hash of the token's bytes, that share the mass outside the top tokens."""

_LONGEST_TEXT = 255
"""Bytes of a token's text that are kept."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LogprobBlock:
    """Sketches of the next-token distributions along the references of n probes, T positions in all.

    lengths [n] int64, positions of each probe (their sum is T); the others are concatenated in the same order:
    token_ids [T] uint32, the reference's own tokens; characters [T] uint16, how many characters of the reference's text
    each token covers (0 for the end of turn; their sum is the length of the text scored); target [T] float32, their
    log-probabilities (nats);
    entropy [T] float32 (nats); top_ids [T, 64] uint32, the most probable tokens, sorted by id (not by probability);
    top_logprobs [T, 64] float32, in the order of top_ids; residual [T] float32, probability outside the top tokens;
    buckets [T, 256] float16, how the residual spreads over the buckets (each row sums to 1, or is 0 where residual is
    0).
    """

    lengths: npt.NDArray[np.int64]
    token_ids: npt.NDArray[np.uint32]
    characters: npt.NDArray[np.uint16]
    target: Floats
    entropy: Floats
    top_ids: npt.NDArray[np.uint32]
    top_logprobs: Floats
    residual: Floats
    buckets: npt.NDArray[np.float16]

    FIELDS = ("token_ids", "characters", "target", "entropy", "top_ids", "top_logprobs", "residual", "buckets")

    def __len__(self) -> int:
        return len(self.lengths)

    def rows(self, start: int, stop: int) -> LogprobBlock:
        """Probes `start` to `stop` (exclusive) as a block of their own (views)."""
        ends = np.concatenate([[0], np.cumsum(self.lengths)])
        span = slice(int(ends[start]), int(ends[stop]))
        return LogprobBlock(self.lengths[start:stop], *(getattr(self, name)[span] for name in self.FIELDS))

    @classmethod
    def concatenate(cls, blocks: Sequence[LogprobBlock]) -> LogprobBlock:
        """All probes of `blocks` in order. Raises ValueError for an empty sequence."""
        return cls(*(np.concatenate([getattr(b, name) for b in blocks]) for name in ("lengths", *cls.FIELDS)))


@dataclass(frozen=True)
class ActivationBlock:
    """Residual-stream vectors of n probes: `vectors[site]` is [n, d] float32.

    A site is "LAYER/prompt" (the last prompt token) or "LAYER/reference" (the mean over the reference), LAYER being
    the number of blocks passed, as "layer.07".
    """

    vectors: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(next(iter(self.vectors.values()))) if self.vectors else 0

    def rows(self, start: int, stop: int) -> ActivationBlock:
        """Probes `start` to `stop` (exclusive) as a block of their own (views)."""
        return ActivationBlock({site: array[start:stop] for site, array in self.vectors.items()})

    @classmethod
    def concatenate(cls, blocks: Sequence[ActivationBlock]) -> ActivationBlock:
        """All probes of `blocks` in order; every block must have the same sites. Raises ValueError when empty."""
        if not blocks:
            raise ValueError("no blocks")
        return cls({site: np.concatenate([b.vectors[site] for b in blocks]) for site in blocks[0].vectors})


@dataclass(frozen=True)
class FeatureBlock:
    """Latents of one dictionary that fire along the references of n probes, T of them in all.

    The positions of a probe are those whose next token its log-prob sketch describes: the last prompt token, then each
    token of the reference that is read (of a reference that scores nothing the last prompt token alone). `positions`
    [n] uint32 is their number; `energy` [n] float32 the mean squared distance of the (scaled) activations from the
    dictionary's decoder bias and `missed` [n] float32 that from its reconstruction, so that 1 - missed / energy is the
    share it explains.

    lengths [n] int64, latents that fire at any position of each probe (their sum is T); the others are concatenated in
    the same order: latent [T] uint32, ascending within a probe; fired [T] uint16, at how many positions; strongest [T]
    float32, its largest value; total [T] float32, the sum over positions; peak [T] uint16, the position where it is
    largest.
    """

    lengths: npt.NDArray[np.int64]
    positions: npt.NDArray[np.uint32]
    energy: Floats
    missed: Floats
    latent: npt.NDArray[np.uint32]
    fired: npt.NDArray[np.uint16]
    strongest: Floats
    total: Floats
    peak: npt.NDArray[np.uint16]

    BY_PROBE = ("positions", "energy", "missed")
    FIELDS: ClassVar[tuple[str, ...]] = ("latent", "fired", "strongest", "total", "peak")

    def __len__(self) -> int:
        return len(self.lengths)

    def rows(self, start: int, stop: int) -> Self:
        """Probes `start` to `stop` (exclusive) as a block of their own (views)."""
        ends = np.concatenate([[0], np.cumsum(self.lengths)])
        span = slice(int(ends[start]), int(ends[stop]))
        by_probe = [getattr(self, name)[start:stop] for name in ("lengths", *self.BY_PROBE)]
        return type(self)(*by_probe, *(getattr(self, name)[span] for name in self.FIELDS))

    @classmethod
    def concatenate(cls, blocks: Sequence[Self]) -> Self:
        """All probes of `blocks` in order. Raises ValueError for an empty sequence."""
        names = ("lengths", *cls.BY_PROBE, *cls.FIELDS)
        return cls(*(np.concatenate([getattr(b, name) for b in blocks]) for name in names))


@dataclass(frozen=True)
class AnswerFeatures(FeatureBlock):
    """Latents of one dictionary that fire along the greedy answers of the model itself: a `FeatureBlock` whose
    positions are the last prompt token, then each token of the answer's text (of one that was cut off all but the
    last), and `reached` [T] uint32, how many characters of the answer's text have been read at `peak`."""

    reached: npt.NDArray[np.uint32]

    FIELDS = (*FeatureBlock.FIELDS, "reached")


@dataclass(frozen=True)
class Features:
    """What one dictionary reads of n probes: along their references, and along the model's own greedy answers."""

    reference: FeatureBlock
    answer: AnswerFeatures


def pack_texts(texts: Sequence[str]) -> npt.NDArray[np.uint8]:
    """The texts of a vocabulary's tokens as one array of bytes: their number (4 bytes, little-endian), the length of
    each in UTF-8 (1 byte; longer texts are cut), then all of them one after the other."""
    cut = [t.encode("utf-8", "replace")[:_LONGEST_TEXT].decode("utf-8", "ignore").encode() for t in texts]
    packed = len(cut).to_bytes(4, "little") + bytes(map(len, cut)) + b"".join(cut)
    return np.frombuffer(packed, np.uint8)


def unpack_texts(packed: npt.NDArray[np.uint8]) -> list[str]:
    """What `pack_texts` packed. Raises ValueError for other bytes."""
    raw = packed.tobytes()
    count = int.from_bytes(raw[:4], "little")
    lengths = raw[4 : 4 + count]
    ends = np.cumsum([4 + count, *lengths]).tolist()
    if len(raw) < 4 or len(lengths) != count or ends[-1] != len(raw):
        raise ValueError("not a table of token texts")
    return [raw[i:j].decode("utf-8", "replace") for i, j in pairwise(ends)]


@dataclass(frozen=True)
class Evidence:
    """The numeric channels of n probes; a channel that was not captured is None. `feature` has the latents along the
    references, `answer_feature` those along the model's own greedy answers (commits of older versions lack them)."""

    logprob: LogprobBlock | None = None
    activation: ActivationBlock | None = None
    feature: FeatureBlock | None = None
    answer_feature: AnswerFeatures | None = None
