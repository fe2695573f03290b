"""What scorers say of two answers to one probe, for whoever judges what became of them."""

from __future__ import annotations

from bvc.api.languages import Languages
from bvc.behaviors.answers import right_answer
from bvc.behaviors.refusal import is_refusal
from bvc.compare.substance import Facts
from bvc.records import Generation, Probe


def facts_of(probe: Probe, a: Generation, b: Generation, languages: Languages | None) -> tuple[Facts, Facts]:
    """Whether each answer is right and was cut off; with `languages` also whether it refuses, and the languages of both
    where these may differ."""
    spoken = (None, None) if languages is None else languages.of_both(a.text, b.text)
    left, right = (
        Facts(
            language=language,
            refuses=None if languages is None else (is_refusal(answer.text).value or 0.0) >= 0.5,
            right=right_answer(probe, answer.text),
            cut=answer.finish == "length",
        )
        for answer, language in zip((a, b), spoken, strict=True)
    )
    return left, right
