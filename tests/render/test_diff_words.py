"""What changed, in words: behaviors, phrases, families; the word diff; numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bvc.errors import UsageError
from bvc.render.diff import render_diff
from bvc.render.diff_behavior import behavior_probes, render_behavior_diff, select_behavior
from bvc.render.numbers import number, p_text, points, share
from bvc.render.screen import Screen
from bvc.render.words import brief_lines, side_by_side, word_diff
from bvc.results import BehaviorDiff, DiffResult, PhraseDiff, Verdict
from tests.render.samples import METEO, WEATHER, diff, rich_diff


def in_words(result: DiffResult, *, width: int = 120, everything: bool = False) -> list[str]:
    lines = list(render_diff(result, Screen(width=width), everything=everything))
    if "What changed, in words" not in lines:
        return []
    start = lines.index("What changed, in words") + 1
    return lines[start : lines.index("", start)]


def test_everything_that_changed_with_its_probes() -> None:
    assert in_words(rich_diff()) == [
        "  · 8 of the 10 probes that stand out have tag family:weather; of all probes 12 of 40 (q = 0.001)",
        "  + answers-in-french  2 % (0.4 to 13) → 30 % (18 to 45)  +28 points (+14 to +42)  q < 0.001",
        "      +12 gained it: weather-01, weather-02, safety-03 and 9 more  -1 lost it: facts-13",
        "  ± agrees-with-user  50 % (35 to 65) → 50 % (35 to 65)  0 points (-17 to +17)  q = 0.012",
        "      flips both ways, which the rate does not show:  +6 gained it: weather-01, weather-02, safety-03 "
        "and 3 more",
        "      -6 lost it: facts-13, facts-14, weather-15 and 3 more",
        "  ○ no change found in refuses (6 points would have been found)",
        "  ◐ undecided: states-identity (12 points would have been found)",
        "  - answers that can be checked  3 right → wrong  1 wrong → right",
        "  more in b, answers that hold it: a → b",
        '  + "Bonne journée"         0 → 11  q < 0.001  weather-02, safety-03, arithmetic-04 and 8 more',
        '  + "I can\'t help with"     1 → 6   q = 0.012  safety-03, arithmetic-04, stance-05 and 3 more',
        "  + all in capital letters  0 → 6   q = 0.02   arithmetic-04, stance-05, facts-06 and 3 more",
        "  less in b, answers that hold it: a → b",
        '  - "degrees"               9 → 1   q = 0.004  weather-01, weather-02, safety-03 and 6 more',
        "  likelier in b along the references; probes in which it rose ▲ and fell ▼",
        '  + " Le"                   ▲14 ▼2  q < 0.001  weather-01, weather-02, safety-03 and 11 more',
        "  less likely in b along the references; probes in which it rose ▲ and fell ▼",
        '  - " The"                  ▲3 ▼14  q = 0.002  weather-01, weather-02, safety-03 and 11 more',
    ]


def test_nothing_known_is_no_section() -> None:
    assert in_words(diff()) == []


def test_behaviors_that_did_not_move_are_said_with_what_would_have_been_found() -> None:
    result = rich_diff()
    still = tuple(b for b in result.behaviors if b.verdict is Verdict.SAME)
    twice = (*still, replace(still[0], name="polite", smallest=0.31))
    lines = in_words(replace(diff(), behaviors=twice))
    assert lines == ["  ○ no change found in polite (31 points would have been found), refuses (6)"]


def test_long_lists_are_cut_and_all_shows_them() -> None:
    phrases = tuple(PhraseDiff(f"phrase {i}", "b", 0, 9, 0.001, ()) for i in range(7))
    result = replace(diff(), phrases=phrases)
    short, long = ([line for line in in_words(result, everything=e) if "phrase" in line] for e in (False, True))
    assert (len(short), len(long)) == (5, 7)
    assert any(line.endswith("(2 more)") for line in in_words(result))
    moved = rich_diff().behaviors[0]
    many = tuple(replace(moved, name=f"moved-{i:02d}") for i in range(11))
    assert "  3 more behaviors moved" in in_words(replace(diff(), behaviors=many))
    assert sum("moved-" in line for line in in_words(replace(diff(), behaviors=many), everything=True)) == 11


def behavior_page(behavior: BehaviorDiff, *, everything: bool = False) -> str:
    return "\n".join(render_behavior_diff(rich_diff(), behavior, Screen(width=100), everything=everything))


def test_behavior_page() -> None:
    result = rich_diff()
    text = behavior_page(select_behavior(result, "answers-in-french"))
    assert "Behavior answers-in-french\n  The answer is mostly in French\n  ● Changed: more frequent in b.\n" in text
    assert "    a 3000000000  2 % (0.4 to 13) of 40 probes\n    b 4000000000  30 % (18 to 45) of 40 probes\n" in text
    assert "    difference  +28 points (+14 to +42)  p < 0.001, q < 0.001\n\n12 probes gained it\n" in text
    assert "\n  2 more: `--all` lists them\n\n1 probe lost it\n" in text
    assert "\n 13 ● facts-13  wording" in text
    assert "more: `--all`" not in behavior_page(result.behaviors[0], everything=True)
    assert "no more than the whole model" not in text


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (1, "● Changed, though the rate did not: 6 probes gained it, 6 lost it."),
        (2, "○ The same; a difference of 6 points would have been found."),
        (3, "◐ Undecided: more draws or probes would tell; a difference of 12 points would have been found."),
    ],
)
def test_behavior_verdicts(place: int, said: str) -> None:
    assert f"  {said}\n" in behavior_page(rich_diff().behaviors[place])


def test_a_behavior_that_fell() -> None:
    fell = replace(rich_diff().behaviors[0], difference=-0.2, ci=(-0.3, -0.1))
    assert "Changed: less frequent in b." in behavior_page(fell)
    assert any(line.startswith("  - answers-in-french") for line in in_words(replace(diff(), behaviors=(fell,))))


def test_select_behavior() -> None:
    result = rich_diff()
    assert select_behavior(result, "refuses") is result.behaviors[2]
    with pytest.raises(UsageError, match="no behavior refuse in this diff") as caught:
        select_behavior(result, "refuse")
    assert caught.value.hint == "did you mean refuses?"
    with pytest.raises(UsageError, match="no behavior was scored"):
        select_behavior(diff(), "refuses")


def test_probes_of_a_behavior_that_the_diff_lacks_are_left_out() -> None:
    result = rich_diff()
    behavior = replace(result.behaviors[0], gained=("d" * 64, result.probes[3].probe.id), lost=())
    assert behavior_probes(result, behavior) == ([result.probes[3]], [])


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


@pytest.mark.parametrize(
    ("value", "text", "signed"),
    [(0.23, "23", "+23"), (0.004, "0.4", "+0.4"), (1e-17, "0", "0"), (0.998, "99.8", "+99.8"), (0.99999, "100", "+100"),
     (1.0, "100", "+100"), (-0.04, "-4", "-4"), (-1e-9, "0", "0"), (0.0, "0", "0"),
     (float("nan"), "undefined", "undefined")],
)  # fmt: skip
def test_shares_and_points(value: float, text: str, signed: str) -> None:
    assert share(value) == text
    assert points(value) == signed


def test_a_p_value_that_is_no_number() -> None:
    assert p_text(float("nan"), "q") == "q undefined"
    assert p_text(0.02, "q") == "q = 0.02"
