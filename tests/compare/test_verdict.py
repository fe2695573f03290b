"""The decision rule, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from bvc.compare.verdict import (
    ALPHA,
    BETWEEN,
    BROKEN,
    DRIFT_LEVEL,
    NO_NOISE,
    NOTHING,
    OTHER_RECIPE,
    OUTLIER_LEVEL,
    SAME,
    SHIFT_LEVEL,
    Decision,
    Finding,
    Whole,
    decide,
    decide_overall,
    open_reason,
    undecided_reasons,
)
from bvc.results import Verdict

N0 = {"N0": {"text": 0.0, "logprob": 0.01}}
N1 = {**N0, "N1": {"text": 0.8, "logprob": 0.5}}
N2 = {**N1, "N2": {"text": 0.9, "logprob": 2.0}}
CHANGED = Decision(Verdict.CHANGED, "N0")


def undecided(reason: str, exceeds: str | None = None) -> Decision:
    return Decision(Verdict.UNDECIDED, exceeds, reason)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (Finding(True, {"text": 0.0}), SAME),
        (Finding(False, {"text": 0.0, "logprob": 0.01}, N0), SAME),
        (Finding(False, {"text": 0.0, "logprob": 0.02}, N0), CHANGED),
        (Finding(False, {"text": 0.1, "logprob": 0.0}, N0), CHANGED),
        (Finding(False, {"text": 0.1}), undecided(NO_NOISE)),
        (Finding(False, {"text": 0.0}), undecided(NO_NOISE)),
        (Finding(False, {"text": 0.0, "logprob": 0.3}, {"N0": {"text": 0.0}}), undecided(NO_NOISE)),
        (Finding(False, {"text": 0.0, "logprob": 0.02}, N0, covered=False), undecided(OTHER_RECIPE)),
        (Finding(False, {"text": 0.0, "logprob": 0.005}, N0, covered=False), SAME),
        (Finding(False, {"text": 0.4}, draws_q=0.01), CHANGED),
        (Finding(False, {"text": 0.4}, draws_q=0.2), undecided(NO_NOISE)),
        (Finding(False, {"text": 0.4}, N0, broken=True), undecided(BROKEN)),
        (Finding(True, {}), undecided(NOTHING)),
    ],
)
def test_against_the_same_weights(finding: Finding, expected: Decision) -> None:
    assert decide(finding) == expected


def moved(logprob: float, limits: Any = N1, **fields: Any) -> Finding:
    return Finding(False, {"text": 0.5, "logprob": logprob}, limits, **fields)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (moved(0.4), Decision(Verdict.SAME, "N0")),
        (Finding(False, {"text": 0.0, "logprob": 0.001}, N1), SAME),
        (moved(0.6), undecided(BETWEEN, "N0")),
        (moved(0.6, outlier=True), Decision(Verdict.CHANGED, "N1")),
        (moved(0.4, outlier=True), Decision(Verdict.CHANGED, "N1")),
        (moved(0.6, drifted=True), Decision(Verdict.CHANGED, "N1")),
        (moved(0.4, drifted=True), Decision(Verdict.SAME, "N0")),
        (moved(0.6, N2), Decision(Verdict.SAME, "N0")),
        (moved(2.6, N2, drifted=True), Decision(Verdict.CHANGED, "N2")),
        (moved(0.4, N1, draws_q=0.001), Decision(Verdict.SAME, "N0")),
        (moved(0.4, {"N1": {"text": 0.9}}), undecided(BETWEEN)),
    ],
)
def test_against_benign_updates(finding: Finding, expected: Decision) -> None:
    assert decide(finding) == expected


@pytest.mark.parametrize(
    ("decisions", "whole", "expected"),
    [
        ([SAME, SAME], Whole(0.001, True, "N0"), Verdict.SAME),
        ([SAME, CHANGED], Whole(0.01, True, "N0"), Verdict.CHANGED),
        ([SAME, CHANGED], Whole(0.2, True, "N0"), Verdict.UNDECIDED),
        ([SAME, undecided(OTHER_RECIPE)], Whole(0.01, False, "N0"), Verdict.UNDECIDED),
        ([CHANGED], Whole(None, True, None), Verdict.CHANGED),
        ([undecided(NO_NOISE)], Whole(None, True, None), Verdict.UNDECIDED),
        ([SAME, undecided(BETWEEN)], Whole(0.001, True, "N1"), Verdict.SAME),
        ([SAME, undecided(BETWEEN)], Whole(0.001, True, "N1", nearest=0.1), Verdict.UNDECIDED),
        ([SAME, undecided(BROKEN)], Whole(0.001, True, "N1"), Verdict.UNDECIDED),
        ([SAME, Decision(Verdict.CHANGED, "N1")], Whole(0.001, True, "N1"), Verdict.CHANGED),
        ([SAME, undecided(BETWEEN)], Whole(0.001, True, "N1", drifted=True), Verdict.CHANGED),
        ([SAME, SAME], Whole(0.001, True, "N1", shifted=True), Verdict.CHANGED),
    ],
)
def test_the_whole_model(decisions: list[Decision], whole: Whole, expected: Verdict) -> None:
    assert decide_overall(decisions, whole) is expected


def test_both_tests_beyond_benign_updates_share_one_level() -> None:
    assert OUTLIER_LEVEL + DRIFT_LEVEL <= ALPHA + 1e-12
    assert 0 < SHIFT_LEVEL < DRIFT_LEVEL


def test_it_is_said_when_a_probe_nearly_stands_out() -> None:
    assert open_reason(Whole(0.001, True, "N1", nearest=0.05)) != []
    for whole in (
        Whole(0.001, True, "N1"),
        Whole(0.001, True, "N0", nearest=0.05),
        Whole(None, True, "N1", nearest=0.01),
    ):
        assert open_reason(whole) == []


def test_reasons_are_counted() -> None:
    found = undecided_reasons([SAME, undecided(NO_NOISE), undecided(NO_NOISE), undecided(NOTHING)])
    assert found == [f"2 of 4 probes are undecided: {NO_NOISE}", f"1 of 4 probes are undecided: {NOTHING}"]
