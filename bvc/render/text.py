"""Hostile text made harmless, and measured and cut by the cells that it takes in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

_JOINERS = "\u200c\u200d"
_LONGEST = 20_000
"""Characters of one text that are looked at; the rest of a longer one is only counted."""


def clean(text: str, *, newline: str = " ") -> str:
    """`text` on one line with everything that could steer a terminal or mislead a reader spelled out.

    Control characters, escape sequences, bidirectional overrides, invisible format characters and lone surrogates
    appear as `\\x1b`, `\\u202e` and so on; line breaks become `newline`.
    """
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} [{len(text) - _LONGEST} more characters]"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _spell(c, newline) for c in text)


def clean_lines(text: str) -> list[str]:
    """The lines of `text`, each made harmless; only a line feed ends a line."""
    return [clean(line, newline="") for line in text.split("\n")]


def _spell(character: str, newline: str) -> str:
    if character == "\n":
        return newline
    if character == "\t":
        return "    "
    from unicodedata import category

    if character in _JOINERS or category(character) == "Zs":
        return character
    code = ord(character)
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"


def cells(text: str) -> int:
    """Columns that `text` takes: 0 for combining marks, 2 for wide East Asian characters and emoji."""
    return len(text) if text.isascii() else sum(_cell(c) for c in text)


def _cell(character: str) -> int:
    if character.isascii():
        return 1
    from unicodedata import category, east_asian_width

    if character in _JOINERS or category(character) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """The longest beginning of `text` that takes at most `width` cells."""
    if len(text) <= width and text.isascii():
        return text
    used = 0
    for position, character in enumerate(text):
        used += _cell(character)
        if used > width:
            return text[:position]
    return text


def shorten(text: str, width: int, ellipsis: str = "…") -> str:
    """`text` in at most `width` cells, its end replaced by `ellipsis` where it does not fit."""
    if cells(text) <= width:
        return text
    return cut(text, max(0, width - cells(ellipsis))).rstrip() + cut(ellipsis, width)


def ending(text: str, width: int, ellipsis: str = "…") -> str:
    """The end of `text` in at most `width` cells, its beginning replaced by `ellipsis` where it does not fit."""
    if cells(text) <= width:
        return text
    rest = text[-width:]
    while cells(rest) + cells(ellipsis) > width:
        rest = rest[1:]
    return ellipsis + rest


def pad(text: str, width: int, *, right: bool = False) -> str:
    """`text` filled with spaces to `width` cells, on its left side where `right` (numbers)."""
    fill = " " * max(0, width - cells(text))
    return fill + text if right else text + fill


def wrap(text: str, width: int) -> list[str]:
    """One line of harmless text broken at spaces into lines of at most `width` cells; longer words are broken."""
    lines: list[str] = []
    line = ""
    for word in _pieces(text, width):
        if line and cells(line) + cells(word.rstrip(" ")) > width:
            lines.append(line.rstrip(" "))
            line = ""
        line += word
    lines.append(line.rstrip(" "))
    return lines


def _pieces(text: str, width: int) -> Iterator[str]:
    """Words with the space behind them, none wider than `width`."""
    for word in text.replace("\n", " ").split(" "):
        rest = word
        while cells(rest) > width > 1:
            head = cut(rest, width)
            yield head
            rest = rest[len(head) :]
        yield rest + " "
