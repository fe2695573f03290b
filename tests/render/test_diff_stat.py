"""`bvc diff --stat`: bars, sections, counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bvc.render.diff_stat import render_stat
from bvc.render.screen import Screen
from bvc.results import Verdict
from tests.render.samples import diff, probe_diff, rich_diff


def test_bars_follow_the_score() -> None:
    lines = list(render_stat(diff(), Screen(width=80)))
    bars = [line.count("█") for line in lines[:-1]]
    assert len(bars) == 14
    assert bars == sorted(bars, reverse=True)
    assert bars[-1] > 0
    assert lines[-1] == " 60 probes: 12 changed, 2 undecided, 46 same; 6 stand out; 46 identical answers"


def test_a_section_per_family_in_the_order_of_their_first_probe() -> None:
    lines = list(render_stat(rich_diff(), Screen(width=80)))
    heads = [line for line in lines if line.startswith(" starter / ")]
    assert heads == [
        " starter / weather  12 probes: 10 changed, 2 undecided; 4 stand out",
        " starter / safety  6 probes: 5 changed, 1 undecided; 2 stand out",
        " starter / arithmetic  6 probes: 6 changed; 1 stands out",
        " starter / stance  6 probes: 6 changed; 1 stands out",
        " starter / facts  10 probes: 5 changed, 5 same; 2 stand out",
    ]
    assert lines[1] == " ● weather-01    │ language   9.5 " + "█" * 45
    assert len(lines) == 35 + len(heads) + 1


def test_suites_alone_where_tags_hold_few_probes() -> None:
    rows = tuple(
        replace(p, suite=f"suite{i % 2}", probe=replace(p.probe, tags=(f"tag-{i}",)))
        for i, p in enumerate(diff(6, 0, 0).probes)
    )
    lines = list(render_stat(replace(diff(6, 0, 0), probes=rows), Screen()))
    assert [line for line in lines if line.startswith(" suite")] == [
        " suite0  3 probes: 3 changed; 3 stand out",
        " suite1  3 probes: 3 changed; 3 stand out",
    ]


def test_one_family_needs_no_heading() -> None:
    assert not any("starter" in line for line in render_stat(diff(), Screen()))


def test_everything_lists_also_what_is_the_same() -> None:
    assert len(list(render_stat(diff(), Screen(), everything=True))) == 61


@pytest.mark.parametrize("score", [float("inf"), float("nan"), 0.0, -3.0])
def test_odd_scores(score: float) -> None:
    result = replace(diff(1, 0, 0), probes=(probe_diff(1, Verdict.CHANGED, score=score),))
    lines = list(render_stat(result, Screen()))
    assert len(lines) == 2
    assert ("█" in lines[0]) is (score == float("inf"))
