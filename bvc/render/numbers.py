"""Numbers in few digits, and what belongs beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable

_ORDER = ("text", "logprob", "activation", "feature")


def number(value: float) -> str:
    """Three significant digits without an exponent where one can do without: `0.0021`, `12.3`, `4.1e-07`."""
    if not math.isfinite(value):
        return "inf" if value > 0 else "-inf" if value < 0 else "undefined"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 10_000 or size < 1e-4:
        return f"{value:.1e}"
    decimals = max(0, 2 - math.floor(math.log10(size)))
    text = f"{value:.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def p_text(p_value: float, name: str = "p") -> str:
    """`p = 0.012`, or `p < 0.001`; `name` is "q" for a false discovery rate."""
    if not math.isfinite(p_value):
        return f"{name} undefined"
    return f"{name} < 0.001" if p_value < 0.001 else f"{name} = {p_cell(p_value)}"


def p_cell(p_value: float) -> str:
    """The same without its name, for the cell of a table: `0.012`, `<0.001`."""
    return "<0.001" if p_value < 0.001 else f"{p_value:.2g}"


def share(value: float) -> str:
    """A rate in percent, finer near 0 and 1: `23`, `0.4`, `99.8`."""
    if not math.isfinite(value):
        return number(value)
    percent = 100 * abs(value)
    fine = 0.05 <= percent < 1 or 99 < percent <= 99.95
    text = f"{percent:.1f}" if fine else f"{percent:.0f}"
    return f"-{text}" if value < 0 and float(text) else text


def points(value: float) -> str:
    """A difference of two rates in percentage points with its sign: `+21`, `-4`, `0`."""
    text = share(value)
    return f"+{text}" if value > 0 and float(text) else text


def channel_names(channels: Iterable[str]) -> list[str]:
    """Channel names in the order of the evidence levels."""
    return sorted(channels, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
