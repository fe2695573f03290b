"""Words that a text must have if a regular expression is to be found in it: what an index can be asked for.

The reading is cautious. What is not understood gives no words, and then every text is looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_QUANTIFIER = re.compile(r"(?:[*+?]|\{(\d+)(?:,\d*)?\})[?+]?")
_SET = re.compile(r"\[\^?\]?(?:\\.|[^\]\\\[])*\]", re.DOTALL)
_CLASSES = "dDwWsSbBAZtnrfv"
"""Letters behind a backslash that stand for one character or place, and take nothing of what follows."""

Branch = tuple[str, ...]


class _Unclear(Exception):
    """Something that this reader leaves alone."""


def required_literals(pattern: str) -> tuple[Branch, ...] | None:
    """For each way in which a pattern can match the runs of characters that the text then has; None where not known."""
    try:
        return _Reader(pattern).branches()
    except _Unclear:
        return None


@dataclass
class _Reader:
    pattern: str
    at: int = 0
    run: str = ""
    runs: list[str] = field(default_factory=list)
    found: list[Branch] = field(default_factory=list)

    def branches(self) -> tuple[Branch, ...]:
        while self.at < len(self.pattern):
            if self.pattern[self.at] == "|":
                self.at += 1
                self._end_branch()
            else:
                self._item()
        self._end_branch()
        return tuple(self.found)

    def _item(self) -> None:
        """One thing that can be repeated, with how often it must come."""
        literal = self._literal()
        least, repeated = self._quantifier()
        if literal is None or least == 0:
            self._break()
        elif repeated:
            self.run += literal
            self._break()
        else:
            self.run += literal

    def _literal(self) -> str | None:
        """The character that stands here for itself, or None behind anything else."""
        character = self.pattern[self.at]
        if character == "\\":
            return self._escape()
        if character == "(":
            self._skip_group()
            return None
        if character == "[":
            self._skip_set()
            return None
        if character in "*+?{})":
            raise _Unclear
        self.at += 1
        return None if character in ".^$" else character

    def _escape(self) -> str | None:
        following = self.pattern[self.at + 1 : self.at + 2]
        self.at += 2
        if following in _CLASSES and following:
            return None
        if not following or following.isalnum() or following == "_" or not following.isascii():
            raise _Unclear
        return following

    def _quantifier(self) -> tuple[int, bool]:
        """The least number of times that the item before comes, and whether it is repeated at all."""
        match = _QUANTIFIER.match(self.pattern, self.at)
        if match is None:
            if self.pattern[self.at : self.at + 1] == "{":
                raise _Unclear
            return 1, False
        self.at = match.end()
        if match[1] is not None:
            return int(match[1]), True
        return int(match[0][0] == "+"), True

    def _skip_set(self) -> None:
        match = _SET.match(self.pattern, self.at)
        if match is None:
            raise _Unclear
        self.at = match.end()

    def _skip_group(self) -> None:
        depth = 0
        while self.at < len(self.pattern):
            character = self.pattern[self.at]
            if character == "[":
                self._skip_set()
                continue
            if character == "(":
                self._open_group()
                depth += 1
            elif character == ")":
                depth -= 1
            self.at += 2 if character == "\\" else 1
            if depth == 0:
                return
        raise _Unclear

    def _open_group(self) -> None:
        """Raises for a group that is not a plain one: flags, conditions and the like may change all that follows."""
        behind = self.pattern[self.at + 1 : self.at + 3]
        if behind[:1] == "*" or (behind[:1] == "?" and behind != "?:"):
            raise _Unclear

    def _break(self) -> None:
        if self.run:
            self.runs.append(self.run)
        self.run = ""

    def _end_branch(self) -> None:
        self._break()
        self.found.append(tuple(self.runs))
        self.runs = []
