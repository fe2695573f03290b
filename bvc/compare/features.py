"""Latents of one dictionary in two captures: which differ, which stand out, and what null pairs yield.

Tested by prompt, never by token: the positions of one answer are not independent, and a test that counts them calls
half of a dictionary different. Clusters of prompts count once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bvc.compare.feature_energy import EnergyMove, energy_diff, energy_move
from bvc.compare.feature_pairs import FeaturePair, Ints, Mask
from bvc.compare.feature_standing import LEVEL, LatentMoves, Standing, latent_moves, standing, stands_out
from bvc.compare.intervals import PairedDifference, paired_difference
from bvc.compare.tolerance import FEWEST_STEPS, N0
from bvc.feature_results import EnergyDiff, Interval, LatentDiff, LatentProbe, LatentRate, LatentYield
from bvc.quantiles import wilson

STEP = "step"
"""Level of a step of the lineage that nobody vouched for."""
PROBES = 5
"""Probes named with each latent."""
_OWN_BULK = "the bulk of this pair's own latents (no benign update is known)"
_NO_BULK = "nothing: too few latents are active in enough prompts"


@dataclass(frozen=True)
class NullPair:
    """What is kept of a pair between which nothing changed, or only harmlessly: `level` is N0, N1, N2 or STEP."""

    level: str
    a: str
    b: str
    probes: int
    moves: LatentMoves
    energy: EnergyMove


def null_pair(level: str, a: str, b: str, pair: FeaturePair) -> NullPair:
    """A pair as `compare_features` takes it for a null."""
    return NullPair(level, a, b, len(pair.ids), latent_moves(pair), energy_move(pair))


@dataclass(frozen=True)
class Peak:
    """Where along a probe's reference a latent is strongest on the side where it is more active: the position, 0 being
    the last prompt token; along an answer, how many of its characters have been read there."""

    probe: str
    place: int


@dataclass(frozen=True)
class FeatureComparison:
    """The pure part of `FeatureDiff`; `peaks` has, for each of `latents`, those of its probes."""

    latents: tuple[LatentDiff, ...]
    peaks: tuple[tuple[Peak, ...], ...]
    found: LatentYield
    null_yield: tuple[LatentYield, ...]
    against: str
    tested: int
    energy: EnergyDiff


def compare_features(
    pair: FeaturePair,
    nulls: Sequence[NullPair] = (),
    *,
    names: Mapping[str, str | None] | None = None,
    most: int = 10,
) -> FeatureComparison:
    """What differs between the sides of `pair`, against `nulls`; the first `most` latents by rank, `names` are the
    labels of probes.

    First come those that stand out, then those that differ (p ≤ .05), each by score. The yields of null pairs are
    those of the same rule, each held against the others.
    """
    labels = names or {}
    moves = latent_moves(pair)
    benign = _Benign(nulls)
    stand = benign.standing(moves)
    shown = _ranked(moves, stand)[:most]
    return FeatureComparison(
        latents=tuple(_Shown(pair, moves, stand, labels).latent(j) for j in shown),
        peaks=tuple(_peaks(pair, j, _leans(moves, j)) for j in shown),
        found=_yield(LatentYield("", "", "", len(pair.ids), 0, 0, 0, 0), moves, stand),
        null_yield=tuple(benign.yields()),
        against=benign.words if stand.known else _NO_BULK,
        tested=int(moves.tested.sum()),
        energy=energy_diff(pair, [null.energy for null in benign.pairs], labels),
    )


class _Benign:
    """The null pairs that standing out is measured against: trusted ones, else steps where there are a few."""

    def __init__(self, nulls: Sequence[NullPair]) -> None:
        self._nulls = nulls
        trusted = [null for null in nulls if null.level not in (N0, STEP)]
        steps = [null for null in nulls if null.level == STEP]
        self._trusted = bool(trusted)
        self.pairs = trusted or (steps if len(steps) >= FEWEST_STEPS else [])

    @property
    def words(self) -> str:
        count = len(self.pairs)
        if not count:
            return _OWN_BULK
        what = "benign pair" if self._trusted else "step of this lineage"
        return f"1 {what}" if count == 1 else f"{count} {what.replace('pair', 'pairs').replace('step', 'steps')}"

    def standing(self, moves: LatentMoves, but: NullPair | None = None) -> Standing:
        others = [null.moves for null in self.pairs if null is not but]
        return standing(moves, others, trusted=self._trusted)

    def yields(self) -> Iterator[LatentYield]:
        """Of every null pair, held against the others."""
        for null in self._nulls:
            empty = LatentYield(null.level, null.a, null.b, null.probes, 0, 0, 0, 0)
            yield _yield(empty, null.moves, self.standing(null.moves, null))


def _yield(pair: LatentYield, moves: LatentMoves, stand: Standing) -> LatentYield:
    return LatentYield(
        pair.level,
        pair.a,
        pair.b,
        pair.probes,
        different=int(moves.different().sum()),
        standing=int(stands_out(moves, stand).sum()),
        only_a=int((moves.tested & (moves.only < 0)).sum()),
        only_b=int((moves.tested & (moves.only > 0)).sum()),
    )


def _ranked(moves: LatentMoves, stand: Standing) -> list[int]:
    """The latents that differ at p ≤ .05: those that stand out first, then by score, then by p-value."""
    candidates = np.flatnonzero(moves.tested & (moves.p_value <= LEVEL))
    out = stands_out(moves, stand)[candidates]
    order = np.lexsort((moves.p_value[candidates], -np.abs(stand.score[candidates]), ~out))
    ranked: list[int] = candidates[order].tolist()
    return ranked


def _leans(moves: LatentMoves, latent: int) -> int:
    """The column of the side on which a latent is more active: 0 or 1."""
    return int(moves.shift[latent] > 0)


class _Shown:
    """Makes the record of a latent."""

    def __init__(self, pair: FeaturePair, moves: LatentMoves, stand: Standing, names: Mapping[str, str | None]) -> None:
        self._pair, self._moves, self._stand, self._names = pair, moves, stand, names
        self._listed: Mask = stands_out(moves, stand)
        self._q_values = moves.q_values()
        self._clusters = [str(unit) for unit in pair.units.tolist()]

    def latent(self, latent: int) -> LatentDiff:
        pair, moves, stand = self._pair, self._moves, self._stand
        change = self._difference(latent)
        only = bool(moves.only[latent])
        return LatentDiff(
            latent=latent,
            side="ab"[_leans(moves, latent)],
            only=only,
            bound=1 - LEVEL ** (1 / pair.unit_count) if only else None,
            a=self._rate(latent, 0),
            b=self._rate(latent, 1),
            difference=change.difference,
            ci=change.ci,
            p_value=float(moves.p_value[latent]),
            q_value=float(self._q_values[latent]),
            score=float(stand.score[latent]) if stand.known else None,
            beyond=float(stand.q_value[latent]) if stand.known else None,
            stands_out=bool(self._listed[latent]),
            probes=tuple(self._probes(latent)),
        )

    def _difference(self, latent: int) -> PairedDifference:
        """Of the shares of positions, over all probes."""
        shares = np.zeros((len(self._pair.ids), 2))
        at = self._pair.rows_of(latent)
        shares[self._pair.probe[at]] = self._pair.shares(at)
        return paired_difference(shares[:, 0], shares[:, 1], self._clusters)

    def _rate(self, latent: int, side: int) -> LatentRate:
        pair, at = self._pair, self._pair.rows_of(latent)
        fired, total = pair.fired[at, side].astype(float), float(pair.total[at, side].sum())
        fires = int((fired > 0).sum())
        share = fires / len(pair.ids)
        interval: Interval = wilson(share, pair.unit_count)
        rate = float(pair.shares(at)[:, side].sum()) / len(pair.ids)
        return LatentRate(rate, fires, share, interval, total / float(fired.sum()) if fires else None)

    def _probes(self, latent: int) -> Iterator[LatentProbe]:
        pair = self._pair
        for row in _strongest(pair, latent, _leans(self._moves, latent)).tolist():
            probe = pair.ids[pair.probe[row]]
            yield LatentProbe(probe, self._names.get(probe), *pair.activity(slice(row, row + 1))[0].tolist())


def _strongest(pair: FeaturePair, latent: int, side: int) -> Ints:
    """The rows of the probes in which a latent leans to `side` most."""
    at = pair.rows_of(latent)
    activity = pair.activity(at)
    lean = activity[:, side] - activity[:, 1 - side]
    order = np.argsort(-lean, kind="stable")[:PROBES]
    out: Ints = order[lean[order] > 0] + at.start
    return out


def _peaks(pair: FeaturePair, latent: int, side: int) -> tuple[Peak, ...]:
    rows = _strongest(pair, latent, side)
    return tuple(Peak(pair.ids[pair.probe[row]], int(pair.peak[row, side])) for row in rows.tolist())
