"""What the sampled answers of two commits say: of the whole suite, of each probe, and how many more would decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, comb
from statistics import NormalDist

from bvc.compare.draw_evidence import draw_evidence
from bvc.compare.equivalence import smallest_detectable
from bvc.compare.global_test import GlobalTest, global_test
from bvc.compare.localize import LEVEL, localize
from bvc.compare.sequential import sequential_evidence
from bvc.records import Outputs

MOST_DRAWS = 1000
"""More draws a side than that are never asked for."""
_POWER = 0.8
_NORMAL = NormalDist()

Scores = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Scores (0 to 1) of the draws of both sides, by probe."""


@dataclass(frozen=True)
class Drawn:
    """`test` is that of the whole suite, None without draws on both sides; by probe the `q_values` of a change, and how
    many further draws a side would decide those that are open (`more`). `any_look` is a p-value of "one model" that
    stays valid when draws are added and the diff is looked at again, as often as one likes."""

    test: GlobalTest | None = None
    q_values: Mapping[str, float] = field(default_factory=dict)
    more: Mapping[str, int] = field(default_factory=dict)
    smallest: float | None = None
    any_look: float | None = None


def draw_tests(
    texts: Mapping[str, tuple[Outputs, Outputs]],
    *,
    scores: Scores | None = None,
    clusters: Mapping[str, str] | None = None,
) -> Drawn:
    """The tests of all draws that both sides have. `smallest` is the least shift of the mean score over the suite that
    would have been found with probability .8; None without scores."""
    ids = [p for p, (a, b) in texts.items() if a.draws and b.draws]
    if not ids:
        return Drawn()
    pairs = [([d.text for d in texts[p][0].draws], [d.text for d in texts[p][1].draws]) for p in ids]
    scored = None if not scores else [scores.get(p, ((), ())) for p in ids]
    evidence = draw_evidence(pairs, scores=scored, clusters=[(clusters or {}).get(p) for p in ids])
    local = localize(evidence)
    q_values = dict(zip(ids, local.q_values.tolist(), strict=True))
    p_values = dict(zip(ids, local.p_values.tolist(), strict=True))
    draws = {p: min(len(a), len(b)) for p, (a, b) in zip(ids, pairs, strict=True)}
    least = min(draws.values())
    return Drawn(
        test=global_test(evidence),
        q_values=q_values,
        more={p: more_draws(p_values[p], draws[p], len(ids)) for p in ids if q_values[p] > LEVEL and p_values[p] < 1},
        smallest=smallest_detectable(len(ids), least) if scored else None,
        any_look=sequential_evidence(evidence).p_value,
    )


def more_draws(p_value: float, draws: int, probes: int) -> int:
    """How many further draws a side would find the change of one probe among `probes` with probability .8, if it is as
    large as it looks: standard scores grow with the square root of the draws. No fewer than it takes for the exact test
    to be able to find anything; at most MOST_DRAWS."""
    wanted = LEVEL / probes
    target = _NORMAL.inv_cdf(1 - wanted / 2) + _NORMAL.inv_cdf(_POWER)
    seen = max(_NORMAL.inv_cdf(1 - max(p_value, 1e-12) / 2), 0.5)
    needed = max(ceil(draws * (target / seen) ** 2), _able(wanted))
    return max(1, min(needed, MOST_DRAWS) - draws)


def _able(level: float) -> int:
    """Draws a side from which an exact test of two sides can reach `level`."""
    draws = 2
    while 2 / comb(2 * draws, draws) > level:
        draws += 1
    return draws
