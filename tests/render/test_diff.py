"""`bvc diff` as text: the page, the one-line form, one probe."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bvc.errors import AmbiguousId, UnknownRevision
from bvc.records import Probe
from bvc.render.diff import TOP, render_diff
from bvc.render.diff_probe import render_probe_diff, select_probe
from bvc.render.diff_stat import render_stat
from bvc.render.numbers import number, p_text
from bvc.render.screen import Screen
from bvc.render.text import cells
from bvc.render.words import brief_lines, side_by_side, word_diff
from bvc.results import ChannelDistance, DiffResult, Overall, Verdict
from tests.render.samples import METEO, WEATHER, diff, probe_diff

ROW = re.compile(r"^ *(\d+) ([●◐○]) (\S+)")


def page(result: DiffResult, **options: bool) -> list[str]:
    return list(render_diff(result, Screen(width=100), **options))


def ranks(lines: list[str]) -> list[int]:
    return [int(match[1]) for line in lines if (match := ROW.match(line))]


def test_header_names_both_sides_and_the_answer() -> None:
    lines = page(diff())
    assert lines[:3] == [
        "a  3000000000  step3 (adapter on SmolLM2-135M)  travel answers",
        "b  4000000000  step4 (adapter on SmolLM2-135M)  French on weather",
        "   60 common probes, compared by text, log-probs, activations",
    ]
    text = "\n".join(lines)
    assert "The model changed.\nmedian drift 0.13 nats per token, p < 0.001, larger than 92 % of" in text
    assert "12 changed, 2 undecided, 46 same; 46 of 60 answers are word for word the same" in text
    assert "6 probes stand out of the drift of the whole model" in text
    assert "the same weights move by up to (N0): text 0, logprob 0.0021, activation 0.012" in text


def test_top_rows_come_first_and_the_rest_is_counted() -> None:
    lines = page(diff())
    assert ranks(lines) == list(range(1, TOP + 1))
    assert "4 more and 46 with verdict same: `bvc diff --all` lists them." in lines
    assert "One probe in full: `bvc diff --probe weather-01`." in lines


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


def test_nothing_changed_is_a_finding() -> None:
    same = diff(changed=0, undecided=0, same=5)
    lines = page(replace(same, overall=Overall(1.0, Verdict.SAME, 0.0)))
    text = "\n".join(lines)
    assert "Same behavior.  median drift 0 nats per token, p = 1" in text
    assert ranks(lines) == []
    assert "\n5 with verdict same: `bvc diff --all` lists them." in text


def test_what_could_not_be_compared_is_said() -> None:
    result = replace(diff(1, 0, 0), reasons=("the recipes differ in dtype",), only_b=("c" * 64,), null={})
    text = "\n".join(page(result))
    assert "   ! the recipes differ in dtype" in text
    assert "   ! 1 probe only in b: not compared" in text
    assert "No noise was measured" in text


def test_texts_without_numbers() -> None:
    one = replace(probe_diff(1, Verdict.UNDECIDED), channels={"text": ChannelDistance(0.42, (0.4, 0.5), None)})
    result = replace(diff(0, 1, 0), probes=(one,), overall=Overall(None, Verdict.UNDECIDED, 0.42))
    assert "Undecided.  median drift 42 % of the words" in "\n".join(page(result))


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("unicode", [True, False])
def test_pages_keep_to_the_screen(width: int, unicode: bool) -> None:
    screen = Screen(width=width, unicode=unicode)
    result = diff()
    written = [*render_stat(result, screen), *render_probe_diff(result, result.probes[0], screen)]
    written += render_diff(result, screen, everything=True)
    assert [line for line in written if cells(line) > width] == []
    if not unicode:
        assert all(line.replace("à", "a").isascii() for line in written if "Le temps" not in line)


def test_stat_bars_follow_the_score() -> None:
    lines = list(render_stat(diff(), Screen(width=80)))
    bars = [line.count("█") for line in lines[:-1]]
    assert len(bars) == 14
    assert bars == sorted(bars, reverse=True)
    assert bars[-1] > 0
    assert lines[-1] == " 60 probes: 12 changed, 2 undecided, 46 same; 46 identical answers"


def test_stat_of_everything() -> None:
    assert len(list(render_stat(diff(), Screen(), everything=True))) == 61


@pytest.mark.parametrize("score", [float("inf"), float("nan"), 0.0])
def test_stat_with_odd_scores(score: float) -> None:
    result = replace(diff(1, 0, 0), probes=(probe_diff(1, Verdict.CHANGED, score=score),))
    assert len(list(render_stat(result, Screen()))) == 2


def test_probe_page_in_two_columns_and_in_one() -> None:
    result = diff()
    wide = "\n".join(render_probe_diff(result, result.probes[0], Screen(width=100)))
    assert "a 3000000000                                     │ b 4000000000" in wide
    narrow = "\n".join(render_probe_diff(result, result.probes[0], Screen(width=80)))
    assert "Answer  ([-a-] {+b+})" in narrow
    for text in (wide, narrow):
        assert "● changed: rank 1 of 60, score 14.2, exceeds N0, stands out (q = 0.0012)" in text
        assert re.search(r"^logprob +1\.23 +0\.9 to 1\.5 +0\.0021 +nats per token$", text, re.MULTILINE)


def test_select_probe() -> None:
    result = diff()
    first = result.probes[0]
    assert select_probe(result, "weather-01") is first
    assert select_probe(result, first.probe.id) is first
    assert select_probe(result, first.probe.id[:12]) is first
    with pytest.raises(UnknownRevision):
        select_probe(result, "nothing")
    with pytest.raises(UnknownRevision, match="one of the two commits only"):
        select_probe(replace(result, only_a=("d" * 64,)), "dddd")
    twin = replace(first, probe=Probe(prompt="another", name="weather-01"))
    with pytest.raises(AmbiguousId):
        select_probe(replace(result, probes=(first, twin)), "weather-01")


def spans(a: str, b: str, *, brief: bool) -> str:
    return "".join(span.text for span in word_diff(a, b, Screen(), brief=brief))


def test_word_diff_reads_without_color() -> None:
    assert spans("It is red.", "It is blue.", brief=False) == "It is [-red-]{+blue+}."
    assert spans("one two", "one two three", brief=False) == "one two {+three+}"
    assert spans("The end.", "The end. Ciao!", brief=False) == "The end. {+Ciao!+}"
    assert spans("a b", "a  b", brief=False) == "[-a -]{+a  +}b"
    assert spans("", "new", brief=False) == "{+new+}"
    assert spans("gone", "", brief=False) == "[-gone-]"
    assert spans("same", "same", brief=False) == "same"


def test_word_diff_colors_what_moved() -> None:
    styles = {s.style: s.text for s in word_diff("It is red.", "It is blue.", Screen(), brief=False)}
    assert styles["red"] == "[-red-]"
    assert styles["green"] == "{+blue+}"


def test_brief_word_diff_leaves_out_the_middle() -> None:
    common = " ".join(f"w{i}" for i in range(60))
    text = spans(f"old {common} end", f"new {common} fin", brief=True)
    assert text.startswith("[-old-]{+new+} w0 w1 ")
    assert "…" in text
    assert "w30" not in text
    assert text.endswith("w59 [-end-]{+fin+}")


def test_brief_word_diff_stays_on_one_line() -> None:
    assert "\n" not in spans("a\nb\nc", "a\nX\nc", brief=True)
    assert "↵" in spans("a\nb\nc", "a\nX\nc", brief=True)


def test_long_texts_show_both_sides() -> None:
    a, b = (" ".join(f"{word}{i}" for i in range(80)) for word in ("old", "new"))
    lines = brief_lines(a, b, Screen(), 60, 4)
    assert [line[:5] for line in lines] == ["- [-o", "  old", "+ {+n", "  new"]
    assert [line.endswith("…") for line in lines] == [False, True, False, True]


def test_an_answer_that_became_empty_is_said() -> None:
    gone = probe_diff(1, Verdict.CHANGED, "Some words.", "")
    text = "\n".join(page(replace(diff(1, 0, 0), probes=(gone,))))
    assert "      [-Some words.-]\n      (the answer of b is empty)" in text


def test_side_by_side_holds_both_texts() -> None:
    lines = side_by_side(WEATHER, METEO, Screen(width=120), ("a", "b"))
    left = " ".join(line.split("│")[0] for line in lines)
    right = " ".join(line.split("│")[1] for line in lines)
    assert "tomorrow" in left
    assert "tomorrow" not in right
    assert "demain" in right


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.00213, "0.00213"), (1.2345, "1.23"), (12.34, "12.3"), (1234.5, "1234"), (0.1, "0.1"),
     (100.0, "100"), (3e-7, "3.0e-07"), (123456.0, "1.2e+05"), (float("nan"), "undefined"), (float("inf"), "inf")],
)  # fmt: skip
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_p_values() -> None:
    assert p_text(0.0004) == "p < 0.001"
    assert p_text(0.0432) == "p = 0.043"
