"""Lists of numbers as options take them."""

from __future__ import annotations

from bvc.errors import UsageError


def strengths(text: str, option: str) -> tuple[float, ...]:
    """Numbers as `0.5,1,2`, given with `option`. Raises UsageError for anything else."""
    try:
        return tuple(float(piece) for piece in text.split(","))
    except ValueError:
        raise UsageError(f"{option} takes numbers as 0.5,1,2,4, not {text!r}") from None
