"""Where text goes: how wide it is, whether it may be colored, and which characters it can show."""

from __future__ import annotations

from dataclasses import dataclass

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "bold red": "1;31",
    "bold green": "1;32",
    "bold yellow": "1;33",
    "bold cyan": "1;36",
    "bold magenta": "1;35",
}
_GLYPHS = {
    "ellipsis": ("…", "..."),
    "dot": ("·", "-"),
    "newline": ("↵", "\\n"),
    "space": ("␣", "_"),
    "changed": ("●", "*"),
    "undecided": ("◐", "?"),
    "same": ("○", "="),
    "bar": ("█", "#"),
    "rule": ("─", "-"),
    "column": ("│", "|"),
    "arrow": ("→", "->"),
    "times": ("×", "x"),
    "both": ("±", "+-"),
    "still": ("·", "."),
    "up": ("▲", "+"),
    "down": ("▼", "-"),
}


@dataclass(frozen=True)
class Screen:
    """`width` cells per line; without `unicode` only ASCII is drawn (the user's own text stays as it is)."""

    width: int = 80
    color: bool = False
    unicode: bool = True

    def paint(self, style: str, text: str) -> str:
        """`text` in a named style, or unchanged where there is no color."""
        if not self.color or not style or not text:
            return text
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m"

    def glyph(self, name: str) -> str:
        """One of bvc's own symbols in a form that the screen can show."""
        fancy, plain = _GLYPHS[name]
        return fancy if self.unicode else plain
