"""Made-up lineages in which a behavior begins somewhere, and bisects of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt

from bvc.bisection import BisectPlan, Conclusion, Observation, Span
from bvc.compare.bisect import next_step

Rates = npt.NDArray[np.float64]
MOST_VISITS = 20_000


def line(commits: int) -> Span:
    """A good commit and so many after it, one after the other."""
    return Span(((), *((i,) for i in range(commits))), (0,))


def random_dag(commits: int, rng: np.random.Generator) -> Span:
    """A good commit and so many that descend from it, with branches and merges; the last has them all."""
    parents: list[tuple[int, ...]] = [()]
    heads = [0]
    for node in range(1, commits + 1):
        if node == commits:
            chosen = list(heads)
        elif len(heads) > 1 and rng.random() < 0.3:
            chosen = [int(h) for h in rng.choice(heads, 2, replace=False)]
        else:
            chosen = [heads[int(rng.integers(len(heads)))]]
        parents.append(tuple(sorted(chosen, reverse=True)))
        branches = node < commits and len(heads) < 4 and rng.random() < 0.25
        heads = [h for h in heads if branches or h not in chosen] + [node]
    return Span(tuple(parents), (0,))


def present(span: Span, culprit: int) -> npt.NDArray[np.bool_]:
    """[n], the commits that have what `culprit` brought."""
    out = np.zeros(len(span.parents), bool)
    out[culprit] = True
    for node in range(culprit + 1, len(out)):
        out[node] = any(out[parent] for parent in span.parents[node])
    return out


def run(
    span: Span,
    plan: BisectPlan,
    rates: Rates | Sequence[float],
    rng: np.random.Generator,
    skipped: Collection[int] = (),
) -> tuple[Conclusion, list[Observation]]:
    """A bisect to its end, where commit i shows the behavior with probability rates[i]."""
    seen: list[Observation] = []
    while len(seen) < MOST_VISITS:
        found = next_step(span, plan, seen, skipped)
        if isinstance(found, Conclusion):
            return found, seen
        seen.append(Observation(found.node, found.draws, int(rng.binomial(found.draws, rates[found.node]))))
    raise AssertionError("the bisect does not end")


def run_exact(span: Span, culprit: int) -> tuple[Conclusion, list[int]]:
    """A bisect whose answers do not vary, with both ends marked, and the commits it asked."""
    has = present(span, culprit)
    plan = BisectPlan(exact=True)
    ends = ((0, 0), (span.bad, 1))
    seen = [Observation(node, 1, hit, exact=True, source="mark", load=False) for node, hit in ends]
    while True:
        found = next_step(span, plan, seen)
        if isinstance(found, Conclusion):
            return found, [o.node for o in seen[2:]]
        seen.append(Observation(found.node, 1, int(has[found.node]), exact=True, source="command"))


def git_rule(span: Span, shows: Callable[[int], bool]) -> tuple[int, int]:
    """The commit that the rule of `git bisect` names, and its visits: of the suspects it asks the one that most nearly
    halves them, the newest first, whether it `shows` the behavior."""
    before: list[set[int]] = []
    for node, parents in enumerate(span.parents):
        before.append({node}.union(*(before[p] for p in parents)))
    suspects, visits = set(range(1, len(before))), 0
    while len(suspects) > 1:
        weight = {node: len(before[node] & suspects) for node in suspects}
        asked = max(sorted(suspects, reverse=True), key=lambda n: min(weight[n], len(suspects) - weight[n]))
        suspects = suspects & before[asked] if shows(asked) else suspects - before[asked]
        visits += 1
    return suspects.pop(), visits


def git_loads(span: Span, culprit: int) -> int:
    """Its visits where answers do not vary."""
    has = present(span, culprit)
    return git_rule(span, lambda node: bool(has[node]))[1]
