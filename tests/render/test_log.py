"""`bvc log` and `bvc show` as text."""

from __future__ import annotations

import pytest

from bvc.errors import UsageError
from bvc.render.dates import git_date, iso_date, relative_date
from bvc.render.formats import PLACEHOLDERS
from bvc.render.log import render_log
from bvc.render.screen import Screen
from bvc.render.show import render_show
from bvc.results import LogEntry
from tests.render.samples import commit, history, shown


def lines(**options: object) -> list[str]:
    return list(render_log(history(), Screen(width=80), **options))  # type: ignore[arg-type]


def test_oneline_graph() -> None:
    assert lines(oneline=True, graph=True) == [
        "*   5000000000 (HEAD -> main, tag: v1) merge the safety adapter",
        "├─╮  12 answers changed, 3 probes added, 1 probe removed",
        "* │ 4000000000 French on weather",
        "│ │  14 answers changed",
        "│ * 3000000000 (safety) safety data",
        "│ │  1 answer changed",
        "* │ 2000000000 travel answers",
        "├─╯  7 answers changed",
        "* 1000000000 SmolLM2 as it came",
    ]


def test_default_form_is_gits() -> None:
    text = "\n".join(lines())
    first, second = text.split("\n\ncommit ")[:2]
    assert first.splitlines() == [
        "commit 5000000000000000000000000000000000000000 (HEAD -> main, tag: v1)",
        "Merge:  4000000000 3000000000",
        "Author: Ada Lovelace <ada@example.org>",
        "Date:   Mon Nov 23 19:07:01 2026 +0100",
        "Model:  step5 (adapter on SmolLM2-135M)",
        "Suites: starter (60 probes) · text, log-probs, activations",
        "",
        "    merge the safety adapter",
        "",
        " 12 answers changed, 3 probes added, 1 probe removed",
    ]
    assert second.startswith("40000")
    assert "Bvc-" not in text


def test_body_stays_and_trailers_go() -> None:
    assert "    With the refusals of May." in lines()


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("%H", "3" + "0" * 39),
        ("%h %s", "3000000000 safety data"),
        ("%an <%ae>", "Ada Lovelace <ada@example.org>"),
        ("%ad", "Mon Nov 23 17:07:01 2026 +0100"),
        ("%aI %as", "2026-11-23T17:07:01+01:00 2026-11-23"),
        ("%ar", "2 hours ago"),
        ("%m %(model) %(base)", "step3 step3 SmolLM2-135M"),
        ("%(suites) %(probes) %(capability)", "starter 60 text, log-probs, activations"),
        ("%(location) %(root)", "/models/step4 sha256:" + "9" * 64),
        ("%d%D", " (safety)safety"),
        ("%p|%P", "1000000000|1" + "0" * 39),
        ("%b", "With the refusals of May."),
        ("100%%%x2c", "100%,"),
        ("%(fingerprint)", "f" * 64),
    ],
)
def test_format(template: str, expected: str) -> None:
    entry = LogEntry(history()[2].commit, history()[2].refs)
    now = entry.commit.date + 2 * 3600 + 5
    assert list(render_log([entry], Screen(), format=template, now=now)) == [expected]


def test_every_placeholder_works() -> None:
    for name in PLACEHOLDERS:
        assert list(render_log([LogEntry(commit(1))], Screen(), format=f"<%{name}>"))


@pytest.mark.parametrize("template", ["%Q", "%", "%(nothing)", "%a", "%ax"])
def test_unknown_placeholder(template: str) -> None:
    with pytest.raises(UsageError) as caught:
        list(render_log(history(), Screen(), format=template))
    assert "%(model)" in str(caught.value.hint)


def test_color_marks_refs_and_nothing_else_changes() -> None:
    import re

    colored = list(render_log(history(), Screen(width=80, color=True), graph=True))
    assert "\x1b[33mcommit" in colored[0]
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in colored] == lines(graph=True)


def test_show_commit() -> None:
    text = list(render_show(shown(), Screen(width=80)))
    assert "weights        " + "f" * 64 in text
    assert "base           SmolLM2-135M  bbbbbbbbbb" in text
    assert "was at         /models/step4" in text
    assert text[-1] == "1 answer changed since 1000000000"


def test_show_probe() -> None:
    text = "\n".join(render_show(shown(with_probe=True), Screen(width=80)))
    assert "Probe weather-03" in text
    assert "Draw 2 of 2  0 tokens, ended by itself\n  (empty)" in text
    assert "  ␣Le   ␣temps ␣à    ␣Oslo ␣demain ␣sera ↵     ␣nuageux .\n" in text
    assert "  -3.20 -0.40  -0.01 -1.20 -0.50   -0.02 -2.50 -4.40    -0.10" in text


def test_dates_that_no_calendar_holds() -> None:
    assert git_date(10**18, 0) == "Thu Jan 1 00:00:00 1970 +0000"
    assert git_date(0, 10**9) == "Thu Jan 1 00:00:00 1970 +0000"
    assert iso_date(0, 3600) == "1970-01-01T01:00:00+01:00"


@pytest.mark.parametrize(
    ("ago", "text"),
    [(1, "1 second ago"), (59, "59 seconds ago"), (60, "1 minute ago"), (7200, "2 hours ago"), (86400, "1 day ago"),
     (20 * 86400, "2 weeks ago"), (90 * 86400, "2 months ago"), (800 * 86400, "2 years ago"), (-5, "in the future")],
)  # fmt: skip
def test_relative_dates(ago: int, text: str) -> None:
    assert relative_date(1_000_000_000, 1_000_000_000 + ago) == text
