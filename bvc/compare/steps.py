"""The steps of a behavior along a lineage: with which commits its rate changed, and how sure that is.

The unit is the probe, or the cluster of probes: all commits answer the same ones, so what is tested are paired moves.
Where nothing happens, a unit moves as often and as far one way as the other, whether it flickers or stays where it
went.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from bvc.compare.intervals import paired_difference
from bvc.compare.paired import BAND
from bvc.compare.steps_location import located
from bvc.compare.steps_windows import Floats, Ints, Lineage, Scale, Window, scales, window
from bvc.results import Interval

LEVEL = 0.05
"""Chance of any false step on a lineage along which nothing changes."""

_FLIPS = (499, 1999)
"""Fewest and most random sign flips; in between as many as `_WORK` allows."""
_WORK = 3e10
"""Multiplications that the flips of one lineage may take."""
_ALL_FLIPS = 11
"""Units up to which all flips are taken."""
_SEED = 20_261_123
_FEWEST_STEPS = 12
"""Steps from which on their common unrest can be told."""
_FEWEST_MOVES = 4.0
"""Moves of equal size that a step needs so that its score says something about that."""
_LIKE, _SURE = 199, 0.9
"""Random flips against which that unrest is held, and the share of them that it has to exceed."""
_POWER = 0.8416212335729143
"""The normal quantile of a power of .8."""


@dataclass(frozen=True)
class Step:
    """A step of a behavior: with commit `node` its mean score moved by `difference`, with its 95 % interval `ci`.

    `p_value` is the chance of any so clear a step in a lineage without one. `candidates` are the commits with which it
    may have come, each with its probability given that there is one step, most probable first. `before` and `after` are
    the commits compared; `moved` how far each probe's score moved, [probes].
    """

    node: int
    p_value: float
    candidates: tuple[tuple[int, float], ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    difference: float
    ci: Interval
    moved: Floats

    @property
    def confidence(self) -> float:
        """The probability that there is a step, and that it came with this commit."""
        return (1 - self.p_value) * self.candidates[0][1]


@dataclass(frozen=True)
class Steps:
    """All steps found, parents first. `immaterial` counts steps that are real and smaller than what matters; `unrest`
    how many times as much as its probes explain the rate of the whole moves from commit to commit; `smallest` the least
    difference that would have been found between two commits with probability .8."""

    found: tuple[Step, ...]
    immaterial: int = 0
    unrest: float = 1.0
    smallest: float = 1.0


@dataclass(frozen=True)
class _Seen:
    """All windows: nodes, widths and scores, [windows], and the greatest score of each flip."""

    nodes: Ints
    widths: Ints
    scores: npt.NDArray[np.float64]
    greatest: npt.NDArray[np.float64]
    complete: bool

    def p_values(self, unrest: float) -> npt.NDArray[np.float64]:
        """Adjusted over all windows (Westfall and Young 1993)."""
        ordered = np.sort(self.greatest)
        above = len(ordered) - np.searchsorted(ordered, np.abs(self.scores) / unrest - 1e-4)
        out: npt.NDArray[np.float64] = (above + (not self.complete)) / (len(ordered) + (not self.complete))
        return out


def find_steps(
    parents: Sequence[Sequence[int]],
    scores: npt.NDArray[np.floating],
    clusters: Sequence[str],
    *,
    level: float = LEVEL,
    band: float = BAND,
) -> Steps:
    """The steps of a lineage: commits with parents before children, `scores` [commits, probes] in [0, 1], NaN where a
    commit did not answer a probe, `clusters` the cluster of each probe.

    Each commit is tested at many scales, its rate over 1, 2, 4, … commits from there on against as many before: net
    move over the root of its squares, against flipping the signs of the units, of all windows at once, so that no
    window is chosen on the data that test it. Of windows that hold a step the narrowest are taken, none touching
    another, which leaves the chance of a step too many at `level` (as seeded intervals, narrowest first: Kovács et al.
    2023). In lineages of a dozen steps or more unrest that all probes share counts as noise. Steps whose interval lies
    in ± `band` are not named.
    """
    lineage = Lineage(tuple(map(tuple, parents)))
    values = np.asarray(scores, np.float32)
    _, units = np.unique(np.asarray(clusters, object).astype(str), return_inverse=True)
    first, seen = _look(lineage, values, units.astype(np.int64))
    if first is None or seen is None:
        return Steps(())
    unrest = _unrest(first)
    chosen = _narrowest(lineage, seen, seen.p_values(unrest), level)
    steps = [_step(lineage, values, clusters, first, one, [w for w, _ in chosen], unrest) for one in chosen]
    kept = [step for step in steps if not -band <= step.ci[0] <= step.ci[1] <= band]
    smallest = max(band, _smallest(first, len(clusters), unrest, level))
    return Steps(tuple(sorted(kept, key=lambda s: s.node)), len(steps) - len(kept), unrest, smallest)


def _look(lineage: Lineage, values: Floats, units: Ints) -> tuple[Scale | None, _Seen | None]:
    """The windows of width 1, and the scores of all; None where no score ever moves."""
    first: Scale | None = None
    live: npt.NDArray[np.bool_] = np.ones(0, bool)
    nodes, widths, found = [], [], []
    greatest = np.zeros(0)
    signs = np.zeros((0, 0), np.float32)
    for scale in scales(lineage, values, units):
        if first is None:
            first, live = scale, (scale.moved != 0).any(0)
            signs = _signs(int(live.sum()), len(scale.nodes) * max(1, len(lineage.parents).bit_length()))
            greatest = np.zeros(len(signs))
        moved = scale.moved[:, live]
        norms = np.sqrt(np.maximum((moved**2).sum(1), 1e-12))
        nodes.append(scale.nodes)
        widths.append(np.full(len(scale.nodes), scale.width))
        found.append(moved.sum(1) / norms)
        np.maximum(greatest, _greatest(signs, moved / norms[:, None]), out=greatest)
    if first is None or not live.any():
        return None, None
    complete = int(live.sum()) <= _ALL_FLIPS
    flat = np.concatenate(found).astype(float)
    return first, _Seen(np.concatenate(nodes), np.concatenate(widths), flat, greatest, complete)


def _signs(units: int, windows: int) -> Floats:
    """Signs of the units, [flips, units]: all there are of few units, else random ones."""
    if units <= _ALL_FLIPS:
        counts = np.arange(2**units)[:, None] >> np.arange(units)
        return (1 - 2 * (counts & 1)).astype(np.float32)
    fewest, most = _FLIPS
    flips = int(min(most, max(fewest, _WORK / (units * max(windows, 1)))))
    return np.random.default_rng(_SEED).integers(0, 2, (flips, units), np.int8).astype(np.float32) * 2 - 1


def _greatest(signs: Floats, moved: Floats, rows: int = 256) -> npt.NDArray[np.float64]:
    """The greatest score over windows of each flip, [flips]; `moved` is [windows, units], rows of length 1."""
    out = np.zeros(len(signs))
    for start in range(0, len(moved), rows):
        np.maximum(out, np.abs(signs @ moved[start : start + rows].T).max(1), out=out)
    return out


def _unrest(first: Scale) -> float:
    """How much wider than their units explain the scores of single steps spread, against flips of the same moves;
    without the quarter that scores most, among which are the steps proper. 1 where there are too few to tell."""
    squares, sizes = (first.moved**2).sum(1), np.abs(first.moved).sum(1)
    telling = sizes**2 >= _FEWEST_MOVES * np.maximum(squares, 1e-12)
    count = int(telling.sum())
    if count < _FEWEST_STEPS:
        return 1.0
    moved = first.moved[telling] / np.sqrt(squares[telling])[:, None]
    signs = np.random.default_rng(_SEED).integers(0, 2, (_LIKE, moved.shape[1]), np.int8).astype(np.float32) * 2 - 1
    kept = count - count // 4
    found = float(np.sort(np.abs(moved.sum(1)))[:kept].mean())
    null = np.sort(np.abs(signs @ moved.T), axis=1)[:, :kept].mean(1)
    if found <= np.quantile(null, _SURE):
        return 1.0
    return found / float(null.mean()) * (1 + 1 / float(np.sqrt(count)))


Chosen = tuple[Window, float]


def _narrowest(lineage: Lineage, seen: _Seen, p_values: npt.NDArray[np.float64], level: float) -> list[Chosen]:
    """The narrowest windows that hold a step, the clearest of equals first, none touching another."""
    hits = np.flatnonzero(p_values <= level)
    windows = {i: window(lineage, int(seen.nodes[i]), int(seen.widths[i])) for i in hits.tolist()}
    order = sorted(windows, key=lambda i: (len(windows[i].steps), -abs(seen.scores[i])))
    taken: set[int] = set()
    out: list[Chosen] = []
    for i in order:
        if taken.isdisjoint(windows[i].steps):
            taken |= windows[i].steps
            out.append((windows[i], float(p_values[i])))
    return out


def _step(
    lineage: Lineage,
    values: Floats,
    clusters: Sequence[str],
    first: Scale,
    chosen: Chosen,
    others: Sequence[Window],
    unrest: float,
) -> Step:
    """The step of a window: where in it, and how far the scores moved there."""
    found, p_value = chosen
    apart = frozenset().union(*(other.steps for other in others if other != found))
    candidates = located(lineage, first, found, apart, unrest)
    place = window(lineage, candidates[0][0], found.width)
    before = [_until(run, apart | {place.node}, back=True) for run in place.before]
    after = _until(place.after, apart, back=False)
    moved = _between(values, before, after)
    known = np.flatnonzero(~np.isnan(moved)).tolist()
    change = paired_difference([0.0] * len(known), moved[known].astype(float), [clusters[i] for i in known])
    commits = tuple(dict.fromkeys(commit for run in before for commit in run))
    return Step(place.node, p_value, candidates, commits, after, change.difference, change.ci, moved)


def _until(run: Sequence[int], steps: frozenset[int], *, back: bool) -> tuple[int, ...]:
    """The run up to where another step lies."""
    out: list[int] = []
    for commit in run:
        if not back and out and commit in steps:
            break
        out.append(commit)
        if back and commit in steps:
            break
    return tuple(out)


def _between(values: Floats, before: Sequence[tuple[int, ...]], after: tuple[int, ...]) -> Floats:
    """How far each probe's mean score moved, NaN where it is not known on both sides, [probes]."""
    there = np.stack([_mean(values[list(run)]) for run in before])
    here = _mean(values[list(after)])
    moved = here - np.clip(here, np.fmin.reduce(there, axis=0), np.fmax.reduce(there, axis=0))
    out: Floats = moved.astype(np.float32)
    return out


def _mean(rows: Floats) -> Floats:
    known = ~np.isnan(rows)
    counts = known.sum(0)
    out: Floats = np.where(counts > 0, np.where(known, rows, 0).sum(0) / np.maximum(counts, 1), np.nan)
    return out


def _smallest(first: Scale, probes: int, unrest: float, level: float) -> float:
    """The least difference of two commits' rates that would have been found with probability .8: moves one way, on top
    of the volume that a typical step has, against Bonferroni's bound."""
    steps = max(1, len(first.nodes))
    score = unrest * NormalDist().inv_cdf(1 - level / (2 * steps)) + _POWER
    volume = float(np.median((first.moved**2).sum(1)))
    moves = (score**2 + np.sqrt(score**4 + 4 * score**2 * volume)) / 2
    return min(1.0, float(moves) / max(1, probes))
