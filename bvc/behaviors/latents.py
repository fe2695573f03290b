"""Whether a latent of a dictionary fires along a probe's greedy answer, or along its reference."""

from __future__ import annotations

import re
from typing import Any

from bvc.behaviors.records import Firing, Latent, Score, Scorer, Span, Subject
from bvc.dictionaries import LATENTS_LIMIT

_ASKED = re.compile(r"(?:(?P<name>[^:]{1,100}):)?(?P<number>[0-9]{1,9})")
_BEFORE = 30
"""Characters of the answer that are quoted before the place where a latent is strongest."""
_WORD = re.compile(r"\S{1,60}\s*\Z")


def latent_name(value: Any) -> int | str:
    """The number of a latent as it stands, or NAME:NUMBER. Raises ValueError for anything else."""
    found = None if isinstance(value, bool) else _ASKED.fullmatch(str(value)) if isinstance(value, int | str) else None
    if found is None or int(found["number"]) >= LATENTS_LIMIT:
        raise ValueError('must be the number of a latent, or "DICTIONARY:NUMBER"')
    number = int(found["number"])
    return number if found["name"] is None else f"{found['name']}:{number}"


def score_latent(scorer: Scorer, subject: Subject) -> Score:
    """1 where the latent fires at least so strongly, and at so many positions, as the scorer's options ask."""
    (asked,) = scorer.latents()
    found = subject.firing(asked)
    if isinstance(found, str):
        return Score(None, found)
    told = f"latent {asked.label} {_how(found)}"
    if not found.fired:
        return Score(0.0, told)
    least, positions = scorer.options.get("min_strength", 0.0), scorer.options.get("min_positions", 1)
    if found.strongest < least or found.fired < positions:
        return Score(0.0, f"{told}: less than asked")
    return Score(1.0, f"{told}, most {_where(asked, found, subject.text)}", _spans(asked, found, subject.text))


def _how(found: Firing) -> str:
    if not found.fired:
        return "does not fire"
    return f"fires at {found.fired} of {found.positions} positions, up to {found.strongest:.3g}"


def _where(asked: Latent, found: Firing, text: str) -> str:
    if asked.along != "answer":
        return f"at position {found.place} of the reference"
    before = " ".join(text[: found.place][-_BEFORE:].split())
    return f"after “{before}”" if before else "before the first word"


def _spans(asked: Latent, found: Firing, text: str) -> tuple[Span, ...]:
    """The word with which the place ends where the latent is strongest."""
    word = _WORD.search(text[: found.place][-2 * _BEFORE :]) if asked.along == "answer" else None
    end = min(found.place, len(text))
    return () if word is None else ((end - len(word[0]), end),)
