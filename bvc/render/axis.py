"""`bvc features axis`: how well an axis tells two tags of probes apart, and how far commits moved along it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bvc.api.axes import AxisResult
from bvc.ids import short
from bvc.records import Json
from bvc.render.commits import model_text, plural
from bvc.render.diff_layout import NAME, brief, says, sections, title
from bvc.render.documents import side_json
from bvc.render.numbers import number, points
from bvc.render.screen import Screen
from bvc.render.table import columns
from bvc.render.text import clean

if TYPE_CHECKING:
    from bvc.compare.axes import Movement


def render_axis(result: AxisResult, screen: Screen) -> Iterator[str]:
    """The page: between which probes of which commit, the separation by site, and for each site how far each commit
    moved along it."""
    yield from sections([_head(result, screen), _sites(result, screen), _moved(result, screen)])


def _head(result: AxisResult, screen: Screen) -> Iterator[str]:
    first, second = (
        f"{brief(tag, NAME, screen)} ({plural(count, 'probe')})"
        for tag, count in zip((result.first, result.second), result.probes, strict=True)
    )
    yield f"{screen.paint('bold', 'axis')} from {second} to {first}"
    commit = result.commit
    model = "" if commit.snapshot is None else f", {brief(model_text(commit.snapshot.model), NAME, screen)}"
    yield from says(f"in {short(commit.id)}{model}: {brief(commit.subject, screen.width, screen)}", screen, 5)


def _sites(result: AxisResult, screen: Screen) -> Iterator[str]:
    yield title("How often a new probe lies on its side", screen)
    rows = [["site", "separation", "gap"]]
    rows += [[clean(site), f"{one.separation:.2f}", number(one.gap)] for site, one in result.axes.items()]
    yield from _table(rows, screen, 2, right=(1, 2))
    yield from says("0.5 is by chance, 1 always; each probe against axes made without it", screen, 2, "dim")


def _moved(result: AxisResult, screen: Screen) -> Iterator[str]:
    """One block a site, one line a commit: a lineage reads downward."""
    if not result.moved and not result.left_out:
        return
    yield title(f"How far all probes moved along it from {short(result.commit.id)}, in % of the gap", screen)
    for site in result.axes:
        rows = [
            [short(commit.id), *_movement(found[site]), brief(commit.subject, screen.width, screen)]
            for commit, found in result.moved
            if site in found
        ]
        if rows:
            yield f"  {screen.paint('cyan', clean(site))}"
            yield from _table(rows, screen, 4, right=(1,))
    if result.left_out:
        names = ", ".join(short(commit.id) for commit in result.left_out)
        yield from says(f"left out, without activations: {names}", screen, 2, "yellow")


def _movement(found: Movement) -> tuple[str, str]:
    if found.ci is None:
        return points(found.mean), ""
    low, high = (points(end) for end in found.ci)
    return points(found.mean), f"[{low}, {high}]"


def _table(rows: list[list[str]], screen: Screen, indent: int, right: tuple[int, ...]) -> Iterator[str]:
    for line in columns(rows, replace(screen, width=screen.width - indent), right=right):
        yield " " * indent + line


def axis_document(result: AxisResult) -> Json:
    """`bvc.features-axis/1`."""
    return {
        "schema": "bvc.features-axis/1",
        "at": side_json(result.commit),
        "first": {"tag": result.first, "probes": result.probes[0]},
        "second": {"tag": result.second, "probes": result.probes[1]},
        "sites": [
            {"site": site, "separation": one.separation, "gap": one.gap, "direction": one.direction.tolist()}
            for site, one in result.axes.items()
        ],
        "moved": [
            {**side_json(commit), "sites": [_movement_json(one) for one in found.values()]}
            for commit, found in result.moved
        ],
        "left_out": [commit.id for commit in result.left_out],
    }


def _movement_json(found: Movement) -> Json:
    return {
        "site": found.site,
        "mean": found.mean,
        "probes": found.probes,
        "ci": None if found.ci is None else list(found.ci),
    }
