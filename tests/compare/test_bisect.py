"""Bisecting under noise: what is asked, what is answered, and how often the answer is right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bvc.bisection import Ask, BisectPlan, BisectStatus, Conclusion, Observation
from bvc.compare.bisect import conclude, next_step
from tests.compare.bisect_worlds import line, present, random_dag, run

LOADS = BisectPlan(draw_cost=0.0)
DRAWS = BisectPlan(load_cost=0.0, draw_cost=1.0, most_draws=1)


def stored(node: int, draws: int, hits: int) -> Observation:
    return Observation(node, draws, hits, source="stored", load=False)


def test_both_ends_are_asked_first() -> None:
    assert next_step(line(16), LOADS, []) == Ask(0, 64, "the good end")
    assert next_step(line(16), LOADS, [Observation(0, 64, 3)]) == Ask(16, 64, "the bad end")


def test_ends_that_answer_alike_end_it_with_the_least_effect_that_would_have_shown() -> None:
    found = next_step(line(16), LOADS, [Observation(0, 64, 12), Observation(16, 64, 11)])
    assert isinstance(found, Conclusion) and found.status is BisectStatus.NOT_REPRODUCIBLE
    assert found.p_value is not None and found.p_value > 0.3
    assert found.smallest == pytest.approx(0.2, abs=0.03)


def test_ends_that_nearly_differ_are_looked_at_once_more_and_no_more() -> None:
    seen = [Observation(0, 64, 12), Observation(16, 64, 17)]
    more = next_step(line(16), LOADS, seen)
    assert isinstance(more, Ask) and more.node in (0, 16)
    found = next_step(line(16), LOADS, [*seen, Observation(more.node, 64, 15)])
    assert isinstance(found, Conclusion) and found.status is BisectStatus.NOT_REPRODUCIBLE


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_what_is_asked_and_believed_on_random_dags(seed: int) -> None:
    rng = np.random.default_rng(seed)
    span = random_dag(int(rng.integers(2, 40)), rng)
    n = len(span.parents)
    culprit = int(rng.integers(1, n))
    rates = np.where(present(span, culprit), 0.9, 0.1)
    skipped = set(rng.choice(np.arange(1, n), n // 4, replace=False).tolist()) - {span.bad}
    limited = dict.fromkeys(range(0, n, 5), 3) | {1: 0}
    plan = BisectPlan(available=limited, max_loads=30)
    seen: list[Observation] = []
    while True:
        stands = conclude(span, plan, seen, skipped)
        assert sum(stands.posterior) == pytest.approx(1)
        assert min(stands.posterior) >= 0
        assert stands.posterior[0] == 0
        found = next_step(span, plan, seen[::-1], skipped)
        if isinstance(found, Conclusion):
            assert found == stands
            assert found.status is not BisectStatus.RUNNING
            break
        assert stands.status is BisectStatus.RUNNING
        assert found == next_step(span, plan, seen, skipped)
        assert found.node not in skipped and 1 <= found.draws <= limited.get(found.node, 64)
        seen.append(Observation(found.node, found.draws, int(rng.binomial(found.draws, rates[found.node]))))
        if (left := limited.get(found.node)) is not None:
            limited[found.node] = left - found.draws
    assert len(seen) <= 30


def test_draws_beyond_the_budget_are_not_asked() -> None:
    plan = BisectPlan(max_draws=200, draw_cost=0.0)
    found, seen = run(line(128), plan, present(line(128), 50) * 0.3 + 0.1, np.random.default_rng(0))
    assert sum(o.draws for o in seen) == 200
    assert found.status is BisectStatus.RANGE and "200 draws" in found.reason
    assert 0.95 <= found.confidence <= 1


def test_a_merge_commit_is_found_on_a_dag() -> None:
    rng = np.random.default_rng(1)
    right = 0
    for _ in range(25):
        span = random_dag(30, rng)
        merges = [i for i, parents in enumerate(span.parents) if len(parents) > 1]
        culprit = merges[int(rng.integers(len(merges)))]
        found, _ = run(span, LOADS, np.where(present(span, culprit), 0.8, 0.2), rng)
        right += found.culprit == culprit
    assert right >= 23


@pytest.mark.parametrize("old, new", [(0.0, 1.0), (0.3, 0.7), (0.01, 0.2)])
def test_the_culprit_is_found_within_the_loads_it_takes(old: float, new: float) -> None:
    rng = np.random.default_rng(2)
    right, loads = 0, 0
    for _ in range(40):
        culprit = int(rng.integers(1, 129))
        found, seen = run(line(128), LOADS, np.where(present(line(128), culprit), new, old), rng)
        right += found.culprit == culprit
        loads += len(seen)
    assert right >= 37
    assert loads / 40 <= 7 + 2 + 3


def test_single_draws_find_it_too() -> None:
    rng = np.random.default_rng(4)
    right, draws = 0, 0
    for _ in range(30):
        culprit = int(rng.integers(1, 65))
        found, seen = run(line(64), DRAWS, np.where(present(line(64), culprit), 0.95, 0.05), rng)
        right += found.culprit == culprit
        draws += len(seen)
    assert right >= 28
    assert draws / 30 <= 20


def test_credible_sets_cover_what_they_claim() -> None:
    rng = np.random.default_rng(5)
    inside, claimed = 0, 0.0
    for _ in range(150):
        culprit = int(rng.integers(1, 65))
        plan = BisectPlan(max_loads=6, most_draws=16, draw_cost=0.0, confidence=0.8)
        found, _ = run(line(64), plan, np.where(present(line(64), culprit), 0.7, 0.2), rng)
        if found.status in (BisectStatus.FOUND, BisectStatus.RANGE):
            inside += culprit in ([found.culprit] if found.culprit else [node for node, _ in found.candidates])
            claimed += found.confidence
        else:
            inside, claimed = inside + 1, claimed + 1
    assert inside / 150 >= claimed / 150 - 0.08


def test_nothing_changed_is_an_answer() -> None:
    rng = np.random.default_rng(6)
    answers = [run(line(128), LOADS, np.full(129, rate), rng) for rate in (0.02, 0.2, 0.5) for _ in range(30)]
    quiet = [found.status is BisectStatus.NOT_REPRODUCIBLE for found, _ in answers]
    assert np.mean(quiet) >= 0.93
    assert np.mean([len(seen) <= 3 for _, seen in answers]) >= 0.9


@pytest.mark.parametrize("width", [4, 16, 32])
def test_a_ramp_is_a_range_that_covers_its_middle(width: int) -> None:
    rng = np.random.default_rng(width)
    covered, ranges = 0, 0
    for _ in range(20):
        start = int(rng.integers(0, 128 - width))
        rates = np.clip((np.arange(129) - start) / width, 0, 1)
        found, _ = run(line(128), LOADS, rates, rng)
        nodes = [found.culprit] if found.culprit else [node for node, _ in found.candidates]
        covered += min(nodes) - 0.5 <= start + (width + 1) / 2 <= max(nodes) + 0.5
        ranges += found.status is BisectStatus.RANGE and len(found.stretches) >= 2
    assert covered >= 18
    assert ranges >= 17


def test_a_behavior_that_comes_and_goes_is_no_single_commit_s_doing() -> None:
    rng = np.random.default_rng(8)
    for first in (10, 25, 30):
        turns = np.searchsorted([first, first + 35, first + 70], np.arange(129), side="right") % 2
        found, _ = run(line(128), LOADS, np.where(turns, 0.9, 0.1), rng)
        assert found.status is BisectStatus.INTERMITTENT and found.culprit is None
        assert [s.new for s in found.stretches] == [False, True, False, True]
        assert [s.first for s in found.stretches[1:]] == [first, first + 35, first + 70]


def test_stored_evidence_of_a_long_lineage_is_judged_without_a_visit() -> None:
    rng = np.random.default_rng(9)
    rates = np.where(np.arange(1001) >= 613, 0.6, 0.1)
    seen = [stored(i, 16, int(rng.binomial(16, rate))) for i, rate in enumerate(rates)]
    found = conclude(line(1000), BisectPlan(available=dict.fromkeys(range(1001), 0)), seen)
    assert found.status in (BisectStatus.FOUND, BisectStatus.RANGE)
    assert abs(found.candidates[0][0] - 613) <= 2
    assert found.old == pytest.approx(0.1, abs=0.02) and found.new == pytest.approx(0.6, abs=0.05)


def test_stored_evidence_of_a_behavior_that_came_and_went() -> None:
    rng = np.random.default_rng(10)
    turns = np.searchsorted([200, 400, 700], np.arange(1001), side="right") % 2
    seen = [stored(i, 16, int(rng.binomial(16, 0.8 if turn else 0.1))) for i, turn in enumerate(turns)]
    found = conclude(line(1000), BisectPlan(available=dict.fromkeys(range(1001), 0)), seen)
    assert found.status is BisectStatus.INTERMITTENT
    assert np.allclose([s.first for s in found.stretches], [0, 200, 400, 700], atol=1)


def test_rates_that_wobble_are_no_coming_and_going() -> None:
    rng = np.random.default_rng(11)
    wobble = rng.normal(0, 0.02, 41)
    rates = np.where(np.arange(41) >= 17, 0.5, 0.11) + wobble
    seen = [stored(i, 400, int(rng.binomial(400, rate))) for i, rate in enumerate(rates)]
    found = conclude(line(40), BisectPlan(available=dict.fromkeys(range(41), 0)), seen)
    assert (found.status, found.culprit) == (BisectStatus.FOUND, 17)


def values(node: int, numbers: np.ndarray, source: str = "stored") -> Observation:
    return Observation(node, len(numbers), 0, tuple(numbers.tolist()), source=source)


def test_measured_values_divide_the_lineage_as_hits_do() -> None:
    rng = np.random.default_rng(12)
    probes = rng.normal(0, 3, 20)
    right = 0
    for culprit in range(1, 33):
        seen: list[Observation] = []
        while not isinstance(found := next_step(line(32), BisectPlan(most_draws=20), seen), Conclusion):
            shift = 1.0 if found.node >= culprit else 0.0
            seen.append(values(found.node, probes + shift + rng.normal(0, 0.3, 20), "live"))
        right += found.culprit == culprit
        assert len(seen) <= 14
    assert right >= 30


def test_values_that_do_not_differ_are_not_reproducible() -> None:
    rng = np.random.default_rng(13)
    quiet = 0
    for _ in range(60):
        seen = [values(node, rng.normal(0, 1, 20)) for node in (0, 32)]
        found = next_step(line(32), BisectPlan(most_draws=20), seen)
        quiet += isinstance(found, Conclusion) and found.status is BisectStatus.NOT_REPRODUCIBLE
        quiet += isinstance(found, Ask) and found.why.startswith("the ends nearly")
    assert quiet >= 54


def test_hits_and_values_of_one_step_add_up() -> None:
    span, plan = line(8), BisectPlan(available=dict.fromkeys(range(9), 0))
    hits = [stored(i, 4, 3 * (i >= 5)) for i in range(9)]
    numbers = [values(i, np.array([0.0, 0.4, 0.2]) + 0.6 * (i >= 5)) for i in range(9)]
    alone, both = (conclude(span, plan, seen) for seen in (hits, [*hits, *numbers]))
    assert both.posterior[5] > alone.posterior[5] > 0.3
