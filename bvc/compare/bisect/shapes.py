"""Whether the change came in one step, came gradually, or came and went: how well each explains a line's evidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np

from bvc.compare.bisect.lineage import Floats, Ints
from bvc.compare.bisect.track import Track

_PRIORS = {"step": 0.85, "ramp": 0.08, "turns": 0.07}
"""How probable each shape is before anything was seen."""
_WIDTHS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_STARTS = 33
"""Places of a ramp of one width that are tried, at most."""
_PASSING = 9.0
"""Nats by which coming and going again must beat one level throughout."""
_TURNS = 6
_ROUNDS = 3
_SLACK = 2.0
"""Nats of misfit beyond what is expected that are let pass without weighing other shapes."""
_LEAST_LINE = 4
"""Commits with evidence that are needed to tell shapes apart."""


@dataclass(frozen=True)
class Shapes:
    """Probabilities of a `ramp` and of `turns` (the behavior came, went and came); `within` [l] each commit's share of
    the gradual change if there is one; `states` [k] whether the behavior is there at each commit with evidence if it
    came and went."""

    ramp: float
    turns: float
    within: Floats
    states: Ints


def shapes_of(track: Track, leader: int) -> Shapes:
    """Weigh the three against each other around the most probable single step."""
    nothing = Shapes(0.0, 0.0, np.zeros(len(track.line)), np.zeros(len(track.at), np.int64))
    where = np.flatnonzero(track.line == leader)
    if len(track.at) < _LEAST_LINE or not len(where) or not _misfit(track, int(where[0])):
        return nothing
    step, ramps, within = _gradual(track, int(where[0]))
    turns, states = _turning(track, int(where[0]))
    scores = np.array(
        [np.log(_PRIORS["step"]) + step, np.log(_PRIORS["ramp"]) + ramps, np.log(_PRIORS["turns"]) + turns]
    )
    if not np.isfinite(scores.max()):
        return nothing
    weights = np.exp(scores - scores.max())
    weights /= weights.sum()
    return Shapes(float(weights[1]), float(weights[2]), within, states)


def _misfit(track: Track, place: int) -> bool:
    """Whether a single step leaves more unexplained than chance would (half a nat for each commit)."""
    new = track.at >= place
    levels = track.levels(np.stack([~new, new]))
    lost = track.fit(track.own) - track.fit(np.where(new, levels[1], levels[0]))
    return float(lost.sum()) > len(track.at) / 2 + _SLACK


def _gradual(track: Track, place: int) -> tuple[float, float, Floats]:
    """Log evidence of a step and of a ramp around a place of the line, and each commit's share of the ramps."""
    length = len(track.line) - 1
    starts, widths, strides = _ramps(place, length)
    last, first = starts[:, None], (starts + widths)[:, None]
    old, new = track.levels(track.at <= last), track.levels(track.at >= first)
    risen = np.clip((track.at - last) / (first - last), 0, 1)
    fits = track.fit(old[:, None] + (new - old)[:, None] * risen).sum(1)
    rising = np.where(new > old, 0.0, -np.inf)
    steps = widths == 1
    chances = np.log(strides / length) - np.where(
        steps, 0, np.log((~steps).any() and len(set(widths[~steps].tolist())))
    )
    scores = fits + rising + chances
    within = np.zeros(length + 1)
    ramps = np.flatnonzero(~steps)
    if len(ramps) and np.isfinite(scores[ramps].max()):
        weight = np.exp(scores[ramps] - scores[ramps].max())
        for share, at in zip(weight / weight.sum(), ramps, strict=True):
            within[starts[at] + 1 : starts[at] + widths[at] + 1] += share / widths[at]
    return _log_sum(scores[steps]), _log_sum(scores[ramps]), within


def _ramps(place: int, length: int) -> tuple[Ints, Ints, Floats]:
    """Last old place, width, and how many places each stands for: steps near a place and ramps that contain it."""
    starts, widths, strides = [], [], []
    for width in (1, *(w for w in _WIDTHS if w <= length)):
        low, high = max(0, place - width - 1), min(length - width, place + 1)
        tried = np.unique(np.linspace(low, high, min(_STARTS, high - low + 1)).round().astype(int))
        starts += tried.tolist()
        widths += [width] * len(tried)
        strides += [(high - low + 1) / len(tried)] * len(tried)
    return np.array(starts), np.array(widths), np.array(strides)


def _turning(track: Track, place: int) -> tuple[float, Ints]:
    """Log evidence of "it came, went and came again", once or twice, and the states that fit best."""
    return _two_levels(track, (track.at >= place).astype(np.int64), (3, 5))


def passing_states(track: Track) -> Ints | None:
    """States [k] where the behavior came and went again, so that both ends are without it; None where one level
    explains the evidence well enough."""
    if len(track.at) < _LEAST_LINE:
        return None
    own = track.own
    turns, states = _two_levels(track, (own > (own.min() + own.max()) / 2).astype(np.int64), (2, 4))
    level = track.levels(np.ones((1, len(track.at)), bool))[0]
    nothing = float(track.fit(np.full(len(track.at), level)).sum())
    return states if turns - nothing > _PASSING and states.any() else None


def _two_levels(track: Track, states: Ints, counts: tuple[int, ...]) -> tuple[float, Ints]:
    """Levels and states that fit each other, from first states on; the log evidence of so many changes."""
    found = -np.inf
    for _ in range(_ROUNDS):
        old, new = track.levels(np.stack([states == 0, states == 1]))
        if not new > old:
            return -np.inf, states
        fits = np.stack([track.fit(np.full(len(track.at), level)) for level in (old, new)])
        before, (found, states) = states, _changes(track, fits, counts)
        if np.array_equal(before, states):
            break
    return found, states


def _changes(track: Track, fits: Floats, counts: tuple[int, ...]) -> tuple[float, Ints]:
    """Sum over so many changes at any places of the line (each number as probable as the other), and the most probable
    states. `fits` [2, k]. Changes between two commits with evidence can lie anywhere between them."""
    gaps = np.diff(np.concatenate([[0], track.at, [len(track.line) - 1]]))
    states = np.arange(_TURNS) % 2
    total, best = np.zeros(_TURNS), np.full(_TURNS, -np.inf)
    total[0], best[0] = 1.0, 0.0
    back, scale = np.zeros((len(gaps), _TURNS), np.int64), 0.0
    for k, gap in enumerate(gaps):
        reach = best[:, None] + _log_ways(int(gap))
        back[k], best, total = reach.argmax(0), reach.max(0), total @ _ways(int(gap))
        if k < len(track.at):
            top = float(fits[:, k].max())
            best = best + fits[states, k]
            total = total * np.exp(fits[states, k] - top)
            scale += top + np.log(total.sum())
            total /= total.sum()
    length = len(track.line) - 1
    possible = [j for j in counts if j <= length]
    if not possible:
        return -np.inf, np.zeros(len(track.at), np.int64)
    scores = np.array([np.log(max(total[j], 1e-300) / comb(length, j)) + scale for j in possible])
    likeliest = max(possible, key=lambda j: best[j] - np.log(comb(length, j)))
    return _log_sum(scores) - np.log(len(possible)), _walk_back(back, likeliest)


def _walk_back(back: Ints, changes: int) -> Ints:
    """States along the most probable way to so many changes."""
    out = np.zeros(len(back), np.int64)
    for k in range(len(back) - 1, -1, -1):
        out[k] = changes % 2
        changes = int(back[k, changes])
    return out[:-1]


@lru_cache(maxsize=4096)
def _ways(gap: int) -> Floats:
    """[j, i], in how many ways i - j changes can lie in a gap of so many commits."""
    return np.array([[comb(gap, i - j) if i >= j else 0 for i in range(_TURNS)] for j in range(_TURNS)], float)


@lru_cache(maxsize=4096)
def _log_ways(gap: int) -> Floats:
    return np.log(np.maximum(_ways(gap), 1e-300))


def _log_sum(scores: Floats) -> float:
    if not len(scores) or not np.isfinite(scores.max()):
        return -np.inf
    return float(scores.max() + np.log(np.exp(scores - scores.max()).sum()))
