"""Languages of answers: told without a model where words suffice, and remembered where they do not."""

from __future__ import annotations

from bvc.api.languages import Languages
from tests.api.doubles import Project

FRENCH = "Le ciel est gris et il y a des nuages, alors prenez un manteau avec vous."
SPANISH = "El cielo está gris y hay muchas nubes, así que llévate un abrigo contigo."
DUTCH = "De lucht is grijs en er zijn wolken, neem dus een jas met je mee naar buiten."


def test_two_languages_are_told_apart(project: Project) -> None:
    languages = Languages(project.repo.repository.store.index)
    assert languages.of_both(FRENCH, SPANISH) == ("French", "Spanish")


def test_texts_that_share_their_words_are_in_one_language(project: Project) -> None:
    languages = Languages(project.repo.repository.store.index)
    assert languages.of_both(DUTCH, DUTCH.replace("jas", "paraplu")) == (None, None)
    assert languages.of_both(DUTCH, f"{DUTCH[:30]} {FRENCH}") == ("Dutch", "French")


def test_what_was_found_is_remembered(project: Project) -> None:
    index = project.repo.repository.store.index
    first = Languages(index)
    assert first.of(FRENCH) == "French"
    first.flush()
    rows = len(index.environment.entries())
    again = Languages(index)
    assert again.of(FRENCH) == "French"
    again.flush()
    assert len(index.environment.entries()) == rows
