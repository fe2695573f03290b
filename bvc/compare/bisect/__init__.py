"""Bisecting under noise: a pure state machine over a span of commits that knows indices and observations only.

`next_step` says what to ask next, or the end result; `conclude` where it stands. Both are functions of what was
observed alone, so that observations are all the state that a bisect has.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bvc.bisection import Ask, BisectPlan, BisectStatus, Conclusion, Observation, Span
from bvc.compare.bisect.machine import decide


def next_step(
    span: Span, plan: BisectPlan, observations: Sequence[Observation], skipped: Collection[int] = ()
) -> Ask | Conclusion:
    """The next visit, or the conclusion where none is needed or possible. `skipped` commits are never asked.

    Raises UsageError where marks, observations or the plan contradict each other or the span.
    """
    return decide(span, plan, observations, skipped)[0]


def conclude(
    span: Span, plan: BisectPlan, observations: Sequence[Observation], skipped: Collection[int] = ()
) -> Conclusion:
    """Where the bisect stands: RUNNING while `next_step` would ask. Raises UsageError as `next_step` does."""
    found, inquiry = decide(span, plan, observations, skipped)
    if isinstance(found, Conclusion):
        return found
    return inquiry.concluded(BisectStatus.RUNNING, f"next: {found.why}")


__all__ = ["conclude", "next_step"]
