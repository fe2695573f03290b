"""Regular expressions of a user, run on the text of a model: either may be hostile, so each search has a time limit."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

from bvc.behaviors.records import Score

PATTERN_LIMIT = 2000
"""Characters of a pattern."""
WORK_LIMIT = 1_000_000
"""Characters of a pattern times all its counted repeats: compiling `((a{999}){999}){999}` would fill the memory."""
SECONDS = 1.0
"""What one search may take. Backtracking that runs away leaves the answer out instead of hanging the command."""
_SHOWN = 50


def check_pattern(pattern: str) -> None:
    """Raises ValueError for what is not a regular expression."""
    import regex

    if len(pattern) > PATTERN_LIMIT:
        raise ValueError(f"is longer than {PATTERN_LIMIT} characters")
    if re.search(r"\(\?(?:R|&|P>|[+-]?\d)", pattern):
        raise ValueError("calls itself, which may fill the memory: write it without recursion")
    repeats = (int(count) for count in re.findall(r"(\d+)\s*\}", pattern))
    if math.prod(max(1, count) for count in repeats) * len(pattern) > WORK_LIMIT:
        raise ValueError("repeats too often: lower the counts in its {…}")
    try:
        _compiled(pattern, False)
    except (regex.error, OverflowError, RecursionError, MemoryError) as error:
        raise ValueError(f"is not a regular expression: {error}") from error


@lru_cache(maxsize=256)
def _compiled(pattern: str, ignore_case: bool) -> Any:
    import regex

    return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)


def search(pattern: str, text: str, *, ignore_case: bool = False) -> Score:
    """1 where the pattern is found anywhere, with the places; left out where the search took too long."""
    import regex

    try:
        found = _compiled(pattern, ignore_case).finditer(text, timeout=SECONDS)
        spans = tuple(match.span() for match, _ in zip(found, range(_SHOWN), strict=False))
    except (TimeoutError, regex.error, MemoryError):
        return Score(None, f"the pattern took longer than {SECONDS:g} s on this answer: simplify it", lasting=False)
    if not spans:
        return Score(0.0, "the pattern is not in it")
    return Score(1.0, f"matches {len(spans)} time{'' if len(spans) == 1 else 's'}", spans)
