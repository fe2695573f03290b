"""The activation-level signature of a change, without any dictionary: the mean shift of the hidden states at each site,
how sure its length and direction are, and how many directions the shifts of single probes span beyond chance.

The unit is the prompt (or its cluster), never the token. Mean shifts add up along a lineage: that of A to C is that of
A to B plus that of B to C on the same probes (Delta Activations, 2509.04442, takes it as a fine-tune's signature).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.activation import common_sites
from bvc.compare.holm import holm
from bvc.compare.phrase_test import row_units
from bvc.compare.tails import t_quantile
from bvc.evidence import ActivationBlock

LEVEL = 0.95
FEWEST = 5
"""Units below which nothing is said about intervals and directions."""
BEYOND = 0.01
"""Holm's p-value over all sites up to which a site's shift counts as beyond noise."""
RESAMPLES = 999
_PER_SITE = 400
"""Sign flips for each site that is tested: fewer could not get below `BEYOND` at many sites, half of which may be
tested apart from the others."""
_FLIPS = 199
_MOST = 256
"""Units that the spectrum looks at; of more a fixed random part."""
_SHOWN = 16
"""Singular values that are compared with the null one by one."""
_SEED = 20_261_124

Values = npt.NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Spectrum:
    """`values`: the largest singular values of the units' shifts [units, d]; `null`: the 95 % quantile of each when the
    signs of all entries are flipped at random; `directions`: how many of them, from the first on, lie beyond it;
    `p_value` of the first one."""

    values: tuple[float, ...]
    null: tuple[float, ...]
    directions: int
    p_value: float


@dataclass(frozen=True)
class SiteShift:
    """The shift b - a at one site. `mean` [d] is its mean over probes; `norm` the length of the mean that endless
    prompts of this kind would have (estimated without the upward bias that noise gives a length) with its 95 % interval
    `ci`, `relative` the same over the mean length of the states of a and b; `stability` the cosine to expect between
    `mean` and the mean of endless prompts, with its interval; `p_value` of "no shift that the prompts share".

    With fewer than 5 units the intervals are None, p is 1, and there is no `spectrum`.
    """

    site: str
    probes: int
    units: int
    mean: Values
    norm: float
    relative: float
    stability: float
    p_value: float
    ci: Interval | None = None
    relative_ci: Interval | None = None
    stability_ci: Interval | None = None
    spectrum: Spectrum | None = None


def mean_shifts(
    a: ActivationBlock, b: ActivationBlock, clusters: Sequence[str | None] | None = None, *, spectrum: bool = True
) -> dict[str, SiteShift]:
    """The shift from `a` to `b` (the same probes in the same order) at every site that both have in equal width; probes
    of a cluster count as one unit. Probes whose vectors are not finite are left out at that site; a site without any
    other is left out.

    The length is that of the mean less what the spread of single units adds to it (a U-statistic); intervals come from
    999 resamples of units, widened for their number; the p-value from flipping the signs of whole units, which is exact
    where a unit's shift is as likely as its opposite. Raises ValueError where the numbers of probes differ.
    """
    if len(a) != len(b) or (clusters is not None and len(clusters) != len(a)):
        raise ValueError(f"{len(a)} probes against {len(b)}, with {len(clusters or ())} clusters")
    units = site_units(a, b, row_units(len(a), clusters))
    flips = max(RESAMPLES, _PER_SITE * len(units) - 1)
    return {site: _site(site, found, flips, spectrum) for site, found in units.items()}


def beyond_noise(found: Mapping[str, SiteShift]) -> dict[str, float]:
    """Holm's p-value of the shift at each site that has enough units to be tested; one of at most `BEYOND` is beyond
    noise."""
    tested = {site: one.p_value for site, one in found.items() if one.units >= FEWEST}
    return dict(zip(tested, holm(np.array(list(tested.values()))).tolist(), strict=True))


def leading(found: Mapping[str, SiteShift]) -> SiteShift | None:
    """The site to name when one is named: of those beyond noise the one whose relative shift surely is the largest, by
    the lower end of its interval. The largest estimate would rather be that of the noisiest site. None where no site is
    beyond noise."""
    p_values = beyond_noise(found)
    shown = [found[site] for site, p_value in p_values.items() if p_value <= BEYOND]
    return max(shown, key=lambda one: one.relative_ci or (0.0, 0.0), default=None)


def _site(site: str, units: Units, flips: int, spectrum: bool) -> SiteShift:
    estimate, length = _Estimate.of(units), units.length
    shown = units.count >= FEWEST
    norm_ci = estimate.interval() if shown else None
    return SiteShift(
        site=site,
        probes=int(units.sizes.sum()),
        units=units.count,
        mean=units.mean,
        norm=estimate.length(estimate.square),
        relative=estimate.length(estimate.square) / length,
        stability=estimate.cosine(estimate.square),
        p_value=_flip_p_value(units, flips) if shown else 1.0,
        ci=None if norm_ci is None else (estimate.length(norm_ci[0]), estimate.length(norm_ci[1])),
        relative_ci=None
        if norm_ci is None
        else (estimate.length(norm_ci[0]) / length, estimate.length(norm_ci[1]) / length),
        stability_ci=None if norm_ci is None else (estimate.cosine(norm_ci[0]), estimate.cosine(norm_ci[1])),
        spectrum=_spectrum(units) if shown and spectrum else None,
    )


@dataclass(frozen=True)
class Units:
    """Shifts of probes at one site added up by unit: `sums` [units, d], `sizes` [units] (probes in each), `labels`
    [units] (which unit it is); `length` is the mean length of the states of both sides (1 where all are 0)."""

    sums: Values
    sizes: Values
    labels: npt.NDArray[np.int64]
    length: float

    @property
    def count(self) -> int:
        """How many units there are."""
        return len(self.sizes)

    @property
    def mean(self) -> Values:
        """Mean over probes, [d]."""
        out: Values = self.sums.sum(0) / self.sizes.sum()
        return out


def site_units(a: ActivationBlock, b: ActivationBlock, labels: npt.NDArray[np.int64]) -> dict[str, Units]:
    """The shifts from `a` to `b` at every common site, added up by `labels` [probes]; probes whose vectors are not
    finite are left out, and so is a site without any other."""
    found = {site: _units(a.vectors[site], b.vectors[site], labels) for site in common_sites(a, b)}
    return {site: units for site, units in found.items() if units is not None}


def _units(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Units | None:
    left, right = a.astype(np.float64), b.astype(np.float64)
    kept = np.isfinite(left).all(1) & np.isfinite(right).all(1)
    if not kept.any():
        return None
    left, right = left[kept], right[kept]
    length = float((np.linalg.norm(left, axis=1).mean() + np.linalg.norm(right, axis=1).mean()) / 2) or 1.0
    names, place = np.unique(labels[kept], return_inverse=True)
    sums = np.zeros((len(names), left.shape[1]))
    np.add.at(sums, place, right - left)
    return Units(sums, np.bincount(place).astype(float), names, length)


@dataclass(frozen=True)
class _Estimate:
    """The squared length of the mean: `raw` as it is, `noise` what the spread of units adds to it on average.
    `products` [units, units] are the inner products of the units' sums."""

    raw: float
    noise: float
    products: Values
    sizes: Values

    @classmethod
    def of(cls, units: Units) -> _Estimate:
        products = units.sums @ units.sums.T
        total = units.sizes.sum()
        raw = float(products.sum()) / total**2
        along = products.sum(1) / total  # [units]: inner product of each unit's sum with the mean
        spread = np.diag(products) - 2 * units.sizes * along + units.sizes**2 * raw
        count = units.count
        noise = float(spread.sum()) * count / (count - 1) / total**2 if count > 1 else 0.0
        return cls(raw, noise, products, units.sizes)

    @property
    def square(self) -> float:
        """Without bias; below 0 where the spread alone explains the length."""
        return self.raw - self.noise

    @staticmethod
    def length(square: float) -> float:
        """Of a squared length, which may be below 0."""
        return float(np.sqrt(max(square, 0.0)))

    def cosine(self, square: float) -> float:
        """Between the mean measured and the true one, were `square` its squared length."""
        total = max(square, 0.0) + self.noise
        return float(np.sqrt(max(square, 0.0) / total)) if total > 0 else 0.0

    def interval(self) -> Interval:
        """95 % interval of the true squared length."""
        count = len(self.sizes)
        picks = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float)
        totals = picks @ self.sizes
        raw = np.einsum("ri,ij,rj->r", picks, self.products, picks, optimize=True) / totals**2
        along = picks @ self.products.sum(1) / self.sizes.sum() / totals  # inner product with this sample's mean
        own = raw - 2 * along + self.raw  # squared length of what resampling alone moved the mean by
        # A resample carries the noise of this sample and as much again of its own: in its length, and in how far that
        # spreads, where this sample's own share is taken off.
        spread, chance = float(raw.var()), float(own.var())
        kept = np.sqrt(max(spread - 2 * chance, chance) / spread) if spread > 0 else 0.0
        few = (
            np.sqrt(count / (count - 1)) * t_quantile((1 + LEVEL) / 2, count - 1) / t_quantile((1 + LEVEL) / 2, 10_000)
        )
        low, high = np.quantile(raw - raw.mean(), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) * kept * few
        return self.square + float(low), self.square + float(high)


def _flip_p_value(units: Units, flips: int) -> float:
    """P(as long a sum of the units' shifts | signs of units at random)."""
    signs = random_signs(np.random.default_rng(_SEED), (flips, units.count))
    products = units.sums @ units.sums.T
    flipped = np.einsum("ri,ij,rj->r", signs, products, signs, optimize=True)
    observed = float(products.sum())
    return float((1 + (flipped >= observed * (1 - 1e-12)).sum()) / (flips + 1))


def _spectrum(units: Units) -> Spectrum:
    """Singular values against those of the same entries under random signs, which keep each entry's size and undo what
    they have in common (Hong, Sheng and Dobriban 2020, 2012.02985)."""
    rows = units.sums / units.sizes[:, None]
    generator = np.random.default_rng(_SEED)
    if len(rows) > _MOST:
        rows = rows[np.sort(generator.choice(len(rows), _MOST, replace=False))]
    values = _singular(rows)
    flips = np.stack([_singular(rows * random_signs(generator, rows.shape)) for _ in range(_FLIPS)])
    null = np.quantile(flips, LEVEL, axis=0, method="higher")
    inside = np.flatnonzero(values <= null * (1 + 1e-9))
    p_value = (1 + int((flips[:, 0] >= values[0] * (1 - 1e-9)).sum())) / (_FLIPS + 1)
    directions = int(inside[0]) if len(inside) else len(values)
    return Spectrum(tuple(values.tolist()), tuple(null.tolist()), directions, p_value)


def random_signs(generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """1 or -1, each as likely as the other."""
    return 2.0 * generator.integers(0, 2, shape).astype(np.float64) - 1.0


def _singular(rows: Values) -> Values:
    """The largest singular values, greatest first."""
    small = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
    found: Values = np.sqrt(np.maximum(np.linalg.eigvalsh(small)[::-1][:_SHOWN], 0.0))
    return found


@dataclass(frozen=True)
class Signature:
    """A commit's place in activation space: the mean of its hidden states over `probes` at each site, {site: [d]}.

    Signatures on the same probes subtract and add: the difference of two commits' is the mean shift between them.
    """

    probes: int
    means: Mapping[str, Values]

    def minus(self, other: Signature) -> Signature:
        """The mean shift from `other` to this, at the sites of both. Raises ValueError for other numbers of probes."""
        if self.probes != other.probes:
            raise ValueError(f"signatures over {self.probes} and {other.probes} probes")
        shared = [s for s in self.means if s in other.means and self.means[s].shape == other.means[s].shape]
        return Signature(self.probes, {site: self.means[site] - other.means[site] for site in shared})

    def cosine(self, other: Signature) -> float | None:
        """Mean over sites of the cosine of two shifts; None where a shift is 0 everywhere or no site is shared."""
        cosines = []
        for site, mean in self.means.items():
            length = float(np.linalg.norm(mean) * np.linalg.norm(other.means[site])) if site in other.means else 0.0
            if length > 0:
                cosines.append(float(mean @ other.means[site]) / length)
        return sum(cosines) / len(cosines) if cosines else None


def signature(block: ActivationBlock) -> Signature:
    """The mean of a block at every site where all vectors are finite. Raises ValueError for a block without probes."""
    if not len(block):
        raise ValueError("a signature needs at least one probe")
    means = {site: vectors.astype(np.float64).mean(0) for site, vectors in block.vectors.items()}
    return Signature(len(block), {site: mean for site, mean in means.items() if np.isfinite(mean).all()})
