"""Draws that were added after a look: what is tested then, and how often equal models are called changed."""

from __future__ import annotations

import numpy as np
import pytest

from bvc.compare.drawn import Drawn, draw_tests, more_draws, rate_shifts
from bvc.compare.looks import ANYTIME, GROWING, ONCE, Looks, Stage, looks
from bvc.compare.verdict import ALPHA, SUITE_LEVEL
from tests.compare.simulated import SAME, TENTH, World, world
from tests.compare.worlds import outputs


def drawn(counts: list[tuple[int, int]]) -> list[tuple[list[str], list[str]]]:
    return [(["x"] * a, ["y"] * b) for a, b in counts]


@pytest.mark.parametrize(
    ("counts", "first", "draws", "begun"),
    [
        ([(8, 8)], (None, None), [None], None),
        ([(8, 8), (8, 8)], (8, 8), [None], None),
        ([(16, 8)], (16, 8), [None], None),
        ([(16, 8)], (8, 8), [8], 8),
        ([(16, 16)], (8, 8), [8, 16], 8),
        ([(16, 16), (15, 16)], (8, 8), [8], 8),
        ([(16, 16)], (None, 8), [8, 16], 8),
        ([(40, 40)], (8, 10), [8, 16, 32], 8),
        ([(90, 90)], (8, 8), [8, 16, 32], 8),
        ([(3, 3)], (0, None), [], 0),
    ],
)
def test_what_is_tested(
    counts: list[tuple[int, int]],
    first: tuple[int | None, int | None],
    draws: list[int | None],
    begun: int | None,
) -> None:
    found = looks(drawn(counts), first)
    assert ([s.draws for s in found.stages], found.first) == (draws, begun)
    assert (found == ONCE) == (begun is None)


def test_the_levels_of_all_looks_together_are_no_more_than_alpha() -> None:
    """The first look has the whole level of the verdict, as nobody knows then that others follow."""
    later = [share for _, share, _ in GROWING[1:]] + [ANYTIME]
    assert SUITE_LEVEL + SUITE_LEVEL * sum(later) <= ALPHA
    assert sum(later) + GROWING[0][1] == pytest.approx(1)


def test_shares_are_not_passed_on() -> None:
    plan = Looks((Stage(8, 0.8),), 0.05, 8)
    assert plan.joined([0.04], 1.0) == pytest.approx(0.05)
    assert plan.joined([0.5], 0.01) == pytest.approx(0.2)
    assert plan.joined([1.0], 0.5) == 1.0
    assert ONCE.joined([0.3], 0.001) == 0.3


def look(suite: World, draws: int, first: int | None, **known: object) -> Drawn:
    """What is said of the first `draws` of each side."""
    texts = {f"{i}": (outputs("", a[:draws]), outputs("", b[:draws])) for i, (a, b) in enumerate(suite.texts())}
    scores = {f"{i}": (a[:draws], b[:draws]) for i, (a, b) in enumerate(suite.scores())}
    return draw_tests(texts, scores=scores, first=(first, first), **known)  # type: ignore[arg-type]


def test_looks_again_raise_no_more_false_alarms_than_one() -> None:
    """And would, were all draws tested anew each time; so would the probes."""

    def alarms(seed: int, first: int | None) -> tuple[bool, bool]:
        suite = world(SAME, seed, 8, 40)
        found = [look(suite, draws, first) for draws in (4, 8, 12, 16, 24, 40)]
        p_values = [f.p_value for f in found if f.p_value is not None]
        return min(p_values) <= SUITE_LEVEL, min(min(f.q_values.values()) for f in found) <= ALPHA

    suites = 50
    told, plain = (np.mean([alarms(seed, first) for seed in range(suites)], 0) for first in (4, None))
    assert (told <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / suites)).all()
    assert plain[0] > told[0]


def test_draws_added_find_what_the_first_did_not() -> None:
    suites = [world(TENTH, seed, 60, 16) for seed in range(20)]
    first = [look(suite, 8, None).p_value for suite in suites]
    after = [look(suite, 16, 8).p_value for suite in suites]
    assert None not in first + after
    at_first, found = (sum(p <= SUITE_LEVEL for p in ps if p is not None) for ps in (first, after))
    assert found >= at_first + 4


def test_parts_of_the_looks_are_told() -> None:
    suite = world(TENTH, 1, 20, 16)
    found = look(suite, 16, 8)
    assert list(found.tests) == ["draws, the first 8", "draws, the first 16"]
    assert look(suite, 16, None).tests == {}
    assert look(suite, 8, None).p_value == found.tests["draws, the first 8"]


def test_of_draws_that_were_only_added_to_single_probes_what_holds_at_any_look_counts() -> None:
    found = look(world(TENTH, 1, 20, 16), 16, 0)
    assert found.test is None
    assert found.p_value == found.any_look
    ragged = {f"{i}": (outputs("", ["a"] * n), outputs("", ["b"] * n)) for i, n in enumerate([60, 2, 2, 2])}
    assert draw_tests(ragged, first=(2, 2)).q_values["0"] <= 0.05


def test_advice_leads_to_the_next_number_that_is_tested() -> None:
    assert more_draws(0.01, 8, 10, 8) == 24, "to 32, four times the first"
    assert more_draws(0.0005, 8, 10, 8) == 8, "to 16, twice the first"
    assert more_draws(0.0005, 10, 10, 8) == 6
    beyond = more_draws(0.4, 8, 10, 8)
    assert 24 < beyond < 1000
    assert more_draws(0.4, 40, 10, 8) > 100
    assert more_draws(0.9, 8, 10**6, 8) == 992, "never more than a thousand in all"


# Shifts between other captures


def test_shifts_of_rates() -> None:
    assert rate_shifts({"a": ((1.0, 0.0), (0.0,)), "b": ((1.0,), ()), "c": ((), ())}) == {"a": -0.5}


def shifted(amount: float) -> World:
    """A suite whose b is right less often by about `amount`, alike for all probes."""
    suite = world(SAME, 2, 60)
    fall = np.random.default_rng(0).random(suite.right[:, 8:].shape) < amount
    suite.right[:, 8:] &= ~fall
    return suite


def test_an_offset_that_captures_of_one_model_show_is_no_change() -> None:
    suite = shifted(0.25)
    alone = look(suite, 8, None)
    same = {f"{i}": s for i, s in enumerate(np.linspace(-0.3, -0.1, 60).tolist())}
    told = look(suite, 8, None, shifts={"N0": [same, {p: -s for p, s in same.items()}, same]})
    assert alone.p_value is not None and alone.p_value <= 0.01
    assert told.p_value is not None and told.p_value > 0.05
    assert told.test is not None and told.test.offset_judged
    assert told.replicates == {"N0": 3} and told.beyond == {}


def test_a_shift_beyond_benign_pairs_is_told_from_one_within() -> None:
    suite = shifted(0.5)
    small, large = ([{f"{i}": sign * size for i in range(60)} for sign in (1, -1, 1, -1, 1)] for size in (0.02, 0.3))
    quiet, loud = (look(suite, 8, None, shifts={"N1": pairs}) for pairs in (small, large))
    assert quiet.beyond["N1"] < 0.002 < 0.2 < loud.beyond["N1"]
    least = [found.smallest_beyond.get("N1") for found in (quiet, loud)]
    assert least[0] is not None and least[0] < 0.5 and least[1] is None, "no share falls by more than it is"
    assert quiet.p_value == loud.p_value == look(suite, 8, None).p_value, (
        'what is "the same model" is not what is benign'
    )


def test_pairs_without_a_common_probe_count_for_nothing() -> None:
    found = look(shifted(0.5), 8, None, shifts={"N0": [{"elsewhere": 0.5}], "N1": [{"elsewhere": 0.5}]})
    assert found.replicates == {} and found.beyond == {}
    assert found.test is not None and not found.test.offset_judged
