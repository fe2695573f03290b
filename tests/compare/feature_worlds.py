"""Made-up latents whose truth is known: sparse heavy-tailed counts, correlated within clusters and between latents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bvc.compare.feature_pairs import FeatureGather, FeaturePair
from bvc.evidence import FeatureBlock

Table = npt.NDArray[np.float64]
POSITIONS = 33
FREQUENCIES = (0.005, 0.02, 0.05, 0.1)
"""Shares of positions at which planted latents fire."""


@dataclass
class Counts:
    """How often each latent fires in each probe on sides a and b, and the sum of its strengths there, [2, n, m]."""

    fired: Table
    total: Table


@dataclass
class World:
    """Latents of a dictionary on a suite: rates from .04 % to 25 % of positions, prompts that make some fire far more
    than others (Student's t with 4 degrees of freedom, in logarithms), `per` prompts to a cluster that are alike, eight
    factors that latents share; each latent has its own scale of drift, heavy-tailed over latents, that stays the same
    from update to update."""

    seed: int
    latents: int = 512
    probes: int = 100
    per: int = 5
    rate: Table = field(init=False)
    chance: Table = field(init=False)
    load: Table = field(init=False)
    scale: Table = field(init=False)
    strength: Table = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.rate = np.exp(rng.uniform(np.log(0.0004), np.log(0.25), self.latents))
        self.load = rng.normal(size=(self.latents, 8)) * 0.5
        context = self.by_cluster(rng, normal=True) + rng.normal(size=(self.probes, 8)) @ self.load.T / 2
        context += 0.84 * (self._own_of_clusters(rng) + rng.normal(size=(self.probes, self.latents)))
        chance = self.rate * np.exp(np.clip(context, -6, 4))
        self.chance = np.minimum(chance * (self.rate / chance.mean(0)), 0.9)
        self.scale = np.sqrt(5 / rng.chisquare(5, self.latents))
        self.strength = np.exp(rng.normal(size=self.latents) * 0.7)

    @property
    def cluster(self) -> npt.NDArray[np.int64]:
        """The cluster of each probe."""
        return np.arange(self.probes) // self.per

    def by_cluster(self, rng: np.random.Generator, *, normal: bool) -> Table:
        """An effect of each cluster on each latent through the factors, [n, m]."""
        shape = int(self.cluster.max()) + 1, 8
        drawn = rng.normal(size=shape) if normal else rng.standard_t(4, shape)
        return np.asarray((drawn @ self.load.T)[self.cluster])

    def _own_of_clusters(self, rng: np.random.Generator) -> Table:
        return np.asarray(rng.standard_t(4, (int(self.cluster.max()) + 1, self.latents))[self.cluster])

    def pair(
        self, seed: int, *, drift: float = 0.0, common: float = 0.0, redrawn: float = 0.3, noise: float = 0.3
    ) -> Counts:
        """Two captures of which a share `redrawn` of the firings is not shared. `drift` is the typical shift of a
        latent's log rate there, `common` one that all share, `noise` exchangeable effects of clusters and probes."""
        rng = np.random.default_rng((self.seed, seed))
        own = rng.normal(size=self.latents) * 0.85 + rng.normal(size=8) @ self.load.T * 0.35
        effects = self.by_cluster(rng, normal=False) + self._own_of_clusters(rng)
        effects += rng.standard_t(4, (self.probes, self.latents))
        shift = drift * self.scale * own + common + noise * effects
        shared = rng.poisson(self.chance * (1 - redrawn) * POSITIONS)
        fired, total = [], []
        for sign in (-1, 1):
            expected = self.chance * redrawn * POSITIONS * np.exp(np.clip(sign * shift / 4 / redrawn, -3, 3))
            fired.append(np.minimum(shared + rng.poisson(np.minimum(expected, POSITIONS)), POSITIONS).astype(float))
            jitter = np.exp(0.2 * rng.normal(size=shared.shape) + sign * shift / 8)
            total.append(fired[-1] * self.strength * jitter)
        return Counts(np.stack(fired), np.stack(total))

    def planted(
        self, counts: Counts, seed: int, frequencies: Sequence[float] = FREQUENCIES, share: float = 0.3
    ) -> npt.NDArray[np.int64]:
        """Makes one latent for each frequency fire on side b alone, in a `share` of the probes; returns them."""
        rng = np.random.default_rng((self.seed, seed, 1))
        chosen = rng.choice(self.latents, len(frequencies), replace=False)
        counts.fired[:, :, chosen] = 0
        for latent, frequency in zip(chosen.tolist(), frequencies, strict=True):
            wanted = frequency * self.probes * POSITIONS
            where = rng.choice(self.probes, max(1, round(min(self.probes * share, wanted))), replace=False)
            counts.fired[1, where, latent] = np.clip(rng.poisson(wanted / len(where), len(where)), 1, POSITIONS)
        jitter = np.exp(0.2 * rng.normal(size=(2, self.probes, len(chosen))))
        counts.total[:, :, chosen] = counts.fired[:, :, chosen] * 2 * self.strength[chosen] * jitter
        return np.asarray(chosen)

    def gathered(self, counts: Counts, *, told: bool = True, size: int = 16) -> FeaturePair:
        """The counts as a pair; `told`: with the clusters."""
        names = [f"p{i:04d}" for i in range(self.probes)]
        gather = FeatureGather(self.latents)
        for start in range(0, self.probes, size):
            rows = slice(start, start + size)
            gather.add(names[rows], *(block(counts.fired[s, rows], counts.total[s, rows]) for s in (0, 1)))
        clusters = {p: f"c{c}" for p, c in zip(names, self.cluster.tolist(), strict=True)}
        return gather.finish(clusters if told else None)

    def pairs(self, seeds: Sequence[int], **options: float) -> Iterator[FeaturePair]:
        """One pair for each seed."""
        return (self.gathered(self.pair(seed, **options)) for seed in seeds)


def block(fired: Table, total: Table, missed: float = 0.2) -> FeatureBlock:
    """Counts [n, m] and sums of strengths as a block; the share unexplained is `missed`."""
    probe, latent = np.nonzero(fired)
    values = total[probe, latent].astype(np.float32)
    return FeatureBlock(
        lengths=np.bincount(probe, minlength=len(fired)).astype(np.int64),
        positions=np.full(len(fired), POSITIONS, np.uint32),
        energy=np.ones(len(fired), np.float32),
        missed=np.full(len(fired), missed, np.float32),
        latent=latent.astype(np.uint32),
        fired=fired[probe, latent].astype(np.uint16),
        strongest=values,
        total=values,
        peak=np.full(len(probe), 3, np.uint16),
    )
