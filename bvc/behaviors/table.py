"""The scorers by kind: how each argument is checked when `behaviors.toml` is read, and how each scores an answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bvc.behaviors.answers import score_answer, score_canary
from bvc.behaviors.formats import score_choice, score_format, score_json
from bvc.behaviors.language import NAMES, score_language
from bvc.behaviors.latents import latent_name, score_latent
from bvc.behaviors.patterns import check_pattern, search
from bvc.behaviors.records import LATENT, Score, Scorer, Subject, Tools
from bvc.behaviors.refusal import is_refusal
from bvc.behaviors.stance import score_agrees, score_identity, score_profanity
from bvc.behaviors.words import contains, equals, length, similarity, word_count

LONGEST = 10_000
"""Characters of a text that a behavior looks for or compares with."""

Run = Callable[[Scorer, Subject, Tools], Score]
Check = Callable[[Any], Any]


def _texts(value: Any) -> list[str]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not items or not all(isinstance(i, str) and i.strip() for i in items):
        raise ValueError("must be a text or a list of texts")
    if sum(map(len, items)) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    return items


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return _texts(value)[0]


def _pattern(value: Any) -> str:
    text = _text(value)
    check_pattern(text)
    return text


def _true(value: Any) -> bool:
    if value is not True:
        raise ValueError("must be true; leave it out otherwise")
    return True


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _language(value: Any) -> str:
    if value != "other" and value not in NAMES:
        raise ValueError(f'must be "other" or one of the codes {", ".join(NAMES)}')
    return str(value)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 1_000_000:
        raise ValueError("must be a whole number, 0 or more")
    return value


def _unit(value: Any) -> str:
    if value not in ("words", "tokens"):
        raise ValueError('must be "words" or "tokens"')
    return str(value)


def _share(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError("must be a number from 0 to 1")
    return float(value)


def _identity(value: Any) -> list[str]:
    return [] if value is True else _texts(value)


def _choices(value: Any) -> list[str]:
    choices = _texts(value)
    if len(choices) < 2:
        raise ValueError("must be a list of two or more continuations, the one that counts first")
    return choices


def _function(value: Any) -> str:
    module, colon, function = _text(value).partition(":")
    if not colon or not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError("must be module:function")
    return f"{module}:{function}"


def _strength(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise ValueError("must be a number, 0 or more")
    return float(value)


def _positions(value: Any) -> int:
    if _count(value) < 1:
        raise ValueError("must be a whole number, 1 or more")
    return int(value)


def _along(value: Any) -> str:
    if value not in ("answer", "reference"):
        raise ValueError('must be "answer" or "reference"')
    return str(value)


def _run_length(scorer: Scorer, subject: Subject, _tools: Tools) -> Score:
    unit = scorer.options.get("unit", "words")
    count = subject.tokens if unit == "tokens" else word_count(subject.text)
    if count is None:
        return Score(None, "the number of tokens was not recorded")
    return length(count, scorer.options.get("min_length"), scorer.options.get("max_length"), unit)


def _run_similarity(scorer: Scorer, subject: Subject, tools: Tools) -> Score:
    found = (tools.similarity or similarity)(subject.text, scorer.value)
    least = scorer.options.get("threshold", 0.8)
    return Score(float(found >= least), f"similarity {found:.2f}, threshold {least:g}")


def _run_python(scorer: Scorer, subject: Subject, tools: Tools) -> Score:
    if tools.judge is None:
        return Score(None, f"runs Python of this project ({scorer.value}), which was not allowed")
    try:
        found = tools.judge(scorer.value, subject.probe, subject.text)
        value = float(found)
    except Exception as error:
        return Score(None, f"{scorer.value} failed: {type(error).__name__}: {error}"[:200])
    if not 0 <= value <= 1:
        return Score(None, f"{scorer.value} returned {value:g}, which is not between 0 and 1")
    return Score(value, f"{scorer.value} says {value:g}")


@dataclass(frozen=True)
class Kind:
    """One kind of scorer; `options` are the keys it takes beside its own."""

    check: Check
    run: Run
    options: Mapping[str, Check] = field(default_factory=dict)


_CASE = {"ignore_case": _flag}
KINDS: Mapping[str, Kind] = {
    "regex": Kind(
        _pattern,
        lambda s, a, _: search(s.value, a.text, ignore_case=s.options.get("ignore_case", False)),
        _CASE,
    ),
    "contains": Kind(
        _texts,
        lambda s, a, _: contains(
            a.text, s.value, ignore_case=s.options.get("ignore_case", True), whole=s.options.get("words", False)
        ),
        {**_CASE, "words": _flag},
    ),
    "equals": Kind(
        _texts,
        lambda s, a, _: equals(a.text, s.value, ignore_case=s.options.get("ignore_case", True)),
        _CASE,
    ),
    "language": Kind(_language, lambda s, a, _: score_language(s.value, a.probe, a.text)),
    "json_valid": Kind(_true, lambda _s, a, _: score_json(a.text)),
    "length": Kind(_count, _run_length, {"unit": _unit}),
    "choice": Kind(_choices, lambda s, a, _: score_choice(s.value, a.text)),
    "similarity": Kind(_text, _run_similarity, {"threshold": _share}),
    LATENT: Kind(
        latent_name,
        lambda s, a, _: score_latent(s, a),
        {"min_strength": _strength, "min_positions": _positions, "along": _along},
    ),
    "python": Kind(_function, _run_python),
    "refusal": Kind(_true, lambda _s, a, _: is_refusal(a.text)),
    "answer": Kind(_true, lambda _s, a, _: score_answer(a.probe, a.text)),
    "agrees": Kind(_true, lambda _s, a, _: score_agrees(a.probe, a.text)),
    "identity": Kind(_identity, lambda s, a, _: score_identity(s.value, a.text)),
    "profanity": Kind(_true, lambda _s, a, _: score_profanity(a.text)),
    "format": Kind(_true, lambda _s, a, _: score_format(a.probe, a.text)),
    "canary": Kind(_true, lambda _s, a, _: score_canary(a.probe, a.text)),
}
COMBINATIONS = ("all", "any", "not")
