"""How probable each commit is as the one that brought the change, after all that was seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bvc.bisection import BisectPlan
from bvc.compare.bisect.evidence import Evidence
from bvc.compare.bisect.halve import weights_of
from bvc.compare.bisect.lineage import Floats, Ints, Lineage, Mask
from bvc.compare.bisect.means import Means, fit_means, measured
from bvc.compare.bisect.rates import log_likelihoods

_NULL = 0.25
"""Probability of "nothing changed" before anything was seen."""


@dataclass(frozen=True)
class Posterior:
    """What is believed after the evidence.

    `suspects` [s] are the commits that may have brought the change, `weight` [s] their probabilities given that
    something changed, `null` that of no change. Suspects that divide the observed commits alike share a pattern:
    `pattern` [s] is its number, `present` [g, m] where among the observed commits the behavior then is.
    """

    lineage: Lineage
    evidence: Evidence
    suspects: Ints
    weight: Floats
    null: float
    pattern: Ints
    present: Mask
    means: Means | None

    @cached_property
    def full(self) -> Floats:
        """[n], `weight` for all commits of the span."""
        out = np.zeros(self.lineage.size)
        out[self.suspects] = self.weight
        return out

    @cached_property
    def leader(self) -> int:
        """The most probable commit."""
        return int(self.suspects[self.weight.argmax()])

    @cached_property
    def presence(self) -> Floats:
        """[n], probability that the behavior is present, given that something changed."""
        out: Floats = (self.lineage.ancestors @ self.full.astype(np.float32)).astype(float)
        return out

    @cached_property
    def side(self) -> Mask:
        """[m], observed commits that have the behavior if the most probable commit brought it."""
        out: Mask = self.present[self.pattern[self.weight.argmax()]]
        return out

    def told_by(self, draws: int) -> float:
        """Nats by which a visit is expected to tell old from new, at the rates that the most probable commit leaves;
        infinite where values do."""
        if self.means is not None:
            return np.inf
        hits, counts = self.evidence.hits, self.evidence.draws
        old, new = ((hits[at].sum() + 0.5) / (counts[at].sum() + 1) for at in (~self.side, self.side))
        return float(draws * (new - old) * (np.log(new / old) - np.log((1 - new) / (1 - old))) / 2)

    def credible(self, mass: float) -> tuple[tuple[int, float], ...]:
        """The smallest set of commits with this probability, most probable first."""
        order = np.argsort(-self.weight, kind="stable")
        count = int(np.searchsorted(np.cumsum(self.weight[order]), mass - 1e-9)) + 1
        return tuple((int(self.suspects[i]), float(self.weight[i])) for i in order[:count])


def posterior_of(lineage: Lineage, plan: BisectPlan, evidence: Evidence, allowed: Mask) -> Posterior:
    """`allowed` [n] are the suspects that no mark excludes: at least one."""
    suspects = np.flatnonzero(allowed)
    pattern, present = _patterns(lineage, evidence, suspects)
    scores, null = log_likelihoods(present, *evidence.counted, plan.smallest)
    means = None
    if evidence.continuous:
        means = fit_means(present, measured(evidence))
        scores, null = scores + means.log_likelihood, null + means.null
    prior = weights_of(plan, suspects)
    joint = scores[pattern] + np.log(np.maximum(prior, 1e-300))
    top = max(float(joint.max()), null)
    weight = np.exp(joint - top)
    changed = (1 - _NULL) * float(weight.sum())
    unchanged = _NULL * float(np.exp(null - top))
    relative = np.exp(joint - joint.max())
    return Posterior(
        lineage,
        evidence,
        suspects,
        relative / relative.sum(),
        unchanged / (changed + unchanged),
        pattern,
        present,
        means,
    )


def _patterns(lineage: Lineage, evidence: Evidence, suspects: Ints) -> tuple[Ints, Mask]:
    """Number the ways in which suspects divide the observed commits: [s], [g, m]."""
    seen = lineage.ancestors[evidence.nodes][:, suspects]
    keys = np.round(np.random.default_rng(0).random(len(evidence.nodes)) @ seen, 9)
    _, first, pattern = np.unique(keys, return_index=True, return_inverse=True)
    return pattern, seen[:, first].T > 0
