"""Whatever a model, a suite or a cloned repository says, nothing steers the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvc.records import Generation, Message, Outputs, Probe, Suite
from bvc.render.diff import render_diff
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
    CommitResult,
    FsckResult,
    LogEntry,
    Problem,
    ReflogEntry,
    ShowResult,
    StatusResult,
    SuiteChange,
    SuiteSummary,
    Verdict,
)
from tests.render.samples import BASE, HOSTILE, diff, hostile_commit, probe_diff, view
from tests.render.test_text import harmless

HEX = "a" * 40


def hostile_probe(text: str) -> Probe:
    return Probe(messages=(Message(text, text),), name=text, tags=(text,), cluster=text)


def everything(text: str, screen: Screen) -> Iterator[str]:
    """Every text that bvc writes, with `text` wherever it comes from outside."""
    made = replace(hostile_commit(), message=text, author=text)
    change = replace(probe_diff(1, Verdict.CHANGED, text, f"{text} b"), probe=hostile_probe(text), suite=text)
    result = replace(diff(0, 0, 1), a=made, b=made, probes=(change,), reasons=(text,))
    yield from render_diff(result, screen, everything=True)
    yield from render_stat(result, screen)
    yield from render_probe_diff(result, change, screen)
    yield from render_probe_diff(result, change, replace(screen, width=120))
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


def test_color_adds_only_bvcs_own_codes() -> None:
    import re

    for line in everything(HOSTILE, Screen(color=True)):
        assert harmless(re.sub(r"\x1b\[(?:0|[1-9]|1;3\d|3\d)m", "", line))
