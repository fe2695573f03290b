"""The page of `bvc diff`: head, the answer in two parts, the list, what it was measured against, what to do next."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from bvc.render.diff import TOP, render_diff
from bvc.render.diff_answer import draws_needed
from bvc.render.diff_behavior import render_behavior_diff
from bvc.render.diff_layout import Asked
from bvc.render.diff_probe import render_probe_diff
from bvc.render.diff_stat import render_stat
from bvc.render.screen import Screen
from bvc.render.text import cells
from bvc.results import ChannelDistance, DiffResult, Kind, Overall, Substance, TextChange, Verdict
from tests.render.samples import WEATHER, bare_diff, detail, diff, probe, probe_diff, rich_diff

ROW = re.compile(r"^ *(\d+) ([●◐○]) (\S+)")
COMMAND = re.compile(r"^  (bvc .*?)  ")


def page(result: DiffResult, *, width: int = 100, everything: bool = False, asked: Asked | None = None) -> list[str]:
    return list(render_diff(result, Screen(width=width), everything=everything, asked=asked or Asked()))


def section(lines: list[str], title: str) -> list[str]:
    """The lines of a section below its title."""
    start = lines.index(title) + 1
    return lines[start : lines.index("", start) if "" in lines[start:] else None]


def ranks(lines: list[str]) -> list[int]:
    return [int(match[1]) for line in lines if (match := ROW.match(line))]


def how_far(result: DiffResult) -> list[str]:
    return section(page(result, width=160), "How far the model moved")


def what_more(result: DiffResult) -> list[str]:
    return section(page(result, width=160), "What moved more than that")


def judged(verdict: Verdict, against: str | None, **fields: object) -> DiffResult:
    """The rich diff with another overall verdict."""
    result = rich_diff()
    return replace(result, overall=replace(result.overall, verdict=verdict, against=against, **fields))  # type: ignore[arg-type]


def test_sections_in_their_order() -> None:
    lines = page(rich_diff())
    titles = ["How far the model moved", "What moved more than that", "What changed, in words", "Where to look first",
              "Measured against", "Next"]  # fmt: skip
    assert [line for line in lines if line in titles] == titles
    assert lines[:5] == [
        "a  3000000000  step3 (adapter on SmolLM2-135M)  travel answers",
        "b  4000000000  step4 (adapter on SmolLM2-135M)  French on weather",
        "   40 common probes, compared by text, log-probs, activations",
        "   ! 2 of 40 probes hold different references: their log-probs are not compared",
        "   ! 1 probe only in b: not compared",
    ]
    assert not any(one == two == "" for one, two in pairwise(lines))


def test_how_far_the_model_moved() -> None:
    assert how_far(rich_diff()) == [
        "  ● The model changed, more than a benign update changes it (N1).",
        "    median drift 0.23 nats per token (0.19 to 0.28), larger than 83 % of the 6 known steps of this lineage",
        '    test of "it is the same model": p < 0.001  test of "it drifted no further than a benign update": p = 0.02',
        "    activations moved most at layer.22/prompt 0.34 (band 0.09), then layer.15/reference 0.2; there beyond the "
        "common shift: weather-01, weather-02, safety-03",
        "    and 2 more",
    ]
    everything = "\n".join(page(rich_diff(), everything=True, width=160))
    assert "dense < 0.001  sparse = 0.002" in everything
    assert "dense" not in "\n".join(page(rich_diff()))
    shifted = judged(Verdict.CHANGED, "N1", tests={"shift beyond N1": 0.0001}, p_value=None)
    assert any(
        'test of "its share of right draws shifted no further than with a benign update": p < 0.001' in line
        for line in how_far(shifted)
    )
    untested = judged(Verdict.CHANGED, "N1", tests={}, p_value=None)
    assert not any("test" in line for line in how_far(untested))


@pytest.mark.parametrize(
    ("percentile", "steps", "said"),
    [
        (83.0, 6, "larger than 83 % of the 6 known steps of this lineage"),
        (100.0, 6, "larger than all 6 known steps of this lineage"),
        (0.0, 6, "larger than none of the 6 known steps of this lineage"),
        (92.0, 0, "larger than 92 % of the steps of this lineage"),
    ],
)
def test_the_drift_has_a_place_in_the_lineage(percentile: float, steps: int, said: str) -> None:
    assert how_far(judged(Verdict.CHANGED, "N1", drift_percentile=percentile, steps=steps))[1].endswith(said)
    unknown = how_far(judged(Verdict.CHANGED, "N1", drift_percentile=None, ci=None))[1]
    assert unknown == "    median drift 0.23 nats per token"


def test_same_is_said_with_its_bound_and_what_would_have_been_found() -> None:
    said = how_far(judged(Verdict.SAME, "N1"))
    assert said[0] == "  ○ The same behavior: it differs no more than a benign update changes it (N1)."
    text = "\n".join(said)
    assert "bounded by N1: text 61 % of the words, logprob 0.21 nats per token, activation 9 % of the" in text
    assert "smallest drift that would have been found: 0.05 nats per token" in text
    changed = "\n".join(how_far(rich_diff()))
    assert "bounded" not in changed
    assert "would have been found" not in changed


def test_a_bound_that_bounds_nothing_is_not_given_as_a_number() -> None:
    text = " ".join(" ".join(how_far(judged(Verdict.SAME, "N1", smallest={"drift": 204.0}))).split())
    assert "204" not in text
    assert "hardly any drift of the whole would have been found: too few benign pairs are known" in text


@pytest.mark.parametrize(
    ("verdict", "against", "said"),
    [
        (Verdict.CHANGED, "N0", "● The model changed, more than the same weights differ when captured again (N0)."),
        (Verdict.CHANGED, "N2", "● The model changed, more than generic continued training changes it (N2)."),
        (Verdict.CHANGED, None, "● The model changed."),
        (Verdict.SAME, None, "○ The same behavior."),
        (Verdict.UNDECIDED, "N1", "◐ Undecided: what was recorded does not tell whether it changed more than a benign "
         "update changes it (N1)."),
        (Verdict.UNDECIDED, None, "◐ Undecided: what was recorded does not tell whether the model changed."),
    ],
)  # fmt: skip
def test_every_verdict_names_its_null(verdict: Verdict, against: str | None, said: str) -> None:
    assert how_far(judged(verdict, against))[0] == f"  {said}"


def test_equal_captures_are_identical_and_not_tested() -> None:
    still = {"text": ChannelDistance(0.0, (0.0, 0.0), 0.0)}
    same = replace(probe_diff(1, Verdict.SAME, WEATHER, WEATHER), channels=still)
    result = replace(diff(0, 0, 1), probes=(same,), overall=Overall(None, Verdict.SAME, 0.0))
    assert how_far(result) == ["  ○ Identical: everything that was recorded is equal."]
    moved = replace(same, channels={"text": ChannelDistance(0.1, (0.0, 0.2), 0.0)})
    assert "Identical" not in "".join(how_far(replace(result, probes=(moved,))))


def test_more_draws_of_recorded_outputs_are_recorded() -> None:
    result = rich_diff()
    snapshot = result.b.snapshot
    assert snapshot is not None
    recorded = replace(snapshot, model=replace(snapshot.model, kind="recorded"))
    said = "\n".join(what_more(replace(result, b=replace(result.b, snapshot=recorded))))
    assert "`bvc commit --outputs FILE`" in said
    assert "bvc capture" not in said


def test_what_moved_more_than_that() -> None:
    assert what_more(rich_diff()) == [
        "  ● 10 of 40 probes stand out of the drift of the whole model.",
        "    32 changed, 3 undecided, 5 same; 5 of 40 answers are word for word the same",
        "    32 more draws a side would decide 3 of 3 undecided probes:  "
        "`bvc capture 3000000000 4000000000 --more-draws 32`",
    ]
    assert what_more(diff())[0] == "  ● 6 of 60 probes stand out of the drift of the whole model."


def without_outliers(**smallest: float) -> DiffResult:
    result = rich_diff()
    calm = tuple(replace(p, q_value=0.4) for p in result.probes)
    return replace(result, probes=calm, overall=replace(result.overall, smallest=smallest))


def test_no_outlier_is_never_said_without_what_would_have_been_found() -> None:
    start = "  ○ No probe stands out; the smallest change in one probe that would have been found: "
    assert what_more(without_outliers(text=0.35, drift=0.1))[0] == start + "text 35 % of the words."
    unknown = "  ○ No probe stands out; how small a change in one probe would have been found is not known."
    assert what_more(without_outliers(drift=0.1))[0] == unknown
    assert what_more(bare_diff())[0].startswith("  ◐ Not known: too few probes were compared")


def test_draws_that_would_decide() -> None:
    needs = [*[8] * 9, 4000]
    probes = tuple(replace(probe_diff(i + 1, Verdict.UNDECIDED), more_draws=n) for i, n in enumerate(needs))
    assert draws_needed(replace(diff(0, 0, 0), probes=probes)) == (8, 9)
    assert draws_needed(replace(diff(0, 0, 0), probes=probes[8:])) == (4000, 2)
    changed = replace(probe_diff(1, Verdict.CHANGED), more_draws=3)
    assert draws_needed(replace(diff(0, 0, 0), probes=(changed, probe_diff(2, Verdict.UNDECIDED)))) == (0, 0)
    assert not any("more draw" in line for line in page(diff()))


def test_top_rows_come_first_and_the_rest_is_counted() -> None:
    lines = page(diff())
    assert ranks(lines) == list(range(1, TOP + 1))
    assert "  bvc diff --all               lists 4 more and 46 with verdict same" in lines
    assert "  bvc diff --probe weather-01  one probe in full" in lines


def test_all_lists_every_probe() -> None:
    lines = page(diff(), everything=True)
    assert ranks(lines) == list(range(1, 61))
    assert not any("--all" in line for line in lines)


def test_rank_orders_whatever_the_result_does() -> None:
    result = diff()
    assert ranks(page(replace(result, probes=tuple(reversed(result.probes))))) == list(range(1, TOP + 1))


def test_a_rule_stands_between_outliers_and_drift() -> None:
    lines = page(diff())
    rule = next(i for i, line in enumerate(lines) if "no more than the whole model moved" in line)
    assert ranks(lines[:rule]) == [1, 2, 3, 4, 5, 6]


def test_the_rule_comes_first_where_nothing_stands_out_and_not_where_it_was_not_tested() -> None:
    lines = page(without_outliers())
    assert "no more than the whole model" in lines[lines.index("Where to look first") + 3]
    assert sum("no more than the whole model" in line for line in lines) == 1
    assert not any("no more than the whole model" in line for line in page(bare_diff()))


def row_of(**fields: object) -> str:
    made = replace(probe_diff(1, Verdict.UNDECIDED), **fields)  # type: ignore[arg-type]
    made = replace(made, q_value=0.01)
    lines = page(replace(diff(0, 1, 0), probes=(made,)), width=160)
    return "\n".join(section(lines, "Where to look first")[1:])


@pytest.mark.parametrize(
    ("substance", "said"),
    [
        (Substance(Kind.LANGUAGE, 0.9, "English to French"), "language: English to French  score"),
        (Substance(Kind.REFUSAL, 0.9, "refuses now"), "refusal: refuses now  score"),
        (Substance(Kind.ANSWER, 0.9), "weather-01  answer  score"),
        (Substance(Kind.MEANING, 0.6), "weather-01  meaning  score"),
        (Substance(Kind.WORDING, 0.1), "weather-01  wording  score"),
        (Substance(Kind.IDENTICAL, 0.0), "weather-01  same text  score"),
        (None, "weather-01  score"),
    ],
)
def test_rows_say_what_kind_of_change_it_is(substance: Substance | None, said: str) -> None:
    assert said in row_of(substance=substance)


def test_rows_say_why_they_are_undecided() -> None:
    assert "undecided: few draws; 12 more draws a side would decide it" in row_of(reason="few draws", more_draws=12)
    assert "undecided: 12 more draws a side would decide it" in row_of(more_draws=12)
    assert "undecided: few draws" not in row_of(reason="few draws", verdict=Verdict.CHANGED)
    assert "undecided:" not in row_of()


def test_an_answer_that_became_empty_is_said() -> None:
    assert "      [-Some words.-]\n      (the answer of b is empty)" in row_of(text=TextChange("Some words.", "", 0))


def test_nulls_are_named_with_their_source() -> None:
    assert section(page(rich_diff(), width=160), "Measured against") == [
        "  N0  the same weights captured again (re-captures of both commits): text 0 % of the words, logprob 0.0021 "
        "nats per token, activation 1.2 % of the",
        "      activations' length",
        "  N1  a benign update (the drift of 6 steps of this lineage): text 61 % of the words, logprob 0.21 nats per "
        "token, activation 9 % of the activations' length",
    ]
    assert section(page(bare_diff()), "Measured against") == [
        "  No noise was measured: nothing says how far the same weights would move.",
        "  No benign update is known (N1).  Pairs that you trust teach one:  `bvc noise learn --benign A B`",
    ]


def test_sections_without_content_vanish() -> None:
    lines = page(bare_diff())
    assert "What changed, in words" not in lines
    same = replace(bare_diff(), probes=(), overall=Overall(None, Verdict.SAME, 0.0))
    assert "Where to look first" not in page(same)
    assert "Next" not in page(same)


def proposed(result: DiffResult, asked: Asked | None = None) -> list[str]:
    return [match[1] for line in page(result, asked=asked) if (match := COMMAND.match(line))]


def test_proposed_commands_ask_for_the_same_diff() -> None:
    assert proposed(rich_diff()) == [
        "bvc diff --probe weather-01",
        "bvc diff --behavior answers-in-french",
        "bvc diff --all",
        "bvc diff --stat",
    ]
    asked = Asked(("v1", "feature branch"), ("text",))
    assert proposed(diff(), asked)[0] == "bvc diff v1 'feature branch' --channel text --probe weather-01"


def test_without_a_question_the_commands_name_the_commits() -> None:
    lines = list(render_diff(rich_diff(), Screen(width=100)))
    assert any(line.startswith("  bvc diff 3000000000 4000000000 --probe weather-01") for line in lines)


@pytest.mark.parametrize("name", ["two words", "-x", "$(rm)", "a;b", "weather-02", "x" * 200])
def test_a_label_that_is_hard_to_type_or_not_alone_gives_way_to_the_id(name: str) -> None:
    made = replace(probe_diff(1, Verdict.CHANGED), probe=probe(name, "Which?"))
    result = replace(diff(2, 0, 0), probes=(made, probe_diff(2, Verdict.CHANGED)))
    assert proposed(result)[0] == f"bvc diff --probe {made.probe.id[:10]}"


@pytest.mark.parametrize("width", [60, 80, 100, 160])
@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("made", [diff, rich_diff, bare_diff])
def test_pages_keep_to_the_screen(made: object, width: int, unicode: bool) -> None:
    assert callable(made)
    screen, result = Screen(width=width, unicode=unicode), made()
    written = [*render_stat(result, screen), *render_stat(result, screen, everything=True)]
    written += render_probe_diff(result, result.probes[0], screen, detail())
    written += render_diff(result, screen)
    written += render_diff(result, screen, everything=True)
    for behavior in result.behaviors:
        written += render_behavior_diff(result, behavior, screen)
    assert [line for line in written if cells(line) > width] == []
    if not unicode:
        said = ("Le temps", "journée", "degrés")
        assert [line for line in written if not line.isascii() and not any(word in line for word in said)] == []


def test_wide_characters_keep_to_the_screen() -> None:
    chinese = "奥斯陆明天的天气怎么样？" * 12
    made = replace(probe_diff(1, Verdict.CHANGED, chinese, chinese[5:]), probe=probe("天气" * 4, chinese, "天气" * 9))
    result = replace(rich_diff(), probes=(made,))
    for width in (60, 80, 100):
        screen = Screen(width=width)
        written = [*render_diff(result, screen), *render_stat(result, screen), *render_probe_diff(result, made, screen)]
        assert [line for line in written if cells(line) > width] == []


def test_color_says_nothing_that_the_text_does_not() -> None:
    plain, colored = (list(render_diff(rich_diff(), Screen(width=100, color=color))) for color in (False, True))
    assert plain == [re.sub("\x1b\\[[0-9;]*m", "", line) for line in colored]
    assert any("\x1b" in line for line in colored)
