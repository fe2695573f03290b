"""A bisect as it stands: the lineage, the plan, what was seen, and all that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log2

from bvc.bisection import Ask, BisectPlan, BisectStatus, Conclusion
from bvc.compare.bisect.evidence import Evidence, Limits
from bvc.compare.bisect.gate import Gate, batch, gate_of
from bvc.compare.bisect.halve import allowed_suspects
from bvc.compare.bisect.lineage import Ints, Lineage, Mask
from bvc.compare.bisect.posterior import Posterior, posterior_of
from bvc.compare.bisect.report import describe, gradual, turning
from bvc.compare.bisect.shapes import Shapes, passing_states, shapes_of
from bvc.compare.bisect.track import Track, track_of

LIKELY = 0.5
"""Probability from which on another shape than a step is taken for true once the search has ended."""
_MANY = 8
"""Draws of a first visit from which on a bisect counts loads rather than draws."""
_TIRED = 3
"""A search ends after so many times the loads that a clear step takes."""


@dataclass(frozen=True)
class Inquiry:
    """A bisect as it stands."""

    lineage: Lineage
    plan: BisectPlan
    evidence: Evidence
    limits: Limits

    @cached_property
    def allowed(self) -> Mask:
        """[n], suspects that no mark excludes; all of them where marks contradict each other."""
        left = allowed_suspects(self.lineage, self.evidence.marks)
        return left if left.any() else self.lineage.suspects

    @cached_property
    def contradicted(self) -> bool:
        """Whether no single commit could explain the marks."""
        return not allowed_suspects(self.lineage, self.evidence.marks).any()

    @cached_property
    def gate(self) -> Gate:
        """How the ends compare."""
        return gate_of(self.lineage, self.evidence)

    @cached_property
    def posterior(self) -> Posterior:
        """What is believed under a single step."""
        return posterior_of(self.lineage, self.plan, self.evidence, self.allowed)

    @cached_property
    def track(self) -> Track:
        """The evidence along a line."""
        return track_of(self.posterior, through_leader=not self.contradicted)

    @cached_property
    def shapes(self) -> Shapes:
        """Whether something else than a single step explains it."""
        return shapes_of(self.track, self.posterior.leader)

    @cached_property
    def passing(self) -> Ints | None:
        """[k], where along the line the behavior is if it came and went again; None where nothing speaks for that."""
        return passing_states(self.track)

    @cached_property
    def first(self) -> int:
        """Draws of a first visit to a commit that must be looked at."""
        return batch(self.plan)

    @property
    def by_loads(self) -> bool:
        """Whether loading costs so much more than drawing that a visit takes many draws."""
        return self.first >= _MANY

    @property
    def ends(self) -> tuple[int, ...]:
        """The good commits and the bad one."""
        return (*self.lineage.span.good, self.lineage.span.bad)

    @property
    def spent(self) -> str:
        """Why nothing more may be asked; empty where it may."""
        plan, seen = self.plan, self.evidence
        if plan.max_loads is not None and seen.loads >= plan.max_loads:
            return f"the budget of {plan.max_loads} loads is used up"
        if plan.max_draws is not None and seen.drawn >= plan.max_draws:
            return f"the budget of {plan.max_draws} draws is used up"
        return ""

    @property
    def tired(self) -> bool:
        """Whether so much was visited that more would hardly help: several times what a clear step takes."""
        return self.evidence.loads > _TIRED * (log2(self.lineage.size) + 2) and self.by_loads

    def ask(self, node: int, draws: int, why: str) -> Ask | None:
        """The visit, as far as the commit and the budget allow it."""
        left = self.limits.draws(node)
        if self.plan.max_draws is not None:
            left = min(left, self.plan.max_draws - self.evidence.drawn)
        return Ask(node, min(draws, left), why) if left > 0 and not self.spent else None

    def end(self, node: int) -> str:
        """What an end is called."""
        return "the bad end" if node == self.lineage.span.bad else "the good end"

    def concluded(self, status: BisectStatus, reason: str) -> Conclusion:
        """The conclusion with all that the evidence says."""
        out = describe(status, reason, self.plan, self.evidence, self.gate, self.posterior)
        if status is BisectStatus.INTERMITTENT:
            came_back = self.contradicted or self.shapes.turns > LIKELY
            states = self.shapes.states if came_back or self.passing is None else self.passing
            return turning(out, self.track, states)
        if status is BisectStatus.RANGE and self.shapes.ramp > LIKELY:
            return gradual(out, self.track, self.shapes.within, self.plan.confidence)
        return out
