"""Words in error messages: text from outside made safe to print, misspellings, lists of lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SHOWN = 60


def printable(text: str, limit: int = _SHOWN) -> str:
    """`text` on one line for a message: what a terminal would obey or hide is escaped, the rest cut at `limit`."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice of which `word` is most likely a misspelling, or None."""
    import difflib

    close = difflib.get_close_matches(word.lower(), list(choices), n=1, cutoff=0.6)
    return close[0] if close else None


def some_of(items: Sequence[object], limit: int = 3) -> str:
    """The first `limit` items as "a, b, c, …"."""
    shown = [str(item) for item in items[:limit]]
    return ", ".join([*shown, "…"] if len(items) > limit else shown)
