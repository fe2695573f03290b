"""`features shift`, `features axis` and the shift in `log --stat` on the screen: it fits, and steers no terminal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bvc.api.axes import AxisResult
from bvc.api.shift import ShiftResult
from bvc.compare.axes import Axis, Movement
from bvc.compare.shift import SiteShift, Spectrum
from bvc.compare.shift_tokens import SiteTokens, TokenShift
from bvc.records import LogShift, LogStat
from bvc.render.axis import axis_document, render_axis
from bvc.render.log import stat_text
from bvc.render.screen import Screen
from bvc.render.shift import render_shift, shift_document
from bvc.render.text import cells
from tests.cli.test_documents import validate
from tests.render.samples import HOSTILE, commit
from tests.render.test_text import harmless

SITE = "layer.15/prompt"
SPECTRUM = Spectrum((9.0, 2.0), (3.0, 2.5), 1, 0.005)
FOUND = SiteShift(
    SITE, 60, 55, np.ones(4), 17.8, 0.123, 0.998, 0.0006, (17.0, 18.6), (0.117, 0.131), (0.99, 1.0), SPECTRUM
)
FEW = SiteShift("layer.15/reference", 3, 3, np.ones(4), 2.0, 0.02, 0.9, 1.0)
TOKENS = SiteTokens(SITE, (TokenShift(7, 7.72, 0.005, "Bon"), TokenShift(8, 2.1, 0.2, "\n")), (), 0.98, 2.64)
A, B = commit(3, 2, subject="travel answers"), commit(4, 3, subject="French on weather")


def result(tokens: dict[str, SiteTokens] | None = None, *, named: bool = True) -> ShiftResult:
    sites = {SITE: FOUND, FEW.site: FEW}
    return ShiftResult(A, B, sites, {SITE: 0.0012 if named else 0.3}, FOUND if named else None, tokens)


def page(shown: ShiftResult, width: int = 90) -> str:
    return "\n".join(render_shift(shown, Screen(width=width)))


def test_the_page_says_length_share_stability_chance_and_directions() -> None:
    text = page(result())
    for part in (
        "60 common probes (55 units), the same reference in 3",
        "layer.15/prompt     17.8 [17, 18.6]       12 %       1.00  <0.001  1 (0.005)",
        "layer.15/reference                2        2 %       0.90       1",
        "largest beyond noise: 12 % of the states' length [12, 13] at layer.15/prompt, p = 0.0012\n  over all sites",
        "bvc features shift 3000000000 4000000000 --tokens",
    ):
        assert part in text, text
    validate(shift_document(result()))


def test_without_a_shift_beyond_noise_none_is_named() -> None:
    text = page(result(named=False))
    assert "beyond noise at any site" in text and "largest" not in text and "--tokens" not in text
    document = shift_document(result(named=False))
    validate(document)
    assert document["leading"] is None and document["sites"][1]["adjusted"] is None


def test_no_list_of_tokens_without_what_chance_reads() -> None:
    text = page(result({SITE: TOKENS}))
    assert "layer.15/prompt  random signs: the strongest reads 0.98, marked beyond 2.64" in text
    assert '+ "Bon" 7.72*  "↵" 2.1\n' in text + "\n"
    assert "95 % of looks" in text and "Next" not in text
    validate(shift_document(result({SITE: TOKENS})))
    assert "nothing moved" in page(result({}))
    assert shift_document(result({}))["tokens"] == []


AXIS = AxisResult(
    A,
    "topic:weather",
    "topic:travel",
    (14, 9),
    {SITE: Axis(SITE, np.ones(4) / 2, 21.2, 0.98)},
    ((A, {SITE: Movement(SITE, -0.163, 60, (-0.18, -0.15))}), (B, {SITE: Movement(SITE, 0.5, 1, None)}), (B, {})),
    (commit(2, 1),),
)


def test_an_axis_reads_downward_commit_by_commit() -> None:
    text = "\n".join(render_axis(AXIS, Screen(width=90)))
    for part in (
        "axis from topic:travel (9 probes) to topic:weather (14 probes)",
        "layer.15/prompt        0.98  21.2",
        "    3000000000  -16  [-18, -15]  travel answers",
        "    4000000000  +50              French on weather",
        "left out, without activations: 2000000000",
    ):
        assert part in text, text
    validate(axis_document(AXIS))


def test_the_stat_of_a_commit_has_one_piece_for_the_shift() -> None:
    screen = Screen()
    shift = LogShift(SITE, 0.123, (0.09, 0.15), 0.001, 8)
    stat = LogStat(12, 0, 0, shift)
    assert stat_text(stat, screen) == "12 answers changed, shift 12 % of layer.15/prompt [9, 15]"
    none = replace(stat, shift=LogShift(None, None, None, 0.4, 8))
    assert stat_text(none, screen) == "12 answers changed, no shift beyond noise"
    assert stat_text(replace(stat, shift=None), screen) == "12 answers changed"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_hostile_texts_neither_steer_the_terminal_nor_leave_the_screen(width: int) -> None:
    for text in (HOSTILE, "", "日本語" * 30):
        token = replace(TOKENS.promoted[0], text=text)
        tokens = SiteTokens(text, (token,), (token,), 1.0, 2.0)
        found = replace(FOUND, site=text)
        a = replace(A, message=text, author=text)
        screen = Screen(width=width)
        shift = ShiftResult(a, a, {text: found, SITE: FOUND}, {text: 0.001}, found, {text: tokens})
        axis = replace(
            AXIS,
            commit=a,
            first=text,
            second=text,
            axes={text: AXIS.axes[SITE]},
            moved=((a, {text: AXIS.moved[0][1][SITE]}),),
        )
        lines = [*render_shift(shift, screen), *render_axis(axis, screen)]
        lines.append(stat_text(LogStat(1, 0, 0, LogShift(text, 0.1, (0.0, 0.2), 0.001, 1)), screen))
        assert all(harmless(line) for line in lines)
        validate(shift_document(shift))
        validate(axis_document(axis))
        tokens_alone = ShiftResult(a, a, {SITE: FOUND}, {SITE: 0.001}, FOUND, {SITE: replace(tokens, site=SITE)})
        narrow = [*render_shift(tokens_alone, Screen(width=max(width, 80)))]
        assert all(cells(line) <= max(width, 80) for line in narrow)
