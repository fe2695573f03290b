"""Whether a direction of the residual stream moves a score more than random directions of the same length do.

Two kinds of chance are held against a difference: that of the probes, which are a sample of what could be asked, and
that of the directions, of which a few random ones stand for all. A direction counts as moving the score only where both
are ruled out, at each strength, after Holm's correction over the strengths, and where the same holds when every answer
that steering broke is taken for the unsteered one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, exp, inf, log, sqrt

import numpy as np
import numpy.typing as npt

from bvc.compare.holm import holm
from bvc.compare.intervals import LEVEL, paired_difference
from bvc.compare.paired import BAND
from bvc.compare.tails import t_quantile, t_tail

LOOPING = 0.5
"""An answer that said more than this share of its phrases before repeats itself (half: it says everything twice)."""
_SALAD = 0.9
"""Quantile of the likelihood of words in random order up to which an answer counts as such: of real ones, 9 in 10."""
_MOST = 1000
"""More draws, probes or directions than that are never asked for."""
_FEWEST = 2

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Interval = tuple[float, float]


class Steers(StrEnum):
    """Does a direction move the score more than random ones: yes; yes, but not surely in answers that it left whole;
    no; not known."""

    MORE = "more"
    BREAKS = "breaks"
    NO_MORE = "no-more"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Pushed:
    """Scores (0 to 1) of all answers at one strength, [n probes, k answers] of the direction and [c, n, k] of c random
    ones, and which of these answers are broken."""

    scores: Values
    random: Values
    broken: Flags
    random_broken: Flags


@dataclass(frozen=True)
class Shift:
    """A difference of rates with its 95 % interval and its two-sided p-value."""

    difference: float
    ci: Interval
    p_value: float


@dataclass(frozen=True)
class Need:
    """About how much would decide, in all: `draws` a probe, `probes`, random `directions`; None where more of these
    would not help, or enough are there."""

    draws: int | None = None
    probes: int | None = None
    directions: int | None = None


@dataclass(frozen=True)
class Effect:
    """What one strength does to a score.

    `rate` and `random` (one for each random direction) are rates; `moved` is the direction's against the unsteered
    one, `beyond` the direction's less the mean of the random ones', `intact` the same with each broken answer taken for
    the unsteered one. `as_far` counts the random directions that moved the rate at least as far; `p_value` joins all
    tests and is corrected over strengths. `broken` and `random_broken` are shares of answers.
    """

    rate: float
    random: tuple[float, ...]
    moved: Shift
    beyond: Shift
    intact: Shift
    as_far: int
    p_value: float
    broken: float
    random_broken: float
    verdict: Steers
    need: Need | None = None


def random_directions(vector: npt.ArrayLike, count: int, seed: int) -> Values:
    """`count` seeded random directions as long as `vector` [d] and at right angles to it, [count, d].

    Raises ValueError for a vector of length 0 or with fewer than two numbers.
    """
    given = np.asarray(vector, np.float64)
    length = float(np.linalg.norm(given))
    if length == 0 or given.size < _FEWEST:
        raise ValueError("a direction needs a length and at least two numbers")
    drawn = np.random.default_rng([seed, given.size]).normal(size=(count, given.size))
    unit = given / length
    drawn -= np.outer(drawn @ unit, unit)
    return np.asarray(drawn * (length / np.linalg.norm(drawn, axis=1, keepdims=True)), np.float64)


def broken_answers(repeats: Values, likely: Values, own: tuple[Values, Values], salad: Sequence[float]) -> Flags:
    """Which answers steering broke: they repeat themselves, or the unsteered model finds them no likelier than words in
    random order; and the unsteered answer does not.

    `repeats` and `likely` [..., n, k] are shares of repeated phrases and mean log-probabilities, `own` both [n, k] of
    the unsteered answers, `salad` the log-probabilities of unsteered answers in random order. An answer without tokens
    (NaN) is never broken.
    """
    floor = float(np.quantile(salad, _SALAD)) if len(salad) else -inf
    own_repeats, own_likely = own
    looping = (repeats > LOOPING) & ~(own_repeats > LOOPING)
    return np.asarray(looping | ((likely <= floor) & ~(own_likely <= floor)), np.bool_)


def steering_effects(
    unsteered: Values, pushed: Sequence[Pushed], clusters: Sequence[str | None] | None = None, band: float = BAND
) -> list[Effect]:
    """The effect of each strength on a score, given the `unsteered` scores [n, k] of the same probes and draws.

    The difference to random directions is tested at the level of prompts (`paired_difference`), and as one further
    direction against the random ones (Student's t on log odds, c - 1 degrees of freedom, c at least 2); the greater
    p-value counts, and the interval is the wider of both. Differences inside ± `band` count as none. Raises ValueError
    for fewer than two random directions or no probe.
    """
    if any(len(p.random) < _FEWEST for p in pushed) or not len(unsteered):
        raise ValueError("at least two random directions and one probe are needed")
    plain = [_Test.of(p.scores, p.random, unsteered, clusters) for p in pushed]
    intact = [
        _Test.of(
            np.where(p.broken, unsteered, p.scores), np.where(p.random_broken, unsteered, p.random), unsteered, clusters
        )
        for p in pushed
    ]
    raw, kept = (holm(np.array([t.p_value for t in tests])) for tests in (plain, intact))
    return [
        _effect(p, unsteered, (plain[i], intact[i]), (float(raw[i]), float(kept[i])), _Terms(band, len(pushed)))
        for i, p in enumerate(pushed)
    ]


@dataclass(frozen=True)
class _Terms:
    """Differences inside ± `band` count as none; `strengths` are tested together."""

    band: float
    strengths: int


def _effect(
    pushed: Pushed, unsteered: Values, tests: tuple[_Test, _Test], p_values: tuple[float, float], terms: _Terms
) -> Effect:
    plain, intact = tests
    found = _verdict(plain, p_values, terms.band)
    far = np.abs(pushed.random.mean((1, 2)) - unsteered.mean()) >= abs(plain.moved.difference) - 1e-12
    return Effect(
        rate=float(pushed.scores.mean()),
        random=tuple(pushed.random.mean((1, 2)).tolist()),
        moved=plain.moved,
        beyond=plain.beyond,
        intact=intact.beyond,
        as_far=int(far.sum()),
        p_value=p_values[0],
        broken=float(pushed.broken.mean()),
        random_broken=float(pushed.random_broken.mean()),
        verdict=found,
        need=_need(pushed, unsteered, plain, terms) if found is Steers.UNDECIDED else None,
    )


@dataclass(frozen=True)
class _Among:
    """One more direction among random ones, log odds of rates: how far it is from their mean, and how they scatter
    (standard deviation); a normal distribution of log odds is taken for granted, which rates near 0 are far from."""

    distance: float
    center: float
    scatter: float
    count: int
    answers: int

    @classmethod
    def of(cls, scores: Values, random: Values) -> _Among:
        odds = [_log_odds(float(rate), scores.size) for rate in random.mean((1, 2))]
        center = float(np.mean(odds))
        distance = _log_odds(float(scores.mean()), scores.size) - center
        return cls(distance, center, float(np.std(odds, ddof=1)), len(odds), scores.size)

    @property
    def p_value(self) -> float:
        """Two-sided, of "it is one of them"."""
        error = self.scatter * sqrt(1 + 1 / self.count)
        if error <= 0:
            return 0.0 if self.distance else 1.0
        return min(1.0, 2 * t_tail(abs(self.distance) / error, self.count - 1))

    @property
    def usual(self) -> Interval:
        """The rates between which 95 in 100 further random directions lie."""
        half = self.half(self.count)
        low, high = (1 / (1 + exp(-(self.center + sign * half))) for sign in (-1, 1))
        shrunk = self.answers + 1
        return max(0.0, (low * shrunk - 0.5) / self.answers), min(1.0, (high * shrunk - 0.5) / self.answers)

    def half(self, count: int, tail: float = (1 - LEVEL) / 2) -> float:
        """Half of that interval in log odds, if `count` directions scatter as these do."""
        return self.scatter * sqrt(1 + 1 / count) * t_quantile(1 - tail, count - 1)


def _log_odds(rate: float, answers: int) -> float:
    """Of a rate among so many answers, half an answer added on either side (Haldane 1956)."""
    shrunk = (rate * answers + 0.5) / (answers + 1)
    return log(shrunk / (1 - shrunk))


@dataclass(frozen=True)
class _Test:
    """The tests of one strength; `half` is half of the interval that the chance of probes alone gives."""

    moved: Shift
    beyond: Shift
    half: float
    among: _Among

    @classmethod
    def of(cls, scores: Values, random: Values, unsteered: Values, clusters: Sequence[str | None] | None) -> _Test:
        here, there = scores.mean(1), random.mean((0, 2))
        moved = paired_difference(unsteered.mean(1), here, clusters)
        beyond = paired_difference(there, here, clusters)
        among = _Among.of(scores, random)
        low, high = (float(here.mean()) - rate for rate in reversed(among.usual))
        ci = max(-1.0, min(beyond.ci[0], low)), min(1.0, max(beyond.ci[1], high))
        return cls(
            Shift(moved.difference, moved.ci, moved.p_value),
            Shift(beyond.difference, ci, max(beyond.p_value, among.p_value)),
            (beyond.ci[1] - beyond.ci[0]) / 2,
            among,
        )

    @property
    def p_value(self) -> float:
        """That of "it does not move the score further than random, the way that it moves it"."""
        same_way = self.moved.difference * self.beyond.difference > 0
        return max(self.moved.p_value, self.beyond.p_value) if same_way else 1.0


def _verdict(test: _Test, p_values: tuple[float, float], band: float) -> Steers:
    if p_values[0] <= 1 - LEVEL:
        return Steers.MORE if p_values[1] <= 1 - LEVEL else Steers.BREAKS
    inside = [-band <= shift.ci[0] and shift.ci[1] <= band for shift in (test.moved, test.beyond)]
    up = test.moved.ci[0] > 0 and test.beyond.ci[1] <= band
    down = test.moved.ci[1] < 0 and test.beyond.ci[0] >= -band
    return Steers.NO_MORE if any(inside) or up or down else Steers.UNDECIDED


def _need(pushed: Pushed, unsteered: Values, test: _Test, terms: _Terms) -> Need:
    """What would make the intervals narrow enough either to leave out 0 (also corrected for so many strengths) or to
    lie within the band, if the differences stay."""
    tail = (1 - LEVEL) / 2 / terms.strengths
    widened = t_quantile(1 - tail, _MOST) / t_quantile(0.5 + LEVEL / 2, _MOST)
    wanted = (
        _more(pushed.scores - pushed.random.mean(0), test.half, widened, terms.band),
        _more(pushed.scores - unsteered, (test.moved.ci[1] - test.moved.ci[0]) / 2, widened, terms.band),
    )
    draws, probes = (max((n for n in each if n is not None), default=None) for each in zip(*wanted, strict=True))
    far = abs(test.beyond.difference) > terms.band
    return Need(draws, probes, _directions(test.among, tail) if far else None)


def _more(differences: Values, half: float, widened: float, band: float) -> tuple[int | None, int | None]:
    """Answers a probe, or probes where answers do not help, that make the interval of the mean of differences [n, k]
    narrow enough, given `half` of it; None for what is not lacking or not to be had."""
    size = abs(float(differences.mean()))
    share = max(size / (half * widened), (band - size) / half, 1e-9) ** 2  # of the variance of means that may stay
    if share >= 1:
        return None, None
    draws = _draws(differences, share)
    return draws, _limited(len(differences) / share) if draws is None else None


def _draws(differences: Values, share: float) -> int | None:
    """Answers a probe that leave `share` of the variance of the probes' means; None where none do."""
    answers = differences.shape[1]
    total = float(differences.mean(1).var(ddof=1)) if len(differences) > 1 else 0.0
    within = float(differences.var(axis=1, ddof=1).mean()) if answers > 1 else total
    room = share * total - max(0.0, total - within / answers)
    return _limited(within / room) if room > 0 else None


def _directions(among: _Among, tail: float) -> int | None:
    """Random directions that would tell the direction from them; None where these do, or no number would."""
    if among.half(among.count, tail) <= abs(among.distance):
        return None
    return next((c for c in range(among.count + 1, _MOST) if among.half(c, tail) <= abs(among.distance)), None)


def _limited(count: float) -> int | None:
    return ceil(count) if count <= _MOST else None
