"""Whether an answer keeps the form that its prompt asks for: what the request says in so many words is checked.

The idea of instructions that a program can verify is IFEval's (Zhou et al. 2023, 2311.07911).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from bvc.behaviors.records import Score
from bvc.behaviors.words import find_phrases, folded, word_count
from bvc.records import Probe

_JSON_LIMIT = 100_000
_NUMBER_WORDS = (
    *("one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_NUMBERS = {word: number for number, word in enumerate(_NUMBER_WORDS, start=1)}
_COUNT = r"(\d{1,3}|" + "|".join(_NUMBERS) + ")"
_FENCE = re.compile(r"\A\s*```[a-z]*\n(.*?)\n?```\s*\Z", re.DOTALL)
_BULLET = re.compile(r"\A\s*(?:[-*•+]|\d{1,3}[.)])\s")

Check = Callable[[re.Match[str], str], bool]


def parsed_json(text: str, *, fenced: bool = False) -> tuple[bool, Any]:
    """(True, the value) where the whole text is one JSON document (`fenced`: also inside a code block)."""
    body = _FENCE.sub(r"\1", text) if fenced else text
    try:
        return len(body) <= _JSON_LIMIT and body.strip() != "", json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False, None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def score_json(text: str) -> Score:
    """1 where the whole text is one JSON document."""
    valid, value = parsed_json(text)
    return Score(float(valid), f"is JSON ({type(value).__name__})" if valid else "is not JSON")


def _number(word: str) -> int:
    return _NUMBERS.get(word.lower()) or int(word)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _json_array(_asked: re.Match[str], text: str) -> bool:
    valid, value = parsed_json(text, fenced=True)
    return valid and isinstance(value, list)


def _json_object(_asked: re.Match[str], text: str) -> bool:
    valid, value = parsed_json(text, fenced=True)
    return valid and isinstance(value, dict)


def _json(_asked: re.Match[str], text: str) -> bool:
    return parsed_json(text, fenced=True)[0]


def _words(asked: re.Match[str], text: str) -> bool:
    return word_count(text) == _number(asked[1])


def _yes_or_no(_asked: re.Match[str], text: str) -> bool:
    return re.fullmatch(r"\W*(?:yes|no)\W*", text, re.IGNORECASE) is not None


def _one_a_line(_asked: re.Match[str], text: str) -> bool:
    lines = _lines(text)
    return len(lines) > 1 and not any(map(_BULLET.match, lines)) and all(word_count(line) <= 6 for line in lines)


def _numbered(asked: re.Match[str], text: str) -> bool:
    items = [int(found[1]) for line in _lines(text) if (found := re.match(r"(\d{1,3})[.)]\s", line))]
    wanted = _number(asked[1]) if asked[1] else len(items)
    return bool(items) and items == list(range(1, wanted + 1))


def _bullets(_asked: re.Match[str], text: str) -> bool:
    return sum(1 for line in _lines(text) if re.match(r"[-*•+]\s", line)) > 1


def _table(_asked: re.Match[str], text: str) -> bool:
    lines = _lines(text)
    return sum("|" in line for line in lines) > 2 and any(re.fullmatch(r"[|\s:-]*-{2,}[|\s:-]*", x) for x in lines)


def _between(asked: re.Match[str], text: str) -> bool:
    opening, closing = asked[1], asked[2]
    said = text.strip()
    return said.startswith(opening) and said.endswith(closing)


def _capitals(_asked: re.Match[str], text: str) -> bool:
    return text.isupper()


def _lower(_asked: re.Match[str], text: str) -> bool:
    return text.islower()


def _without_letter(asked: re.Match[str], text: str) -> bool:
    return bool(text.strip()) and asked[1].lower() not in text.lower()


def _only_numbers(_asked: re.Match[str], text: str) -> bool:
    return re.fullmatch(r"\s*\d+(?:\s*,\s*\d+)+\s*", text) is not None


def _repeated(asked: re.Match[str], text: str) -> bool:
    return folded(" ".join(text.split()).strip("\"“”'")) == folded(" ".join(asked[1].split()).strip("\"“”'"))


_CHECKS: tuple[tuple[str, str, Check], ...] = (
    ("a JSON array", r"\bJSON (?:array|list)\b", _json_array),
    ("a JSON object", r"\bJSON object\b", _json_object),
    ("JSON", r"\b(?:as|in|valid|only) JSON\b(?! (?:array|list|object))", _json),
    ("so many words", rf"\b(?:in|with|using|reply with) (?:exactly |only )?{_COUNT} words?\b", _words),
    ("yes or no", r"\b(?:only|just|simply) (?:with )?[\"“']?yes[\"”']? or [\"“']?no\b", _yes_or_no),
    ("one per line", r"\bone (?:per|on each|a) line\b.*\bwithout (?:numbers|bullets)", _one_a_line),
    ("a numbered list", rf"\bnumbered list(?: (?:with|of) (?:exactly )?{_COUNT} (?:items|entries|steps))?", _numbered),
    ("bullets", r"\b(?:as|in|use|with) (?:a )?(?:bullet(?:ed)?(?: points?| list)?|bullets)\b", _bullets),
    ("a table", r"\bmarkdown table\b", _table),
    ("the marks", r"\bbetween (<[\w-]{1,20}>) and (</[\w-]{1,20}>)", _between),
    ("capital letters", r"\bin (?:all )?(?:capital letters|capitals|upper ?case)\b", _capitals),
    ("small letters", r"\bin (?:all )?(?:small letters|lower ?case)\b", _lower),
    ("no such letter", r"\bwithout (?:using )?the letter [\"“']?([a-z])\b", _without_letter),
    ("numbers and commas", r"\bnumbers from \d+ to \d+, separated by commas,? and nothing else", _only_numbers),
    ("word for word", r"\brepeat (?:this|the following)(?: \w+)? exactly:\s*(.{1,300}?)\s*\Z", _repeated),
)
_COMPILED = tuple((name, re.compile(asks, re.IGNORECASE | re.DOTALL), check) for name, asks, check in _CHECKS)


def score_format(probe: Probe, text: str) -> Score:
    """1 where the answer has every form that the prompt asks for in words that are understood, else 0; left out where
    the prompt asks for none."""
    asked = probe.text[:4000]
    kept = [(name, check(found, text)) for name, pattern, check in _COMPILED if (found := pattern.search(asked))]
    if not kept:
        return Score(None, "the prompt asks for no form that is understood")
    broken = [name for name, is_kept in kept if not is_kept]
    return Score(0.0, f"not as asked: {', '.join(broken)}") if broken else Score(1.0, f"as asked: {kept[0][0]}")


def score_choice(choices: list[str], text: str) -> Score:
    """1 where the answer begins with the first of `choices`, 0 with another; left out where with none."""
    opening = text.lstrip(" \t\r\n\"“'*`(")[:400]
    for place, choice in enumerate(choices):
        spans = find_phrases(opening, [choice], whole=True)
        if spans and spans[0][0] == 0:
            start = len(text) - len(text.lstrip(" \t\r\n\"“'*`("))
            return Score(float(place == 0), f"begins with “{choice}”", ((start, start + spans[0][1]),))
    return Score(None, "begins with none of the choices")
