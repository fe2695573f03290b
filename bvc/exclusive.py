"""Features that only one of two models has, as a record: what was found, by which settings, beside null pairs' yield.

Layer 0, standard library only. Side "a" is the first commit; intervals are 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from bvc.records import CommitInfo, Json

METHODS = ("dedicated", "crosscoder", "difference")
"""Dedicated Feature Crosscoder (any two models); BatchTopK crosscoder and diff-SAE (two of one architecture)."""


@dataclass(frozen=True)
class SeedCount:
    """What one fit gave: latents that the coder alone `claimed` as exclusive, those the gate `judged`, and its
    verdicts: exclusive to a, to b, shared, undecided."""

    seed: int
    claimed: int
    judged: int
    only_a: int
    only_b: int
    shared: int
    undecided: int


@dataclass(frozen=True)
class PairYield:
    """What one procedure gave on a pair of activations, from each seed."""

    name: str
    seeds: tuple[SeedCount, ...]

    @property
    def most(self) -> int:
        """The largest number of exclusive latents in one seed."""
        return max((seed.only_a + seed.only_b for seed in self.seeds), default=0)


@dataclass(frozen=True)
class ExclusiveLatent:
    """A feature of one model only.

    `nu` is how much less well the other model's activations say when it fires (0: not at all, 1: as well as its own),
    with its interval; `own` and `other` are the two R2 on held-out texts, `share` the share of tokens where it fires.
    `seeds` are the fits that found it, each with its number there; `agreement` is the least cosine between their
    directions. `promoted` are the tokens that its direction raises in its own model with their logits, `contexts` the
    texts up to the tokens where it is strongest, with the strength.
    """

    side: str
    nu: float
    ci: tuple[float, float | None]
    own: float
    other: float
    share: float
    seeds: tuple[tuple[int, int], ...]
    agreement: float
    promoted: tuple[tuple[str, float], ...] = ()
    contexts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class ExclusiveSettings:
    """What fixes a search: the models' fingerprints and layers, the corpus by digest, the number of paired `tokens`
    wanted and the sizes of the coder."""

    model_a: str
    model_b: str
    layer_a: str
    layer_b: str
    method: str
    corpus: tuple[str, ...]
    tokens: int
    latents: int
    k: int
    steps: int
    seeds: int


@dataclass(frozen=True)
class ExclusiveFeatures:
    """A finished search between commits `a` and `b` (full ids): `tokens` pairs of `texts` texts, whose windows cover
    `covered` of the characters, `left_out` pairs with an outlier; `found` is the yield of the pair, `nulls` that of the
    same procedure on pairs with nothing to find. `features` are those of most seeds first, `seconds` how long it took.

    Raises ValueError when made without null pairs of the same seeds.
    """

    a: str
    b: str
    settings: ExclusiveSettings
    texts: int
    tokens: int
    left_out: int
    covered: float
    found: PairYield
    nulls: tuple[PairYield, ...]
    features: tuple[ExclusiveLatent, ...]
    seconds: float

    def __post_init__(self) -> None:
        ran = [count.seed for count in self.found.seeds]
        if not self.nulls or any([count.seed for count in null.seeds] != ran for null in self.nulls):
            raise ValueError("exclusive features need null pairs with the same seeds")

    @property
    def null_most(self) -> int:
        """The largest number of exclusive latents in one seed of a null pair: to be 0."""
        return max(null.most for null in self.nulls)

    def turned(self) -> ExclusiveFeatures:
        """The same search as one of `b` and `a`; its null pairs are still those of the first model."""
        names = {"a": "b", "b": "a"}
        how = self.settings
        return replace(
            self,
            a=self.b,
            b=self.a,
            settings=replace(how, model_a=how.model_b, model_b=how.model_a, layer_a=how.layer_b, layer_b=how.layer_a),
            found=replace(
                self.found, seeds=tuple(replace(s, only_a=s.only_b, only_b=s.only_a) for s in self.found.seeds)
            ),
            features=tuple(replace(feature, side=names[feature.side]) for feature in self.features),
        )

    def found_in(self, seeds: int, side: str) -> int:
        """How many features of one side came from so many seeds or more."""
        return sum(feature.side == side and len(feature.seeds) >= seeds for feature in self.features)

    def to_json(self) -> Json:
        """As JSON has it; numbers that are not finite become null."""
        plain: Json = _finite(asdict(self))
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ExclusiveFeatures:
        """From `to_json`. Raises KeyError, TypeError or ValueError for what is no such record."""
        if data["settings"]["method"] not in METHODS:
            raise ValueError("not a method")
        rest = {name: data[name] for name in ("texts", "tokens", "left_out")}
        return cls(
            a=str(data["a"]),
            b=str(data["b"]),
            settings=ExclusiveSettings(**{**data["settings"], "corpus": tuple(map(str, data["settings"]["corpus"]))}),
            **{name: int(value) for name, value in rest.items()},
            covered=float(data["covered"]),
            found=_yield(data["found"]),
            nulls=tuple(map(_yield, data["nulls"])),
            features=tuple(map(_latent, data["features"])),
            seconds=float(data["seconds"]),
        )


@dataclass(frozen=True)
class ExclusiveResult:
    """A search with the commits that it is about; `kept`: it was found before, and nothing was run."""

    a: CommitInfo
    b: CommitInfo
    search: ExclusiveFeatures
    kept: bool


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _yield(data: Mapping[str, Any]) -> PairYield:
    counts = ({name: int(number) for name, number in row.items()} for row in data["seeds"])
    return PairYield(str(data["name"]), tuple(SeedCount(**row) for row in counts))


def _latent(data: Mapping[str, Any]) -> ExclusiveLatent:
    if data["side"] not in ("a", "b"):
        raise ValueError("a feature is of side a or b")
    low, high = data["ci"]
    return ExclusiveLatent(
        side=data["side"],
        ci=(float(low), None if high is None else float(high)),
        seeds=tuple((int(seed), int(latent)) for seed, latent in data["seeds"]),
        promoted=_texts(data["promoted"]),
        contexts=_texts(data["contexts"]),
        **{name: float(data[name]) for name in ("nu", "own", "other", "share", "agreement")},
    )


def _texts(rows: Any) -> tuple[tuple[str, float], ...]:
    return tuple((str(text), float(number)) for text, number in rows)
