"""`bvc show`: one commit, or one of its probes."""

from __future__ import annotations

from collections.abc import Iterator

from bvc.ids import short
from bvc.records import Snapshot
from bvc.render.commits import (
    capability_text,
    decoration,
    heading,
    message_lines,
    model_text,
    plural,
    recipe_text,
)
from bvc.render.log import stat_text
from bvc.render.numbers import number
from bvc.render.probe import render_probe
from bvc.render.screen import Screen
from bvc.render.table import facts
from bvc.render.text import clean
from bvc.results import ShowResult


def render_show(result: ShowResult, screen: Screen) -> Iterator[str]:
    """The page of `bvc show`."""
    if result.probe is not None:
        yield _short_heading(result, screen)
        yield ""
        yield from render_probe(result.probe, screen)
        return
    yield from heading(result.commit, result.refs, screen)
    yield ""
    yield from (f"    {line}".rstrip() for line in message_lines(result.commit))
    yield ""
    if result.commit.snapshot is not None:
        yield from _snapshot(result, result.commit.snapshot, screen)
    if result.stat is not None:
        yield ""
        yield f"{stat_text(result.stat, screen)} since {short(result.commit.parents[0])}"


def _short_heading(result: ShowResult, screen: Screen) -> str:
    commit = result.commit
    model = "" if commit.snapshot is None else f"  {screen.paint('cyan', model_text(commit.snapshot.model))}"
    head = screen.paint("yellow", f"commit {short(commit.id)}") + decoration(result.refs, screen)
    return f"{head}{model}  {clean(commit.subject)}"


def _snapshot(result: ShowResult, snapshot: Snapshot, screen: Screen) -> Iterator[str]:
    location = ", ".join(result.commit.trailers.get("Bvc-Location", ()))
    content = "outputs" if snapshot.model.kind == "recorded" else "weights"
    rows = [[content, clean(snapshot.model.fingerprint)]]
    if snapshot.model.base is not None:
        rows.append(["base", f"{clean(snapshot.model.base.name)}  {short(clean(snapshot.model.base.fingerprint))}"])
    if location:
        rows.append(["was at", clean(location)])
    # The base's fingerprint is a fact too; it stands above.
    rows += [[clean(str(k)), clean(str(v))] for k, v in snapshot.model.facts.items() if k != "base"]
    if snapshot.recipe is not None:
        rows.append(["recipe", recipe_text(snapshot.recipe, screen.glyph("dot"))])
    rows.append(["recorded", capability_text(snapshot.capability)])
    rows += [[f"suite {clean(s.name)}", f"{s.probes} probes  {short(s.digest)}"] for s in snapshot.suites]
    if snapshot.noise:
        rows.append(["noise (N0)", _noise(snapshot, screen)])
    yield from facts(rows, screen)


def _noise(snapshot: Snapshot, screen: Screen) -> str:
    """The N0 band of each channel, and what it rests on."""
    channels = {clean(c): v for c, v in snapshot.noise.items() if isinstance(v, dict)}
    bands = [f"{c} {number(v['band'])}" for c, v in channels.items() if isinstance(v.get("band"), (int, float))]
    count = snapshot.counts.get("recaptures", 0)
    return f" {screen.glyph('dot')} ".join([*sorted(bands, reverse=True), f"{plural(count, 'probe')} captured again"])
