"""Which of several known models an unknown one is: distances in, probabilities out, "none of these" among them.

For each known model there are two stories: the unknown is that model (and lies from it as far as captures of one model
lie apart), or it is another one (and lies as far as two models do, mostly as the steps of the lineage, and now and then
anywhere down to a rounding of weights). The unit is the pair of models, never the probe: one reading of each pair, and
the odds of the two densities at it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, lgamma, log, log10, pi, sqrt
from statistics import median

import numpy as np
import numpy.typing as npt

from bvc.compare.draw_distance import DrawDistance
from bvc.compare.pairing import DRAWS, LOGPROB, TEXT

NEW = 0.5
"""Probability, before anything is looked at, that the model is none of those known; these share the rest."""
RESAMPLES = 999
_SEED = 20_261_124
LEAST = 1e-8
"""Nats per token below which distances are not told apart: single precision in another order moves as much."""
_FEWEST_BROAD = 0.1
"""Least share of "another model" for distances unlike any step of the lineage."""

_HEAVY = 5
"""Degrees of freedom of what chance does to the distance of draws: with few probes it falls further out than a normal
deviate."""
_UNEVEN = 1.5
"""Standard deviation of what two models move a probe's draws apart, in units of its mean."""

_GRID = np.linspace(-12.0, 12.0, 481)
_LOG_EQUAL, _LOG_UNEQUAL = -np.logaddexp(0, _GRID), -np.logaddexp(0, -_GRID)
"""Values that the log odds of unequal texts may have, and the logarithms of both probabilities there."""

ByProbe = Mapping[str, float]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """A Student's t: where readings of one kind lie."""

    center: float
    spread: float
    freedom: int

    def density(self, values: Values) -> Values:
        """At each of `values`."""
        half = (self.freedom + 1) / 2
        scores = (values - self.center) / self.spread
        scale = exp(lgamma(half) - lgamma(self.freedom / 2)) / sqrt(self.freedom * pi) / self.spread
        out: Values = scale * (1 + scores * scores / self.freedom) ** -half
        return out

    def updated(self, values: Sequence[float], least: float) -> Law:
        """With readings that were made: this law counts as one of them, its spread is at least `least`."""
        if not values:
            return self
        count = len(values) + 1
        center = (self.center + sum(values)) / count
        squares = self.spread**2 + sum((v - center) ** 2 for v in (self.center, *values))
        return Law(center, max(least, sqrt(squares / count * (1 + 1 / count))), self.freedom + len(values))


@dataclass(frozen=True)
class Reading:
    """How far two models lie apart on some `probes`, as one number. Log-probs: log10 of the median over probes of the
    distance in nats per token. Texts: minus the log odds of the share of equal answers, which are `equal`. Draws: log10
    of the share of their differences that is due to the models, as it was found or its `error`, whichever is larger.

    `distance` is the same for people: the median in nats per token, that of the shares of words that differ, or the
    share as it was found, which chance may make negative."""

    channel: str
    value: float
    probes: int
    distance: float
    equal: int = 0
    error: float = 0.0

    def likelihood(self, density: Callable[[Values], Values]) -> float:
        """Of what was read, where the true value lies as `density` says: log-probs are taken as they are, the number of
        equal texts as binomial, the share of draws with its error."""
        if self.channel == LOGPROB:
            return float(density(np.array([self.value]))[0])
        if self.channel == DRAWS:
            true = np.exp(_GRID * log(10))
            errors = np.hypot(self.error, true * _UNEVEN / sqrt(self.probes))
            return float((density(_GRID) * _CHANCE.density((self.distance - true) / errors) / errors).sum())
        return float(
            (density(_GRID) * np.exp(self.equal * _LOG_EQUAL + (self.probes - self.equal) * _LOG_UNEQUAL)).sum()
        )


def reading(channel: str, distances: ByProbe) -> Reading:
    """The reading of a pair from its distances, {probe: number}. Raises ValueError without a probe or for a channel
    that is neither "logprob" nor "text"."""
    if not distances:
        raise ValueError("no probe to read a distance from")
    count, middle = len(distances), median(distances.values())
    if channel == LOGPROB:
        return Reading(channel, log10(max(middle, LEAST)), count, middle)
    if channel != TEXT:
        raise ValueError(f"distances of {channel} say nothing of identity")
    equal = sum(value == 0 for value in distances.values())
    return Reading(channel, log((count - equal + 0.5) / (equal + 0.5)), count, middle, equal)


def draws_reading(found: Sequence[DrawDistance]) -> Reading:
    """The reading of a pair from the distance of its draws, or from several that were found of parts of them. Raises
    ValueError without one."""
    if not found:
        raise ValueError("no draws to read a distance from")
    share, error = (sum(values) / len(found) for values in zip(*((one.share, one.error) for one in found), strict=True))
    probes = min(len(one.probes) for one in found)
    return Reading(DRAWS, log10(max(share, error)), probes, share, error=error)


_CHANCE = Law(0.0, 1.0, _HEAVY)


@dataclass(frozen=True)
class Broad:
    """Even from `low` to `high`, falling off below: by a factor e every `fall`."""

    low: float
    high: float
    fall: float

    def density(self, values: Values) -> Values:
        """At each of `values`; beyond `high` as at it."""
        out: Values = np.exp(np.minimum(0.0, (values - self.low) / self.fall)) / (self.high - self.low + self.fall)
        return out


@dataclass(frozen=True)
class _Scale:
    """What is known of a channel before any model was seen, in units of its readings: captures of one model under one
    recipe (`same`) or `elsewhere` (one of these laws, each as likely), two models as the steps of a lineage are
    (`other`) or unlike these (`broad`); `least` is the least spread of a law."""

    same: Law
    elsewhere: tuple[Law, ...]
    other: Law
    broad: Broad
    least: float


_SCALES = {
    # Nats per token. One recipe: what single precision moves. Elsewhere: that, another processor, or another number
    # type (bfloat16 moves a small model by 1e-3). A benign update moves it by some 0.2.
    LOGPROB: _Scale(
        same=Law(-8.0, 0.7, 3),
        elsewhere=(Law(-8.0, 0.7, 3), Law(-5.5, 1.0, 3), Law(-3.0, 0.7, 3)),
        other=Law(-0.7, 0.7, 3),
        broad=Broad(-6.0, 1.0, 1 / log(10)),
        least=0.5,
    ),
    # Equal answers. The same arithmetic: all but a few; another number type: half. A benign update: hardly one.
    TEXT: _Scale(
        same=Law(-4.0, 1.0, 3),
        elsewhere=(Law(-4.0, 1.0, 10), Law(-0.5, 0.9, 10)),
        other=Law(2.2, 1.0, 3),
        broad=Broad(-1.0, 6.0, 0.6),
        least=0.5,
    ),
    # Share of what sets draws apart. The same arithmetic: nothing; another number type: as little as a light touch.
    DRAWS: _Scale(
        same=Law(-5.0, 1.0, 10),
        elsewhere=(Law(-5.0, 1.0, 10), Law(-3.5, 0.7, 10)),
        other=Law(-1.5, 0.7, 3),
        broad=Broad(-3.5, 0.0, 1 / log(10)),
        least=0.5,
    ),
}


@dataclass(frozen=True)
class Pairs:
    """Readings of one channel that are known beforehand: of pairs of captures of one model (`same`), and of pairs of
    different models, best the steps of the lineage (`other`). `covered`: the unknown model was captured as the known
    ones were, so that `same` stands for it."""

    channel: str
    same: Sequence[float] = ()
    other: Sequence[float] = ()
    covered: bool = True


def odds_of_same(read: Reading, pairs: Pairs) -> float:
    """How much likelier the reading is if both captures are of one model than if they are of two. Raises ValueError
    where the reading and the pairs are of different channels."""
    if read.channel != pairs.channel:
        raise ValueError(f"a reading of {read.channel} against pairs of {pairs.channel}")
    scale = _SCALES[read.channel]
    laws = (scale.same.updated(pairs.same, scale.least),) if pairs.covered else scale.elsewhere
    together = sum(read.likelihood(law.density) for law in laws) / len(laws)
    other = scale.other.updated(pairs.other, scale.least)
    broad = max(_FEWEST_BROAD, 1 / (1 + len(pairs.other)))
    apart = (1 - broad) * read.likelihood(other.density) + broad * read.likelihood(scale.broad.density)
    return together / apart


@dataclass(frozen=True)
class Posterior:
    """Probabilities that add up to 1: that the unknown model is each of the known ones, and that it is `none`."""

    models: Mapping[str, float]
    none: float


def posterior(odds: Mapping[str, float], new: float = NEW) -> Posterior:
    """From the odds of each known model; before, none of them has probability `new`, and they share the rest evenly.

    If the unknown is model c, its distances to the others are those of two models, which is what "none" says of them
    too: they cancel, and c's own odds remain. Raises ValueError without a model or for `new` outside (0, 1).
    """
    if not odds or not 0 < new < 1:
        raise ValueError("known models are needed, and a probability between 0 and 1 of none")
    weights = {model: (1 - new) / len(odds) * value for model, value in odds.items()}
    total = sum(weights.values()) + new
    return Posterior({model: weight / total for model, weight in weights.items()}, new / total)


@dataclass(frozen=True)
class Nearest:
    """The known model with the least mean distance; `confidence`: the share of resamples of probes (clusters as one) in
    which it is the nearest."""

    model: str
    confidence: float
    distances: Mapping[str, float]


def nearest(tables: Mapping[str, ByProbe], clusters: Mapping[str, str] | None = None) -> Nearest:
    """The nearest model from `{model: {probe: distance}}`, over the probes that all tables have (where there are none:
    each over its own). Probes with the same entry of `clusters` are resampled together. Raises ValueError without a
    distance."""
    if not tables or not all(tables.values()):
        raise ValueError("no distances to compare")
    shared = sorted(set.intersection(*(set(table) for table in tables.values())))
    models = list(tables)
    if not shared:
        means = {model: float(np.mean(list(table.values()))) for model, table in tables.items()}
        return Nearest(min(models, key=means.__getitem__), 0.0, means)
    matrix = np.array([[tables[model][probe] for probe in shared] for model in models])  # [models, probes]
    sums, sizes = _by_unit(matrix, [(clusters or {}).get(probe, probe) for probe in shared])
    count = len(sizes)
    picks = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    best = np.argmin((picks @ sums.T) / (picks @ sizes)[:, None], axis=1)
    means = dict(zip(models, matrix.mean(1).tolist(), strict=True))
    place = int(np.argmin(matrix.mean(1)))
    return Nearest(models[place], float((best == place).mean()), means)


def _by_unit(matrix: Values, names: Sequence[str]) -> tuple[Values, Values]:
    """Sums over the probes of each unit, [models, units], and the number of probes in it, [units]."""
    _, place = np.unique(np.array(names), return_inverse=True)
    sizes = np.bincount(place).astype(float)
    sums: Values = np.stack([np.bincount(place, row) for row in matrix]).astype(float)
    return sums, sizes


def telling(steps: Sequence[ByProbe], probes: Sequence[str], count: int) -> list[str]:
    """The `count` of `probes` that tell known models apart best, in their order: each one taken adds most where what
    was taken so far tells least. `steps` are distances of pairs of models, {probe: number}; without any the probes with
    the smallest ids are taken, a choice that has nothing to do with what they ask."""
    if count >= len(probes):
        return list(probes)
    table = np.array([[step.get(probe, 0.0) for probe in probes] for step in steps]).reshape(len(steps), len(probes))
    table = table[table.sum(1) > 0]
    if not len(table):
        return [probe for probe in probes if probe in set(sorted(probes)[:count])]
    table = np.minimum(table / table.mean(1, keepdims=True), 4.0)  # one probe is not to speak for a whole step
    told, left, taken = np.zeros(len(table)), np.ones(len(probes), bool), set()
    for _ in range(count):
        gain = ((told[:, None] + table + 1) ** -1.0).sum(0)
        best = int(np.argmin(np.where(left, gain, np.inf)))
        told, left[best] = told + table[:, best], False
        taken.add(best)
    return [probe for place, probe in enumerate(probes) if place in taken]
