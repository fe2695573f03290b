"""How probable counts are when a step divides the commits: Beta-binomial with an unknown rate on either side."""

from __future__ import annotations

from functools import lru_cache
from math import erfc, sqrt

import numpy as np

from bvc.compare.bisect.lineage import Floats, Mask
from bvc.compare.gamma import log_gamma

_PRIOR = 1.0
"""Both shapes of a rate's prior: flat. Jeffreys' finds a step too soon in streaks of answers that vary."""
_NEVER = 0.25
"""Probability that answers do not vary: no old one and all new ones show the behavior."""
_MANY, _FEWEST = 100, 12
"""Draws of a commit from which on its own straying shows, and commits with so many that are needed to measure it."""
_MEDIAN, _MEDIAN_ERROR = 0.4549, 2.34
"""Median of a squared normal score, and the standard error of the median of n of them, over it, times √n."""
_GRID = 200
_LEAST = 1e-300


def log_beta(hits: Floats, misses: Floats) -> Floats:
    """Logarithm of the probability of a sequence with these counts, when its rate is unknown."""
    a, b = hits + _PRIOR, misses + _PRIOR
    out: Floats = log_gamma(a) + log_gamma(b) - log_gamma(a + b) - 2 * log_gamma(np.array(_PRIOR))
    return out


def log_normal_cdf(scores: Floats) -> Floats:
    """Logarithm of the normal distribution function."""
    out: Floats = np.log([max(erfc(-z / sqrt(2)) / 2, _LEAST) for z in scores.tolist()])
    return out


@lru_cache(maxsize=16)
def prior_chance(smallest: float) -> float:
    """Probability that one of two rates exceeds the other by `smallest`, before anything was seen."""
    rates = (np.arange(_GRID) + 0.5) / _GRID
    return max(float((rates[:, None] - rates[None, :] > smallest).mean()), 1e-6)


def effective(hits: Floats, draws: Floats) -> tuple[Floats, Floats]:
    """Counts [m], by commit, made less where commits that follow one another differ by more than draws do: benign steps
    move rates a little, so that a commit with hundreds of draws does not count for as many. How much more is judged by
    the median squared difference (on the arc sine scale), which a few real steps leave alone."""
    many = draws >= _MANY
    if many.sum() < _FEWEST:
        return hits, draws
    angles = np.arcsin(np.sqrt((hits[many] + 0.375) / (draws[many] + 0.75)))
    noise = 1 / (4 * draws[many])
    ratios = np.diff(angles) ** 2 / (noise[1:] + noise[:-1])
    excess = float(np.median(ratios)) / _MEDIAN - 1
    if excess < 2 * _MEDIAN_ERROR / sqrt(len(ratios)):
        return hits, draws
    share = 1 / (1 + 4 * draws * excess * float(noise.mean()))
    return hits * share, draws * share


def log_likelihoods(present: Mask, hits: Floats, draws: Floats, smallest: float) -> tuple[Floats, float]:
    """For each way [g, m] in which the behavior may be present at the m observed commits, the logarithm of its counts'
    probability when the rate is higher where it is present by `smallest` or more; and for one rate everywhere."""
    new_hits, new_draws = present @ hits, present @ draws
    old_hits, old_draws = hits.sum() - new_hits, draws.sum() - new_draws
    apart = log_beta(new_hits, new_draws - new_hits) + log_beta(old_hits, old_draws - old_hits)
    (new, new_spread), (old, old_spread) = _moments(new_hits, new_draws), _moments(old_hits, old_draws)
    ordered = log_normal_cdf((new - old - smallest) / np.sqrt(new_spread + old_spread)) - np.log(prior_chance(smallest))
    never = np.where((new_hits == new_draws) & (old_hits == 0), np.log(_NEVER), -np.inf)
    total = np.array([hits.sum()]), np.array([draws.sum() - hits.sum()])
    return np.logaddexp(np.log(1 - _NEVER) + apart + ordered, never), float(log_beta(*total)[0])


def _moments(hits: Floats, draws: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of a rate after counts."""
    mean = (hits + _PRIOR) / (draws + 2 * _PRIOR)
    return mean, mean * (1 - mean) / (draws + 2 * _PRIOR + 1)


def log_counts(hits: Floats, draws: Floats, fresh: int) -> Floats:
    """Logarithm of the probability of 0 … `fresh` hits in that many fresh draws, [g, 1 + fresh], after [g] counts."""
    a, b = (hits + _PRIOR)[:, None], (draws - hits + _PRIOR)[:, None]
    k = np.arange(fresh + 1.0)[None, :]
    ways = log_gamma(np.array([fresh + 1.0])) - log_gamma(k + 1) - log_gamma(fresh - k + 1)
    before = log_gamma(a) + log_gamma(b) - log_gamma(a + b)
    out: Floats = ways + log_gamma(a + k) + log_gamma(b + fresh - k) - log_gamma(a + b + fresh) - before
    return out
