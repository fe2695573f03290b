"""What scorers say of one answer, for whoever judges what became of it."""

from __future__ import annotations

from bvc.api.languages import Languages
from bvc.behaviors.answers import right_answer
from bvc.behaviors.refusal import is_refusal
from bvc.compare.substance import Facts
from bvc.records import Generation, Probe


def facts_of(probe: Probe, answer: Generation, languages: Languages | None) -> Facts:
    """Whether an answer is right and was cut off; with `languages` also its language, and whether it refuses."""
    return Facts(
        language=None if languages is None else languages.of(answer.text),
        refuses=None if languages is None else (is_refusal(answer.text).value or 0.0) >= 0.5,
        right=right_answer(probe, answer.text),
        cut=answer.finish == "length",
    )
