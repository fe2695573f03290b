"""Rates drawn small: a line of blocks for a history, a bar with its interval for one commit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from bvc.records import BehaviorRate
from bvc.render.screen import Screen

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.:-=+*#"


def sparkline(values: Sequence[float | None], screen: Screen, width: int) -> str:
    """`values` (at least 0) from the left, one cell each, as heights between 0 and the largest of them.

    Of more values than `width` neighbors share a cell, which shows their mean; None is an empty cell.
    """
    cells = _shared(values, max(1, width))
    top = max((value for value in cells if value is not None), default=0.0)
    ramp = _BLOCKS if screen.unicode else _ASCII
    return "".join(" " if value is None else ramp[_level(value, top, len(ramp))] for value in cells)


def _level(value: float, top: float, levels: int) -> int:
    """0 for nothing alone; whatever is more than nothing is drawn higher."""
    if value <= 0.0 or top <= 0.0:
        return 0
    return max(1, min(levels - 1, round(value / top * (levels - 1))))


def _shared(values: Sequence[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return list(values)
    edges = [round(cell * len(values) / width) for cell in range(width + 1)]
    return [_mean(values[begin:end]) for begin, end in pairwise(edges)]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def rate_bar(rate: BehaviorRate, screen: Screen, width: int) -> str:
    """A rate as a bar of `width` cells for 1, with a rule from its end to that of the interval."""
    if not rate.n:
        return ""
    full, low, high = (round(width * value) for value in (rate.rate, *rate.ci))
    rest = (screen.glyph("rule") if low <= place < high else " " for place in range(full, width))
    return screen.paint("cyan", screen.glyph("bar") * full) + screen.paint("dim", "".join(rest))
