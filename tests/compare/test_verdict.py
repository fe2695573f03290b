"""The decision rule, case by case."""

from __future__ import annotations

import pytest

from bvc.compare.verdict import (
    CHANGED,
    NO_NOISE,
    NOTHING,
    OTHER_RECIPE,
    SAME,
    Decision,
    Finding,
    decide,
    decide_overall,
    undecided_reasons,
)
from bvc.results import Verdict

BANDS = {"text": 0.0, "logprob": 0.01}


def undecided(reason: str) -> Decision:
    return Decision(Verdict.UNDECIDED, reason=reason)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (Finding(True, {"text": 0.0}, {}), SAME),
        (Finding(False, {"text": 0.0, "logprob": 0.01}, BANDS), SAME),
        (Finding(False, {"text": 0.0, "logprob": 0.02}, BANDS), CHANGED),
        (Finding(False, {"text": 0.1, "logprob": 0.0}, BANDS), CHANGED),
        (Finding(False, {"text": 0.1}, {}), undecided(NO_NOISE)),
        (Finding(False, {"text": 0.0}, {}), undecided(NO_NOISE)),
        (Finding(False, {"text": 0.0, "logprob": 0.3}, {"text": 0.0}), undecided(NO_NOISE)),
        (Finding(False, {"text": 0.0, "logprob": 0.02}, BANDS, covered=False), undecided(OTHER_RECIPE)),
        (Finding(False, {"text": 0.0, "logprob": 0.005}, BANDS, covered=False), SAME),
        (Finding(False, {"text": 0.4}, {}, draws_q=0.01), CHANGED),
        (Finding(False, {"text": 0.4}, {}, draws_q=0.2), undecided(NO_NOISE)),
        (Finding(True, {}, {}), undecided(NOTHING)),
    ],
)
def test_the_rule(finding: Finding, expected: Decision) -> None:
    assert decide(finding) == expected


def test_only_a_change_names_the_null_that_it_exceeds() -> None:
    assert (SAME.exceeds, CHANGED.exceeds, undecided(NO_NOISE).exceeds) == (None, "N0", None)


@pytest.mark.parametrize(
    ("decisions", "p_value", "covered", "expected"),
    [
        ([SAME, SAME], 0.001, True, Verdict.SAME),
        ([SAME, CHANGED], 0.01, True, Verdict.CHANGED),
        ([SAME, CHANGED], 0.2, True, Verdict.UNDECIDED),
        ([SAME, undecided(OTHER_RECIPE)], 0.01, False, Verdict.UNDECIDED),
        ([CHANGED], None, True, Verdict.CHANGED),
        ([undecided(NO_NOISE)], None, True, Verdict.UNDECIDED),
    ],
)
def test_the_whole_model(decisions: list[Decision], p_value: float | None, covered: bool, expected: Verdict) -> None:
    assert decide_overall(decisions, p_value, covered) is expected


def test_reasons_are_counted() -> None:
    found = undecided_reasons([SAME, undecided(NO_NOISE), undecided(NO_NOISE), undecided(NOTHING)])
    assert found == [f"2 of 4 probes are undecided: {NO_NOISE}", f"1 of 4 probes are undecided: {NOTHING}"]
