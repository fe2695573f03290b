"""Whatever a model, a suite or a cloned repository says, nothing steers the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.api.diff_probe import select_probe
from bvc.errors import BvcError, UsageError
from bvc.records import Generation, Message, Outputs, Probe, Suite
from bvc.render.diff import render_diff
from bvc.render.diff_behavior import render_behavior_diff, select_behavior
from bvc.render.diff_layout import Asked
from bvc.render.diff_probe import render_probe_diff
from bvc.render.diff_stat import render_stat
from bvc.render.lists import (
    render_branches,
    render_commit,
    render_config,
    render_fsck,
    render_reflog,
    render_suite,
    render_suites,
    render_tags,
)
from bvc.render.log import render_log
from bvc.render.screen import Screen
from bvc.render.show import render_show
from bvc.render.status import render_status
from bvc.results import (
    BranchEntry,
    ChannelDistance,
    CommitResult,
    DiffResult,
    FamilyDiff,
    FsckResult,
    Kind,
    LogEntry,
    ProbeDetail,
    Problem,
    ReflogEntry,
    ShowResult,
    StatusResult,
    Substance,
    SuiteChange,
    SuiteSummary,
    TextChange,
    Verdict,
)
from tests.render.samples import BASE, HOSTILE, diff, hostile_commit, probe_diff, rich_diff, view
from tests.render.test_text import harmless

HEX = "a" * 40


def hostile_probe(text: str) -> Probe:
    return Probe(messages=(Message(text, text),), name=text, tags=(text,), cluster=text)


def hostile_diff(text: str) -> DiffResult:
    """A diff in which every field that comes from outside is `text`."""
    made = replace(hostile_commit(), message=text, author=text)
    result = rich_diff()
    change = replace(
        result.probes[0],
        probe=hostile_probe(text),
        suite=text,
        verdict=Verdict.UNDECIDED,
        exceeds=text,
        substance=Substance(Kind.MEANING, 0.5, text),
        reason=text,
        channels={text: ChannelDistance(1.0, (0.5, 1.5), 0.1)},
        text=TextChange(text, f"{text} b", 0),
    )
    still = replace(change, probe=Probe(prompt=text, name=f"{text} 2", tags=(text,)), text=TextChange(text, text, None))
    sides = [replace(b, name=f"{text}{i}", description=text) for i, b in enumerate(result.behaviors)]
    return replace(
        result,
        a=made,
        b=made,
        reasons=(text,),
        probes=(change, replace(still, rank=2), result.probes[2]),
        null={text: {text: {"band": 0.1}}, "N1": {text: {"band": text}}},
        null_sources={text: text, "N1": text},
        overall=replace(result.overall, verdict=Verdict.SAME, against=text, tests={text: 0.1}, smallest={text: 0.1}),
        behaviors=tuple(replace(b, gained=(change.probe.id, text), lost=(still.probe.id,)) for b in sides),
        phrases=tuple(replace(p, text=text, probes=(change.probe.id, text)) for p in result.phrases),
        layers=tuple(replace(layer, hookpoint=text, probes=(text,)) for layer in result.layers),
        families=tuple(FamilyDiff(kind, text, 3, 4, 5, 6, 0.001, 0.01) for kind in ("tag", "suite")),
        only_a=(text,),
        logprob_unit=text,
    )


def hostile_detail(text: str) -> ProbeDetail:
    return ProbeDetail((text,) * 9, (0.5,) * 9, (0.5,) * 9, (text,) * 9, (f"{text} b", text))


def every_diff_screen(result: DiffResult, screen: Screen) -> Iterator[str]:
    """All that the command prints about one diff; its first probe holds the hostile text."""
    text = result.probes[0].probe.text
    for everything in (True, False):
        yield from render_diff(result, screen, everything=everything, asked=Asked((text,), (text,)))
        yield from render_stat(result, screen, everything=everything)
    for width in (60, 120):
        at = replace(screen, width=width)
        for probe in result.probes[:2]:
            yield from render_probe_diff(result, probe, at, hostile_detail(text))
        for behavior in result.behaviors[:1]:
            yield from render_behavior_diff(result, behavior, at)


def everything(text: str, screen: Screen) -> Iterator[str]:
    """Every text that bvc writes, with `text` wherever it comes from outside."""
    made = replace(hostile_commit(), message=text, author=text)
    change = replace(probe_diff(1, Verdict.CHANGED, text, f"{text} b"), probe=hostile_probe(text), suite=text)
    result = replace(diff(0, 0, 1), a=made, b=made, probes=(change,), reasons=(text,))
    yield from every_diff_screen(result, screen)
    yield from every_diff_screen(hostile_diff(text), screen)
    entry = LogEntry(made, (text, f"tag: {text}"))
    for options in ({}, {"oneline": True}, {"graph": True}, {"format": "%s %b %B %an %ae %m %d"}):
        yield from render_log([entry], screen, **options)  # type: ignore[arg-type]
    shown = replace(view(text), probe=hostile_probe(text), tokens=(text,) * 9)
    shown = replace(shown, outputs=Outputs(Generation(text), (Generation(text),)))
    yield from render_show(ShowResult(made, (text,), None), screen)
    yield from render_show(ShowResult(made, (text,), None, shown), screen)
    state = StatusResult(text, made, (SuiteChange(text, "new", 1, 0),), True, (text,), ((text, 3),))
    yield from render_status(state, screen)
    refs = [BranchEntry(text, HEX, text, current=True), BranchEntry("main", HEX, text)]
    for verbose in (True, False):
        yield from render_branches(refs, screen, verbose=verbose)
        yield from render_tags(refs, screen, verbose=verbose)
    yield from render_reflog([ReflogEntry(0, HEX, HEX, text, 0, 0)], text, screen)
    yield from render_suites([SuiteSummary(text, 1, HEX, {text: 1})], screen)
    yield from render_suite(Suite(text, (hostile_probe(text),)), screen)
    yield from render_config({"author": text})
    yield from render_commit(CommitResult(HEX, (), text, text, replace(BASE, name=text), 1, 0, 1.0), screen)
    yield from render_fsck(FsckResult(False, {"blobs": 1}, (Problem(text, text, text),)), screen)


def test_hostile_sample() -> None:
    assert [line for line in everything(HOSTILE, Screen()) if not harmless(line)] == []


@given(st.text(st.characters(), max_size=60))
def test_any_text(text: str) -> None:
    assert [line for line in everything(text, Screen()) if not harmless(line)] == []


@pytest.mark.parametrize("text", [HOSTILE, "x" * 200_000, "\n" * 3000, "word " * 50_000])
def test_huge_and_hostile_text_is_written_in_bounded_space(text: str) -> None:
    written = list(
        render_diff(replace(diff(0, 0, 0), probes=(probe_diff(1, Verdict.CHANGED, text, text + "!"),)), Screen())
    )
    assert sum(map(len, written)) < 4000


@pytest.mark.parametrize(
    "text", [HOSTILE * 9_000, "x" * 1_000_000, "\n" * 30_000, "word " * 200_000, "\udc80" * 40_000]
)
def test_every_field_huge_and_hostile_is_written_in_bounded_space(text: str) -> None:
    result = hostile_diff(text)
    written = list(render_diff(result, Screen()))
    assert [line for line in written if not harmless(line)] == []
    assert sum(map(len, written)) < 20_000
    rows = list(render_stat(result, Screen()))
    assert sum(map(len, rows)) < 8000


def test_errors_about_hostile_names_are_harmless() -> None:
    result = hostile_diff(HOSTILE)
    with pytest.raises(UsageError) as unknown:
        select_behavior(result, f"no {HOSTILE}")
    assert harmless(f"{unknown.value.message} {unknown.value.hint}")
    with pytest.raises(BvcError) as missing:
        select_probe(result, f"no {HOSTILE}")
    assert harmless(missing.value.message)


def test_color_adds_only_bvcs_own_codes() -> None:
    import re

    for line in everything(HOSTILE, Screen(color=True)):
        assert harmless(re.sub(r"\x1b\[(?:0|[1-9]|1;3\d|3\d)m", "", line))
