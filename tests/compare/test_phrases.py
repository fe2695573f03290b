"""Phrases that answers gain together stand out; rewording of each answer by itself does not."""

from __future__ import annotations

import time

import numpy as np

from bvc.compare.phrases import shared_phrases

ENGLISH = [f"word{i}" for i in range(150)]


def sentences(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(ENGLISH, 9)) for _ in range(n)]


FRENCH = ["le temps est beau", "le ciel est bleu et il fait beau", "il fait froid et le temps est gris"]


def numbered(before: list[str], after: list[str]) -> dict[str, tuple[str, str]]:
    return {str(i): pair for i, pair in enumerate(zip(before, after, strict=True))}


def test_answers_that_turn_french_together_stand_out_of_reworded_ones() -> None:
    before, after = sentences(60, 0), sentences(60, 1)
    after[:3] = FRENCH
    shared = shared_phrases(numbered(before, after))
    ranked = sorted(shared, key=lambda p: -shared[p])
    assert set(ranked[:3]) == {"0", "1", "2"}
    assert shared[ranked[2]] > 1.3 * shared[ranked[3]]


def test_what_vanishes_stands_out_as_what_appears() -> None:
    before, after = sentences(30, 2), sentences(30, 3)
    after[:3] = FRENCH
    assert shared_phrases(numbered(before, after)) == shared_phrases(numbered(after, before))


def test_one_answer_alone_shares_nothing_and_unchanged_answers_neither() -> None:
    texts = {"1": ("one two", "voilà du français"), "2": ("three", "three"), "3": ("four", "four five")}
    assert shared_phrases(texts) == {"1": 0.0, "2": 0.0, "3": 0.0}


def test_words_that_unchanged_answers_hold_are_no_gain() -> None:
    changed = {f"c{i}": (f"other{i}", "same words here") for i in range(3)}
    familiar = shared_phrases({f"s{i}": ("same words here", "same words here") for i in range(20)} | changed)
    new = shared_phrases({f"s{i}": ("quite else", "quite else") for i in range(20)} | changed)
    assert 0 < familiar["c0"] < new["c0"] / 5


def test_empty_texts_and_no_texts() -> None:
    assert shared_phrases({}) == {}
    assert shared_phrases({"1": ("", "a"), "2": ("b", "")}) == {"1": 0.0, "2": 0.0}


def test_a_thousand_answers_take_a_fraction_of_a_second() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(3000)])
    texts = {str(i): (" ".join(rng.choice(words, 40)), " ".join(rng.choice(words, 40))) for i in range(1000)}
    start = time.process_time()
    shared_phrases(texts)
    assert time.process_time() - start < 1
