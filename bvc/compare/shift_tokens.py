"""Which tokens the mean shift of hidden states speaks for, beside what the same look finds in shifts with random signs.

A shift is read as logits by the logit lens (`bvc.capture.lens`). Each logit is taken relative to the vocabulary's mean:
what raises all tokens alike changes no probability. The lens is linear: the mean of the units' shifts under random
signs gives what the same look finds where nothing is shared (`bvc.compare.shift` tests the length so). Each token is
compared with the strongest token of each flip, up or down, at any site (max-T, Westfall and Young 1993): where nothing
is shared, any token is marked anywhere in at most 5 % of comparisons, whatever tokens and sites have in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bvc.compare.shift import FEWEST, Values, random_signs, site_units
from bvc.evidence import ActivationBlock, Floats

LEVEL = 0.05
"""Chance that anything is marked where nothing is shared."""
FLIPS = 199
_SEED = 20_270_305
_SLACK = 1e-5
"""Flips that give back the shift itself, or its opposite, differ from it by rounding."""


@dataclass(frozen=True)
class TokenShift:
    """A token whose logit a shift raises or lowers by `logit` more than the vocabulary's mean, where the stream is as
    long as the site's states; `p_value` of "no token at any site reads more than under random signs"."""

    token: int
    logit: float
    p_value: float
    text: str = ""

    @property
    def beyond(self) -> bool:
        """Whether chance reads as much of no token at any site in 95 % of looks."""
        return self.p_value <= LEVEL


@dataclass(frozen=True)
class SiteTokens:
    """The tokens that the shift at one site promotes and demotes most, the strongest first. `chance` is what the
    strongest token reads at this site under random signs (median); a logit farther from 0 than `bound` is marked."""

    site: str
    promoted: tuple[TokenShift, ...]
    demoted: tuple[TokenShift, ...]
    chance: float
    bound: float


def flip_signs(units: int) -> Values:
    """[FLIPS, units]: the signs of units in each flip, always the same ones."""
    return random_signs(np.random.default_rng(_SEED), (FLIPS, units))


def flipped_means(
    a: ActivationBlock, b: ActivationBlock, labels: npt.NDArray[np.int64], signs: Values
) -> dict[str, Floats]:
    """For each site with at least 5 units the mean shift from `a` to `b` and below it those with the `signs` of units
    (numbered by `labels` [probes]), [1 + FLIPS, d]: as shares of the root mean square of the site's states."""
    out = {}
    for site, units in site_units(a, b, labels).items():
        if units.count >= FEWEST:
            all_signs = np.vstack([np.ones(units.count), signs[:, units.labels]])
            scale = np.sqrt(units.sums.shape[1]) / units.length / units.sizes.sum()
            out[site] = (all_signs @ units.sums * scale).astype(np.float32)
    return out


@dataclass(frozen=True)
class LensReading:
    """What the lens reads at one site: the `logits` [v] of the mean shift, relative to the vocabulary's mean, and how
    far the strongest token of each flip lies from it, `strongest` [FLIPS]."""

    logits: Values
    strongest: Values


def lens_reading(logits: Iterable[Floats]) -> LensReading:
    """The reading of logits [1 + FLIPS, v], given in parts, the first row that of the mean shift."""
    first: Values | None = None
    strongest: list[Values] = []
    for part in logits:
        relative = part.astype(np.float64)
        relative -= relative.mean(1, keepdims=True)
        first = relative[0].copy() if first is None else first
        strongest.append(np.abs(relative).max(1))
    if first is None:
        raise ValueError("nothing was read")
    return LensReading(first, np.concatenate(strongest)[1:])


def token_shifts(read: Mapping[str, LensReading], count: int) -> dict[str, SiteTokens]:
    """The `count` tokens that go up most and those that go down most at each site of `read`, but for sites without any
    shift. A site is measured by its own mean over the shift and all flips, which every flip could as well have been."""
    scales = {site: float(np.append(r.strongest, np.abs(r.logits).max()).mean()) for site, r in read.items()}
    shown = {site: scale for site, scale in scales.items() if scale > 0 and read[site].logits.any()}
    if not shown:
        return {}
    worst = np.max([read[site].strongest / scale for site, scale in shown.items()], axis=0)
    return {site: _site(site, read[site], scale, worst, count) for site, scale in shown.items()}


def _site(site: str, read: LensReading, scale: float, worst: Values, count: int) -> SiteTokens:
    order = np.argsort(read.logits, kind="stable")
    up, down = order[::-1][:count], order[:count]
    allowed = int(LEVEL * (len(worst) + 1)) - 1  # flips that may read as much as a token that is marked
    return SiteTokens(
        site,
        tuple(_token(int(t), read, scale, worst) for t in up if read.logits[t] > 0),
        tuple(_token(int(t), read, scale, worst) for t in down if read.logits[t] < 0),
        chance=float(np.median(read.strongest)),
        bound=float(np.sort(worst)[::-1][allowed]) * scale,
    )


def _token(token: int, read: LensReading, scale: float, worst: Values) -> TokenShift:
    logit = float(read.logits[token])
    reached = int((worst >= abs(logit) / scale * (1 - _SLACK)).sum())
    return TokenShift(token, logit, (1 + reached) / (len(worst) + 1))
