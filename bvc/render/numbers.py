"""Numbers in few digits, and what belongs beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bvc.results import ChannelDistance

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


def p_text(p_value: float) -> str:
    """`p = 0.012`, or `p < 0.001`."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def channel_names(channels: Mapping[str, ChannelDistance]) -> list[str]:
    """Channel names in the order of the evidence levels."""
    return sorted(channels, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
