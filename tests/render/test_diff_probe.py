"""`bvc diff --probe`: the finding, distances against every null, answers, the strip, draws."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bvc.api.diff_probe import select_probe
from bvc.errors import AmbiguousId, UnknownRevision
from bvc.records import Probe
from bvc.render.diff_probe import channel_verdict, render_probe_diff
from bvc.render.diff_strip import change_text, strip_lines
from bvc.render.screen import Screen
from bvc.results import ChannelDistance, ProbeDetail, ProbeDiff, Verdict
from tests.render.samples import bare_diff, detail, diff, rich_diff


def page(place: int = 0, *, width: int = 120, shown: ProbeDetail | None = None, **fields: object) -> str:
    result = rich_diff()
    chosen: ProbeDiff = replace(result.probes[place], **fields)  # type: ignore[arg-type]
    return "\n".join(render_probe_diff(result, chosen, Screen(width=width), shown))


def test_the_finding() -> None:
    assert (
        "Probe weather-01  26939cb7de  in starter\n#family:weather\n"
        "● changed: more than a benign update changes it (N1)\n"
        "  rank 1 of 40, score 9.5, stands out (q < 0.001)\n"
        "  change of substance 0.8 of 1, language: English to French\n"
    ) in page()
    assert "score 3.31, does not stand out (q = 0.3)" in page(10)
    assert "\n  rank 1 of 40, score 9.5\n" in page(q_value=None, substance=None)
    undecided = page(20 + 1)
    assert "◐ undecided: exceeds no null that was measured" in undecided
    assert "undecided: the interval of text reaches over the band of N1; 16 more draws a side would decide" in undecided


def test_distances_against_every_null() -> None:
    table = page().split("channel ")[1].split("\n\n")[0]
    rows = [re.split(r"  +", line.strip()) for line in table.splitlines()]
    assert rows == [
        ["distance", "95 % interval", "N0", "N1", "verdict"],
        ["text", "0.72", "0.72 to 0.72", "0", "0.61", "changed", "share of words edited"],
        ["logprob", "1.23", "0.9 to 1.5", "0.0021", "0.21", "changed", "nats per token"],
        ["activation", "0.081", "0.07 to 0.093", "0.012", "0.09", "undecided", "of the length"],
    ]
    bare = bare_diff()
    row = next(line for line in render_probe_diff(bare, bare.probes[0], Screen()) if line.startswith("text "))
    assert re.split(r"  +", row) == ["text", "0.42", "0.42 to 0.42", "no band"]


@pytest.mark.parametrize(
    ("ci", "band", "verdict"),
    [
        ((0.2, 0.3), 0.1, Verdict.CHANGED),
        ((0.0, 0.1), 0.1, Verdict.SAME),
        ((0.05, 0.2), 0.1, Verdict.UNDECIDED),
        ((0.1, 0.2), 0.1, Verdict.UNDECIDED),
        ((float("nan"), float("nan")), 0.1, Verdict.UNDECIDED),
        ((0.2, 0.3), None, None),
    ],
)
def test_channel_verdicts(ci: tuple[float, float], band: float | None, verdict: Verdict | None) -> None:
    assert channel_verdict(ChannelDistance(0.2, ci, band)) is verdict


def test_answers_in_two_columns_and_in_one() -> None:
    assert "a 3000000000                                     │ b 4000000000" in page(width=100)
    assert "Answer  ([-a-] {+b+})" in page(width=80)
    assert "Answer, word for word the same\n  A spider has eight legs." in page(6)


def test_strip_shows_each_token_above_its_change() -> None:
    lines = list(strip_lines(detail(), Screen(width=80)))
    assert lines == [
        "Reference  12 tokens",
        "  ▲ likelier in b, ▼ less likely, by that many nats (1 nat: by a factor of 2.7)",
        "  █▁▁▂▃▁▁▂▁▁▄▂",
        "  divergence at each token; most at token 1 of 12 (The): 3.9 nats",
        "  The  ␣weather ␣in ␣Oslo ␣tomorrow ␣will ␣be ␣mostly ␣cloudy ,    ↵    <end>",
        "  ▼6.4 ▼0.3     ·   ▲0.6  ▼1.8      ·     ·   ▼0.4    ·       ▼0.1 ▲2.3 ▲0.6",
    ]


def test_strip_reads_without_color_and_without_unicode() -> None:
    lines = list(strip_lines(detail(), Screen(width=80, unicode=False)))
    assert lines[2] == "  @..:-..:..=:"
    assert lines[-1] == "  -6.4 -0.3     .   +0.6  -1.8      .     .   -0.4    .       -0.1 +2.3 +0.6"
    assert all(line.isascii() for line in lines)


def test_strip_is_shaded_by_how_far_a_token_moved() -> None:
    text = "\n".join(strip_lines(detail(), Screen(width=80, color=True)))
    assert "\x1b[1;31mThe\x1b[0m" in text
    assert "\x1b[31m␣weather\x1b[0m" in text
    assert "\x1b[2m␣in\x1b[0m" in text
    assert "\x1b[1;32m▲2.3\x1b[0m" in text


def test_strip_of_odd_values() -> None:
    nan, inf = float("nan"), float("inf")
    odd = ProbeDetail(("a", "b", "c"), (nan, -inf, inf), (nan, inf, 0.0))
    assert list(strip_lines(odd, Screen()))[-1] == "  undefined -inf inf"
    assert list(strip_lines(ProbeDetail(), Screen())) == []
    assert list(strip_lines(ProbeDetail(("a",), (0.0,), ()), Screen()))[2:] == ["  a", "  ·"]
    assert change_text(0.0999, Screen()) == "·"
    many = ProbeDetail(("word",) * 3000, (0.5,) * 3000, (0.1,) * 3000)
    lines = list(strip_lines(many, Screen()))
    assert lines[-1] == "  2488 more tokens"
    assert len(lines) < 110


def test_strip_breaks_into_lines() -> None:
    lines = list(strip_lines(detail(), Screen(width=60)))
    assert lines[-4:] == [
        "  The  ␣weather ␣in ␣Oslo ␣tomorrow ␣will ␣be ␣mostly",
        "  ▼6.4 ▼0.3     ·   ▲0.6  ▼1.8      ·     ·   ▼0.4",
        "  ␣cloudy ,    ↵    <end>",
        "  ·       ▼0.1 ▲2.3 ▲0.6",
    ]


def test_draws_of_both_sides() -> None:
    text = page(shown=detail())
    assert "Draws of a  3, 2 distinct\n  - 2 × The weather in Oslo tomorrow" in text
    assert "Draws of b  7, 6 distinct\n  + 2 × Le temps sera nuageux.\n  + Il fera 12 degrés.\n  + (empty)\n" in text
    assert text.endswith("\n    2 more")
    assert "Draws" not in page(shown=ProbeDetail())
    assert "Draws of b  2, all distinct" in page(shown=ProbeDetail(draws_b=("x", "y")))


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
