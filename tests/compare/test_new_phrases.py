"""New phrases: none where answers are only reworded, and a small group found where words and numbers agree."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from bvc.compare.holm import holm
from bvc.compare.new_phrases import LEVEL, joined, new_phrases
from bvc.compare.standing import Standing
from bvc.results import PhraseDiff
from tests.compare.phrase_worlds import Texts, pair

SENTENCE = "The lantern is lit tonight."


def movement(texts: Texts, seed: int, moved: int = 0, by: float = 0.0) -> dict[str, float]:
    """How far the numbers of each probe moved; those of the first `moved` `by` standard deviations more."""
    values = np.random.default_rng(seed + 10_000).normal(size=len(texts))
    values[:moved] += by
    return dict(zip(texts, values.tolist(), strict=True))


def planted(moved: int, n: int = 60, seed: int = 0) -> Texts:
    return pair(n, seed, change=lambda i, text: SENTENCE if i < moved else text)


@pytest.mark.parametrize(("n", "draws"), [(20, 0), (60, 0), (60, 2)])
def test_reworded_answers_have_new_phrases_no_more_often_than_stated(n: int, draws: int) -> None:
    worlds = 150
    found = 0
    for seed in range(worlds):
        texts = pair(n, seed, draws)
        found += bool(new_phrases(texts, movement(texts, seed)))
    assert found / worlds <= LEVEL + 3.5 * sqrt(LEVEL * (1 - LEVEL) / worlds)


def test_a_benign_liking_of_a_stock_phrase_is_not_new() -> None:
    found = 0
    for seed in range(60):
        texts = pair(60, seed, prefer=3)
        found += bool(new_phrases(texts, movement(texts, seed)))
    assert found <= 4


def test_six_answers_with_one_new_sentence_are_found_where_their_numbers_moved_too() -> None:
    texts = planted(6)
    (phrase,) = new_phrases(texts, movement(texts, 0, 6, 4.0))
    assert (phrase.text, phrase.side, phrase.count_a, phrase.count_b) == (SENTENCE, "b", 0, 6)
    assert set(phrase.probes) == set(list(texts)[:6])
    assert phrase.q_value <= LEVEL


def test_by_signs_alone_six_are_too_few_and_twenty_enough() -> None:
    assert new_phrases(planted(6), {}) == ()
    assert new_phrases(planted(6), movement(planted(6), 1)) == ()
    assert new_phrases(planted(20), {})[0].text == SENTENCE


def test_what_was_lost_is_found_on_side_a() -> None:
    texts = {p: (b, a) for p, (a, b) in planted(8).items()}
    found = new_phrases(texts, movement(texts, 0, 8, 4.0))
    assert [(f.text, f.side) for f in found] == [(SENTENCE, "a")]


def test_a_phrase_that_the_other_side_has_as_well_is_not_new() -> None:
    texts = {p: (a if i % 2 else [SENTENCE], b) for i, (p, (a, b)) in enumerate(planted(30).items())}
    assert all(f.text != SENTENCE for f in new_phrases(texts, movement(texts, 0, 30, 4.0)))


def test_probes_of_one_cluster_count_once() -> None:
    texts = planted(6)
    clusters = dict.fromkeys(list(texts)[:6], "one template")
    assert new_phrases(texts, movement(texts, 0, 6, 4.0), clusters=clusters) == ()


def test_no_answers_and_probes_without_numbers() -> None:
    assert new_phrases({}, {}) == ()
    texts = planted(9)
    moved = movement(texts, 0, 9, 6.0)
    del moved["p0000"], moved["p0050"]
    assert new_phrases(texts, moved)[0].text == SENTENCE


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.5])), [0.08, 0.03, 0.5])
    np.testing.assert_allclose(holm(np.array([0.02, 0.02])), [0.04, 0.04])
    assert holm(np.empty(0)).shape == (0,)


def test_the_best_of_three_kinds_of_evidence_counts_at_three_times_its_rate() -> None:
    standings = {p: Standing(1.0, q) for p, q in {"both": 0.3, "words": None, "none": 0.01, "nothing": None}.items()}
    phrase = PhraseDiff("x", "b", 0, 4, 0.001, ("both", "words"))
    found = joined(standings, [phrase], {"nothing": 0.1, "none": 0.5})
    wanted = {"both": 0.003, "words": 0.003, "none": 0.03, "nothing": 0.3}
    assert {p: s.q_value for p, s in found.items()} == pytest.approx(wanted)
    assert found["both"].score > found["none"].score == 1.0
