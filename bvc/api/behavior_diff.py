"""What became of each behavior between two commits: paired over the probes that both answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bvc.api.behavior_scores import ProbeScores, Scorekeeper, probe_records, summary
from bvc.api.behaviors import load_behaviors
from bvc.behaviors.records import Behavior, Tools
from bvc.compare.paired import NoiseFlips, PairedChange, ScoredPair, paired_change, verdict
from bvc.compare.significance import benjamini_hochberg
from bvc.records import BehaviorRate
from bvc.repository.repository import Repository
from bvc.repository.snapshot_view import SnapshotView
from bvc.results import BehaviorDiff, Rate

Sides = tuple[dict[str, ProbeScores], dict[str, ProbeScores]]


@dataclass(frozen=True)
class BehaviorDiffs:
    """The behaviors of a diff, and those that a side has no features for, each with why."""

    found: tuple[BehaviorDiff, ...]
    unscored: tuple[tuple[str, str], ...] = ()


def behavior_diffs(
    repository: Repository, left: SnapshotView, right: SnapshotView, *, tools: Tools | None = None
) -> BehaviorDiffs:
    """Every behavior of the project's file on the probes that both commits answered, in the file's order.

    The labels and tags of `right` decide on both sides. Behaviors that score no common probe are left out. False
    discoveries are controlled over all that are found (Benjamini and Hochberg 1995).
    """
    keeper = Scorekeeper(repository, tools or Tools())
    behaviors = load_behaviors(repository)
    lacks = {b.name: keeper.latents.why_not(left, b) or keeper.latents.why_not(right, b) for b in behaviors}
    scored = [(b, _sides(keeper, left, right, b)) for b in behaviors if lacks[b.name] is None]
    keeper.flush()
    found = [
        (behavior, sides, paired_change(_pairs(*sides), _noise(keeper, (left, right), behavior, sides)))
        for behavior, sides in scored
        if sides[0]
    ]
    q_values = benjamini_hochberg({behavior.name: change.p_value for behavior, _, change in found})
    band = repository.config.band
    return BehaviorDiffs(
        tuple(_diff(behavior, sides, change, q_values[behavior.name], band) for behavior, sides, change in found),
        tuple((name, why) for name, why in lacks.items() if why is not None),
    )


def _sides(keeper: Scorekeeper, left: SnapshotView, right: SnapshotView, behavior: Behavior) -> Sides:
    """The scores of the probes that can be scored on both sides."""
    records = probe_records(right)
    a, b = keeper.scores(left, behavior, records), keeper.scores(right, behavior, records)
    common = [probe for probe in b if probe in a and a[probe].mean is not None and b[probe].mean is not None]
    return {probe: a[probe] for probe in common}, {probe: b[probe] for probe in common}


def _pairs(a: Mapping[str, ProbeScores], b: Mapping[str, ProbeScores]) -> list[ScoredPair]:
    return [_pair(a[probe], b[probe]) for probe in a]


def _pair(a: ProbeScores, b: ProbeScores) -> ScoredPair:
    """Draws are paired by number; one that only one side has, or could be scored on, is left out on both."""
    draws = [(x, y) for x, y in zip(a.draws, b.draws, strict=False) if x is not None and y is not None]
    return ScoredPair(
        greedy_a=a.greedy or 0.0,
        greedy_b=b.greedy or 0.0,
        draws_a=tuple(x for x, _ in draws),
        draws_b=tuple(y for _, y in draws),
        cluster=b.cluster,
    )


def _noise(
    keeper: Scorekeeper, views: tuple[SnapshotView, SnapshotView], behavior: Behavior, sides: Sides
) -> NoiseFlips | None:
    """How often the score of a greedy answer flipped when a commit was captured again; None with draws, which say
    more."""
    if any(row.draws for row in sides[0].values()):
        return None
    flips = of = 0
    for view, side in zip(views, sides, strict=True):
        for probe, row in side.items():
            again = keeper.recaptured(view, behavior, probe, row.probe)
            of += again is not None
            flips += again is not None and again != row.greedy
    return NoiseFlips(flips, of)


def _diff(behavior: Behavior, sides: Sides, change: PairedChange, q_value: float, band: float) -> BehaviorDiff:
    pairs = dict(zip(sides[0], _pairs(*sides), strict=True))
    moved = {probe: pair.b - pair.a for probe, pair in pairs.items()}
    ordered = sorted(moved, key=lambda probe: (-abs(moved[probe]), probe))
    return BehaviorDiff(
        name=behavior.name,
        description=behavior.description,
        a=_rate(summary(behavior, sides[0].values())[0]),
        b=_rate(summary(behavior, sides[1].values())[0]),
        difference=change.difference,
        ci=change.ci,
        p_value=change.p_value,
        q_value=q_value,
        verdict=verdict(change, q_value, band),
        smallest=change.smallest,
        gained=tuple(probe for probe in ordered if moved[probe] > 0),
        lost=tuple(probe for probe in ordered if moved[probe] < 0),
    )


def _rate(rate: BehaviorRate) -> Rate:
    return Rate(rate.rate, rate.n, rate.ci)
