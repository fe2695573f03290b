"""Bisecting where answers do not vary, and what marks and skips do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.bisection import Ask, BisectPlan, BisectStatus, Conclusion, Observation, Span
from bvc.compare.bisect import conclude, next_step
from bvc.errors import UsageError
from tests.compare.bisect_worlds import git_loads, line, present, random_dag, run_exact

EXACT = BisectPlan(exact=True)


def mark(node: int, bad: bool, source: str = "mark") -> Observation:
    return Observation(node, 1, int(bad), exact=True, source=source, load=False)


@given(st.integers(0, 10_000))
def test_finds_every_culprit_of_a_random_dag(seed: int) -> None:
    rng = np.random.default_rng(seed)
    span = random_dag(int(rng.integers(1, 25)), rng)
    culprit = int(rng.integers(1, len(span.parents)))
    found, asked = run_exact(span, culprit)
    assert (found.status, found.culprit) == (BisectStatus.FOUND, culprit)
    assert len(set(asked)) == len(asked)
    assert sum(found.posterior) == pytest.approx(1)


def test_never_more_loads_than_the_rule_of_git() -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        span = random_dag(int(rng.integers(4, 20)), rng)
        culprits = range(1, len(span.parents))
        ours = [len(run_exact(span, c)[1]) for c in culprits]
        theirs = [git_loads(span, c) for c in culprits]
        assert sum(ours) <= sum(theirs) and max(ours) <= max(theirs)


def test_a_line_is_halved() -> None:
    asked = next_step(line(64), EXACT, [mark(0, False), mark(64, True)])
    assert asked == Ask(32, 1, "halves what is left")


def test_ends_without_a_mark_are_asked_first() -> None:
    first = next_step(line(8), EXACT, [])
    assert isinstance(first, Ask) and first.node == 0
    second = next_step(line(8), EXACT, [mark(0, False, "command")])
    assert isinstance(second, Ask) and second.node == 8


@pytest.mark.parametrize(
    "observed", [(mark(0, True, "command"), mark(8, True)), (mark(0, False), mark(8, False, "command"))]
)
def test_ends_that_answer_alike_are_not_reproducible(observed: tuple[Observation, ...]) -> None:
    given = [Observation(o.node, 1, o.hits, exact=True, source="command") for o in observed]
    found = next_step(line(8), EXACT, given)
    assert isinstance(found, Conclusion) and found.status is BisectStatus.NOT_REPRODUCIBLE and found.reason


def test_a_person_s_marks_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="contradict"):
        next_step(line(8), EXACT, [mark(0, False), mark(8, True), mark(5, False), mark(3, True)])


def test_commands_that_contradict_each_other_tell_that_it_came_and_went() -> None:
    seen = [mark(n, n in (3, 8), "command") for n in (0, 3, 5, 8)]
    found = next_step(line(8), EXACT, seen)
    assert isinstance(found, Conclusion) and found.status is BisectStatus.INTERMITTENT
    assert [s.new for s in found.stretches] == [False, True, False, True]
    assert found.culprit is None


def test_one_commit_cannot_be_marked_twice() -> None:
    with pytest.raises(UsageError, match="old and as new"):
        next_step(line(8), EXACT, [mark(4, False), mark(4, True)])


def test_a_skipped_commit_is_never_asked_and_the_next_is_some_way_off() -> None:
    marks = [mark(0, False), mark(64, True)]
    asked = next_step(line(64), EXACT, marks, skipped={32})
    assert isinstance(asked, Ask) and 2 <= abs(asked.node - 32) <= 12
    further = next_step(line(64), EXACT, marks, skipped=set(range(28, 37)))
    assert isinstance(further, Ask) and abs(further.node - 32) > abs(asked.node - 32)


def test_only_skipped_commits_are_left() -> None:
    found = next_step(line(4), EXACT, [mark(0, False), mark(4, True)], skipped={1, 2, 3})
    assert isinstance(found, Conclusion) and found.status is BisectStatus.ONLY_SKIPPED
    assert sorted(node for node, _ in found.candidates) == [1, 2, 3, 4]


def test_prior_weights_move_the_first_question() -> None:
    weights = (0.0, *[1.0] * 7, 93.0)
    asked = next_step(line(8), BisectPlan(exact=True, prior=weights), [mark(0, False), mark(8, True)])
    assert isinstance(asked, Ask) and asked.node == 7


def test_a_merge_is_found_when_neither_parent_has_it() -> None:
    span = Span(((), (0,), (0,), (1, 2), (3,)), (0,))
    found, _ = run_exact(span, 3)
    assert found.culprit == 3
    assert not present(span, 3)[[0, 1, 2]].any()


def test_where_it_stands_while_a_commit_waits() -> None:
    stands = conclude(line(8), EXACT, [mark(0, False), mark(8, True)])
    assert stands.status is BisectStatus.RUNNING and len(stands.posterior) == 9
    assert stands.posterior[0] == 0 and sum(stands.posterior) == pytest.approx(1)


@pytest.mark.parametrize(
    "span, plan, seen",
    [
        (line(3), BisectPlan(confidence=1.0), []),
        (line(3), BisectPlan(prior=(1.0,)), []),
        (line(3), BisectPlan(), [Observation(9, 1, 0)]),
        (line(3), BisectPlan(), [Observation(1, 1, 2)]),
        (line(3), BisectPlan(), [Observation(1, 1, 0, values=(float("nan"),))]),
        (Span(((), (2,), (0,)), (0,)), BisectPlan(), []),
        (Span(((),), (0,)), BisectPlan(), []),
    ],
)
def test_what_cannot_be_is_refused(span: Span, plan: BisectPlan, seen: list[Observation]) -> None:
    with pytest.raises(UsageError):
        next_step(span, plan, seen)
